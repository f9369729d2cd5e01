//! From index entries to rows.
//!
//! Rows are visited in the order of the entries, each when its turn comes. Those that the
//! engine has to be asked for are asked for together, in the order of their keys: where
//! an index is in nearly the same order, they are neighbours.
//!
//! ```text
//! entries     30▸c  31▸a  32▸b  33▸d      row b is at hand, the others are not
//! asked for    a c d   ascending
//! visited      c a b d
//! ```
//! For that, entries are read ahead. What is read is remembered for serializable
//! validation, so no more are read than the visitor will surely want ([`Ahead`]), and a
//! row is remembered when it is visited.

use std::cell::Cell;

use bytes::{Buf, Bytes};
use tandem_base::{Error, Result};
use tandem_record::catalog::Bucket;
use tandem_record::keys;
use tandem_record::row::Row;
use tandem_storage::{Direction, KeyRange};
use tandem_transaction::{Neighbours, Transaction};

use crate::execute::access::{Examined, Step};

/// How many entries are read ahead at most.
const MOST_AHEAD: usize = 64;

/// Rows of this many bytes are enough to hold at once.
const ENOUGH_BYTES: usize = 1 << 20;

/// How many further candidates a visitor surely takes, if there are as many.
pub(crate) type Ahead = Cell<usize>;

/// Where the primary key of an entry is.
pub(super) enum KeyOf {
    /// At the end of the entry, from here on. To take another reference to its memory, and
    /// let go of it, would be two atomic operations for each row.
    Entry(usize),
    Apart(Bytes),
}

impl KeyOf {
    fn of<'k>(&'k self, entry: &'k [u8]) -> &'k [u8] {
        match self {
            Self::Entry(at) => entry.get(*at..).unwrap_or_default(),
            Self::Apart(key) => key,
        }
    }
}

/// A row that an access leads to, with the entry that led there.
pub(crate) struct Candidate {
    /// Empty if there was none.
    pub(super) entry: Bytes,
    primary_key: KeyOf,
    pub(crate) row: Row,
    /// Whether the transaction itself wrote the row.
    pub(super) own: bool,
}

impl Candidate {
    /// A row that no entry led to.
    pub(super) fn of(primary_key: Bytes, row: Row) -> Self {
        let primary_key = KeyOf::Apart(primary_key);
        Self { entry: Bytes::new(), primary_key, row, own: false }
    }

    pub(crate) fn primary_key(&self) -> &[u8] {
        self.primary_key.of(&self.entry)
    }

    /// The entry as far as it tells values of the record.
    pub(crate) fn values(&self) -> &[u8] {
        match self.primary_key {
            KeyOf::Entry(at) => self.entry.get(..at).unwrap_or_default(),
            KeyOf::Apart(_) => &self.entry,
        }
    }

    /// The primary key and the row.
    pub(crate) fn into_parts(self) -> (Bytes, Row) {
        let Self { mut entry, primary_key, row, .. } = self;
        let primary_key = match primary_key {
            KeyOf::Entry(at) => {
                entry.advance(at.min(entry.len()));
                entry
            }
            KeyOf::Apart(key) => key,
        };
        (primary_key, row)
    }
}

/// An entry that has been read, its row perhaps not.
struct Met {
    entry: Bytes,
    primary_key: KeyOf,
    own: bool,
    row: Known,
}

/// What is known of a row.
enum Known {
    /// The engine was not asked yet.
    Nothing,
    /// What lies in memory, and was looked at when it came there.
    Whole(Option<Bytes>),
    /// What the engine answered.
    Stored(Option<Bytes>),
}

/// Reads the rows of entries. See the [module](self).
pub(super) struct Fetch<'a> {
    tx: &'a Transaction,
    bucket: &'a Bucket,
    ahead: &'a Ahead,
    /// Room for a row's key.
    row_key: Vec<u8>,
    /// What is at hand around the last row that was looked for there.
    neighbours: Option<Neighbours>,
    /// Whether the last row that was looked for there had none among those after it.
    strays: bool,
}

impl<'a> Fetch<'a> {
    pub(super) fn new(tx: &'a Transaction, bucket: &'a Bucket, ahead: &'a Ahead) -> Self {
        let row_key = Vec::with_capacity(64);
        Self { tx, bucket, ahead, row_key, neighbours: None, strays: false }
    }

