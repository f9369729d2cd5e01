use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tandem_base::{Random, Result, SeededRandom};
use tandem_storage::{Durability, Entries, Entry, MemoryStorage, Snapshot, Storage};

use super::*;
use crate::cache::marked::Marked;

/// A state that counts how many scans were begun in it and how many entries were read.
struct Counted {
    state: Arc<dyn Snapshot>,
    scans: AtomicUsize,
    entries: Arc<AtomicUsize>,
}

impl Snapshot for Counted {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.state.get(key)
    }

    fn scan(&self, range: &KeyRange, direction: Direction) -> Entries<'_> {
        self.scans.fetch_add(1, Ordering::Relaxed);
        let entries = self.entries.clone();
        Box::new(self.state.scan(range, direction).inspect(move |_| {
            entries.fetch_add(1, Ordering::Relaxed);
        }))
    }
}

/// A store as the commit section leaves it behind: it writes, tells, publishes.
struct Published {
    storage: MemoryStorage,
    cache: RangeCache,
    number: u64,
}

/// What a reader holds.
struct Reader {
    number: u64,
    snapshot: Counted,
}

impl Published {
    fn new(capacity: usize) -> Self {
        let cache = RangeCache::new(capacity, Arc::new(Marked)).expect("more than nothing");
        Self { storage: MemoryStorage::new(), cache, number: 0 }
    }

    fn commit(&mut self, writes: &[(Bytes, Option<Bytes>)]) {
        let mut batch = WriteBatch::new();
        for (key, value) in writes {
            match value {
                Some(value) => batch.put(key.clone(), value.clone()),
                None => batch.delete(key.clone()),
            }
        }
        let written = self.cache.note(&batch);
        self.storage.write(batch, Durability::Buffered).expect("in memory");
        self.number += 1;
        self.cache.commit(self.number, written);
        self.check();
    }

    fn put(&mut self, keys: impl IntoIterator<Item = u32>) {
        let writes: Vec<_> = keys.into_iter().map(|n| (key(n), Some(value(n)))).collect();
        self.commit(&writes);
    }

    fn reader(&self) -> Reader {
        let state = self.storage.snapshot().expect("in memory");
        let snapshot = Counted { state, scans: AtomicUsize::new(0), entries: Arc::default() };
        Reader { number: self.number, snapshot }
    }

    fn scan<'a>(
        &'a self,
        reader: &'a Reader,
        range: &KeyRange,
        direction: Direction,
    ) -> CachedScan<'a> {
        CachedScan::new(&self.cache, &reader.snapshot, reader.number, range.clone(), direction)
    }

    /// The keys of `range` in the newest state, and how many the engine was asked for.
    fn read(&self, range: &KeyRange, most: usize) -> (Vec<Bytes>, usize) {
        let reader = self.reader();
        let entries = self.scan(&reader, range, Direction::Forward).take(most);
        let keys = entries.map(|entry| entry.expect("in memory").0).collect();
        self.check();
        (keys, reader.snapshot.entries.load(Ordering::Relaxed))
    }

    /// That what is known fits together.
    fn check(&self) {
        self.cache.read(|state| {
            let runs: Vec<&Arc<Run>> = state.runs.values().collect();
            assert!(runs.is_sorted_by(|a, b| a.end <= b.start), "they do not overlap");
            assert!(
                state.runs.iter().all(|(start, run)| start[..] == run.start && run.start < run.end)
            );
            assert_eq!(state.weight, runs.iter().map(|run| run.weight()).sum::<usize>());
            assert!(state.weight <= self.cache.capacity, "{}", state.weight);
            let noted = state.written.iter().map(|(_, keys)| weight_of(keys)).sum::<usize>();
            assert!(state.remembered == noted && noted <= REMEMBERED);
            for run in runs {
                let keys: Vec<&[u8]> = (0..run.len()).map(|at| run.key(at)).collect();
                assert!(keys.is_sorted_by(|a, b| a < b) && keys.iter().all(|key| run.covers(key)));
                let end = KeyRange::prefix(&run.start[..PREFIX]).end;
                assert!(end.is_none_or(|end| run.end <= end), "of one bucket or index");
            }
        });
    }

    fn runs(&self) -> usize {
        self.cache.read(|state| state.runs.len())
    }
}

