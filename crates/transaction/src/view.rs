use std::sync::Arc;

use bytes::Bytes;
use tandem_base::sync::atomic::{AtomicBool, Ordering};
use tandem_base::{Error, Result};
use tandem_storage::{Direction, Entries, KeyRange, Snapshot};

use crate::ascending::{self, By};
use crate::cache::{CachedScan, Caches, Neighbours, PointCache, RangeCache};

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

/// The largest value that a view [at hand](View::at_hand) answers: what is made
/// of a larger one takes its time, too.
const LARGEST_AT_HAND: usize = 64 << 10;

/// The whole state of the store as of one revision. Immutable, shared, cheap
/// to hold; a held view keeps the engine from dropping what it shows.
pub struct View {
    revision: u64,
    schema_revision: u64,
    snapshot: Arc<dyn Snapshot>,
    caches: Option<Arc<Caches>>,
    /// Which of the published views it is, for the caches.
    number: u64,
    /// Whether a read was refused; `None` = all are answered.
    fell_short: Option<AtomicBool>,
}

impl View {
    /// The view of `snapshot`, which holds exactly the commits up to
    /// `revision`.
    #[must_use]
    pub fn new(revision: u64, schema_revision: u64, snapshot: Arc<dyn Snapshot>) -> Self {
        Self { revision, schema_revision, snapshot, caches: None, number: 0, fell_short: None }
    }

    /// The newest view, reading through the caches of its store.
    pub(crate) fn reading_through(mut self, caches: Arc<Caches>) -> Self {
        self.number = caches.newest();
        self.caches = Some(caches);
        self
    }

    /// The same state, to be read where nothing may wait: single keys are answered
    /// from memory or not at all. After any read that was refused the view has
    /// [fallen short](Self::fell_short), and whatever was made of its answers is
    /// to be made anew from a view that may ask the disk.
    pub(crate) fn at_hand(&self) -> Self {
        Self {
            revision: self.revision,
            schema_revision: self.schema_revision,
            snapshot: self.snapshot.clone(),
            caches: self.caches.clone(),
            number: self.number,
            fell_short: Some(AtomicBool::new(false)),
        }
    }

    /// Whether a read was refused because its answer is not at hand.
    #[must_use]
    pub fn fell_short(&self) -> bool {
        self.fell_short.as_ref().is_some_and(|fell_short| fell_short.load(Ordering::Relaxed))
    }

    /// Refuses a read, if this view answers from memory only.
    fn refuse(&self) -> Result<()> {
        let Some(fell_short) = &self.fell_short else { return Ok(()) };
        fell_short.store(true, Ordering::Relaxed);
        Err(Error::internal("The answer is not at hand"))
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

    /// The value of `key`, if that is known without asking the engine.
    pub(crate) fn get_cached(&self, key: &[u8]) -> Option<Option<Bytes>> {
        let value = self.points_for(key)?.get(key, self.number)?;
        let is_large = value.as_ref().is_some_and(|value| value.len() > LARGEST_AT_HAND);
        (self.fell_short.is_none() || !is_large).then_some(value)
    }

    /// Calls `found` with the place of each key in `keys` and its value, in order, until
    /// it says `false`. The keys ascend, are distinct, and were not [cached](Self::get_cached).
    pub(crate) fn get_ascending(
        &self,
        keys: &[Bytes],
        found: &mut dyn FnMut(usize, Option<Bytes>) -> bool,
    ) -> Result<()> {
        self.refuse()?;
        // What a scan comes by is found again as cheaply: it displaces nothing.
        let points = self.caches.as_ref().and_then(|caches| caches.points.as_ref());
        let has_room = points.is_some_and(PointCache::has_room);
        let entries = |range: &KeyRange| self.scan_cached(range, Direction::Forward);
        ascending::read(&*self.snapshot, entries, keys, &mut |at, value, by| {
            if (has_room || by == By::LookUp)
                && let Some(cache) = self.points_for(&keys[at])
            {
                cache.offer(&keys[at], self.number, value.as_ref());
            }
            found(at, value)
        })
    }

    /// As [`scan`](Read::scan), by way of what is kept in memory.
    pub(crate) fn scan_cached(&self, range: &KeyRange, direction: Direction) -> Entries<'_> {
        let cache = self.caches.as_ref().and_then(|caches| caches.ranges.as_ref());
        match cache.filter(|_| self.fell_short.is_none() && RangeCache::is_cacheable(range)) {
            Some(cache) => {
                let (snapshot, range) = (&*self.snapshot, range.clone());
                Box::new(CachedScan::new(cache, snapshot, self.number, range, direction))
            }
            None => self.scan(range, direction),
        }
    }

    /// What is kept in memory of the neighbourhood of `key`.
    pub(crate) fn neighbours(&self, key: &[u8]) -> Option<Neighbours> {
        let cache = self.caches.as_ref()?.ranges.as_ref()?;
        cache.neighbours(key, self.number).filter(|_| self.fell_short.is_none())
    }

    fn points_for(&self, key: &[u8]) -> Option<&PointCache> {
        self.caches.as_ref()?.points.as_ref().filter(|_| PointCache::is_cacheable(key))
    }
}

impl Read for View {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        let cache = self.points_for(key);
        let value = match cache.and_then(|cache| cache.get(key, self.number)) {
            Some(value) => value,
            None => {
                if !self.snapshot.in_memory() {
                    self.refuse()?;
                }
                let value = self.snapshot.get(key)?;
                if let Some(cache) = cache {
                    cache.offer(key, self.number, value.as_ref());
                }
                value
            }
        };
        if value.as_ref().is_some_and(|value| value.len() > LARGEST_AT_HAND) {
            self.refuse()?;
        }
        Ok(value)
    }

    fn scan(&self, range: &KeyRange, direction: Direction) -> Entries<'_> {
        if let Err(refused) = self.refuse() {
            return Box::new(std::iter::once(Err(refused)));
        }
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
