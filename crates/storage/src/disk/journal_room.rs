//! Room for the journal: blocks written before they are needed.
//!
//! A sync of bytes that lie in blocks never written before has to write the
//! file system's own maps as well, and takes about twice as long (`raw` beside
//! `raw, blocks reused` in `docs/benchmarks.md`). The library reserves a new
//! journal's length, but not its blocks. So this module writes zeros ahead of
//! the library's position, a piece at a time:
//!
//! ```text
//! batches ... batches | zeros written ahead | never written ... | 64 MiB
//!             position^                made^              capacity^
//! ```
//!
//! Where there were holes there are now blocks of zeros: the file reads as
//! before, whenever the power goes. What must never happen is that zeros are
//! written over a batch, and this is why they are not:
//!
//! * only journals that were created while this store was open are touched:
//!   their written blocks are exactly those of their batches (a journal that is
//!   opened again is shorter, and is appended to at its end);
//! * writers come one at a time, and each first makes room, with `used` counted
//!   up by no less than the batch takes; zeros begin at `made`, never below
//!   `used`;
//! * the library begins a new journal on a thread of its own. It is looked for before
//!   zeros are written, and when one is found, `used` and `made` begin at its first hole,
//!   behind all that it holds, and behind as much as was written since the last look, in
//!   case the file system takes for a hole what is not on the disk yet. Two looks are at
//!   most a piece and a batch apart, and a journal is full after 64 MB, so none can have
//!   come and gone between them.
//!
//! Who follows the journals knows the newest, so this is also who hands it out to be synced.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::journal::journals;
use crate::Operation;

/// How much is written ahead at once, from a small store's journal to a busy
/// one's. The sync after it writes that much more.
const SMALLEST_PIECE: u64 = 64 << 10;
const LARGEST_PIECE: u64 = 1 << 20;

/// What the library adds to a batch, and to an operation, at most (see
/// `journal::batch` for the layout).
const BATCH_OVERHEAD: u64 = 64;
const OPERATION_OVERHEAD: u64 = 32;

/// See the [module](self).
pub(super) struct JournalRoom {
    directory: PathBuf,
    journal: Journal,
    /// Bytes of batches since a newer journal was looked for.
    unseen: u64,
    /// The newest journal, to be synced; `None` if it cannot be opened.
    newest: Option<Arc<File>>,
}

/// The newest journal that was seen.
struct Journal {
    number: u64,
    /// `None` when no room is made in it.
    file: Option<File>,
    used: u64,
    made: u64,
    capacity: u64,
}

impl JournalRoom {
    /// Room in the journals of `directory`. The newest one that is there now is
    /// used only if it is `new`.
    pub(super) fn new(directory: &Path, new: bool) -> Self {
        let number = journals(directory).ok().and_then(|all| Some(all.last()?.number)).unwrap_or(0);
        let mut journal = Journal { number, file: None, used: 0, made: 0, capacity: 0 };
        if new {
            journal.take_up(directory, 0);
        }
        let newest = open(&path(directory, number));
        Self { directory: directory.to_owned(), journal, unseen: 0, newest }
    }

    /// The newest journal. It is enough to sync that one: the library syncs a journal
    /// before it begins the next.
    pub(super) fn newest(&mut self) -> Option<Arc<File>> {
        self.follow();
        self.newest.clone()
    }

    /// Makes room for a batch of these operations, the next to be written; how
    /// many bytes it takes at most. That may fail without harm: the batch then
    /// takes blocks that were not written before.
    pub(super) fn reserve(&mut self, operations: &[Operation]) -> u64 {
        let bytes = longest(operations);
        if !self.journal.has_room(bytes) {
            self.follow();
            self.journal.make_room(bytes);
        }
        self.unseen += bytes;
        bytes
    }

    fn follow(&mut self) {
        let Self { directory, journal, unseen, newest } = self;
        while path(directory, journal.number + 1).exists() {
            journal.number += 1;
            journal.take_up(directory, *unseen);
            *newest = open(&path(directory, journal.number));
        }
        *unseen = 0;
    }
}

#[expect(clippy::disallowed_methods, reason = "a storage engine owns its files")]
fn open(journal: &Path) -> Option<Arc<File>> {
    OpenOptions::new().write(true).open(journal).ok().map(Arc::new)
}

impl Journal {
    /// Takes up the journal of that number, which holds `written` bytes at most.
    #[expect(clippy::disallowed_methods, reason = "a storage engine owns its files")]
    fn take_up(&mut self, directory: &Path, written: u64) {
        self.file = OpenOptions::new().write(true).open(path(directory, self.number)).ok();
        let Some(file) = &self.file else { return };
        let length = file.metadata().map_or(0, |metadata| metadata.len());
        let hole = first_hole(file).unwrap_or(length).max(written);
        (self.used, self.made, self.capacity) = (hole, hole, length);
    }

