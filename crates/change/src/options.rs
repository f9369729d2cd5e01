/// How much of the past is kept, and where. `docs/limits.md` lists the bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeLogOptions {
    /// Log entries older than this many milliseconds are removed. Default: one
    /// hour.
    pub max_age_ms: u64,
    /// Log bytes above which the oldest entries are removed, whatever their
    /// age. Default: 64 MiB.
    pub max_bytes: u64,
    /// Bytes of recent commits held in memory. Default: 16 MiB.
    pub ring_bytes: usize,
    /// Recent commits held in memory. Default: 65 536.
    pub ring_commits: usize,
    /// Milliseconds for which the first result under an idempotency key is
    /// kept. Default: 24 hours.
    pub idempotency_age_ms: u64,
    /// Entries of each kind that one [trim](crate::ChangeLogRetention::trim)
    /// step looks at. Default: 1 024.
    pub step_entries: usize,
    /// Bytes of each kind that one trim step reads, give or take one entry.
    /// Default: 8 MiB.
    pub step_bytes: u64,
}

impl Default for ChangeLogOptions {
    fn default() -> Self {
        Self {
            max_age_ms: 60 * 60 * 1_000,
            max_bytes: 64 << 20,
            ring_bytes: 16 << 20,
            ring_commits: 65_536,
            idempotency_age_ms: 24 * 60 * 60 * 1_000,
            step_entries: 1_024,
            step_bytes: 8 << 20,
        }
    }
}
