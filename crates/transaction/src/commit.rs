//! A commit: a revision and its ordered changes, as the change log stores it.
//!
//! ```text
//! u8 format=2 | u64 timestamp ms | number changes | change*
//! change: name | bytes key | u8 kind | rows
//! name:   bytes, empty = the bucket of the change before
//! rows:   kind 0:        no row before nor after
//!         kind 1 insert: bytes after
//!         kind 2 delete: bytes before
//!         kind 3 update: bytes after | what `before` differs by
//! bytes:  number length | …
//! ```
//! A number is an unsigned LEB128. The revision is in the log's key.
//!
//! An update changes a few bytes of a row, so the log holds the new row and of
//! the old one what is [different](delta): followers get both.

mod delta;

use std::sync::Arc;

use bytes::{Buf, Bytes};
use tandem_base::{Error, Result};

use self::delta::{number_len, put_number, take_number};

/// One record's before and after in one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The bucket's name.
    pub bucket: Arc<str>,
    /// The encoded primary key.
    pub key: Bytes,
    /// The row before; `None` = it was inserted.
    pub before: Option<Bytes>,
    /// The row after; `None` = it was deleted.
    pub after: Option<Bytes>,
}

/// A revision and its ordered changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The store-wide commit number.
    pub revision: u64,
    /// When it was committed, in milliseconds since the Unix epoch.
    pub timestamp: u64,
    /// Net per record, in the order in which the transaction first wrote them.
    pub changes: Vec<Change>,
}

const FORMAT: u8 = 2;

/// Bit 0: there is a row after; bit 1: there was one before.
const NOTHING: u8 = 0;
const INSERT: u8 = 1;
const DELETE: u8 = 2;
const UPDATE: u8 = 3;

impl Commit {
    /// The bytes that the change log stores.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let size: usize = self.changes.iter().map(Change::longest).sum();
        let mut out = Vec::with_capacity(HEADER + size);
        out.push(FORMAT);
        out.extend_from_slice(&self.timestamp.to_le_bytes());
        put_number(&mut out, self.changes.len());
        let mut bucket_before = "";
        for change in &self.changes {
            let same = *change.bucket == *bucket_before;
            put_bytes(&mut out, if same { b"" } else { change.bucket.as_bytes() });
            bucket_before = &change.bucket;
            put_bytes(&mut out, &change.key);
            match (&change.before, &change.after) {
                (None, Some(after)) => {
                    out.push(INSERT);
                    put_bytes(&mut out, after);
                }
                (Some(before), None) => {
                    out.push(DELETE);
                    put_bytes(&mut out, before);
                }
                (Some(before), Some(after)) => {
                    out.push(UPDATE);
                    put_bytes(&mut out, after);
                    delta::put(&mut out, after, before);
                }
                (None, None) => out.push(NOTHING),
            }
        }
        debug_assert!(out.len() <= HEADER + size, "allocated once");
        out.into()
    }

    /// The timestamp of an encoded commit, without decoding the rest.
    #[must_use]
    pub fn timestamp_of(encoded: &[u8]) -> Option<u64> {
        let (format, rest) = encoded.split_first()?;
        let timestamp = rest.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))?;
        (*format == FORMAT).then_some(timestamp)
    }

    /// Reads what [`encode`](Self::encode) wrote; rows share the bytes given,
    /// but for the old row of an update.
    ///
    /// # Errors
    /// `CORRUPTED` when the bytes are not an encoded commit.
    pub fn decode(revision: u64, bytes: Bytes) -> Result<Self> {
        Self::parse(revision, bytes).ok_or_else(|| {
            Error::corrupted("The change log entry is damaged").with("revision", revision)
        })
    }

    fn parse(revision: u64, mut bytes: Bytes) -> Option<Self> {
        let timestamp = Self::timestamp_of(&bytes)?;
        bytes.advance(1 + size_of::<u64>());
        let count = take_number(&mut bytes)?;
        let mut changes: Vec<Change> = Vec::with_capacity(count.min(bytes.len()));
        for _ in 0..count {
            let name = take_bytes(&mut bytes)?;
            let bucket: Arc<str> = match changes.last() {
                Some(before) if name.is_empty() => before.bucket.clone(),
                _ => std::str::from_utf8(&name).ok()?.into(),
            };
            let key = take_bytes(&mut bytes)?;
            let (before, after) = match bytes.try_get_u8().ok()? {
                NOTHING => (None, None),
                INSERT => (None, Some(take_bytes(&mut bytes)?)),
                DELETE => (Some(take_bytes(&mut bytes)?), None),
                UPDATE => {
                    let after = take_bytes(&mut bytes)?;
                    (Some(delta::take(&mut bytes, &after)?), Some(after))
                }
                _ => return None,
            };
            changes.push(Change { bucket, key, before, after });
        }
        bytes.is_empty().then_some(Self { revision, timestamp, changes })
    }
}

/// Format (1), timestamp (8), and the largest number of changes (10).
const HEADER: usize = 19;

