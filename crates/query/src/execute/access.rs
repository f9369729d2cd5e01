use bytes::Bytes;
use tandem_base::Result;
use tandem_record::catalog::{Bucket, Index};
use tandem_record::entries::{IndexEntry, entries, primary_key_at};
use tandem_record::keys;
use tandem_record::row::Row;
use tandem_storage::{Direction, KeyRange};
use tandem_transaction::{Isolation, MergedEntry, Read, Transaction};

use std::sync::Arc;

use crate::execute::fetch::{Ahead, Candidate, Fetch, KeyOf};

/// What a visitor wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    More,
    Enough,
}

/// Where candidate rows come from. Ranges and keys are in ascending order and
/// do not overlap.
#[derive(Clone, Debug)]
pub(crate) enum Access {
    /// Records by their encoded primary keys.
    Points(Vec<Bytes>),
    /// Rows in key order.
    Rows(KeyRange),
    /// Rows in order of insertion, through the order index.
    Insertion { order_index: u32, range: KeyRange },
    /// Rows through a secondary index.
    Index {
        index: Arc<Index>,
        ranges: Vec<KeyRange>,
        /// Where the primary key begins in an entry that carries it, if that is the
        /// same in all.
        key_at: Option<usize>,
    },
}

/// What an access has touched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Examined {
    /// Index entries, order entries included.
    pub(crate) entries: u64,
    /// Rows read.
    pub(crate) rows: u64,
}

type Visitor<'v> = dyn FnMut(Candidate) -> Result<Step> + 'v;

impl Access {
    /// Calls `visit` with each candidate, each record once, until it has enough, which it has not before as many candidates as
    /// `ahead` says. What is read on the way, and no more, is remembered by the
    /// transaction.
    pub(crate) fn visit(
        &self,
        tx: &Transaction,
        bucket: &Bucket,
        direction: Direction,
        ahead: &Ahead,
        examined: &mut Examined,
        visit: &mut Visitor<'_>,
    ) -> Result<()> {
        match self {
            Self::Points(primary_keys) => {
                let each = |primary_key: &Bytes| {
                    examined.rows += 1;
                    match tx.get(&keys::row(bucket.id, primary_key))? {
                        Some(row) => {
                            visit(Candidate::of(primary_key.clone(), Row::from_stored(row)?))
                        }
                        None => Ok(Step::More),
                    }
                };
                until_enough(in_direction(primary_keys, direction), each).map(drop)
            }
            Self::Rows(range) => {
                let prefix = keys::row_prefix(bucket.id).len();
                scan(tx, range, direction, |entry| {
                    examined.rows += 1;
                    let row = Row::from_stored(entry.value)?;
                    visit(Candidate::of(entry.key.slice(prefix..), row))
                })
                .map(drop)
            }
            Self::Insertion { order_index, range } => {
                let mut fetch = Fetch::new(tx, bucket, ahead);
                fetch
                    .scan(
                        range,
                        direction,
                        examined,
                        &|_, key| Ok(KeyOf::Apart(key)),
                        &mut |candidate| {
                            let Candidate { entry, row, own, .. } = &candidate;
                            if *own && keys::order_entry(*order_index, row.position()) != entry {
                                return Ok(Step::More);
                            }
                            visit(candidate)
                        },
                    )
                    .map(drop)
            }
            Self::Index { index, ranges, key_at } => {
                // That the index is kept is read, too: once it is dropped, what
                // others commit has no entry in it and would not show there.
                tx.track_point(&keys::garbage(&keys::index_prefix(index.id)));
                let mut fetch = Fetch::new(tx, bucket, ahead);
                let mut own_entries = Vec::new();
                let may_hide = index.unique && own_view_differs(tx, bucket);
                let primary_key = |key: &Bytes, value: Bytes| match key_at {
                    _ if !value.is_empty() => Ok(KeyOf::Apart(value)),
                    Some(at) => Ok(KeyOf::Entry(*at)),
                    None => primary_key_at(index, key).map(KeyOf::Entry),
                };
                let mut take = |candidate: Candidate| {
                    if index.multi || candidate.own {
                        let Candidate { entry, row, .. } = &candidate;
                        own_entries.clear();
                        entries(index, row, candidate.primary_key(), &mut own_entries)?;
                        if first_met(&own_entries, ranges, direction) != Some(entry) {
                            return Ok(Step::More);
                        }
                    }
                    visit(candidate)
                };
                until_enough(in_direction(ranges, direction), |range| {
                    let step = fetch.scan(range, direction, examined, &primary_key, &mut take)?;
                    if step == Step::Enough || !may_hide {
                        return Ok(step);
                    }
                    until_enough(tx.view().scan(range, direction), |entry| {
                        let (key, value) = entry?;
                        if tx.get_untracked(&key)?.as_ref() == Some(&value) {
                            return Ok(Step::More);
                        }
                        fetch.one(key, value, examined, &primary_key, &mut take)
                    })
                })
                .map(drop)
            }
        }
    }
}

/// Whether others may have committed since the transaction wrote to the bucket
/// what its view shows now. Then an own write may hide a unique entry that is
/// another record's by now, so that unique indexes give no order, and what they
/// hide has to be looked for.
pub(crate) fn own_view_differs(tx: &Transaction, bucket: &Bucket) -> bool {
    if tx.isolation() != Isolation::ReadCommitted || tx.writes().is_empty() {
        return false;
    }
    let rows = KeyRange::prefix(&keys::row_prefix(bucket.id));
    tx.writes().rows_in(&rows).next().is_some()
}

/// Of a row's entries, the one that a scan of `ranges` meets first. A row with
/// several entries in the ranges is taken there and nowhere else, and an entry
/// that is not the row's own (read committed: the record was changed by others
/// after this transaction wrote it) is never taken.
fn first_met<'e>(
    entries: &'e [IndexEntry],
    ranges: &[KeyRange],
    direction: Direction,
) -> Option<&'e Bytes> {
    let met = entries.iter().map(|entry| &entry.key).filter(|key| {
        let at = ranges.partition_point(|range| range.start <= **key);
        at > 0 && ranges[at - 1].contains(key)
    });
    match direction {
        Direction::Forward => met.min(),
        Direction::Reverse => met.max(),
    }
}

fn in_direction<'a, T>(
    items: &'a [T],
    direction: Direction,
) -> Box<dyn Iterator<Item = &'a T> + 'a> {
    match direction {
        Direction::Forward => Box::new(items.iter()),
        Direction::Reverse => Box::new(items.iter().rev()),
    }
}

fn scan(
    tx: &Transaction,
    range: &KeyRange,
    direction: Direction,
    mut each: impl FnMut(MergedEntry) -> Result<Step>,
) -> Result<Step> {
    if range.is_empty() {
        return Ok(Step::More);
    }
    until_enough(tx.scan(range, direction), |entry| each(entry?))
}

fn until_enough<T>(
    items: impl Iterator<Item = T>,
    mut each: impl FnMut(T) -> Result<Step>,
) -> Result<Step> {
    for item in items {
        if each(item)? == Step::Enough {
            return Ok(Step::Enough);
        }
    }
    Ok(Step::More)
}
