use std::cmp::Ordering;
use std::collections::BinaryHeap;

use smallvec::SmallVec;
use tandem_base::{Error, Result};

use crate::execute::{Bounds, Found};

/// Sorts rows in memory and keeps the first `wanted` of them; never holds more
/// than its bounds.
pub(crate) struct Top {
    kept: Kept,
    bytes: usize,
    wanted: usize,
    bounds: Bounds,
}

/// Room for so many rows is made at once.
const FEW: usize = 32;

/// Rows in order. One alone, as most groups of equal sort values are, takes no memory of
/// its own.
pub(crate) type Sorted = SmallVec<[Found; 1]>;

enum Kept {
    /// No more than are wanted: in the order in which they came.
    Few(Sorted),
    /// As many as are wanted, the last of them at hand.
    Most(BinaryHeap<Ranked>),
}

impl Top {
    pub(crate) fn new(wanted: usize, bounds: Bounds) -> Self {
        Self { kept: Kept::Few(Sorted::new()), bytes: 0, wanted, bounds }
    }

    /// Takes in one row. Cost: the logarithm of what is held, once that is as
    /// much as is wanted.
    ///
    /// # Errors
    /// `LIMIT_EXCEEDED` naming `sortRows` or `sortBytes`.
    pub(crate) fn push(&mut self, found: Found) -> Result<()> {
        if let Kept::Few(rows) = &mut self.kept
            && rows.len() >= self.wanted
        {
            let rows = std::mem::take(rows);
            self.kept = Kept::Most(rows.into_iter().map(Ranked).collect());
        }
        match &mut self.kept {
            Kept::Few(rows) => {
                if rows.len() >= self.bounds.rows {
                    let max = self.bounds.rows as u64;
                    return Err(Error::limit("sortRows", max, max + 1));
                }
                self.bytes += found.bytes();
                if rows.len() == 1 && !rows.spilled() {
                    rows.reserve(self.wanted.min(FEW));
                }
                rows.push(found);
            }
            Kept::Most(heap) => {
                if let Some(mut last) = heap.peek_mut()
                    && found.order < last.0.order
                {
                    self.bytes = self.bytes + found.bytes() - last.0.bytes();
                    *last = Ranked(found);
                }
            }
        }
        if self.bytes > self.bounds.bytes {
            return Err(Error::limit("sortBytes", self.bounds.bytes as u64, self.bytes as u64));
        }
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        match &self.kept {
            Kept::Few(rows) => rows.len(),
            Kept::Most(heap) => heap.len(),
        }
    }

    /// One of the rows kept.
    pub(crate) fn any(&self) -> Option<&Found> {
        match &self.kept {
            Kept::Few(rows) => rows.first(),
            Kept::Most(heap) => heap.peek().map(|Ranked(found)| found),
        }
    }

    /// The row kept, if it is one alone; then none is left.
    pub(crate) fn take_one(&mut self) -> Option<Found> {
        let Kept::Few(rows) = &mut self.kept else { return None };
        let one = if rows.len() == 1 { rows.pop() } else { None };
        if one.is_some() {
            self.bytes = 0;
        }
        one
    }

    /// The rows kept, in order; none are left.
    pub(crate) fn take_sorted(&mut self) -> Sorted {
        self.bytes = 0;
        let mut rows = match std::mem::replace(&mut self.kept, Kept::Few(Sorted::new())) {
            Kept::Few(rows) => rows,
            Kept::Most(heap) => heap.into_iter().map(|Ranked(found)| found).collect(),
        };
        // Where they came in order, as through an index in the natural order, that is seen
        // in one pass.
        rows.sort_unstable_by(|a, b| a.order.cmp(&b.order));
        rows
    }
}

struct Ranked(Found);

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.order.cmp(&other.0.order)
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ranked {}
