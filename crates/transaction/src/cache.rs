//! What is kept in memory of the newest state, so that the engine need not be asked:
//! [single keys](points) and [ranges of entries](ranges) that are read often.
//!
//! Which view knows what is told by the views' *numbers*, which count what was published.
//! A revision would not do: background work that takes none changes counters and index
//! entries all the same, and the views before and after it have one revision.

#[cfg(test)]
mod marked;
mod points;
mod ranges;

use std::sync::Arc;

use bytes::Bytes;
use tandem_base::Random;
use tandem_base::sync::atomic::{AtomicU64, Ordering};
use tandem_storage::WriteBatch;

use crate::derive::Derive;
use crate::limits::TransactionLimits;
pub(crate) use points::PointCache;
pub use ranges::Neighbours;
pub(crate) use ranges::{CachedScan, RangeCache};

/// The caches of a store.
pub(crate) struct Caches {
    /// The number of the newest view.
    newest: AtomicU64,
    pub(crate) points: Option<PointCache>,
    pub(crate) ranges: Option<RangeCache>,
}

/// What a group wrote, as far as the caches have to learn it.
pub(crate) struct Learnt {
    points: Vec<(Bytes, Option<Bytes>)>,
    ranges: ranges::Written,
}

impl Caches {
    /// The caches of a store that is opened, as large as `limits` say.
    pub(crate) fn new(
        limits: &TransactionLimits,
        random: &dyn Random,
        derive: &Arc<dyn Derive>,
    ) -> Self {
        let (points, ranges) = (limits.record_cache_bytes, limits.range_cache_bytes);
        Self {
            newest: AtomicU64::new(0),
            points: PointCache::new(points, random, derive.clone()),
            ranges: RangeCache::new(ranges, derive.clone()),
        }
    }

    /// What of `batch` they have to [learn](Self::learn) when it is published.
    pub(crate) fn note(&self, batch: &WriteBatch) -> Learnt {
        let points = self.points.as_ref().map_or_else(Vec::new, |_| {
            let operations = batch.operations().iter();
            operations
                .filter(|operation| PointCache::is_cacheable(operation.key()))
                .map(|operation| (operation.key().clone(), operation.value().cloned()))
                .collect()
        });
        Learnt { points, ranges: self.ranges.as_ref().and_then(|ranges| ranges.note(batch)) }
    }

    /// The number of the newest view, or of the one that is about to be published.
    pub(crate) fn newest(&self) -> u64 {
        self.newest.load(Ordering::Acquire)
    }

    /// Learns what a group wrote, before its view is published, which has the number after
    /// the newest one. Groups come one after the other.
    pub(crate) fn learn(&self, learnt: Learnt) {
        let number = self.newest() + 1;
        if let Some(cache) = &self.points {
            let Learnt { points, .. } = learnt;
            points.into_iter().for_each(|(key, value)| cache.commit(number, &key, value));
        }
        if let Some(cache) = &self.ranges {
            cache.commit(number, learnt.ranges);
        }
        self.newest.store(number, Ordering::Release);
    }
}
