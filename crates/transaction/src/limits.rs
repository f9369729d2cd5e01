use std::time::Duration;

/// Bounds of the transaction layer; `docs/limits.md` lists them all.
#[derive(Clone, Debug)]
pub struct TransactionLimits {
    /// A transaction is rolled back when it is open for longer.
    pub total_time: Duration,
    /// A transaction is rolled back when it is unused for longer.
    pub idle_time: Duration,
    /// Bytes of rows and index entries that one transaction may write.
    pub write_set_bytes: usize,
    /// Points and ranges remembered exactly; beyond it the read set is widened
    /// to whole buckets and indexes (more conflicts, never fewer).
    pub read_set_entries: usize,
    /// Savepoints open at once in one transaction.
    pub savepoints: usize,
    /// Bytes of keys that the recent-commit index may hold. A transaction that
    /// began before what is left answers `TRANSACTION_EXPIRED` ("too old").
    pub recent_commit_bytes: usize,
    /// Bytes of rows kept at hand for reads by key; 0 = none.
    pub record_cache_bytes: usize,
    /// Bytes of index entries and rows kept at hand for reads by range; 0 = none.
    pub range_cache_bytes: usize,
    /// Transactions that one group commit may carry.
    pub group_size: usize,
    /// How long a statement waits for a locked record unless it says otherwise.
    pub lock_wait: Duration,
    /// Transactions that may wait for locks at once.
    pub lock_waiters: usize,
    /// Locks that one transaction may hold.
    pub locks_per_transaction: usize,
    /// Transactions that may be open at once.
    pub open_transactions: usize,
}

impl Default for TransactionLimits {
    fn default() -> Self {
        Self {
            total_time: Duration::from_secs(30),
            idle_time: Duration::from_secs(10),
            write_set_bytes: 256 << 20,
            read_set_entries: 65_536,
            savepoints: 1_024,
            recent_commit_bytes: 64 << 20,
            record_cache_bytes: 64 << 20,
            range_cache_bytes: 32 << 20,
            group_size: 256,
            lock_wait: Duration::from_secs(5),
            lock_waiters: 128,
            locks_per_transaction: 65_536,
            open_transactions: 10_000,
        }
    }
}