    /// Whether a batch of so many bytes lies in blocks that are written already, if this
    /// is still the newest journal. Nobody asks the file system for that: if it is not, the
    /// batch is counted here for nothing.
    fn has_room(&mut self, bytes: u64) -> bool {
        let has_room = self.file.is_some() && self.used + bytes <= self.made;
        if has_room {
            self.used += bytes;
        }
        has_room
    }

    /// Makes room for a batch of so many bytes, and for others after it.
    fn make_room(&mut self, bytes: u64) {
        self.used += bytes;
        if self.made >= self.capacity {
            return;
        }
        let Some(file) = &self.file else { return };
        let piece = self.used.clamp(SMALLEST_PIECE, LARGEST_PIECE);
        let end = (self.used + piece).min(self.capacity);
        if write_zeros(file, self.made, end).is_err() {
            // A full disk, for example, is the batch's to report.
            self.file = None;
            return;
        }
        self.made = end;
    }
}

/// Behind all written blocks of a file that was written from its start on.
/// `None`, or the file's length, where the file system cannot tell.
#[cfg(unix)]
fn first_hole(file: &File) -> Option<u64> {
    rustix::fs::seek(file, rustix::fs::SeekFrom::Hole(0)).ok()
}

#[cfg(not(unix))]
fn first_hole(_file: &File) -> Option<u64> {
    None
}

#[cfg(unix)]
fn write_zeros(file: &File, start: u64, end: u64) -> std::io::Result<()> {
    use std::os::unix::fs::FileExt;

    static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
    let mut at = start;
    while at < end {
        let length = (end - at).min(ZEROS.len() as u64);
        file.write_all_at(&ZEROS[..usize::try_from(length).unwrap_or(ZEROS.len())], at)?;
        at += length;
    }
    Ok(())
}

#[cfg(not(unix))]
fn write_zeros(_file: &File, _start: u64, _end: u64) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

/// The most bytes that a batch can take in the journal. The library may
/// compress values; what does not shrink grows by less than a hundredth.
fn longest(operations: &[Operation]) -> u64 {
    let operation = |operation: &Operation| {
        let value = operation.value().map_or(0, |value| value.len() as u64);
        OPERATION_OVERHEAD + operation.key().len() as u64 + value + value / 100
    };
    BATCH_OVERHEAD + operations.iter().map(operation).sum::<u64>()
}

fn path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number}.jnl"))
}

#[cfg(test)]
#[cfg(unix)]
#[expect(clippy::disallowed_methods, reason = "the tests look at files")]
mod tests {
    use std::fs;

    use bytes::Bytes;
    use tempfile::TempDir;

    use super::*;

    const LENGTH: u64 = 4 << 20;

    /// A journal with so many bytes in it and no blocks for the rest.
    fn journal(directory: &TempDir, number: u64, bytes: usize) {
        let path = path(directory.path(), number);
        fs::write(&path, vec![7; bytes]).unwrap();
        OpenOptions::new().write(true).open(path).unwrap().set_len(LENGTH).unwrap();
    }

    fn put(value: usize) -> Operation {
        Operation::Put { key: Bytes::from_static(b"key"), value: vec![1; value].into() }
    }

