use bytes::Bytes;
use tandem_base::{Error, Result};
use tandem_record::catalog::Bucket;
use tandem_record::filter::Filter;
use tandem_record::row::Row;
use tandem_transaction::Transaction;

use crate::execute::access::{Examined, Step};
use crate::execute::fetch::{Ahead, Candidate};
use crate::execute::top::{Sorted, Top};
use crate::order::{Order, OrderKey};
use crate::plan::{Plan, Served};

/// A matching row and its place in the order.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) order: OrderKey,
    pub(crate) primary_key: Bytes,
    pub(crate) row: Row,
}

impl Found {
    /// Roughly what it holds in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.row.bytes().len()
    }
}

/// Room is made at once for all rows of a page, if it has no more than so many.
const PAGE: usize = 64;

/// How much may be held at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) rows: usize,
    pub(crate) bytes: usize,
}

/// What an ordered read asks for.
pub(crate) struct Collection<'a> {
    pub(crate) filter: Option<&'a Filter>,
    pub(crate) order: &'a Order,
    /// Only rows after this place.
    pub(crate) after: Option<&'a OrderKey>,
    /// How many rows, at most.
    pub(crate) wanted: usize,
    /// Whether a group of equal sort values that has been begun is to be
    /// delivered whole, beyond `wanted`: it was paid for already.
    pub(crate) whole_groups: bool,
    /// Bytes of rows that are enough as well: a portion of a stream.
    pub(crate) enough_bytes: usize,
    /// What may be answered.
    pub(crate) result: Bounds,
    /// What may be held to sort it.
    pub(crate) sort: Bounds,
}

/// The matching rows in order, and what was read to find them.
pub(crate) fn collect(
    tx: &Transaction,
    bucket: &Bucket,
    plan: &Plan,
    collection: &Collection<'_>,
    examined: &mut Examined,
) -> Result<Vec<Found>> {
    let Collection { filter, order, after, wanted, whole_groups, enough_bytes, result, sort } =
        *collection;
    let filter = filter.filter(|_| !plan.decides_filter);
    // Room for a page at once, not step by step.
    let is_page = wanted <= PAGE && plan.served != Served::Unordered && !plan.one_record;
    let room = if is_page { wanted } else { 0 };
    let mut out = Answer { rows: Vec::with_capacity(room), bytes: 0, bounds: result };
    if wanted == 0 {
        return Ok(out.rows);
    }
    let sorting_wanted = if whole_groups { usize::MAX } else { wanted };
    let mut group = Top::new(sorting_wanted, sort);
    // How many candidates are surely wanted when so many rows are found: all, where they
    // are to be sorted; otherwise one for each that is missing, and one to see that a
    // group is over. Where bytes end a portion, nobody knows; to read more than was wanted
    // does no harm if nobody remembers it.
    let surely = |found: usize| match plan.served {
        Served::Unordered => usize::MAX,
        _ if enough_bytes < usize::MAX && tx.remembers_reads() => 1,
        Served::Exact => wanted.saturating_sub(found),
        Served::Groups => wanted.saturating_sub(found).saturating_add(1),
    };
    let ahead = Ahead::new(surely(0));
    let place = |candidate: &Candidate| {
        let (row, primary_key) = (&candidate.row, candidate.primary_key());
        let Some(values) = plan.sort_values(candidate.values()) else {
            return order.key(row, primary_key);
        };
        let place = order.key_of(values, row, primary_key);
        debug_assert_eq!(place, order.key(row, primary_key), "an index is in order (G3)");
        place
    };
    let mut take = |candidate: Candidate| -> Result<Step> {
        if let Some(filter) = filter
            && !filter.try_matches(&candidate.row)?
        {
            // The last group needed may be over although nothing matches any more.
            let enough = plan.served == Served::Groups
                && group.len() > 0
                && out.rows.len() + group.len() >= wanted
                && !has_values(&group, place(&candidate).sort_bytes());
            return Ok(if enough { Step::Enough } else { Step::More });
        }
        let order = place(&candidate);
        if after.is_some_and(|after| order.bytes <= after.bytes) {
            return Ok(Step::More);
        }
        let (primary_key, row) = candidate.into_parts();
        let found = Found { order, primary_key, row };
        match plan.served {
            Served::Exact => {
                out.push(found)?;
                if out.rows.len() >= wanted || out.bytes >= enough_bytes {
                    return Ok(Step::Enough);
                }
            }
            Served::Groups => {
                if !has_values(&group, found.order.sort_bytes()) {
                    match group.take_one() {
                        Some(one) => out.push(one)?,
                        None => out.extend(group.take_sorted(), sorting_wanted)?,
                    }
                    if out.rows.len() >= wanted || out.bytes >= enough_bytes {
                        return Ok(Step::Enough);
                    }
                }
                group.push(found)?;
            }
            Served::Unordered => group.push(found)?,
        }
        ahead.set(surely(out.rows.len() + group.len()));
        Ok(Step::More)
    };
    plan.access.visit(tx, bucket, plan.direction, &ahead, examined, &mut take)?;
    out.extend(group.take_sorted(), sorting_wanted)?;
    Ok(out.rows)
}

/// Whether the rows of a group have these sort values.
fn has_values(group: &Top, sort_bytes: &[u8]) -> bool {
    group.any().is_some_and(|any| any.order.sort_bytes() == sort_bytes)
}

/// The rows to be answered, which are never more than they may be.
struct Answer {
    rows: Vec<Found>,
    bytes: usize,
    bounds: Bounds,
}

impl Answer {
    fn push(&mut self, found: Found) -> Result<()> {
        self.bytes += found.bytes();
        let Bounds { rows, bytes } = self.bounds;
        if self.rows.len() >= rows {
            return Err(Error::limit("resultRows", rows as u64, rows as u64 + 1));
        }
        if self.bytes > bytes {
            return Err(Error::limit("resultBytes", bytes as u64, self.bytes as u64));
        }
        self.rows.push(found);
        Ok(())
    }

    /// Takes rows up to `wanted` in all.
    fn extend(&mut self, found: Sorted, wanted: usize) -> Result<()> {
        let bytes: usize = found.iter().map(Found::bytes).sum();
        if self.rows.is_empty()
            && found.len() > 1
            && found.len() <= wanted.min(self.bounds.rows)
            && bytes <= self.bounds.bytes
        {
            // All of them and nothing else: as they lie.
            self.bytes = bytes;
            self.rows = found.into_vec();
            return Ok(());
        }
        let room = wanted.saturating_sub(self.rows.len());
        self.rows.reserve(found.len().min(room));
        found.into_iter().take(room).try_for_each(|found| self.push(found))
    }
}

/// Calls `each` with every matching row, in no particular order.
pub(crate) fn for_each(
    tx: &Transaction,
    bucket: &Bucket,
    plan: &Plan,
    filter: Option<&Filter>,
    examined: &mut Examined,
    each: &mut dyn FnMut(Bytes, Row) -> Result<()>,
) -> Result<()> {
    let filter = filter.filter(|_| !plan.decides_filter);
    let ahead = Ahead::new(usize::MAX);
    plan.access.visit(tx, bucket, plan.direction, &ahead, examined, &mut |candidate| {
        let (primary_key, row) = candidate.into_parts();
        let matches = match filter {
            Some(filter) => filter.try_matches(&row)?,
            None => true,
        };
        if matches {
            each(primary_key, row)?;
        }
        Ok(Step::More)
    })
}
