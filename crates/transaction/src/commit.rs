//! A commit: a revision and its ordered changes, as the change log stores it.
//!
//! ```text
//! u8 format=1 | u64 timestamp ms | u32 change count | change*
//! change: u16 bucket length | bucket | bytes key | optional before | optional after
//! bytes: u32 length | …      optional: u32 length + 1 (0 = absent) | …
//! ```
//! All integers are little-endian. The revision is in the log's key.

use std::sync::Arc;

use bytes::{Buf, Bytes};
use tandem_base::{Error, Result};

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

const FORMAT: u8 = 1;

impl Commit {
    /// The bytes that the change log stores.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let size: usize = self.changes.iter().map(Change::encoded_len).sum();
        let mut out = Vec::with_capacity(13 + size);
        out.push(FORMAT);
        out.extend_from_slice(&self.timestamp.to_le_bytes());
        put_len(&mut out, self.changes.len());
        for change in &self.changes {
            let name = change.bucket.as_bytes();
            let name_len = u16::try_from(name.len()).expect("bucket names are at most 128 bytes");
            out.extend_from_slice(&name_len.to_le_bytes());
            out.extend_from_slice(name);
            put_len(&mut out, change.key.len());
            out.extend_from_slice(&change.key);
            for side in [&change.before, &change.after] {
                match side {
                    None => put_len(&mut out, 0),
                    Some(row) => {
                        put_len(&mut out, row.len() + 1);
                        out.extend_from_slice(row);
                    }
                }
            }
        }
        debug_assert_eq!(out.len(), 13 + size, "allocated once");
        out.into()
    }

    /// The timestamp of an encoded commit, without decoding the rest.
    #[must_use]
    pub fn timestamp_of(encoded: &[u8]) -> Option<u64> {
        let (format, rest) = encoded.split_first()?;
        let timestamp = rest.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))?;
        (*format == FORMAT).then_some(timestamp)
    }

    /// Reads what [`encode`](Self::encode) wrote; rows share the bytes given.
    ///
    /// # Errors
    /// `CORRUPTED` when the bytes are not an encoded commit.
    pub fn decode(revision: u64, mut bytes: Bytes) -> Result<Self> {
        let corrupted =
            || Error::corrupted("The change log entry is damaged").with("revision", revision);
        if bytes.len() < 13 || bytes.get_u8() != FORMAT {
            return Err(corrupted());
        }
        let timestamp = bytes.get_u64_le();
        let count = bytes.get_u32_le() as usize;
        let mut changes = Vec::with_capacity(count.min(bytes.len()));
        for _ in 0..count {
            let name_len = usize::from(bytes.try_get_u16_le().map_err(|_| corrupted())?);
            let name = take(&mut bytes, name_len).ok_or_else(corrupted)?;
            let bucket = std::str::from_utf8(&name).map_err(|_| corrupted())?.into();
            let key_len = bytes.try_get_u32_le().map_err(|_| corrupted())? as usize;
            let key = take(&mut bytes, key_len).ok_or_else(corrupted)?;
            let before = take_optional(&mut bytes).ok_or_else(corrupted)?;
            let after = take_optional(&mut bytes).ok_or_else(corrupted)?;
            changes.push(Change { bucket, key, before, after });
        }
        if bytes.has_remaining() {
            return Err(corrupted());
        }
        Ok(Self { revision, timestamp, changes })
    }
}

impl Change {
    fn encoded_len(&self) -> usize {
        let side = |row: &Option<Bytes>| 4 + row.as_ref().map_or(0, Bytes::len);
        2 + self.bucket.len() + 4 + self.key.len() + side(&self.before) + side(&self.after)
    }
}

fn put_len(out: &mut Vec<u8>, len: usize) {
    let len = u32::try_from(len).expect("the transaction size limit keeps lengths below 4 GiB");
    out.extend_from_slice(&len.to_le_bytes());
}

fn take(bytes: &mut Bytes, len: usize) -> Option<Bytes> {
    (len <= bytes.len()).then(|| bytes.split_to(len))
}

fn take_optional(bytes: &mut Bytes) -> Option<Option<Bytes>> {
    match bytes.try_get_u32_le().ok()? as usize {
        0 => Some(None),
        len => take(bytes, len - 1).map(Some),
    }
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
        let expected = [
            &[1, 4, 3, 2, 1, 0, 0, 0, 0, 2, 0, 0, 0][..],
            &[5, 0][..],
            b"users",
            &[2, 0, 0, 0],
            b"k1",
            &[0, 0, 0, 0, 4, 0, 0, 0],
            b"row",
            &[4, 0],
            b"logs",
            &[2, 0, 0, 0],
            b"k2",
            &[1, 0, 0, 0, 0, 0, 0, 0],
        ];
        assert_eq!(commit.encode(), expected.concat());
    }

    #[test]
    fn other_formats_and_what_follows_a_commit_are_not_taken_for_one() {
        let encoded = example().encode();
        let other = [&[2], &encoded[1..]].concat();
        assert!(Commit::decode(7, other.clone().into()).is_err());
        assert_eq!(Commit::timestamp_of(&other), None);
        assert_eq!(Commit::timestamp_of(&encoded[..8]), None);
        assert!(Commit::decode(7, [&encoded[..], &[0]].concat().into()).is_err());
        let empty = Commit { changes: Vec::new(), ..example() };
        assert_eq!(Commit::decode(7, empty.encode()).unwrap(), empty);
    }
}