    /// Calls `take` with each entry of `range` and its row; `primary_key` reads an entry.
    pub(super) fn scan(
        &mut self,
        range: &KeyRange,
        direction: Direction,
        examined: &mut Examined,
        primary_key: &impl Fn(&Bytes, Bytes) -> Result<KeyOf>,
        take: &mut impl FnMut(Candidate) -> Result<Step>,
    ) -> Result<Step> {
        if range.is_empty() {
            return Ok(Step::More);
        }
        let mut entries = self.tx.scan(range, direction);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let first = self.meet(entry.key, entry.value, primary_key)?;
            if !matches!(first.row, Known::Nothing) || self.ahead.get() <= 1 {
                if self.visit(first, examined, take)? == Step::Enough {
                    return Ok(Step::Enough);
                }
                continue;
            }
            let most = self.ahead.get().min(MOST_AHEAD);
            let mut met = vec![first];
            for entry in entries.by_ref().take(most - 1) {
                let entry = entry?;
                met.push(self.meet(entry.key, entry.value, primary_key)?);
            }
            self.read(&mut met)?;
            for one in met {
                if self.visit(one, examined, take)? == Step::Enough {
                    return Ok(Step::Enough);
                }
            }
        }
        Ok(Step::More)
    }

    /// Calls `take` with one entry and its row.
    pub(super) fn one(
        &mut self,
        key: Bytes,
        value: Bytes,
        examined: &mut Examined,
        primary_key: &impl Fn(&Bytes, Bytes) -> Result<KeyOf>,
        take: &mut impl FnMut(Candidate) -> Result<Step>,
    ) -> Result<Step> {
        let met = self.meet(key, value, primary_key)?;
        self.visit(met, examined, take)
    }

    fn meet(
        &mut self,
        entry: Bytes,
        value: Bytes,
        primary_key: &impl Fn(&Bytes, Bytes) -> Result<KeyOf>,
    ) -> Result<Met> {
        let primary_key = primary_key(&entry, value)?;
        keys::put_row(self.bucket.id, primary_key.of(&entry), &mut self.row_key);
        let own = self.tx.own_write(&self.row_key).is_some();
        let row = self.at_hand(own).map_or(Known::Nothing, Known::Whole);
        Ok(Met { entry, primary_key, own, row })
    }

    /// The row at `row_key`, if the engine need not be asked for it.
    fn at_hand(&mut self, own: bool) -> Option<Option<Bytes>> {
        if own {
            return self.tx.get_cached(&self.row_key);
        }
        if let Some(row) = self.neighbours.as_mut().and_then(|near| near.get(&self.row_key)) {
            self.strays = false;
            return Some(row);
        }
        if !self.strays {
            self.strays = true;
            self.neighbours = self.tx.neighbours(&self.row_key);
            if let Some(near) = &mut self.neighbours {
                return near.get(&self.row_key);
            }
        }
        self.tx.get_cached(&self.row_key)
    }

    /// Asks the engine for the rows that are not at hand, until they are large.
    fn read(&self, met: &mut [Met]) -> Result<()> {
        let mut wanted: Vec<(Bytes, usize)> = met
            .iter()
            .enumerate()
            .filter(|(_, met)| matches!(met.row, Known::Nothing))
            .map(|(at, met)| (keys::row(self.bucket.id, met.primary_key.of(&met.entry)), at))
            .collect();
        wanted.sort_unstable();
        // An entry of a record with several in the index is met again.
        let mut row_keys: Vec<Bytes> = wanted.iter().map(|(key, _)| key.clone()).collect();
        row_keys.dedup();
        let (mut bytes, mut wanted) = (0, wanted.into_iter().peekable());
        self.tx.get_ascending(&row_keys, &mut |at, row| {
            bytes += row.as_ref().map_or(0, Bytes::len);
            while let Some((_, of)) = wanted.next_if(|(key, _)| *key == row_keys[at]) {
                met[of].row = Known::Stored(row.clone());
            }
            bytes < ENOUGH_BYTES
        })
    }

    fn visit(
        &mut self,
        met: Met,
        examined: &mut Examined,
        take: &mut impl FnMut(Candidate) -> Result<Step>,
    ) -> Result<Step> {
        let Met { entry, primary_key, own, row } = met;
        examined.entries += 1;
        examined.rows += 1;
        // Which row it is matters where it is asked for or remembered.
        if matches!(row, Known::Nothing) || self.tx.remembers_reads() {
            keys::put_row(self.bucket.id, primary_key.of(&entry), &mut self.row_key);
        }
        self.tx.track_point(&self.row_key);
        let row = match row {
            Known::Whole(row) => row.map(Row::from_whole),
            Known::Stored(row) => row.map(Row::from_stored),
            Known::Nothing => self.tx.get_untracked(&self.row_key)?.map(Row::from_stored),
        };
        match row.transpose()? {
            Some(row) => take(Candidate { entry, primary_key, row, own }),
            // An own delete hides it.
            None if own => Ok(Step::More),
            None => Err(Error::corrupted("An index entry points to no record")
                .with("bucket", &*self.bucket.name)),
        }
    }
}
