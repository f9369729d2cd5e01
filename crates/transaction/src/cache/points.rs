//! The newest committed values of keys that are read often.
//!
//! An entry says: *this is the value of the key in every view from number `since`
//! up to the newest one*. A view may use it if it is not older than that; an
//! older view reads the engine. Two rules keep the sentence true:
//!
//! 1. a commit replaces the entries of what it wrote **before** its view is
//!    published, so no view of it can meet an older value;
//! 2. a reader that got a value from the engine may leave it here only if
//!    nobody wrote the key after the reader's view.
//!
//! For the second rule each key belongs to one of [`STRIPES`] locks that hold
//! the newest view for which any of their keys was written. Readers that
//! find what they look for take no lock of ours.
//!
//! Only points are kept (ranges are [beside](super::ranges)), and only of spaces whose
//! keys are read again ([`is_cacheable`](PointCache::is_cacheable)). The cache holds copies, so that it never keeps an
//! engine's block alive, and what is in it is whole: the engine's answers are
//! [looked at](Derive::is_whole) before they are taken, and what a commit wrote never
//! left memory. So nobody has to reckon a checksum for what is found here: to open rows was
//! 14 % of the instructions of a read by an index, most of it that.
//!
//! On the disk engine a read by key went from 1.4 to 3.4 times SQLite's rate, on the
//! memory engine, whose map is searched node by node, from 0.35 to 0.55 times that of a
//! bare ordered map (`docs/benchmarks.md`).

mod copy;

use std::hash::BuildHasher;
use std::sync::{Arc, PoisonError};
use tandem_base::sync::Mutex;

use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::{Cache, DefaultLifecycle};
use smallvec::SmallVec;
use tandem_base::Random;

use crate::derive::Derive;
use crate::hash::Seeded;
use crate::keyspace;

const STRIPES: usize = 4_096;

/// What an entry costs beyond the bytes of its key and value: the entry and its place,
/// the count of the value's holders, and what its piece is longer on average.
const OVERHEAD: usize = 176;

/// Values that are a larger part of the whole cache than this are not kept.
const LARGEST_PART: u64 = 64;

/// A key, within the entry if it is short: to compare it, nothing else is read.
type Key = SmallVec<[u8; 32]>;

/// See the [module](self).
pub(crate) struct PointCache {
    entries: Cache<Key, Entry, Weigh, Seeded, DefaultLifecycle<Key, Entry>>,
    hasher: Seeded,
    written: Box<[Mutex<u64>]>,
    largest: usize,
    derive: Arc<dyn Derive>,
}

#[derive(Clone)]
struct Entry {
    since: u64,
    value: Option<Bytes>,
}

impl PointCache {
    /// A cache of at most `bytes` (0 = none).
    pub(crate) fn new(bytes: usize, random: &dyn Random, derive: Arc<dyn Derive>) -> Option<Self> {
        if bytes == 0 {
            return None;
        }
        let hasher = Seeded::draw(random);
        let capacity = bytes as u64;
        let entries =
            Cache::with(bytes / 512, capacity, Weigh, hasher.clone(), DefaultLifecycle::default());
        let written = (0..STRIPES).map(|_| Mutex::new(0)).collect();
        let largest = usize::try_from(capacity / LARGEST_PART).unwrap_or(usize::MAX);
        Some(Self { entries, hasher, written, largest, derive })
    }

    /// Whether values of that key are kept at all: rows and counters are read
    /// by key again and again, other spaces are scanned or read once.
    pub(crate) fn is_cacheable(key: &[u8]) -> bool {
        matches!(key.first(), Some(&(keyspace::ROW | keyspace::COUNTER)))
    }

    /// The value of `key` in view `number`, if the cache can tell.
    pub(crate) fn get(&self, key: &[u8], number: u64) -> Option<Option<Bytes>> {
        let entry = self.entries.get(key)?;
        (entry.since <= number).then_some(entry.value)
    }