    /// The journal's bytes are as they were, and it has blocks up to `made`.
    #[track_caller]
    fn holds(directory: &TempDir, number: u64, bytes: usize, made: u64) {
        let path = path(directory.path(), number);
        let file = File::open(&path).unwrap();
        assert_eq!(first_hole(&file), Some(made));
        let found = fs::read(path).unwrap();
        assert_eq!(found.len() as u64, LENGTH, "it does not grow");
        assert!(found[..bytes].iter().all(|byte| *byte == 7));
        assert!(found[bytes..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn a_batch_takes_no_more_than_was_counted() {
        assert_eq!(longest(&[]), 64);
        assert_eq!(longest(&[put(0)]), 64 + 32 + 3);
        assert_eq!(longest(&[put(1_000), put(50)]), 64 + 2 * (32 + 3) + 1_000 + 10 + 50);
        let delete = Operation::Delete { key: Bytes::from_static(b"key") };
        assert_eq!(longest(&[delete]), 64 + 32 + 3);
    }

    #[test]
    fn g2_zeros_are_written_ahead_of_what_is_used_and_never_over_it() {
        let directory = tempfile::tempdir().unwrap();
        journal(&directory, 0, 10_000);
        let mut room = JournalRoom::new(directory.path(), true);
        let hole = 12_288;
        holds(&directory, 0, 10_000, hole);
        room.reserve(&[put(100)]);
        let used = hole + 64 + 32 + 3 + 101;
        assert_eq!((room.journal.used, room.journal.made), (used, used + (64 << 10)));
        let blocks = room.journal.made.next_multiple_of(4_096);
        holds(&directory, 0, 10_000, blocks);
        // As long as there is room, none is made; then the next piece, from there on.
        let made = room.journal.made;
        room.reserve(&[put(100)]);
        assert_eq!(room.journal.made, made);
        let rest = usize::try_from(made - room.journal.used).unwrap();
        let value = (rest - 99) * 100 / 101;
        room.reserve(&[put(value)]);
        assert!(room.journal.used <= made && made - room.journal.used < 2);
        assert_eq!(room.journal.made, made, "it fits to the last byte");
        room.reserve(&[put(2)]);
        assert_eq!(room.journal.made, room.journal.used + room.journal.used.max(64 << 10));
        holds(&directory, 0, 10_000, room.journal.made.next_multiple_of(4_096));
    }

    #[test]
    fn pieces_grow_with_the_journal_and_end_with_it() {
        let directory = tempfile::tempdir().unwrap();
        journal(&directory, 0, 0);
        let mut room = JournalRoom::new(directory.path(), true);
        let ahead = |room: &JournalRoom| room.journal.made - room.journal.used;
        room.reserve(&[put(300 << 10)]);
        assert_eq!(ahead(&room), room.journal.used);
        room.reserve(&[put(1 << 20)]);
        assert_eq!(ahead(&room), 1 << 20);
        room.reserve(&[put(2 << 20)]);
        assert_eq!(room.journal.made, LENGTH);
        holds(&directory, 0, 0, LENGTH);
        room.reserve(&[put(2 << 20)]);
        holds(&directory, 0, 0, LENGTH);
    }

    #[test]
    fn only_journals_that_were_created_meanwhile_are_touched() {
        let directory = tempfile::tempdir().unwrap();
        journal(&directory, 3, 5_000);
        let mut room = JournalRoom::new(directory.path(), false);
        room.reserve(&[put(9_000)]);
        holds(&directory, 3, 5_000, 8_192);
        room.follow();
        // The library begins the next ones, on a thread of its own.
        journal(&directory, 4, 0);
        journal(&directory, 5, 100);
        room.reserve(&[put(0)]);
        holds(&directory, 3, 5_000, 8_192);
        holds(&directory, 4, 0, 0);
        assert_eq!(room.journal.used, 4_096 + 99);
        holds(&directory, 5, 100, room.journal.made.next_multiple_of(4_096));
    }

    #[test]
    fn a_newer_journal_is_looked_for_before_room_is_made_and_before_every_sync() {
        let directory = tempfile::tempdir().unwrap();
        journal(&directory, 0, 0);
        let mut room = JournalRoom::new(directory.path(), true);
        room.reserve(&[put(100)]);
        let (used, made) = (room.journal.used, room.journal.made);
        journal(&directory, 1, 10_000);
        room.reserve(&[put(100)]);
        assert_eq!((room.journal.number, room.journal.used), (0, used + 200), "there is room");
        holds(&directory, 1, 10_000, 12_288);
        let rest = usize::try_from(made - room.journal.used).unwrap();
        room.reserve(&[put(rest)]);
        assert_eq!(room.journal.number, 1, "behind what was written there meanwhile");
        assert_eq!(room.journal.used, 12_288 + longest(&[put(rest)]));
        holds(&directory, 0, 0, made.next_multiple_of(4_096));
        holds(&directory, 1, 10_000, room.journal.made.next_multiple_of(4_096));

        // As if the file system took what was written there for a hole.
        let unseen = room.unseen;
        assert_eq!(unseen, longest(&[put(rest)]));
        journal(&directory, 2, 0);
        room.follow();
        assert_eq!((room.journal.used, room.journal.made, room.unseen), (unseen, unseen, 0));

        let synced =
            |room: &mut JournalRoom| rustix::fs::fstat(room.newest().unwrap()).unwrap().st_ino;
        let file = |number| rustix::fs::stat(path(directory.path(), number)).unwrap().st_ino;
        assert_eq!(synced(&mut room), file(2));
        journal(&directory, 3, 0);
        assert_eq!(synced(&mut room), file(3));
    }

    #[test]
    fn g9_a_journal_that_cannot_be_written_ahead_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        journal(&directory, 0, 100);
        let mut room = JournalRoom::new(directory.path(), true);
        room.journal.file = Some(File::open(path(directory.path(), 0)).unwrap());
        room.reserve(&[put(100)]);
        assert!(room.journal.file.is_none(), "a read-only file, as a full disk would be");
        room.reserve(&[put(1 << 20)]);
        holds(&directory, 0, 100, 4_096);
    }
}
