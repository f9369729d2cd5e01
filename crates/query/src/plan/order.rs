//! Whether an access delivers rows in the order asked for.

use tandem_record::catalog::{Bucket, Index};
use tandem_record::key;
use tandem_storage::Direction;

use crate::order::{Natural, Order, SortValues, invert};

/// How the order of an access relates to the order asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Served {
    /// It is that order.
    Exact,
    /// Sort values come in order, equal ones together but among themselves in
    /// any order.
    Groups,
    /// It is another order.
    Unordered,
}

/// How an index delivers the sort values.
#[derive(Clone, Debug)]
pub(crate) struct IndexOrder {
    /// What every entry begins with: index id and fixed parts.
    prefix: Vec<u8>,
    /// Per part of the sort, whether the prefix fixes its value.
    fixed: Vec<bool>,
    /// Whether index and sort have opposite directions.
    opposite: bool,
    /// Whether the sort is what the index has after the prefix, no more and no less.
    whole: bool,
}

impl IndexOrder {
    /// The sort values of a record by the values in its entry, if no more than that is in
    /// them. To read them from the row and to encode them was a quarter of the instructions
    /// of a page of 50 in an index's order (`docs/benchmarks.md`).
    pub(crate) fn sort_values<'e>(&self, values: &'e [u8]) -> Option<SortValues<'e>> {
        let bytes = values.strip_prefix(&self.prefix[..]).filter(|_| self.whole)?;
        Some(SortValues { bytes, inverted: self.opposite })
    }

    /// The index key that entries with these sort values begin with.
    pub(crate) fn entry_prefix(&self, order: &Order, sort_bytes: &[u8]) -> Option<Vec<u8>> {
        let mut entry = self.prefix.clone();
        let mut rest = sort_bytes;
        for (part, fixed) in order.parts.iter().zip(&self.fixed) {
            let value = key::skip_part(part.descending, &mut rest).ok()?;
            if !fixed {
                let at = entry.len();
                entry.extend_from_slice(value);
                if self.opposite {
                    invert(&mut entry[at..]);
                }
            }
        }
        Some(entry)
    }
}

/// The order of rows by key.
pub(crate) fn by_key(bucket: &Bucket, order: Option<&Order>) -> (Served, Direction) {
    let Some(order) = order else { return (Served::Exact, Direction::Forward) };
    match order.parts.first() {
        // Keys are unique: what follows in the sort never decides.
        Some(part) if is_key(bucket, part.path.as_str()) => {
            (Served::Exact, direction(part.descending))
        }
        Some(_) => (Served::Unordered, Direction::Forward),
        None if order.natural == Natural::Key => (Served::Exact, direction(order.reversed)),
        None => (Served::Unordered, Direction::Forward),
    }
}

/// The order of rows by insertion.
pub(crate) fn by_insertion(order: Option<&Order>) -> (Served, Direction) {
    match order {
        Some(order) if order.parts.is_empty() && order.natural == Natural::Position => {
            (Served::Exact, direction(order.reversed))
        }
        Some(_) => (Served::Unordered, Direction::Forward),
        None => (Served::Exact, Direction::Forward),
    }
}

/// The order of rows through an index whose first `fixed_parts` parts have one
/// value each, given by `prefix`.
pub(crate) fn by_index(
    index: &Index,
    fixed_parts: usize,
    prefix: Vec<u8>,
    order: Option<&Order>,
) -> (Served, Direction, Option<IndexOrder>) {
    let unordered = (Served::Unordered, Direction::Forward, None);
    let Some(order) = order else { return (Served::Exact, Direction::Forward, None) };
    if order.parts.is_empty() || index.multi {
        return unordered;
    }
    let (fixed_prefix, mut free) = index.parts.split_at(fixed_parts);
    let mut fixed = Vec::with_capacity(order.parts.len());
    let mut opposite = None;
    for part in &order.parts {
        let is_fixed = fixed_prefix.iter().any(|given| given.path == part.path);
        fixed.push(is_fixed);
        if is_fixed {
            continue;
        }
        let Some((next, rest)) = free.split_first() else { return unordered };
        let differs = next.descending != part.descending;
        if next.path != part.path || *opposite.get_or_insert(differs) != differs {
            return unordered;
        }
        free = rest;
    }
    let opposite = opposite.unwrap_or(false);
    let whole = free.is_empty() && !fixed.contains(&true);
    (Served::Groups, direction(opposite), Some(IndexOrder { prefix, fixed, opposite, whole }))
}

/// Whether `path` is the key field. A key field with a dot in its name cannot
/// be told from a path, so it is none.
pub(crate) fn is_key(bucket: &Bucket, path: &str) -> bool {
    bucket.key_field == path && !path.contains('.')
}

fn direction(reverse: bool) -> Direction {
    if reverse { Direction::Reverse } else { Direction::Forward }
}
