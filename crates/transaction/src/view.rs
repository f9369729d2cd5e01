use std::sync::Arc;

use bytes::Bytes;
use tandem_base::Result;
use tandem_storage::{Direction, Entries, KeyRange, Snapshot};

use crate::cache::CommittedCache;

/// Reading one consistent state.
pub trait Read {
    /// The value of `key`.
    ///
    /// # Errors
    /// What the storage engine answers.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>>;

    /// The entries of `range` in key order, lazily.
    fn scan(&self, range: &KeyRange, direction: Direction) -> Entries<'_>;

    /// The revision that this state is of.
    fn revision(&self) -> u64;

    /// The revision of the last catalog change in this state: equal schema
    /// revisions mean equal catalogs.
    fn schema_revision(&self) -> u64;
}

/// The whole state of the store as of one revision. Immutable, shared, cheap
/// to hold; a held view keeps the engine from dropping what it shows.
pub struct View {
    revision: u64,
    schema_revision: u64,
    snapshot: Arc<dyn Snapshot>,
    cache: Option<Arc<CommittedCache>>,
}

impl View {
    /// The view of `snapshot`, which holds exactly the commits up to
    /// `revision`.
    #[must_use]
    pub fn new(revision: u64, schema_revision: u64, snapshot: Arc<dyn Snapshot>) -> Self {
        Self { revision, schema_revision, snapshot, cache: None }
    }

    /// The same view, reading through a cache of its store.
    pub(crate) fn reading_through(mut self, cache: Option<Arc<CommittedCache>>) -> Self {
        self.cache = cache;
        self
    }
}

impl View {
    /// The first entry of `range`.
    ///
    /// # Errors
    /// What the storage engine answers.
    pub fn scan_first(&self, range: &KeyRange) -> Result<Option<tandem_storage::Entry>> {
        self.scan(range, Direction::Forward).next().transpose()
    }
}

impl Read for View {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        let Some(cache) = self.cache.as_ref().filter(|_| CommittedCache::is_cacheable(key)) else {
            return self.snapshot.get(key);
        };
        if let Some(value) = cache.get(key, self.revision) {
            return Ok(value);
        }
        let value = self.snapshot.get(key)?;
        cache.offer(key, self.revision, value.as_ref());
        Ok(value)
    }

    fn scan(&self, range: &KeyRange, direction: Direction) -> Entries<'_> {
        self.snapshot.scan(range, direction)
    }

    fn revision(&self) -> u64 {
        self.revision
    }

    fn schema_revision(&self) -> u64 {
        self.schema_revision
    }
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View").field("revision", &self.revision).finish_non_exhaustive()
    }
}