fn key_in(space: u8, n: u32) -> Bytes {
    [&[space, 0, 0, 0, 7][..], &n.to_be_bytes()].concat().into()
}

fn key(n: u32) -> Bytes {
    key_in(keyspace::INDEX, n)
}

fn value(n: u32) -> Bytes {
    // As in an index, most have none.
    if n.is_multiple_of(3) { Bytes::from(format!("value {n}")) } else { Bytes::new() }
}

fn range(from: u32, to: u32) -> KeyRange {
    KeyRange { start: key(from), end: Some(key(to)) }
}

fn keys(numbers: impl IntoIterator<Item = u32>) -> Vec<Bytes> {
    numbers.into_iter().map(key).collect()
}

#[test]
fn what_was_read_once_is_not_read_from_the_engine_again() {
    let mut store = Published::new(1 << 20);
    store.put(0..100);
    assert_eq!(store.read(&range(10, 40), 100), (keys(10..40), 30));
    assert_eq!(store.read(&range(10, 40), 100), (keys(10..40), 0));
    assert_eq!(store.read(&range(15, 30), 100), (keys(15..30), 0), "a part of it");
    assert_eq!(store.read(&range(30, 60), 100), (keys(30..60), 20), "what is missing");
    assert_eq!(store.read(&range(0, 100), 100), (keys(0..100), 50), "on both sides");
    assert_eq!(store.read(&range(0, 100), 100), (keys(0..100), 0));
    assert_eq!(store.runs(), 1, "what joins is one");
    assert_eq!(store.read(&range(200, 300), 100), (vec![], 0));
    let reader = store.reader();
    assert_eq!(store.scan(&reader, &range(200, 300), Direction::Reverse).count(), 0);
    assert_eq!(reader.snapshot.scans.load(Ordering::Relaxed), 0, "that there is nothing is known");
}

#[test]
fn a_scan_that_is_broken_off_leaves_what_it_passed() {
    let mut store = Published::new(1 << 20);
    store.put(0..100);
    assert_eq!(store.read(&range(10, 90), 20), (keys(10..30), 20));
    assert_eq!(store.read(&range(10, 90), 20), (keys(10..30), 0));
    let reader = store.reader();
    let back: Vec<_> = store.scan(&reader, &range(0, 90), Direction::Reverse).take(20).collect();
    assert_eq!(back.first().unwrap().as_ref().unwrap().0, key(89));
    assert_eq!(store.read(&range(70, 90), 20), (keys(70..90), 0));
    assert_eq!(store.read(&range(69, 70), 20), (keys(69..70), 1), "no further than it came");
}

#[test]
fn g4_a_commit_shows_in_the_next_view_and_not_in_the_one_before() {
    let mut store = Published::new(1 << 20);
    store.put(0..10);
    let before = store.reader();
    assert_eq!(store.read(&range(0, 20), 100).0, keys(0..10));
    let mut under_way = store.scan(&before, &range(0, 20), Direction::Forward);
    assert_eq!(under_way.next().unwrap().unwrap().0, key(0));
    let reader = store.reader();
    let found = |reader: &Reader| {
        let all = store.scan(reader, &range(0, 20), Direction::Forward);
        all.map(|entry| entry.unwrap().0).collect::<Vec<_>>()
    };
    assert_eq!(found(&reader), keys(0..10));
    drop(under_way);
    store.commit(&[(key(12), Some(value(12))), (key(3), None)]);
    let now = keys((0..10).filter(|n| *n != 3).chain([12]));
    assert_eq!(store.read(&range(0, 20), 100).0, now);
    assert_eq!(store.read(&range(0, 20), 100), (now.clone(), 0));
    let old = store.scan(&before, &range(0, 20), Direction::Forward);
    assert_eq!(old.map(|entry| entry.unwrap().0).collect::<Vec<_>>(), keys(0..10));
    assert_eq!(store.read(&range(0, 20), 100).0, now, "the older reader left nothing behind");
}

