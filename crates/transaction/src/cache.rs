//! What is kept in memory of the newest state, so that the engine need not be asked:
//! [single keys](points) and [ranges of entries](ranges) that are read often.

mod points;
mod ranges;

use std::sync::Arc;

use bytes::Bytes;
use tandem_base::Random;
use tandem_storage::WriteBatch;

use crate::derive::Derive;
use crate::limits::TransactionLimits;
pub(crate) use points::PointCache;
pub use ranges::Neighbours;
pub(crate) use ranges::{CachedScan, RangeCache};

/// The caches of a store.
pub(crate) struct Caches {
    pub(crate) points: Option<PointCache>,
    pub(crate) ranges: Option<RangeCache>,
}

/// What a group wrote, as far as the caches have to learn it.
pub(crate) struct Learnt {
    points: Vec<(Bytes, Option<Bytes>)>,
    ranges: ranges::Written,
}

impl Caches {
    /// The caches of a store whose newest commit is `revision`, as large as `limits` say.
    pub(crate) fn new(
        limits: &TransactionLimits,
        revision: u64,
        random: &dyn Random,
        derive: &Arc<dyn Derive>,
    ) -> Self {
        let (points, ranges) = (limits.record_cache_bytes, limits.range_cache_bytes);
        Self {
            points: PointCache::new(points, revision, random, derive.clone()),
            ranges: RangeCache::new(ranges, revision, derive.clone()),
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

    /// Learns what a group wrote, before its view, which is of `revision`, is published.
    pub(crate) fn learn(&self, revision: u64, learnt: Learnt) {
        if let Some(cache) = &self.points {
            let Learnt { points, .. } = learnt;
            points.into_iter().for_each(|(key, value)| cache.commit(revision, &key, value));
        }
        if let Some(cache) = &self.ranges {
            cache.commit(revision, learnt.ranges);
        }
    }
}
