use std::cmp::Ordering;
use std::collections::BinaryHeap;

use tandem_base::{Error, Result};

use crate::execute::Found;

/// Sorts rows in memory and keeps the first `wanted` of them; never holds more
/// than `max_rows`.
pub(crate) struct Top {
    heap: BinaryHeap<Ranked>,
    wanted: usize,
    max_rows: usize,
}

impl Top {
    pub(crate) fn new(wanted: usize, max_rows: usize) -> Self {
        Self { heap: BinaryHeap::new(), wanted, max_rows }
    }

    /// Takes in one row. Cost: the logarithm of what is held.
    ///
    /// # Errors
    /// `LIMIT_EXCEEDED` naming `sortRows`.
    pub(crate) fn push(&mut self, found: Found) -> Result<()> {
        if self.heap.len() < self.wanted {
            if self.heap.len() >= self.max_rows {
                let max = self.max_rows as u64;
                return Err(Error::limit("sortRows", max, max + 1));
            }
            self.heap.push(Ranked(found));
        } else if let Some(mut last) = self.heap.peek_mut()
            && found.order < last.0.order
        {
            *last = Ranked(found);
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