impl Change {
    /// About as much as the change takes in the log at most.
    fn longest(&self) -> usize {
        let side = |row: &Option<Bytes>| row.as_ref().map_or(0, Bytes::len);
        // Before the name, the key and the row after, and four of the difference.
        let numbers = 7 * number_len(usize::MAX);
        let rows = delta::longest(side(&self.before)) + side(&self.after);
        numbers + size_of::<u8>() + self.bucket.len() + self.key.len() + rows
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn take_bytes(bytes: &mut Bytes) -> Option<Bytes> {
    let length = take_number(bytes)?;
    (length <= bytes.len()).then(|| bytes.split_to(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Commit {
        Commit {
            revision: 7,
            timestamp: 1_700_000_000_000,
            changes: vec![
                Change {
                    bucket: "users".into(),
                    key: Bytes::from_static(b"k1"),
                    before: None,
                    after: Some(Bytes::from_static(b"row")),
                },
                Change {
                    bucket: "logs".into(),
                    key: Bytes::from_static(b"k2"),
                    before: Some(Bytes::new()),
                    after: None,
                },
            ],
        }
    }

    #[test]
    fn a_commit_reads_back_as_it_was_written() {
        let commit = example();
        assert_eq!(Commit::decode(7, commit.encode()).unwrap(), commit);
        assert_eq!(Commit::timestamp_of(&commit.encode()), Some(commit.timestamp));
    }

    #[test]
    fn damaged_log_entries_are_noticed_at_every_length() {
        let encoded = example().encode();
        for cut in 0..encoded.len() {
            assert!(Commit::decode(7, encoded.slice(..cut)).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn the_log_has_the_documented_bytes() {
        let mut commit = example();
        commit.timestamp = 0x0102_0304;
        let update = |bucket: &str, before: &'static [u8], after: &'static [u8]| Change {
            bucket: bucket.into(),
            key: Bytes::from_static(b"k3"),
            before: Some(Bytes::from_static(before)),
            after: Some(Bytes::from_static(after)),
        };
        commit.changes.push(update("logs", b"one row", b"new row"));
        commit.changes.push(Change { before: None, after: None, ..commit.changes[0].clone() });
        let expected = [
            &[2, 4, 3, 2, 1, 0, 0, 0, 0, 4][..],
            b"\x05users\x02k1\x01\x03row",
            b"\x04logs\x02k2\x02\x00",
            // The bucket of the change before; the end that the rows have in common.
            b"\x00\x02k3\x03\x07new row\x07\x04\x00\x03one",
            b"\x05users\x02k1\x00",
        ];
        assert_eq!(commit.encode(), expected.concat());
        assert_eq!(Commit::decode(7, commit.encode()).unwrap(), commit);
    }

    /// Rows that agree in a few bytes here and there: the numbers between took more
    /// than was reckoned, the more the longer the row is.
    #[test]
    fn a_commit_of_long_rows_takes_no_more_than_was_reckoned() {
        let row = |byte: u8| -> Bytes {
            let mut row = vec![byte; 1 << 21];
            row.chunks_mut(3 + (1 << 14)).for_each(|chunk| chunk[..3].fill(3));
            row.into()
        };
        let change = Change {
            bucket: "b".into(),
            key: Bytes::from_static(b"k"),
            before: Some(row(1)),
            after: Some(row(2)),
        };
        let commit = Commit { changes: vec![change], ..example() };
        assert_eq!(Commit::decode(7, commit.encode()).unwrap(), commit);
    }

    #[test]
    fn g10_little_more_is_reserved_for_a_commit_than_its_names_and_rows() {
        let change = |bucket: usize, key: usize, before: usize, after: usize| Change {
            bucket: "b".repeat(bucket).into(),
            key: vec![1; key].into(),
            before: Some(vec![2; before].into()),
            after: Some(vec![3; after].into()),
        };
        let least = change(0, 0, 0, 0).longest();
        assert_eq!(least, 71, "seven numbers and the kind");
        assert_eq!(change(20, 3, 400, 5_000).longest(), least + 5_423);
        let long = 1 << 20;
        assert_eq!(change(0, 0, long, 0).longest(), least + long + 64, "one in 16 KiB");
        assert_eq!(Change { before: None, after: None, ..change(1, 1, 9, 9) }.longest(), least + 2);
    }

    #[test]
    fn other_formats_and_what_follows_a_commit_are_not_taken_for_one() {
        let encoded = example().encode();
        let other = [&[FORMAT + 1], &encoded[1..]].concat();
        assert!(Commit::decode(7, other.clone().into()).is_err());
        assert_eq!(Commit::timestamp_of(&other), None);
        assert_eq!(Commit::timestamp_of(&encoded[..8]), None);
        assert!(Commit::decode(7, [&encoded[..], &[0]].concat().into()).is_err());
        let empty = Commit { changes: Vec::new(), ..example() };
        assert_eq!(Commit::decode(7, empty.encode()).unwrap(), empty);
    }
}