#[test]
fn a_slow_reader_cannot_leave_a_range_that_was_written_in_meanwhile() {
    let mut store = Published::new(1 << 20);
    store.put(0..10);
    store.read(&range(0, 2), 10);
    let slow = store.reader();
    store.commit(&[(key(5), None)]);
    store.commit(&[(key(100), Some(value(100)))]);
    let read = |from, to| store.scan(&slow, &range(from, to), Direction::Forward).count();
    assert_eq!((read(4, 8), read(6, 8)), (4, 2));
    assert_eq!(store.read(&range(4, 6), 10), (keys([4]), 1));
    assert_eq!(store.read(&range(6, 8), 10), (keys(6..8), 0), "nobody wrote there");
}

#[test]
fn what_is_not_remembered_any_more_counts_as_written() {
    let mut store = Published::new(1 << 20);
    store.put(0..10);
    store.read(&range(0, 2), 10);
    let slow = store.reader();
    // More than are remembered, one by one and at once; all elsewhere.
    let many = u32::try_from(REMEMBERED / NOTE).expect("few");
    store.put(1_000..1_000 + many);
    assert_eq!(store.runs(), 0, "who writes much makes a bucket forget");
    assert_eq!(store.scan(&slow, &range(4, 8), Direction::Forward).count(), 4);
    assert_eq!(store.runs(), 0);
    store.read(&range(0, 2), 10);
    let slow = store.reader();
    (0..many).for_each(|n| store.put([1_000 + n]));
    assert_eq!(store.runs(), 1, "who writes little only forgets what it wrote");
    assert_eq!(store.scan(&slow, &range(4, 8), Direction::Forward).count(), 4);
    assert_eq!(store.runs(), 1);
}

/// Where one index ends the next one begins, as do what is known of both.
#[test]
fn g4_a_large_commit_in_one_index_shows_when_the_one_before_it_was_read_as_well() {
    let index = |number: u8| [keyspace::INDEX, 0, 0, 0, number];
    let whole = |number: u8| KeyRange::prefix(&index(number));
    let entry = |number: u8, n: u32| Bytes::from([&index(number)[..], &n.to_be_bytes()].concat());
    let mut store = Published::new(1 << 20);
    store.commit(&[(entry(7, 1), Some(value(1))), (entry(8, 1), Some(value(1)))]);
    store.read(&whole(7), 10);
    store.read(&whole(8), 10);
    // More than are looked for one by one, all in the second.
    let many = u32::try_from(REMEMBERED / NOTE).expect("few");
    let writes: Vec<_> = (2..many).map(|n| (entry(8, n), Some(value(n)))).collect();
    store.commit(&writes);
    assert_eq!(store.read(&whole(8), 2).0, [entry(8, 1), entry(8, 2)]);
}

#[test]
fn what_was_kept_while_a_group_was_written_unnoted_is_forgotten() {
    let mut store = Published::new(1 << 20);
    store.put(0..10);
    let slow = store.reader();
    let mut batch = WriteBatch::new();
    batch.delete(key(5));
    let written = store.cache.note(&batch);
    assert!(written.is_none(), "nobody reads ranges");
    store.storage.write(batch, Durability::Buffered).unwrap();
    assert_eq!(store.scan(&slow, &range(0, 10), Direction::Forward).count(), 10);
    assert_eq!(store.runs(), 1);
    store.number += 1;
    store.cache.commit(store.number, written);
    assert_eq!(store.read(&range(0, 10), 20), (keys((0..10).filter(|n| *n != 5)), 9));
    assert_eq!(store.scan(&slow, &range(0, 10), Direction::Forward).count(), 10);
    assert_eq!(store.read(&range(0, 10), 20).0.len(), 9);
}

