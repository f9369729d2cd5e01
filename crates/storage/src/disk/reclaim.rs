//! Giving back the room that files take for what was overwritten or deleted.
//!
//! The library merges tables when there are enough of them on a level, and lets
//! go of files when something else happens. So when writes end, a small store
//! is left with several times its data: young tables that nothing merges any
//! more, uncompressed; entries below tombstones; files of earlier merges, which
//! are removed with the next table only; and whole journals, because a tree that
//! is rarely written to still has something of theirs in memory.
//!
//! Once the writes have calmed down, each call of [`Reclaim::step`] does one
//! thing of these, in this order, and says whether all is done:
//!
//! ```text
//! wait       while tables are written or merged anyway
//! flush      all buffers become tables, so that the journals before the newest go
//! let go     of versions that no snapshot can read, by a table of the first tree,
//!            which is small
//! merge      one tree that is worth it, whole, into compressed tables of the last
//!            level; then let go of what it was before
//! ```
//!
//! **Cost.** Nothing is done before [`WRITTEN`] bytes were written since the
//! last time. A tree is worth merging when more than half as much came to it as
//! was merged before ([`FRESH_PART`]), or when a quarter of its entries are
//! tombstones: at most three bytes are written for each byte that came, and four
//! entries for each that was deleted.
//! Trees of more than [`LARGEST`] bytes are left to the library, whose levels
//! then waste a smaller part, and so is a tree that the disk has no room for
//! twice more: a merge that fills the disk would fail the next commit.
//!
//! **Crashes.** Every step is one that the library takes by itself as well: a
//! table is complete and synced before a list names it, the old files and
//! journals go afterwards.

use std::path::Path;

use fjall::{AbstractTree, CompressionType, Keyspace, SeqNo};

use super::Files;
use super::compaction::Compaction;

/// What has to be written since the store was settled before it is done again:
/// as much as a buffer of default size.
const WRITTEN: u64 = 16 << 20;

/// The store is in use when more than this part of it was written since the step
/// before, and less in a tree is not worth a merge.
const SMALL_PART: u64 = 16;

/// The largest tree that is merged whole: some seconds of one thread.
const LARGEST: u64 = 1_024 << 20;

/// A merge is due when this part of what was merged before has come since.
const FRESH_PART: u64 = 2;

/// A merge is due when one entry in so many is a tombstone.
const TOMBSTONE_PART: u64 = 4;

/// The most steps that are skipped while snapshots hold on to old versions, or
/// after an error.
const LONGEST_PAUSE: u32 = 64;

/// See the [module](self).
pub(super) struct Reclaim {
    /// [`WRITTEN`], but in tests that have less to write.
    after: u64,
    /// Bytes written since the store was settled.
    written: u64,
    /// Whether versions may be left that nothing reads.
    stale: bool,
    /// Whether the buffers were written to tables since then.
    flushed: bool,
    /// Versions from before this number are to be let go of.
    mark: Option<SeqNo>,
    /// Steps to skip, and how many were to be skipped the last time.
    pause: u32,
    paused: u32,
}

impl Reclaim {
    /// For a store that was just opened: nobody knows how it was left.
    pub(super) fn new() -> Self {
        Self::after(WRITTEN)
    }

    /// As [`new`](Self::new), with another measure than [`WRITTEN`].
    pub(super) fn after(after: u64) -> Self {
        Self {
            after,
            written: after,
            stale: false,
            flushed: false,
            mark: None,
            pause: 0,
            paused: 0,
        }
    }

    /// Does what is next after `written` more bytes; whether all is done. The
    /// caller lets go of its snapshots, and writes something, before the next.
    pub(super) fn step(
        &mut self,
        files: &Files,
        compaction: &Compaction,
        written: u64,
    ) -> fjall::Result<bool> {
        self.written += written;
        if self.written < self.after {
            return Ok(true);
        }
        self.stale |= written > 0;
        if written > self.after / SMALL_PART {
            (self.mark, self.flushed) = (None, false);
            return Ok(false);
        }
        if self.pause > 0 {
            self.pause -= 1;
            return Ok(false);
        }
        let done = self.next(files, compaction);
        if done.is_err() {
            self.back_off();
        }
        done
    }