    /// Takes what the engine answered for `key` in view `number`, unless it is damaged.
    /// That there is nothing is kept, too: whoever inserts has asked for that, and so has
    /// the new row at hand as soon as it is committed.
    pub(crate) fn offer(&self, key: &[u8], number: u64, value: Option<&Bytes>) {
        let is_kept =
            |value: &Bytes| value.len() <= self.largest && self.derive.is_whole(key, value);
        if !value.is_none_or(is_kept) {
            return;
        }
        let written = self.stripe(key).lock().unwrap_or_else(PoisonError::into_inner);
        if *written <= number {
            let value = value.map(|value| copy::of(value));
            self.entries.insert(Key::from_slice(key), Entry { since: number, value });
        }
    }

    /// Whether something can be taken in without displacing anything, as far as one can
    /// tell: keys spread over parts that fill one by one.
    pub(crate) fn has_room(&self) -> bool {
        self.entries.weight() < self.entries.capacity() / 8 * 7
    }

    /// Takes what a commit wrote, before view `number` is published.
    pub(crate) fn commit(&self, number: u64, key: &Bytes, value: Option<Bytes>) {
        let mut written = self.stripe(key).lock().unwrap_or_else(PoisonError::into_inner);
        *written = number;
        if value.as_ref().is_some_and(|value| value.len() > self.largest) {
            self.entries.remove(&key[..]);
        } else {
            // Only what is there already: writing alone does not make a key hot.
            let value = value.map(|value| copy::of(&value));
            let _ =
                self.entries.replace(Key::from_slice(key), Entry { since: number, value }, true);
        }
    }

    fn stripe(&self, key: &[u8]) -> &Mutex<u64> {
        let hash = self.hasher.hash_one(key);
        &self.written[(hash >> 32) as usize % STRIPES]
    }
}

#[derive(Clone)]
struct Weigh;

impl Weighter<Key, Entry> for Weigh {
    fn weight(&self, key: &Key, entry: &Entry) -> u64 {
        (key.len() + entry.value.as_ref().map_or(0, Bytes::len) + OVERHEAD) as u64
    }
}

#[cfg(test)]
mod tests {
    use tandem_base::SeededRandom;

    use super::*;
    use crate::cache::marked::Marked;

    fn seeded(bytes: usize, seed: u64) -> Option<PointCache> {
        PointCache::new(bytes, &SeededRandom::new(seed), Arc::new(Marked))
    }

    fn cache(bytes: usize) -> PointCache {
        seeded(bytes, 1).expect("more than nothing")
    }

    fn row(name: &str) -> Bytes {
        [&[keyspace::ROW][..], name.as_bytes()].concat().into()
    }