#[test]
fn what_is_damaged_or_large_is_read_from_the_engine_each_time() {
    for odd in [Bytes::from_static(b"!damaged"), Bytes::from(vec![7; run::LARGEST_ENTRY])] {
        let mut store = Published::new(1 << 20);
        store.put(0..20);
        store.commit(&[(key(10), Some(odd.clone()))]);
        for direction in [Direction::Forward, Direction::Reverse] {
            for _ in 0..3 {
                let reader = store.reader();
                let all: Result<Vec<Entry>> =
                    store.scan(&reader, &range(0, 20), direction).collect();
                let all = all.unwrap();
                assert_eq!(all.len(), 20);
                assert!(all.contains(&(key(10), odd.clone())));
                store.check();
            }
        }
        assert!(store.cache.neighbours(&key(10), store.number).is_none());
        assert_eq!(store.read(&range(11, 20), 100), (keys(11..20), 0), "what comes after it is");
        assert_eq!(store.read(&range(0, 10), 100), (keys(0..10), 0), "as what comes before it");
        let beside = store.cache.neighbours(&key(9), store.number);
        assert_eq!(beside.unwrap().get(&key(9)), Some(Some(value(9))));
    }
}

#[test]
fn rows_that_were_only_looked_for_are_not_kept() {
    let mut store = Published::new(1 << 20);
    let row = |n| key_in(keyspace::ROW, n);
    let writes: Vec<_> = (0..20).map(|n| (row(n), Some(Bytes::from_static(b"row")))).collect();
    store.commit(&writes);
    let rows = KeyRange { start: row(0), end: Some(row(20)) };
    for (passed, kept) in [(7, 0), (8, 1)] {
        let reader = store.reader();
        assert_eq!(store.scan(&reader, &rows, Direction::Forward).take(passed).count(), passed);
        assert_eq!(store.runs(), kept);
    }
}

#[test]
fn neighbours_are_found_in_any_order_as_well_as_that_one_is_not_there() {
    let mut store = Published::new(1 << 20);
    store.put((0..40).map(|n| n * 3));
    store.read(&range(30, 90), 100);
    let mut near = store.cache.neighbours(&key(33), store.number).expect("it was read");
    for n in (30..90).chain((30..90).rev()).chain([60, 31, 89, 30]) {
        let expected = (n % 3 == 0).then(|| value(n));
        assert_eq!(near.get(&key(n)), Some(expected), "{n}");
    }
    assert_eq!((near.get(&key(29)), near.get(&key(90))), (None, None), "nobody knows");
    assert!(store.cache.neighbours(&key(33), store.number - 1).is_none(), "it may be newer");
}

#[test]
fn only_ranges_within_a_bucket_or_an_index_are_kept() {
    let prefix = |space: u8| KeyRange::prefix(&[space, 0, 0, 0, 7]);
    let kept: Vec<u8> = (0..=255).filter(|s| RangeCache::is_cacheable(&prefix(*s))).collect();
    assert_eq!(kept, [keyspace::ROW, keyspace::INDEX]);
    assert!(RangeCache::is_cacheable(&range(3, 5)));
    let from = |start: &[u8], end: Option<&[u8]>| KeyRange {
        start: Bytes::copy_from_slice(start),
        end: end.map(Bytes::copy_from_slice),
    };
    assert!(!RangeCache::is_cacheable(&KeyRange::all()));
    assert!(!RangeCache::is_cacheable(&from(&key(3), None)));
    assert!(!RangeCache::is_cacheable(&from(&key(3), Some(&[keyspace::INDEX, 0, 0, 0, 8, 1]))));
    assert!(!RangeCache::is_cacheable(&from(&[keyspace::INDEX, 0, 0, 0], Some(&key(3)))));
    let long = [&key(3)[..], &[0; LONGEST_BOUND]].concat();
    assert!(!RangeCache::is_cacheable(&from(&key(3), Some(&long))));
    assert!(!RangeCache::is_cacheable(&from(&long, Some(&key(4)))));
}

