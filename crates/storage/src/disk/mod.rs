//! A store in a directory, on the log-structured merge tree of the `fjall`
//! library: commits cost one append and one sync of a journal file, reads go
//! through a block cache and Bloom filters.
//!
//! ```text
//! write ──► journal (append, sync) ──► buffer in memory ──► tables, merged in the background
//!             replayed on open            readers see both, as of a snapshot
//! ```
//!
//! What this module adds to the library:
//! * the directory: one owner, a format version ([`directory`]);
//! * the contract's poisoning: the first failed write answers all later ones;
//! * batches in which the last operation on a key wins, and an empty `Sync`
//!   batch that syncs what was buffered;
//! * reads of the newest value that cannot see half a batch;
//! * opening after a power cut, whatever it tore, and noticing damage that the
//!   library would not ([`journal`], [`manifest`], [`closing`]);
//! * blocks for the journal before they are needed, so that a sync writes the
//!   batch and nothing else ([`journal_room`]);
//! * merging tables beside the thread that writes them ([`compaction`]);
//! * files as large as the data once writes have ended ([`reclaim`]);
//! * no wait for the memory of a buffer that went to a table ([`buffers`]).
//!
//! How durable: `Sync` is one `fdatasync` of the journal after the batch was
//! appended. The journal is one file at a time, and a full one is synced before
//! the next is begun, so a sync covers every earlier batch. It does not stop others from
//! appending. `Buffered` hands the batch to the operating system before it returns. A
//! batch carries a checksum over all of it and is replayed whole or not at all.
//!
//! What is written is copied into the buffer, but for long values ([`packed`]). A value
//! that was read may share its memory with a cached block of about 4 KiB, or with what
//! the same batch wrote to the same tree: who keeps values for long should copy them.
//!
//! `docs/storage-engines.md` lists what was checked in the library's source.

mod buffers;
mod closing;
mod compaction;
mod contents;
mod directory;
mod error;
mod journal;
mod journal_room;
mod layout;
mod manifest;
mod options;
mod packed;
mod reclaim;
mod snapshot;
mod trees;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use fjall::{CompressionType, Database, OwnedWriteBatch, PersistMode};
use tandem_base::{Error, Result};

pub use options::DiskOptions;

use self::buffers::Buffers;
use self::compaction::Compaction;
use self::directory::{Directory, format_missing};
use self::error::{at, open_failed, read_failed, write_failed};
use self::journal::Follows;
use self::journal_room::JournalRoom;
use self::packed::Packed;
use self::reclaim::Reclaim;
use self::snapshot::DiskSnapshot;
use self::trees::Trees;
use crate::{Durability, Operation, Poison, Snapshot, Storage, WriteBatch};

/// The disk engine. Closed when it and all its snapshots are dropped.
pub struct DiskStorage {
    /// First, so that it ends before the files may be closed.
    compaction: Compaction,
    files: Arc<Files>,
    /// Held while a batch is appended, as the library holds its journal.
    writer: Mutex<Writer>,
    /// So many batches are known to be synced.
    synced: AtomicU64,
    /// Held during a sync. The operating system tells an error once: of two syncs at a
    /// time, the other would succeed.
    syncing: Mutex<()>,
    /// Held while room is given back, which writers do not wait for.
    reclaim: Mutex<Reclaim>,
}

/// What one writer leaves to the next.
struct Writer {
    /// Batches appended since the store was opened.
    appended: u64,
    room: JournalRoom,
    buffers: Buffers,
    /// Bytes written since the last step of giving back room.
    written: u64,
}

/// The open files, shared with snapshots. Fields drop in this order: the
/// directory is unlocked when nothing reads or writes it any more.
struct Files {
    trees: Trees,
    database: Database,
    directory: Directory,
    poison: Poison,
}

impl Drop for Files {
    /// Closing: what is in the journal is synced, and written down as such once
    /// the library is done. After a failed write nobody knows what is there.
    fn drop(&mut self) {
        if self.poison.check().is_ok() && self.database.persist(PersistMode::SyncAll).is_ok() {
            self.directory.set_synced();
        }
    }
}

