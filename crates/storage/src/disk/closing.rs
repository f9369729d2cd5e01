//! What is known to be in the journals, from the last time the store was closed.
//!
//! A journal says nothing of where it ends: bytes that are no batch may be one
//! that the power cut short, or the last acknowledged one, rotten. When a store
//! is closed everything in its journals is synced, so closing writes down how
//! much that is:
//!
//! ```text
//! CLOSED   tandem closed store
//!          journal 7 length 81920 first 4711
//!          checksum 0123456789abcdef
//! ```
//!
//! That is a lower bound and stays true: a journal only grows until it is
//! removed, and its first batch stays the first. So nothing has to be taken back
//! when the store is opened and written to again, and a store that was killed
//! still has the bound of its last closing.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

use tandem_base::Result;
use xxhash_rust::xxh3::xxh3_64;

use super::directory::{read, write_atomically};
use super::error::{at, corrupted, file_failed};
use super::journal::{journals, without_zeros};

const TITLE: &str = "tandem closed store";
const FILE: &str = "CLOSED";

/// Where the sequence number of the first batch lies.
const FIRST: std::ops::Range<usize> = 5..13;

/// The lower bounds of the last closing; none for a store never closed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Closing {
    bounds: Vec<Bound>,
}

#[derive(Debug, PartialEq, Eq)]
struct Bound {
    journal: u64,
    length: u64,
    first: u64,
}

impl Closing {
    /// What the store's directory says.
    ///
    /// # Errors
    /// `CORRUPTED` when that is damaged.
    pub(super) fn read(directory: &Path) -> Result<Self> {
        let path = directory.join(FILE);
        match read(&path) {
            Ok(bytes) => Self::parse(&bytes)
                .ok_or_else(|| at(corrupted("The closing mark is damaged", &FILE), &path)),
            Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(cause) => Err(file_failed(&path, &cause)),
        }
    }

    /// Writes down what is in the journals below `data`, all of it synced.
    pub(super) fn write(directory: &Path, data: &Path) -> std::io::Result<()> {
        let mut bounds = Vec::new();
        for journal in journals(data)? {
            if let Some((length, first)) = measure(&journal.path)? {
                bounds.push(Bound { journal: journal.number, length, first });
            }
        }
        let text = Self { bounds }.to_text();
        let path = directory.join(FILE);
        if read(&path).is_ok_and(|bytes| bytes == text.as_bytes()) {
            return Ok(());
        }
        write_atomically(&path, text.as_bytes())
    }

    /// The newest journal that held something.
    pub(super) fn newest(&self) -> Option<u64> {
        self.bounds.iter().map(|bound| bound.journal).max()
    }

    /// Whether a journal with whole batches up to `sound`, the first of them
    /// numbered `first`, holds what it held then.
    pub(super) fn agrees(&self, journal: u64, sound: u64, first: Option<u64>) -> bool {
        self.bounds
            .iter()
            .filter(|bound| bound.journal == journal)
            .all(|bound| sound >= bound.length && first == Some(bound.first))
    }

    fn to_text(&self) -> String {
        let mut text = format!("{TITLE}\n");
        for Bound { journal, length, first } in &self.bounds {
            text += &format!("journal {journal} length {length} first {first}\n");
        }
        let checksum = xxh3_64(text.as_bytes());
        text + &format!("checksum {checksum:016x}\n")
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut bounds = Vec::new();
        for line in text.lines().filter(|line| line.starts_with("journal ")) {
            let mut numbers = line.split(' ').skip(1).step_by(2).map(str::parse);
            let mut next = || numbers.next()?.ok();
            bounds.push(Bound { journal: next()?, length: next()?, first: next()? });
        }
        let closing = Self { bounds };
        (closing.to_text() == text).then_some(closing)
    }
}