#[test]
fn g10_ranges_stay_within_their_bytes_and_what_is_read_again_stays() {
    let mut store = Published::new(64 << 10);
    store.put(0..20_000);
    for n in 0..1_000 {
        store.read(&range(n * 20, n * 20 + 20), 20);
        store.read(&range(0, 20), 20);
    }
    assert_eq!(store.read(&range(0, 20), 20), (keys(0..20), 0), "read again and again");
    assert!(store.cache.read(|state| state.weight) > 32 << 10, "it is used");
    let (all, _) = store.read(&range(0, 20_000), 20_000);
    assert_eq!(all, keys(0..20_000));
    assert_eq!(store.read(&range(0, 20), 20), (keys(0..20), 0), "a long scan displaces little");
}

#[test]
fn a_cache_of_no_bytes_is_none() {
    assert!(RangeCache::new(0, Arc::new(Marked)).is_none());
}

/// Whatever is written, read, broken off and held: each view reads its own state.
#[test]
fn g4_each_reader_sees_its_own_state_whatever_others_write_and_read() {
    for seed in 0..40 {
        let random = SeededRandom::new(seed);
        let below = |n: u64| random.next_u64() % n;
        let number = |n: u64| u32::try_from(below(n)).expect("small");
        let capacity = [2 << 10, 8 << 10, 1 << 20][number(3) as usize];
        let mut store = Published::new(capacity);
        store.put((0..300).filter(|n| n % 2 == 0));
        let mut readers = vec![store.reader()];
        for _ in 0..400 {
            match below(10) {
                0..=2 => {
                    let write = |_| {
                        let n = number(300);
                        (key(n), (below(2) == 0).then(|| value(n + number(9))))
                    };
                    let few = 1 + below(4);
                    let writes: Vec<_> = (0..few).map(write).collect();
                    store.commit(&writes);
                }
                3 => readers.push(store.reader()),
                4 if readers.len() > 3 => drop(readers.remove(0)),
                _ => {
                    let reader = &readers[number(readers.len() as u64) as usize];
                    let from = number(300);
                    let range = range(from, from + number(80));
                    let direction =
                        if below(2) == 0 { Direction::Forward } else { Direction::Reverse };
                    let most = if below(3) == 0 { usize::MAX } else { number(30) as usize };
                    let read: Result<Vec<Entry>> =
                        store.scan(reader, &range, direction).take(most).collect();
                    let truth: Result<Vec<Entry>> =
                        reader.snapshot.state.scan(&range, direction).take(most).collect();
                    assert_eq!(read.unwrap(), truth.unwrap(), "seed {seed}");
                    let probe = key(number(300));
                    if let Some(mut near) = store.cache.neighbours(&probe, reader.number) {
                        let known = near.get(&probe).expect("it is around that key");
                        assert_eq!(known, reader.snapshot.state.get(&probe).unwrap());
                    }
                    store.check();
                }
            }
        }
    }
}

/// How many entries the engine was asked for, in how many scans.
fn cost(store: &Published, range: &KeyRange, direction: Direction) -> (usize, usize) {
    let reader = store.reader();
    let read: Vec<_> = store.scan(&reader, range, direction).map(|entry| entry.unwrap()).collect();
    let truth = reader.snapshot.state.scan(range, direction).map(|entry| entry.unwrap());
    assert_eq!(read, truth.collect::<Vec<_>>());
    let Counted { scans, entries, .. } = &reader.snapshot;
    (entries.load(Ordering::Relaxed), scans.load(Ordering::Relaxed))
}

