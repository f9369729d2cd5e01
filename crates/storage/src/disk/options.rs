/// How a [`DiskStorage`](crate::DiskStorage) uses memory and disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskOptions {
    /// Memory for blocks read from disk, in bytes; 64 MiB unless set. Shared
    /// by all readers; values that a caller still holds keep their block alive
    /// beyond it.
    pub cache_bytes: u64,
    /// Recent writes of one tree kept in memory until they go to a table, in
    /// bytes; 16 MiB unless set, at least 1 MiB. Most of what a store writes goes
    /// to three trees: rows, index entries, the change log. Up to four more
    /// buffers of this size wait while tables are written; then writers wait
    /// too. Fixed when the store is created; ignored when an existing one is
    /// opened.
    pub write_buffer_bytes: u64,
    /// All journal files together, in bytes; 128 MiB unless set, at least
    /// 64 MiB. What lies there is replayed after a kill, so this bounds how
    /// long opening takes.
    pub journal_bytes: u64,
    /// Threads that merge tables, beside the two that write them; 1 unless set, at
    /// least 1 and at most 64.
    pub compaction_threads: usize,
}

impl Default for DiskOptions {
    fn default() -> Self {
        Self {
            cache_bytes: 64 << 20,
            write_buffer_bytes: 16 << 20,
            journal_bytes: 128 << 20,
            compaction_threads: 1,
        }
    }
}

impl DiskOptions {
    /// The same with every value within its stated bounds.
    pub(super) fn clamped(&self) -> Self {
        Self {
            cache_bytes: self.cache_bytes,
            write_buffer_bytes: self.write_buffer_bytes.max(1 << 20),
            journal_bytes: self.journal_bytes.max(64 << 20),
            compaction_threads: self.compaction_threads.clamp(1, 64),
        }
    }
}
