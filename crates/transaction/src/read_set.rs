//! What a serializable transaction has read, as keys and key ranges.
//!
//! A point read of a missing key is a point like any other, and a scan is the
//! range it has covered, rows and index entries alike, so a phantom is an
//! ordinary write into a remembered range. The set is bounded: beyond the
//! limit, points and ranges of one bucket or index are replaced by the whole
//! bucket or index. That can only add conflicts.

use std::collections::BTreeSet;

use bytes::Bytes;
use tandem_storage::KeyRange;

/// The first byte and the id that name a bucket's rows or an index.
const GROUP_PREFIX: usize = 5;

/// Keys and ranges read so far.
#[derive(Debug, Default)]
pub struct ReadSet {
    points: BTreeSet<Bytes>,
    ranges: BTreeSet<KeyRange>,
    limit: usize,
}

impl ReadSet {
    /// A set that remembers `limit` entries exactly.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { points: BTreeSet::new(), ranges: BTreeSet::new(), limit: limit.max(1) }
    }

    /// Remembers that `key` was read, found or not.
    pub fn add_point(&mut self, key: &[u8]) {
        if !self.points.contains(key) {
            self.points.insert(Bytes::copy_from_slice(key));
            self.widen_beyond_limit();
        }
    }

    /// Remembers that every key of `range` was read, found or not.
    pub fn add_range(&mut self, range: KeyRange) {
        if !range.is_empty() && self.ranges.insert(range) {
            self.widen_beyond_limit();
        }
    }

    /// The keys read one by one.
    pub fn points(&self) -> impl Iterator<Item = &Bytes> {
        self.points.iter()
    }

    /// The ranges read.
    pub fn ranges(&self) -> impl Iterator<Item = &KeyRange> {
        self.ranges.iter()
    }

    /// Whether nothing was read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.points.is_empty() && self.ranges.is_empty()
    }

    fn widen_beyond_limit(&mut self) {
        if self.points.len() + self.ranges.len() <= self.limit {
            return;
        }
        let mut widened: BTreeSet<KeyRange> = BTreeSet::new();
        for point in &self.points {
            widened.insert(KeyRange::prefix(&point[..point.len().min(GROUP_PREFIX)]));
        }
        for range in &self.ranges {
            let prefix = &range.start[..range.start.len().min(GROUP_PREFIX)];
            let group = KeyRange::prefix(prefix);
            let inside = range
                .end
                .as_ref()
                .is_some_and(|end| group.end.as_ref().is_none_or(|group_end| end <= group_end));
            widened.insert(if inside { group } else { range.clone() });
        }
        self.points.clear();
        self.ranges = widened;
        if self.ranges.len() > self.limit {
            self.ranges = BTreeSet::from([KeyRange::all()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(set: &ReadSet, key: &[u8]) -> bool {
        set.points().any(|point| &point[..] == key) || set.ranges().any(|range| range.contains(key))
    }

    #[test]
    fn g10_a_full_read_set_is_widened_and_still_covers_what_was_read() {
        let mut set = ReadSet::new(8);
        for n in 0..100u8 {
            set.add_point(&[0x10, 0, 0, 0, n % 3, n]);
            set.add_range(KeyRange::new(vec![0x20, 0, 0, 0, 9, n], vec![0x20, 0, 0, 0, 9, n + 1]));
        }
        assert!(set.points().count() + set.ranges().count() <= 8);
        for n in 0..100u8 {
            assert!(covers(&set, &[0x10, 0, 0, 0, n % 3, n]));
            assert!(covers(&set, &[0x20, 0, 0, 0, 9, n]));
        }
        assert!(!covers(&set, &[0x10, 0, 0, 0, 7, 1]), "other buckets stay out");
    }

    #[test]
    fn g4_what_was_read_is_remembered_exactly_up_to_the_limit() {
        let mut set = ReadSet::new(4);
        assert!(set.is_empty());
        set.add_range(KeyRange::new(vec![5], vec![5]));
        assert!(set.is_empty(), "an empty range is nothing read");
        for n in 0..2 {
            set.add_point(&[0x10, 0, 0, 0, 1, n]);
            assert!(!set.is_empty());
            set.add_range(KeyRange::new(vec![0x20, 0, 0, 0, 1, n], vec![0x20, 0, 0, 0, 1, n + 1]));
        }
        // Once more the same: nothing new to remember.
        set.add_point(&[0x10, 0, 0, 0, 1, 1]);
        set.add_range(KeyRange::new(vec![0x20, 0, 0, 0, 1, 1], vec![0x20, 0, 0, 0, 1, 2]));
        assert_eq!((set.points().count(), set.ranges().count()), (2, 2));
        assert!(!covers(&set, &[0x10, 0, 0, 0, 1, 2]) && !covers(&set, &[0x20, 0, 0, 0, 1, 2]));
        set.add_point(&[0x10, 0, 0, 0, 1, 9]);
        assert!(covers(&set, &[0x10, 0, 0, 0, 1, 2]), "one more, and the bucket stands for it");
        assert!(!covers(&set, &[0x10, 0, 0, 0, 2]) && !covers(&set, &[0x20, 0, 0, 0, 2]));
    }

    #[test]
    fn g4_a_range_over_several_buckets_stays_as_it_was_read_when_others_are_widened() {
        let mut set = ReadSet::new(2);
        set.add_range(KeyRange::new(vec![0x10, 0, 0, 0, 1, 5], vec![0x10, 0, 0, 0, 3]));
        set.add_range(KeyRange { start: vec![0xFF, 9].into(), end: None });
        set.add_point(&[0x10, 0, 0, 0, 7, 1]);
        // Too many even when widened: everything was read.
        assert!(covers(&set, &[0]));
        let mut set = ReadSet::new(3);
        set.add_range(KeyRange::new(vec![0x10, 0, 0, 0, 1, 5], vec![0x10, 0, 0, 0, 3]));
        set.add_range(KeyRange { start: vec![0xFF, 9].into(), end: None });
        set.add_point(&[0x10, 0, 0, 0, 7, 1]);
        set.add_point(&[0x10, 0, 0, 0, 7, 2]);
        assert!(covers(&set, &[0x10, 0, 0, 0, 2, 8]) && covers(&set, &[0xFF, 10]));
        assert!(covers(&set, &[0x10, 0, 0, 0, 7, 3]));
        assert!(!covers(&set, &[0x10, 0, 0, 0, 1, 4]) && !covers(&set, &[0x10, 0, 0, 0, 3]));
        assert!(!covers(&set, &[0xFF, 8]) && !covers(&set, &[0]));
    }

    #[test]
    fn g4_a_range_to_the_end_of_a_bucket_is_widened_to_the_bucket() {
        let mut set = ReadSet::new(1);
        set.add_range(KeyRange::new(vec![0x10, 0, 0, 0, 1, 5], vec![0x10, 0, 0, 0, 2]));
        set.add_point(&[0x10, 0, 0, 0, 1, 1]);
        assert_eq!(set.ranges().collect::<Vec<_>>(), [&KeyRange::prefix(&[0x10, 0, 0, 0, 1])]);
    }
}
