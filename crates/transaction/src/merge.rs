use std::collections::btree_map;
use std::iter::Peekable;

use bytes::Bytes;
use tandem_base::Result;
use tandem_storage::{Direction, Entries, Entry, KeyRange};

use crate::transaction::Transaction;

/// One entry of a merged scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergedEntry {
    /// The key.
    pub key: Bytes,
    /// The value.
    pub value: Bytes,
    /// Whether the transaction itself wrote it.
    pub own: bool,
}

type Own<'a> = Box<dyn Iterator<Item = (&'a Bytes, &'a Option<Bytes>)> + Send + 'a>;

/// Committed entries at the transaction's view overlaid with its own writes,
/// in key order. What has been consumed when it is dropped is what the
/// transaction has read.
pub struct Merged<'a> {
    transaction: &'a Transaction,
    committed: Entries<'a>,
    /// `None`: the transaction wrote nothing in the range. Then nothing is merged.
    merge: Option<Merge<'a>>,
    range: KeyRange,
    direction: Direction,
    tracked: bool,
    /// Whether it matters to the transaction how far this has come.
    keeps_place: bool,
    begun: bool,
    last: Option<Bytes>,
    exhausted: bool,
}

/// The own writes that are still to come, and the committed entry that was looked at
/// beside them.
struct Merge<'a> {
    own: Peekable<Own<'a>>,
    ahead: Option<Option<Result<Entry>>>,
}

impl<'a> Merged<'a> {
    pub(crate) fn new(
        transaction: &'a Transaction,
        committed: Entries<'a>,
        own: btree_map::Range<'a, Bytes, Option<Bytes>>,
        range: KeyRange,
        direction: Direction,
        tracked: bool,
    ) -> Self {
        let merge = own.clone().next().map(|_| {
            let own: Own<'a> = match direction {
                Direction::Forward => Box::new(own),
                Direction::Reverse => Box::new(own.rev()),
            };
            Merge { own: own.peekable(), ahead: None }
        });
        Self {
            transaction,
            committed,
            merge,
            range,
            direction,
            tracked,
            keeps_place: tracked && transaction.remembers_reads(),
            begun: false,
            last: None,
            exhausted: false,
        }
    }

    fn passes(&mut self, key: &Bytes) {
        self.begun = true;
        if self.keeps_place {
            self.last = Some(key.clone());
        }
    }

    fn committed(&mut self, entry: Option<Result<Entry>>) -> Option<Result<MergedEntry>> {
        match entry {
            Some(Ok((key, value))) => {
                self.passes(&key);
                Some(Ok(MergedEntry { key, value, own: false }))
            }
            Some(Err(error)) => Some(Err(error)),
            None => {
                self.exhausted = true;
                None
            }
        }
    }
}

impl Merge<'_> {
    /// Which side has the next key in scan order.
    fn next_side(&mut self, committed: &mut Entries<'_>, direction: Direction) -> Side {
        let committed = self.ahead.get_or_insert_with(|| committed.next());
        match (committed, self.own.peek()) {
            (None, None) => Side::Neither,
            (Some(_), None) | (Some(Err(_)), _) => Side::Committed,
            (None, Some(_)) => Side::Own,
            (Some(Ok((committed, _))), Some((own, _))) => {
                let order = match direction {
                    Direction::Forward => (*committed).cmp(own),
                    Direction::Reverse => (*own).cmp(committed),
                };
                match order {
                    std::cmp::Ordering::Less => Side::Committed,
                    std::cmp::Ordering::Greater => Side::Own,
                    std::cmp::Ordering::Equal => Side::Both,
                }
            }
        }
    }
}

enum Side {
    Neither,
    Committed,
    Own,
    Both,
}

impl Iterator for Merged<'_> {
    type Item = Result<MergedEntry>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some(merge) = &mut self.merge else {
                let entry = self.committed.next();
                return self.committed(entry);
            };
            let side = merge.next_side(&mut self.committed, self.direction);
            match side {
                Side::Neither | Side::Committed => {
                    let entry = merge.ahead.take().flatten();
                    return self.committed(entry);
                }
                Side::Own | Side::Both => {
                    if matches!(side, Side::Both) {
                        merge.ahead = None;
                    }
                    let (key, value) = merge.own.next()?;
                    self.passes(key);
                    if let Some(value) = value {
                        let (key, value) = (key.clone(), value.clone());
                        return Some(Ok(MergedEntry { key, value, own: true }));
                    }
                }
            }
        }
    }
}

impl Drop for Merged<'_> {
    fn drop(&mut self) {
        if !self.tracked || !self.begun && !self.exhausted {
            return;
        }
        if !self.keeps_place {
            return self.transaction.note_read();
        }
        let read = match (&self.last, self.exhausted) {
            (_, true) => self.range.clone(),
            (None, false) => return,
            (Some(last), false) => match self.direction {
                Direction::Forward => {
                    let end = KeyRange::point(last).end;
                    KeyRange { start: self.range.start.clone(), end }
                }
                Direction::Reverse => {
                    // A copy: what is remembered keeps no neighbours of it in memory.
                    let start = Bytes::copy_from_slice(last);
                    KeyRange { start, end: self.range.end.clone() }
                }
            },
        };
        self.transaction.track_range(read);
    }
}
