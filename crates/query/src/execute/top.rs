use std::cmp::Ordering;
use std::collections::BinaryHeap;

use tandem_base::{Error, Result};

use crate::execute::{Bounds, Found};

/// Sorts rows in memory and keeps the first `wanted` of them; never holds more
/// than its bounds.
pub(crate) struct Top {
    heap: BinaryHeap<Ranked>,
    bytes: usize,
    wanted: usize,
    bounds: Bounds,
}

impl Top {
    pub(crate) fn new(wanted: usize, bounds: Bounds) -> Self {
        Self { heap: BinaryHeap::new(), bytes: 0, wanted, bounds }
    }

    /// Takes in one row. Cost: the logarithm of what is held.
    ///
    /// # Errors
    /// `LIMIT_EXCEEDED` naming `sortRows` or `sortBytes`.
    pub(crate) fn push(&mut self, found: Found) -> Result<()> {
        if self.heap.len() < self.wanted {
            if self.heap.len() >= self.bounds.rows {
                let max = self.bounds.rows as u64;
                return Err(Error::limit("sortRows", max, max + 1));
            }
            self.bytes += found.bytes();
            self.heap.push(Ranked(found));
        } else if let Some(mut last) = self.heap.peek_mut()
            && found.order < last.0.order
        {
            self.bytes = self.bytes + found.bytes() - last.0.bytes();
            *last = Ranked(found);
        }
        if self.bytes > self.bounds.bytes {
            return Err(Error::limit("sortBytes", self.bounds.bytes as u64, self.bytes as u64));
        }
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }

    /// The rows kept, in order.
    pub(crate) fn into_sorted(self) -> Vec<Found> {
        self.heap.into_sorted_vec().into_iter().map(|Ranked(found)| found).collect()
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
