//! What a transaction sees: its own writes over its view. Reads that validation has to
//! know of are remembered on the way.

use std::sync::PoisonError;

use bytes::Bytes;
use tandem_base::Result;
use tandem_base::sync::MutexGuard;
use tandem_storage::{Direction, KeyRange};

use crate::cache::Neighbours;
use crate::isolation::Isolation;
use crate::merge::Merged;
use crate::read_set::ReadSet;
use crate::transaction::Transaction;
use crate::view::Read;
use crate::write_set::bounds;

impl Transaction {
    /// The value of `key`, own writes first; remembered as read.
    ///
    /// # Errors
    /// `STORAGE_ERROR`, `CORRUPTED`.
    pub fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.track_point(key);
        self.get_untracked(key)
    }

    /// As [`get`](Self::get), without remembering: for rows that the statement
    /// goes on to write (the write itself is validated) and for what a
    /// [`Guard`](crate::Guard) watches.
    ///
    /// # Errors
    /// `STORAGE_ERROR`, `CORRUPTED`.
    pub fn get_untracked(&self, key: &[u8]) -> Result<Option<Bytes>> {
        match self.writes.overlay_value(key) {
            Some(own) => Ok(own.clone()),
            None => self.view.get(key),
        }
    }

    /// As [`get_untracked`](Self::get_untracked), if the answer is known without asking
    /// the engine. What it is was [whole](crate::Derive::is_whole) when it was taken in.
    #[must_use]
    pub fn get_cached(&self, key: &[u8]) -> Option<Option<Bytes>> {
        match self.writes.overlay_value(key) {
            Some(own) => Some(own.clone()),
            None => self.view.get_cached(key),
        }
    }

    /// Calls `found` with the place of each key in `keys` and its committed value, in
    /// order, until it says `false`. For keys that ascend, are distinct, not
    /// [own](Self::is_own) and not [cached](Self::get_cached): the nearer they are to
    /// each other, the less each costs. Nothing is remembered as read.
    ///
    /// # Errors
    /// `STORAGE_ERROR`, `CORRUPTED`.
    pub fn get_ascending(
        &self,
        keys: &[Bytes],
        found: &mut dyn FnMut(usize, Option<Bytes>) -> bool,
    ) -> Result<()> {
        self.view.get_ascending(keys, found)
    }

    /// What is kept in memory of the committed neighbourhood of `key`. What is in it was
    /// [whole](crate::Derive::is_whole) when it was taken in.
    #[must_use]
    pub fn neighbours(&self, key: &[u8]) -> Option<Neighbours> {
        self.view.neighbours(key)
    }

    /// Whether the transaction itself has written `key`, row or entry.
    #[must_use]
    pub fn is_own(&self, key: &[u8]) -> bool {
        self.writes.overlay_value(key).is_some()
    }

    /// The entries of `range`, own writes merged in, in key order; what the
    /// iterator has passed is remembered as read when it is dropped.
    pub fn scan(&self, range: &KeyRange, direction: Direction) -> Merged<'_> {
        self.merged(range, direction, true)
    }

    /// As [`scan`](Self::scan), without remembering.
    pub fn scan_untracked(&self, range: &KeyRange, direction: Direction) -> Merged<'_> {
        self.merged(range, direction, false)
    }

    fn merged(&self, range: &KeyRange, direction: Direction, tracked: bool) -> Merged<'_> {
        let own = self.writes.overlay().range::<[u8], _>(bounds(range));
        let committed = self.view.scan_cached(range, direction);
        Merged::new(self, committed, own, range.clone(), direction, tracked)
    }

    /// Remembers that `key` was read.
    pub fn track_point(&self, key: &[u8]) {
        if self.tracks_reads() {
            self.read_set().add_point(key);
        }
    }

    /// Remembers that every key of `range` was read.
    pub fn track_range(&self, range: KeyRange) {
        if self.tracks_reads() {
            self.read_set().add_range(range);
        }
    }

    fn tracks_reads(&self) -> bool {
        self.note_read();
        self.remembers_reads()
    }

    /// That something was read, whatever it was.
    pub(crate) fn note_read(&self) {
        self.has_read.store(true, tandem_base::sync::atomic::Ordering::Relaxed);
    }

    /// Whether what was read is compared at the commit.
    #[must_use]
    pub fn remembers_reads(&self) -> bool {
        self.isolation == Isolation::Serializable && !self.read_only
    }

    pub(super) fn read_set(&self) -> MutexGuard<'_, ReadSet> {
        self.reads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