#[test]
fn a_scan_enters_a_run_that_is_worth_it_and_passes_over_a_smaller_one() {
    let one_and_a_small_one = || {
        let mut store = Published::new(1 << 20);
        store.put(0..100);
        store.read(&range(30, 38), 100);
        store.read(&range(60, 67), 100);
        store
    };
    for direction in [Direction::Forward, Direction::Reverse] {
        assert_eq!(cost(&one_and_a_small_one(), &range(0, 100), direction), (92, 2));
        assert_eq!(
            cost(&one_and_a_small_one(), &range(40, 67), direction),
            (20, 1),
            "{direction:?}"
        );
        assert_eq!(
            cost(&one_and_a_small_one(), &range(60, 90), direction),
            (23, 1),
            "{direction:?}"
        );
    }
}

#[test]
fn an_older_view_passes_over_what_newer_ones_have_kept() {
    for direction in [Direction::Forward, Direction::Reverse] {
        let mut store = Published::new(1 << 20);
        store.put(0..100);
        store.read(&range(0, 1), 100);
        let old = store.reader();
        store.commit(&[(key(200), None)]);
        store.read(&range(40, 60), 100);
        let count = || store.scan(&old, &range(10, 90), direction).count();
        assert_eq!(count(), 80);
        assert_eq!(old.snapshot.entries.load(Ordering::Relaxed), 80);
        assert_eq!(cost(&store, &range(10, 90), direction), (0, 0), "nobody wrote there since");
    }
}

#[test]
fn a_long_scan_is_kept_whole_where_there_is_room_and_else_its_beginning() {
    let long = range(10_000, 11_000);
    for (filled, kept) in [(0, 1_000), (4_000, MOST_KEPT)] {
        let mut store = Published::new(64 << 10);
        store.put((0..4_000).chain(10_000..11_000));
        store.read(&range(0, filled), 4_000);
        store.read(&long, 1_000);
        assert_eq!(1_000 - store.read(&long, 1_000).1, kept);
    }
}

/// What a long scan leaves behind where others would have to go for it.
const MOST_KEPT: usize = 4 * run::MOST_ENTRIES;

#[test]
fn a_run_that_is_an_eighth_of_the_cache_is_not_kept() {
    let mut store = Published::new(8 << 10);
    store.put(0..100);
    store.read(&range(0, 100), 100);
    assert_eq!(store.runs(), 0);
    store.read(&range(0, 10), 100);
    assert_eq!(store.runs(), 1);
}

#[test]
fn what_was_not_read_again_goes_first_and_not_all_of_it_is_spared() {
    let mut store = Published::new(64 << 10);
    store.put(0..20_000);
    let page = |n: u32| range(n * 20, n * 20 + 10);
    let mut filled = 0;
    while store.cache.read(|state| state.weight) < 60 << 10 {
        store.read(&page(filled), 10);
        filled += 1;
    }
    let again =
        |store: &Published| (0..filled).filter(|n| store.read(&page(*n), 10).1 == 0).count();
    for n in 0..5 {
        store.read(&page(n), 10);
    }
    (500..510).for_each(|n| _ = store.read(&page(n), 10));
    assert!((0..5).all(|n| store.read(&page(n), 10).1 == 0), "they were read again");
    // Now all are in use: who comes next has no long search.
    again(&store);
    store.read(&page(900), 10);
    store.check();
    assert_eq!(store.read(&page(900), 10).1, 0);
}

#[test]
fn where_there_is_no_room_one_scan_in_four_is_kept_and_what_is_read_again_soon_is() {
    let mut store = Published::new(64 << 10);
    store.put(0..20_000);
    let page = |n: u32| range(n * 20, n * 20 + 20);
    (0..400).for_each(|n| _ = store.read(&page(n), 20));
    let kept = |store: &Published| {
        let known = |n: &u32| store.cache.neighbours(&key(n * 20), store.number).is_some();
        (500..540).filter(known).count()
    };
    (500..540).for_each(|n| _ = store.read(&page(n), 20));
    assert_eq!(kept(&store), 10);
    let asked = (0..8).map(|_| store.read(&page(900), 20).1).sum::<usize>();
    assert!((20..=80).contains(&asked), "from its fourth reading on it is kept: {asked}");
}