/// Where the last batch of a journal ends, and the number of the first. A batch
/// does not end with a zero, and nothing but zeros follows the last.
#[expect(clippy::disallowed_methods, reason = "a storage engine owns its files")]
fn measure(path: &Path) -> std::io::Result<Option<(u64, u64)>> {
    const STEP: u64 = 256 << 10;
    let mut file = File::open(path)?;
    let mut end = file.metadata()?.len();
    let mut chunk = Vec::new();
    let mut read = |file: &mut File, from: u64, to: u64| {
        chunk.clear();
        file.seek(SeekFrom::Start(from))?;
        file.take(to - from).read_to_end(&mut chunk)?;
        Ok::<_, std::io::Error>(chunk.clone())
    };
    while end > 0 {
        let start = (end - 1) / STEP * STEP;
        let bytes = read(&mut file, start, end)?;
        let length = without_zeros(&bytes).len() as u64;
        if length > 0 {
            let length = start + length;
            let head = read(&mut file, 0, FIRST.end as u64)?;
            let first = head.get(FIRST).and_then(|bytes| bytes.try_into().ok());
            return Ok(first.map(|bytes| (length, u64::from_le_bytes(bytes))));
        }
        end = start;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_change_of_the_mark_is_noticed() {
        let bounds = vec![
            Bound { journal: 3, length: 4_096, first: 17 },
            Bound { journal: 4, length: 9, first: 200 },
        ];
        let closing = Closing { bounds };
        let good = closing.to_text().into_bytes();
        assert_eq!(Closing::parse(&good).as_ref(), Some(&closing));
        assert_eq!(closing.newest(), Some(4));
        assert!(closing.agrees(4, 9, Some(200)) && closing.agrees(5, 0, None));
        assert!(!closing.agrees(4, 8, Some(200)) && !closing.agrees(4, 9, Some(201)));
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut flipped = good.clone();
                flipped[at] ^= 1 << bit;
                assert_eq!(Closing::parse(&flipped), None, "bit {bit} of byte {at}");
            }
            assert_eq!(Closing::parse(&good[..at]), None, "cut at byte {at}");
        }
    }

    /// Closes over journals with these bytes and reads the mark.
    fn closed(mark: &Path, journals: &[(u64, &[u8])]) -> Vec<Bound> {
        let data = tempfile::tempdir().expect("a directory");
        for (number, bytes) in journals {
            let path = data.path().join(format!("{number}.jnl"));
            crate::disk::directory::write_atomically(&path, bytes).expect("written");
        }
        Closing::write(mark, data.path()).expect("written");
        Closing::read(mark).expect("whole").bounds
    }

    #[test]
    fn g2_the_mark_says_how_much_each_journal_holds_and_which_batch_is_its_first() {
        const STEP: usize = 256 << 10;
        let mark = tempfile::tempdir().expect("a directory");
        assert_eq!(Closing::read(mark.path()).expect("none yet"), Closing::default());
        assert_eq!(Closing::default().newest(), None);
        let journal = |length: usize, room: usize| {
            let mut bytes = vec![7; length];
            bytes[FIRST].copy_from_slice(&77u64.to_le_bytes());
            bytes.resize(length + room, 0);
            bytes
        };
        for length in [13, 14, STEP - 1, STEP, STEP + 1, 2 * STEP] {
            for room in [0, 1, STEP - length % STEP, STEP, 3 * STEP + 5] {
                // The sequence number may end with zeros, and so may what is there.
                let sound = if length == 13 { 6 } else { length } as u64;
                let bounds = closed(mark.path(), &[(4, &journal(length, room))]);
                let expected = Bound { journal: 4, length: sound, first: 77 };
                let told = if length + room < 13 { vec![] } else { vec![expected] };
                assert_eq!(bounds, told, "{length} and {room}");
            }
        }
        let (one, other) = (journal(20, 9), journal(30, 0));
        let all = [(2, &one[..]), (10, &other), (11, &[0; 50]), (12, b""), (13, b"short")];
        let bounds = closed(mark.path(), &all);
        let expected =
            [(2, 20), (10, 30)].map(|(journal, length)| Bound { journal, length, first: 77 });
        assert_eq!(bounds, expected);
        assert_eq!(closed(mark.path(), &all), expected, "and again the same");
    }

    #[test]
    fn g2_a_mark_that_cannot_be_read_is_not_taken_for_none() {
        let mark = tempfile::tempdir().expect("a directory");
        let path = mark.path().join(FILE);
        crate::disk::directory::write_atomically(&path, b"tandem closed store\n").expect("written");
        let error = Closing::read(mark.path()).expect_err("damaged");
        assert_eq!(error.code(), tandem_base::Code::Corrupted);
        // The "directory" is a file: neither there nor missing.
        let error = Closing::read(&path).expect_err("not a directory");
        assert_eq!(error.code(), tandem_base::Code::StorageError);
    }
}