impl DiskStorage {
    /// Opens the store in the directory `path`, creating both if they do not
    /// exist. Replays the journal, so the cost grows with what was written
    /// since the last table, up to [`DiskOptions::journal_bytes`].
    ///
    /// # Errors
    /// * `STORE_LOCKED`: the directory is open in this or another process, or
    ///   a snapshot of it is still held;
    /// * `FORMAT_UNSUPPORTED`: another version of Tandem wrote it;
    /// * `CORRUPTED`: its files are damaged;
    /// * `STORAGE_ERROR`: its files cannot be read or created.
    pub fn open(path: impl AsRef<Path>, options: &DiskOptions) -> Result<Self> {
        Self::open_cut(path, options, &[])
    }

    /// As [`open`](Self::open); a new store's key space is cut into trees at the
    /// first bytes `cuts`, ascending and not 0. Keys on two sides of a cut are
    /// buffered, written to tables and merged apart from each other, and
    /// [`DiskOptions::write_buffer_bytes`] is for each tree. An existing store
    /// stays cut as it is.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    ///
    /// # Panics
    /// When the cuts are not as described.
    pub fn open_cut(path: impl AsRef<Path>, options: &DiskOptions, cuts: &[u8]) -> Result<Self> {
        assert!(cuts.is_sorted_by(|a, b| a < b) && cuts.first() != Some(&0), "cuts in order");
        let path = path.as_ref();
        let options = options.clamped();
        let directory = Directory::lock(path)?;
        let data = directory.data();
        let existing = directory.cuts()?;
        let complete = existing.is_some();
        let cuts = existing.as_deref().unwrap_or(cuts);
        if complete {
            if !directory.has_data() {
                return Err(at(Error::corrupted("The store's data is missing"), path));
            }
            manifest::verify(&data, cuts.len() + 1)?;
            journal::verify(&data, &directory.closing()?)?;
        } else {
            // Nothing was acknowledged here, unless the format file was lost.
            if data.is_dir() && !journal::is_empty(&data)? {
                return Err(format_missing(path));
            }
            directory.clear_unfinished()?;
        }
        let database = open_database(&data, &options)?;
        if complete && !trees::names(cuts).all(|name| database.keyspace_exists(&name)) {
            return Err(at(Error::corrupted("The store's data is missing"), path));
        }
        let trees = Trees::open(&database, cuts, || layout::of_tables(&options))
            .map_err(|cause| open_failed(path, &cause))?;
        if !complete {
            directory.complete(cuts)?;
        }
        // Last: what the library writes while it opens is not counted.
        let room = JournalRoom::new(&data, !complete);
        let files = Arc::new(Files { trees, database, directory, poison: Poison::new() });
        let writer = Writer { appended: 0, room, buffers: Buffers::new(), written: 0 };
        let compaction = Compaction::start(&files, options.compaction_threads)
            .map_err(|cause| open_failed(path, &cause.into()))?;
        Ok(Self {
            compaction,
            files,
            writer: Mutex::new(writer),
            synced: AtomicU64::new(0),
            syncing: Mutex::new(()),
            reclaim: Mutex::new(Reclaim::new()),
        })
    }

    /// Gives back room after every so many bytes that are written, instead of
    /// 16 MiB: for proofs, which write little.
    #[doc(hidden)]
    #[must_use]
    pub fn reclaiming_after(self, bytes: u64) -> Self {
        Self { reclaim: Mutex::new(Reclaim::after(bytes)), ..self }
    }

