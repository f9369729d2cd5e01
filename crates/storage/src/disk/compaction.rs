//! Merging tables on threads of our own.
//!
//! The library's threads take both kinds of work from one queue: full buffers to be
//! written to tables, and trees whose tables are to be merged. A lone thread lets
//! buffers, and soon writers, wait for as long as a merge takes. Of several the first
//! is kept for buffers, and while the others are busy it takes the next merge out of the
//! queue and puts it back, over and over: a whole processor for nothing, for as long as
//! anything is merged.
//!
//! So the library's threads are for buffers, and have a strategy by which they find
//! nothing to merge ([`nothing`]). What the library's own strategy would merge is merged
//! here: after a buffer was found full, for as long as full ones are on their way to
//! tables, and then until nothing is left. A relaxed transfer of one client takes a
//! sixth less processor time (`docs/benchmarks.md`, "What was won").
//!
//! A merge that fails poisons the store, as a failed write does: the library lets nobody
//! write after one either.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use fjall::compaction::Leveled;
use fjall::{AbstractTree, Keyspace};

use super::Files;
use super::error::write_failed;

/// How often to look whether a full buffer has become a table. That takes about a tenth
/// of a second.
const WHILE_TABLES_ARE_WRITTEN: Duration = Duration::from_millis(10);

/// The library's own threads. With one alone, a full buffer goes on growing while
/// another is written to a table.
pub(super) const FOR_BUFFERS: usize = 2;

/// The strategy that the library's own threads are given: no level is ever full. They
/// may move tables, which writes nothing.
pub(super) fn nothing() -> Arc<Leveled> {
    const SIXTY_FOUR_GIB: u64 = 0x10_0000_0000;
    Arc::new(Leveled::default().with_l0_threshold(u8::MAX).with_table_target_size(SIXTY_FOUR_GIB))
}

/// See the [module](self). Dropped, it ends after the merges that are under way.
pub(super) struct Compaction {
    shared: Arc<Shared>,
    bells: Vec<SyncSender<()>>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    /// How many threads merge, or look whether they should.
    busy: AtomicUsize,
    closing: AtomicBool,
}

impl Compaction {
    /// Starts so many threads. They look at once: a store may have been closed with
    /// something left to merge.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub(super) fn start(files: &Arc<Files>, threads: usize) -> std::io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let mut compaction = Self { shared, bells: Vec::new(), threads: Vec::new() };
        for _ in 0..threads {
            // One ring that waits to be heard is enough.
            let (bell, rung) = sync_channel(1);
            let (files, shared) = (files.clone(), compaction.shared.clone());
            let thread = std::thread::Builder::new().name("tandem-compaction".to_owned());
            compaction.threads.push(thread.spawn(move || shared.run(&files, &rung))?);
            compaction.bells.push(bell);
        }
        Ok(compaction)
    }

    /// A buffer is full, or something else may have to be merged.
    pub(super) fn ring(&self) {
        for bell in &self.bells {
            // Full: it will look anyway. Gone: the store has failed.
            let _ = bell.try_send(());
        }
    }

    /// Whether tables are being merged.
    pub(super) fn is_busy(&self) -> bool {
        self.shared.busy.load(Ordering::Acquire) > 0
    }
}

impl Drop for Compaction {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::Release);
        self.bells.clear();
        for thread in self.threads.drain(..) {
            // Whatever panics in there is caught.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(&self, files: &Files, rung: &Receiver<()>) {
        loop {
            // Before: what becomes a table meanwhile is looked for once more.
            let patience = patience(files);
            self.merge_all(files);
            if files.poison.check().is_err() {
                return;
            }
            let woken = match patience {
                Some(patience) => rung.recv_timeout(patience),
                None => rung.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            if woken == Err(RecvTimeoutError::Disconnected) {
                return;
            }
        }
    }

    fn merge_all(&self, files: &Files) {
        self.busy.fetch_add(1, Ordering::AcqRel);
        let merged = catch_unwind(AssertUnwindSafe(|| {
            files.trees.all().iter().try_for_each(|tree| self.merge(files, tree))
        }));
        self.busy.fetch_sub(1, Ordering::AcqRel);
        note(files, merged);
    }

    /// Merges tables of a tree until nothing is left to merge.
    fn merge(&self, files: &Files, tree: &Keyspace) -> fjall::Result<()> {
        let snapshots = &files.database.supervisor.snapshot_tracker;
        let version = || tree.tree.current_version().id();
        let mut before = None;
        while before != Some(version()) && !self.closing.load(Ordering::Acquire) {
            before = Some(version());
            let oldest = snapshots.get_seqno_safe_to_gc();
            tree.tree.compact(Arc::new(Leveled::default()), oldest)?;
        }
        Ok(())
    }
}

/// How long to wait for a ring before looking again; `None`: no full buffer is on its
/// way to a table.
fn patience(files: &Files) -> Option<Duration> {
    let mut trees = files.trees.all().iter();
    trees.any(|tree| tree.sealed_memtable_count() > 0).then_some(WHILE_TABLES_ARE_WRITTEN)
}

