//! One batch, in the layout of the library's format 3, little-endian:
//!
//! ```text
//! batch = 01 count:u32 seqno:u64, items, 03 checksum:u64 "FJL" 03
//! item  = 02 kind:u8 compression:u8 keyspace:u64 key:u16 value:u32 stored:u32, key, value
//!       | 04 keyspace:u64
//! ```
//!
//! The checksum is xxh3-64 over the items' bytes. The order of the keys says what was
//! synced when the batch was written ([`Follows`]).

use xxhash_rust::xxh3::xxh3_64;

use super::follows::Follows;

const TRAILER: &[u8] = b"FJL\x03";

/// A batch that is there whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) length: usize,
    pub(super) sequence_number: u64,
    pub(super) follows: Follows,
}

/// What some bytes begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    Whole(Batch),
    /// Perhaps a batch, if more bytes follow.
    Incomplete,
    Broken,
}

/// Looks at the beginning of `bytes`.
pub(super) fn parse(bytes: &[u8]) -> Parsed {
    let mut rest = Reader(bytes);
    match rest.batch() {
        Some(Some(head)) => Parsed::Whole(Batch { length: bytes.len() - rest.0.len(), ..head }),
        Some(None) => Parsed::Broken,
        None => Parsed::Incomplete,
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// `None`: the bytes end too early; `Some(None)`: this is no whole batch.
    fn batch(&mut self) -> Option<Option<Batch>> {
        if self.number(1)? != 1 {
            return Some(None);
        }
        let count = self.number(4)?;
        let sequence_number = self.number(8)?;
        let items = self.0;
        let mut keys = [None; Follows::MARKS];
        let mut found = 0;
        loop {
            let before = items.len() - self.0.len();
            match self.number(1)? {
                2 => {
                    let key = self.item()?;
                    if let Some(place) = keys.get_mut(found as usize) {
                        *place = Some(key);
                    }
                }
                3 if found == count => {
                    let checksum = self.number(8)?;
                    let whole = self.take(TRAILER.len())? == TRAILER
                        && checksum == xxh3_64(&items[..before]);
                    let follows = Follows::marked(keys);
                    return Some(whole.then_some(Batch { length: 0, sequence_number, follows }));
                }
                4 => _ = self.number(8)?,
                _ => return Some(None),
            }
            found += 1;
        }
    }

    /// The key of an item.
    fn item(&mut self) -> Option<&'a [u8]> {
        let _kind_compression_keyspace = self.take(10)?;
        let key = self.number(2)?;
        let _value = self.number(4)?;
        let stored = self.number(4)?;
        let key = self.take(usize::try_from(key).ok()?)?;
        self.take(usize::try_from(stored).ok()?)?;
        Some(key)
    }

    fn number(&mut self, bytes: usize) -> Option<u64> {
        let taken = self.take(bytes)?;
        Some(taken.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }
}