    /// Hands a batch to the operating system.
    fn append(&self, batch: WriteBatch) -> fjall::Result<()> {
        let Files { database, trees, .. } = &*self.files;
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let Writer { appended, room, buffers, written } = &mut *writer;
        // The library gives all operations of a batch one sequence number and
        // does not say which of two on one key wins: leave only the last.
        let mut operations = batch.into_operations();
        operations.sort_by(|a, b| a.key().cmp(b.key()));
        operations.dedup_by(|later, earlier| {
            let same = later.key() == earlier.key();
            if same {
                std::mem::swap(later, earlier);
            }
            same
        });
        Follows::unsynced(*appended - self.synced.load(Ordering::Acquire)).mark(&mut operations);
        let bytes = room.reserve(&operations);
        *written += bytes;
        let mut output = OwnedWriteBatch::with_capacity(database.clone(), operations.len())
            .durability(Some(PersistMode::Buffer));
        let mut packed = Packed::new(trees, &operations);
        for operation in operations {
            let tree = trees.number(operation.key());
            let keyspace = trees.at(tree);
            match operation {
                Operation::Put { key, value } => {
                    output.insert(keyspace, packed.pack(tree, key), packed.pack(tree, value));
                }
                Operation::Delete { key } => output.remove(keyspace, packed.pack(tree, key)),
            }
        }
        output.commit()?;
        *appended += 1;
        if buffers.written(trees, bytes) {
            self.compaction.ring();
        }
        Ok(())
    }

    /// Syncs what is appended. Others append meanwhile: the library would hold its
    /// journal for as long.
    fn sync(&self) -> Result<()> {
        let _one_at_a_time = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        let Files { database, poison, .. } = &*self.files;
        poison.check()?;
        let (appended, journal) = {
            let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
            (writer.appended, writer.room.newest())
        };
        if appended == self.synced.load(Ordering::Acquire) {
            return Ok(());
        }
        let synced = match journal {
            Some(journal) => journal.sync_data().map_err(fjall::Error::from),
            None => database.persist(PersistMode::SyncData),
        };
        synced.map_err(|cause| poison.set(write_failed(&cause)))?;
        self.synced.store(appended, Ordering::Release);
        Ok(())
    }
}

impl Storage for DiskStorage {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        // Not the keyspace's own `get`: that one reads past the last published
        // batch into one that is being applied.
        snapshot::get(&self.files, &self.files.database.snapshot(), key)
    }

    fn snapshot(&self) -> Result<Arc<dyn Snapshot>> {
        Ok(Arc::new(DiskSnapshot::new(self.files.clone())))
    }

    fn write(&self, batch: WriteBatch, durability: Durability) -> Result<()> {
        batch.check_limits()?;
        let poison = &self.files.poison;
        poison.check()?;
        if !batch.is_empty() {
            self.append(batch).map_err(|cause| poison.set(write_failed(&cause)))?;
        }
        match durability {
            Durability::Buffered => Ok(()),
            Durability::Sync => self.sync(),
        }
    }

    fn name(&self) -> &'static str {
        "disk"
    }

    fn reclaim(&self) -> Result<bool> {
        self.files.poison.check()?;
        let mut reclaim = self.reclaim.lock().unwrap_or_else(PoisonError::into_inner);
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let written = std::mem::take(&mut writer.written);
        if writer.buffers.look(&self.files.trees) {
            self.compaction.ring();
        }
        drop(writer);
        reclaim.step(&self.files, &self.compaction, written).map_err(|cause| read_failed(&cause))
    }

    /// Tables and buffered writes. Journal files are left out: they are
    /// preallocated and hold what is in the buffer.
    fn approximate_size(&self) -> Result<u64> {
        Ok(self.files.trees.disk_space() + self.files.database.write_buffer_size())
    }
}

impl std::fmt::Debug for DiskStorage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DiskStorage").field("poison", &self.files.poison).finish_non_exhaustive()
    }
}

fn open_database(data: &Path, options: &DiskOptions) -> Result<Database> {
    let open = || {
        Database::builder(data)
            .cache_size(options.cache_bytes)
            .max_journaling_size(options.journal_bytes)
            .worker_threads(compaction::FOR_BUFFERS)
            // Compressing under the writers' lock would cost more than the
            // bytes it saves; tables are compressed in the background.
            .journal_compression(CompressionType::None)
            .open()
    };
    // Recovery asserts what it expects of its files; to a user that is damage.
    match catch_unwind(AssertUnwindSafe(open)) {
        Ok(Ok(database)) => Ok(database),
        Ok(Err(fjall::Error::InvalidVersion(None))) => {
            Err(at(Error::corrupted("The version marker of the data is damaged or unknown"), data))
        }
        Ok(Err(cause)) => Err(open_failed(data, &cause)),
        Err(_) => Err(at(Error::corrupted("The store's data cannot be recovered"), data)),
    }
}
