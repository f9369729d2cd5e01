//! How often a measured quantity was how large.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const BUCKETS: usize = 65;

/// Counts values in buckets whose bounds double: bucket *n* holds the values
/// below 2ⁿ that the one before does not. Recording takes two additions and
/// never waits; values are whole, durations in nanoseconds.
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum: AtomicU64,
}

/// A [`Histogram`] at one moment. Taken while others record, its sum may be
/// ahead of its counts or behind them by what they are recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistogramSnapshot {
    buckets: [u64; BUCKETS],
    sum: u64,
}

impl Histogram {
    /// Counts one value.
    pub fn record(&self, value: u64) {
        let bucket = u64::BITS - value.leading_zeros();
        self.buckets[bucket as usize].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// Counts one duration, in nanoseconds.
    pub fn record_duration(&self, duration: Duration) {
        self.record(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    /// What was counted until now.
    #[must_use]
    pub fn snapshot(&self) -> HistogramSnapshot {
        HistogramSnapshot {
            buckets: std::array::from_fn(|bucket| self.buckets[bucket].load(Ordering::Relaxed)),
            sum: self.sum.load(Ordering::Relaxed),
        }
    }
}

impl HistogramSnapshot {
    /// How many values were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Their sum, wrapping at 2⁶⁴: that of durations after 584 years of them.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// How many values were below 2^`exponent`.
    #[must_use]
    pub fn below(&self, exponent: usize) -> u64 {
        self.buckets.iter().take(exponent + 1).sum()
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: [const { AtomicU64::new(0) }; BUCKETS], sum: AtomicU64::new(0) }
    }
}

impl std::fmt::Debug for Histogram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let counted = self.snapshot();
        f.debug_struct("Histogram")
            .field("count", &counted.count())
            .field("sum", &counted.sum())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_below_the_next_power_of_two() {
        let histogram = Histogram::default();
        for value in [0, 1, 2, 3, 4, 1_000, u64::MAX / 2] {
            histogram.record(value);
        }
        let counted = histogram.snapshot();
        assert_eq!(counted.count(), 7);
        assert_eq!(counted.sum(), 10 + 1_000 + u64::MAX / 2);
        let below = [0, 1, 2, 3, 9, 10, 62, 63].map(|exponent| counted.below(exponent));
        assert_eq!(below, [1, 2, 4, 5, 5, 6, 6, 7]);
    }

    #[test]
    fn durations_are_counted_in_nanoseconds() {
        let histogram = Histogram::default();
        histogram.record_duration(Duration::from_micros(3));
        histogram.record_duration(Duration::MAX);
        assert_eq!(histogram.snapshot().below(12), 1);
        assert_eq!(histogram.snapshot().below(64), 2);
    }
}