/// Poisons the store if merging has failed.
fn note(files: &Files, merged: std::thread::Result<fjall::Result<()>>) {
    if let Err(cause) = merged.unwrap_or(Err(fjall::Error::Poisoned)) {
        let _ = files.poison.set(write_failed(&cause));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DiskOptions, DiskStorage, Durability, Storage, WriteBatch};

    /// Writes the same keys again, so many tables of them.
    fn fill_buffers(storage: &DiskStorage, rounds: u8) {
        for round in 0..rounds {
            // The library counts each entry twice; a buffer of 1 MiB has room for them.
            for n in 0..20_u8 {
                let mut batch = WriteBatch::new();
                batch.put(vec![b'k', n], vec![round; 20_000]);
                storage.write(batch, Durability::Buffered).expect("written");
            }
            let trees = &storage.files.trees;
            trees.at(0).rotate_memtable_and_wait().expect("a table");
        }
    }

    fn open(directory: &tempfile::TempDir) -> DiskStorage {
        let options = DiskOptions { write_buffer_bytes: 1 << 20, ..DiskOptions::default() };
        DiskStorage::open(directory.path().join("store"), &options).expect("a store")
    }

    fn tables(storage: &DiskStorage) -> usize {
        storage.files.trees.at(0).table_count()
    }

    #[test]
    fn what_was_written_to_tables_is_merged_beside_the_writer() {
        let directory = tempfile::tempdir().expect("a directory");
        let storage = open(&directory);
        fill_buffers(&storage, 5);
        storage.compaction.ring();
        while tables(&storage) == 5 {
            std::thread::yield_now();
        }
        let value = storage.get(&[b'k', 7]).expect("read").expect("there");
        assert_eq!(value, vec![4; 20_000]);
    }

    #[test]
    fn the_library_merges_nothing_itself_and_what_is_left_is_merged_when_a_store_is_opened() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut storage = open(&directory);
        drop(std::mem::replace(&mut storage.compaction, Compaction::none()));
        fill_buffers(&storage, 5);
        while storage.files.database.active_compactions() > 0 {
            std::thread::yield_now();
        }
        assert_eq!(tables(&storage), 5, "nobody merges");
        drop(storage);
        let storage = open(&directory);
        while tables(&storage) == 5 {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_merge_that_panics_or_fails_poisons_the_store() {
        for failed in [Err(Box::new("a panic") as _), Ok(Err(fjall::Error::Poisoned))] {
            let directory = tempfile::tempdir().expect("a directory");
            let storage = open(&directory);
            Shared::default().merge_all(&storage.files);
            note(&storage.files, Ok(Ok(())));
            assert!(storage.files.poison.check().is_ok());
            note(&storage.files, failed);
            let mut batch = WriteBatch::new();
            batch.put(&b"k"[..], &b"v"[..]);
            let refused = storage.write(batch, Durability::Buffered).expect_err("poisoned");
            assert_eq!(refused.code(), tandem_base::Code::StoreFailed);
        }
    }

    #[test]
    fn a_thread_that_merges_ends_once_the_store_is_poisoned() {
        let directory = tempfile::tempdir().expect("a directory");
        let storage = open(&directory);
        for (poisoned, left) in [(false, 0), (true, 2)] {
            if poisoned {
                let _ = storage.files.poison.set(write_failed(&fjall::Error::Poisoned));
            }
            let (bell, rung) = sync_channel(2);
            for _ in 0..2 {
                bell.send(()).expect("room for it");
            }
            drop(bell);
            let shared = Shared::default();
            shared.run(&storage.files, &rung);
            assert_eq!(rung.try_iter().count(), left, "what it did not listen to any more");
            assert_eq!(shared.busy.load(Ordering::Acquire), 0);
        }
    }

    #[test]
    fn a_buffer_on_its_way_to_a_table_is_waited_for_and_merged_without_another_ring() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut storage = open(&directory);
        drop(std::mem::replace(&mut storage.compaction, Compaction::none()));
        // On top of what is merged three tables are not worth a merge, and four are.
        fill_buffers(&storage, 5);
        while storage.files.database.active_compactions() > 0 {
            std::thread::yield_now();
        }
        Shared::default().merge_all(&storage.files);
        let merged = tables(&storage);
        fill_buffers(&storage, 3);
        assert_eq!(patience(&storage.files), None, "nothing is on its way");
        let tree = storage.files.trees.at(0);
        tree.insert([b'k', 7], b"newest").expect("written");
        let no_table_is_written = tree.tree.get_flush_lock();
        assert!(tree.rotate_memtable().expect("full"));
        assert_eq!(patience(&storage.files), Some(WHILE_TABLES_ARE_WRITTEN));
        let (bell, rung) = sync_channel(0);
        std::thread::scope(|scope| {
            let files = &storage.files;
            scope.spawn(move || Shared::default().run(files, &rung));
            bell.send(()).expect("heard");
            // It has looked, and found nothing to merge.
            let before = tables(&storage);
            drop(no_table_is_written);
            while tables(&storage) >= merged + 3 {
                std::thread::yield_now();
            }
            drop(bell);
            assert_eq!(before, merged + 3);
        });
        assert_eq!(storage.get(&[b'k', 7]).expect("read").expect("there"), b"newest"[..]);
    }

    #[test]
    fn a_store_is_busy_while_a_thread_merges_and_has_none_left_when_it_ends() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut storage = open(&directory);
        storage.compaction.ring();
        drop(std::mem::replace(&mut storage.compaction, Compaction::none()));
        assert_eq!(Arc::strong_count(&storage.files), 1);
        assert!(!storage.compaction.is_busy());
        storage.compaction.shared.busy.fetch_add(1, Ordering::AcqRel);
        assert!(storage.compaction.is_busy());
    }

    impl Compaction {
        fn none() -> Self {
            Self { shared: Arc::default(), bells: Vec::new(), threads: Vec::new() }
        }
    }
}