    fn next(&mut self, files: &Files, compaction: &Compaction) -> fjall::Result<bool> {
        let Files { database, trees, .. } = files;
        let flushing = trees.all().iter().any(|tree| tree.sealed_memtable_count() > 0);
        if flushing || compaction.is_busy() || database.active_compactions() > 0 {
            return Ok(false);
        }
        let old_journals = database.journal_count() > 1;
        let worth_it = trees.all().iter().find(|tree| self.is_worth_it(tree));
        if !old_journals && worth_it.is_none() && !self.stale {
            self.settled();
            return Ok(true);
        }
        let Some(mark) = self.mark else {
            self.mark = Some(database.seqno());
            return Ok(false);
        };
        let snapshots = &database.supervisor.snapshot_tracker;
        let lets_go = || snapshots.get_seqno_safe_to_gc() >= mark;
        if !self.flushed {
            self.flushed = true;
            // The library may merge the new tables at once.
            (self.mark, self.stale) = (None, true);
            for tree in trees.all() {
                tree.rotate_memtable()?;
            }
            return Ok(false);
        }
        if !lets_go() {
            trees.all()[0].rotate_memtable()?;
            if lets_go() {
                self.paused = 0;
            } else {
                self.back_off();
            }
            return Ok(false);
        }
        if let Some(tree) = worth_it {
            tree.major_compact()?;
            self.stale = true;
            self.mark = Some(database.seqno());
            return Ok(false);
        }
        self.settled();
        Ok(true)
    }

    fn settled(&mut self) {
        *self = Self { written: 0, ..Self::after(self.after) };
    }

    fn back_off(&mut self) {
        self.paused = (self.paused * 2).clamp(1, LONGEST_PAUSE);
        self.pause = self.paused;
    }

    /// Whether enough of a tree's room can be given back by merging it.
    fn is_worth_it(&self, tree: &Keyspace) -> bool {
        let version = tree.tree.current_version();
        let last = version.level_count().saturating_sub(1);
        let (mut merged, mut fresh) = (0, 0);
        let (mut entries, mut tombstones) = (0, 0);
        for (number, level) in version.iter_levels().enumerate() {
            for table in level.iter().flat_map(|run| run.iter()) {
                let table = &table.metadata;
                let compressed = table.data_block_compression != CompressionType::None;
                let part = if number == last && compressed { &mut merged } else { &mut fresh };
                *part += table.file_size;
                entries += table.item_count;
                tombstones += table.tombstone_count;
            }
        }
        self.is_due(merged, fresh, entries, tombstones)
            && has_room(tree.path(), 2 * (merged + fresh))
    }

    fn is_due(&self, merged: u64, fresh: u64, entries: u64, tombstones: u64) -> bool {
        let least = self.after / SMALL_PART;
        let much_is_fresh = fresh >= least && fresh > merged / FRESH_PART;
        let much_is_deleted = merged + fresh >= least && tombstones > entries / TOMBSTONE_PART;
        (much_is_fresh || much_is_deleted) && merged + fresh <= LARGEST
    }
}

/// Whether so many bytes can be written below `path`.
#[cfg(unix)]
fn has_room(path: &Path, bytes: u64) -> bool {
    rustix::fs::statvfs(path).is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) >= bytes)
}

#[cfg(not(unix))]
fn has_room(_path: &Path, _bytes: u64) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_merged_when_much_of_it_came_or_went_and_it_is_not_too_large() {
        let mib = 1 << 20;
        let reclaim = Reclaim::new();
        let is_due =
            |merged, fresh, entries, tombstones| reclaim.is_due(merged, fresh, entries, tombstones);
        assert!(is_due(0, mib, 1_000, 0));
        assert!(!is_due(0, mib - 1, 1_000, 0), "too little to care");
        assert!(!is_due(20 * mib, 10 * mib, 1_000, 0));
        assert!(is_due(20 * mib, 10 * mib + 1, 1_000, 0));
        assert!(!is_due(20 * mib, mib, 1_000, 250));
        assert!(is_due(20 * mib, 0, 1_000, 251));
        assert!(!is_due(mib - 1, 0, 1_000, 1_000), "too little to care");
        assert!(is_due(500 * mib, 524 * mib, 1_000, 0));
        assert!(!is_due(500 * mib, 524 * mib + 1, 1_000, 1_000), "left to the library");
    }

    #[test]
    fn what_holds_old_versions_is_asked_less_and_less_often() {
        let mut reclaim = Reclaim::new();
        let pauses: Vec<_> = (0..9)
            .map(|_| {
                reclaim.back_off();
                reclaim.pause
            })
            .collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 64, 64]);
    }
}
