use std::time::Duration;

use tandem_query::QueryLimits;
use tandem_transaction::TransactionLimits;

use crate::retry::RetryPolicy;

/// Every bound of a store; `docs/limits.md` lists them all. What goes beyond
/// one answers `LIMIT_EXCEEDED` with `limit`, `max` and `actual` in its details.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bounds of transactions, locks and commits.
    pub transaction: TransactionLimits,
    /// Bounds of single reads.
    pub query: QueryLimits,
    /// How often autocommitted writes, batches and
    /// [`Store::transaction`](crate::Store::transaction) answer a conflict by
    /// running again.
    pub retry: RetryPolicy,
    /// Operations in one batch.
    pub batch_operations: usize,
    /// Records that a streaming read holds in memory at once.
    pub iterator_records: usize,
    /// How long maintenance rests between two rounds.
    pub maintenance_interval: Duration,
    /// How long records whose time to live is over may stay before the
    /// background thread deletes them; zero = it never does.
    pub ttl_check_interval: Duration,
    /// Rows, keys or records that one step of maintenance handles: other
    /// commits wait for a step at most.
    pub maintenance_step: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            transaction: TransactionLimits::default(),
            query: QueryLimits::default(),
            retry: RetryPolicy::default(),
            batch_operations: 10_000,
            iterator_records: 256,
            maintenance_interval: Duration::from_secs(1),
            ttl_check_interval: Duration::from_secs(1),
            maintenance_step: 1_000,
        }
    }
}