    fn text(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    fn value(of: &'static str) -> Option<Bytes> {
        Some(text(of))
    }

    #[test]
    fn an_older_view_never_meets_a_newer_value() {
        let cache = cache(1 << 20);
        cache.offer(&row("a"), 3, Some(&text("old")));
        assert_eq!(cache.get(&row("a"), 3), Some(value("old")));
        assert_eq!(cache.get(&row("a"), 2), None, "nobody knows when it was written");
        cache.commit(5, &row("a"), value("new"));
        assert_eq!(cache.get(&row("a"), 4), None);
        assert_eq!(cache.get(&row("a"), 5), Some(value("new")));
        cache.commit(6, &row("a"), None);
        assert_eq!(cache.get(&row("a"), 6), Some(None), "it is known to be deleted");
    }

    #[test]
    fn what_is_damaged_is_not_kept() {
        let cache = cache(1 << 20);
        cache.offer(&row("a"), 3, Some(&text("!old")));
        assert_eq!(cache.get(&row("a"), 3), None, "whoever reads it has to see it");
        cache.offer(&row("a"), 3, Some(&text("old")));
        cache.offer(&row("b"), 3, None);
        assert_eq!(cache.get(&row("a"), 3), Some(value("old")));
        assert_eq!(cache.get(&row("b"), 3), Some(None));
    }

    #[test]
    fn a_row_that_was_looked_for_in_vain_is_at_hand_once_it_is_inserted() {
        let cache = cache(1 << 20);
        cache.offer(&row("a"), 3, None);
        cache.commit(4, &row("a"), value("new"));
        assert_eq!(cache.get(&row("a"), 4), Some(value("new")));
    }

    #[test]
    fn a_slow_reader_cannot_leave_a_value_that_was_overwritten_meanwhile() {
        let cache = cache(1 << 20);
        cache.commit(7, &row("a"), value("new"));
        cache.offer(&row("a"), 6, Some(&text("old")));
        assert_eq!(cache.get(&row("a"), 7), None);
        cache.offer(&row("a"), 7, Some(&text("new")));
        assert_eq!(cache.get(&row("a"), 8), Some(value("new")));
    }

    #[test]
    fn g10_the_cache_stays_within_its_bytes() {
        let cache = cache(64 << 10);
        for n in 0..10_000 {
            cache.offer(&row(&n.to_string()), 1, Some(&Bytes::from(vec![0; 100])));
        }
        let held = cache.entries.len() * (5 + 100);
        assert!((16 << 10..64 << 10).contains(&held), "{held} bytes of keys and values");
        cache.offer(&row("large"), 1, Some(&Bytes::from(vec![0; 2_000])));
        assert_eq!(cache.get(&row("large"), 1), None, "one value does not displace many");
    }

    #[test]
    fn there_is_room_until_an_eighth_is_left() {
        let cache = cache(64 << 10);
        let mut held = 0;
        while cache.has_room() {
            cache.offer(&row(&held.to_string()), 1, Some(&Bytes::from(vec![0; 100])));
            held += 1;
        }
        let full = (64 << 10) / (OVERHEAD + 100 + 5);
        assert!((full * 7 / 8..=full).contains(&held), "{held} of {full}");
    }

    #[test]
    fn a_cache_of_no_bytes_is_none_and_rows_and_counters_are_what_is_kept() {
        assert!(seeded(0, 1).is_none());
        let kept: Vec<_> = (0..=255).filter(|space| PointCache::is_cacheable(&[*space])).collect();
        assert_eq!(kept, [keyspace::COUNTER, keyspace::ROW]);
        assert!(!PointCache::is_cacheable(&[]));
    }

    #[test]
    fn a_value_of_a_64th_of_the_cache_is_kept_and_a_larger_one_is_not() {
        let cache = cache(64 << 10);
        let bytes = |length| Bytes::from(vec![7; length]);
        cache.offer(&row("a"), 1, Some(&bytes(1 << 10)));
        assert_eq!(cache.get(&row("a"), 1), Some(Some(bytes(1 << 10))));
        cache.commit(2, &row("a"), Some(bytes((1 << 10) - 1)));
        cache.commit(3, &row("a"), Some(bytes(1 << 10)));
        assert_eq!(cache.get(&row("a"), 3), Some(Some(bytes(1 << 10))));
        cache.commit(4, &row("a"), Some(bytes((1 << 10) + 1)));
        assert_eq!(cache.get(&row("a"), 4), None, "what it was is forgotten all the same");
        cache.offer(&row("a"), 4, Some(&bytes((1 << 10) + 1)));
        assert_eq!(cache.get(&row("a"), 4), None);
    }

    #[test]
    fn writing_alone_makes_no_key_worth_keeping() {
        let cache = cache(1 << 20);
        cache.commit(1, &row("a"), value("1"));
        assert_eq!(cache.get(&row("a"), 1), None);
    }

    #[test]
    fn keys_spread_over_the_stripes_by_a_seed_of_each_store() {
        let stripes = |seed| {
            let cache = seeded(1 << 20, seed).expect("some");
            let first = cache.written.as_ptr();
            let stripe = |n: u32| {
                let stripe = std::ptr::from_ref(cache.stripe(&row(&n.to_string())));
                (stripe as usize - first as usize) / size_of::<Mutex<u64>>()
            };
            (0..10_000).map(stripe).collect::<Vec<_>>()
        };
        let used = |of: &[usize]| of.iter().collect::<std::collections::HashSet<_>>().len();
        let (one, other) = (stripes(1), stripes(2));
        // 10,000 keys at random leave one stripe in 11 empty.
        assert!(used(&one) > STRIPES * 8 / 10, "{}", used(&one));
        assert!(one != other && one == stripes(1));
    }
}
