//! What is kept in memory of ranges and records changes no answer: the same random
//! operations on a store that keeps nothing and on others that keep little or much, every
//! answer compared, errors and cursors too.
//!
//! `SEED=n` replays one run, `SEEDS=n` makes so many, from there on if both are given.

#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::assert_clean;
use serde_json::{Map, Value, json};
use tandem::layers::base::SeededRandom;
use tandem::layers::storage::{MemoryStorage, Snapshot, Storage, WriteBatch};
use tandem::{
    Bucket, BucketConfig, Code, Durability, Environment, Error, Find, Isolation, Limits, Random,
    Record, Result, SimulatedClock, Store, Transaction, TransactionLimits, TransactionOptions,
};

const SEEDS: u64 = 8;
const OPERATIONS: u64 = 500;
const SLOTS: usize = 4;
const KEYS: u64 = 60;

/// What the stores keep of records and of ranges. The first keeps nothing.
const KEPT: [(usize, usize); 4] = [(0, 0), (0, 6 << 10), (8 << 10, 40 << 10), (64 << 20, 32 << 20)];

/// An engine whose syncs fail when they are told to.
struct Fragile {
    engine: MemoryStorage,
    fails: AtomicBool,
}

impl Storage for Fragile {
    fn get(&self, key: &[u8]) -> Result<Option<bytes::Bytes>> {
        self.engine.get(key)
    }

    fn snapshot(&self) -> Result<Arc<dyn Snapshot>> {
        self.engine.snapshot()
    }

    fn write(&self, batch: WriteBatch, durability: Durability) -> Result<()> {
        if durability == Durability::Sync && self.fails.load(Ordering::Relaxed) {
            return Err(Error::new(Code::StorageError, "The disk is gone"));
        }
        self.engine.write(batch, durability)
    }

    fn name(&self) -> &'static str {
        self.engine.name()
    }

    fn approximate_size(&self) -> Result<u64> {
        self.engine.approximate_size()
    }
}

enum Place {
    Memory(Arc<Fragile>),
    Directory(tempfile::TempDir),
}

/// One of the stores, and what is open in it.
struct One {
    place: Place,
    kept: (usize, usize),
    durability: Durability,
    clock: Arc<SimulatedClock>,
    // Before the store, which they belong to.
    open: [Option<Transaction>; SLOTS],
    cursors: [Option<String>; SLOTS],
    store: Store,
}

impl One {
    fn new(seed: u64, kept: (usize, usize), durability: Durability, on_disk: bool) -> Self {
        let place = if on_disk {
            Place::Directory(tempfile::tempdir().unwrap())
        } else {
            let engine = MemoryStorage::new();
            Place::Memory(Arc::new(Fragile { engine, fails: AtomicBool::new(false) }))
        };
        let (store, clock) = open(seed, 0, &place, durability, kept);
        let (open, cursors) = Default::default();
        Self { place, kept, durability, clock, open, cursors, store }
    }

    fn bucket(&self, slot: Option<usize>, name: &'static str) -> Bucket<'_> {
        match slot.and_then(|slot| self.open[slot].as_ref()) {
            Some(tx) => tx.bucket(name),
            None => self.store.bucket(name),
        }
    }

    fn reopen(&mut self, seed: u64, elapsed: u64) {
        self.open = Default::default();
        self.store.close();
        // The directory is free when the last handle is gone.
        self.store = Store::builder().memory().background(false).open().unwrap();
        if let Place::Memory(engine) = &self.place {
            engine.fails.store(false, Ordering::Relaxed);
        }
        (self.store, self.clock) = open(seed, elapsed, &self.place, self.durability, self.kept);
    }
}

fn open(
    seed: u64,
    elapsed: u64,
    place: &Place,
    durability: Durability,
    (record_cache_bytes, range_cache_bytes): (usize, usize),
) -> (Store, Arc<SimulatedClock>) {
    let (environment, clock) = Environment::simulated(seed);
    clock.advance(Duration::from_secs(elapsed));
    let long = Duration::from_secs(1 << 30);
    let transaction = TransactionLimits {
        record_cache_bytes,
        range_cache_bytes,
        total_time: long,
        idle_time: long,
        ..TransactionLimits::default()
    };
    let limits = Limits { transaction, maintenance_step: 7, ..Limits::default() };
    let builder = match place {
        Place::Memory(engine) => Store::builder().storage(engine.clone()),
        Place::Directory(directory) => Store::builder().path(directory.path()),
    };
    let builder = builder.durability(durability);
    let store = builder.environment(environment).limits(limits).background(false).open().unwrap();
    (store, clock)
}

struct Run {
    random: SeededRandom,
    seed: u64,
    ones: Vec<One>,
    elapsed: u64,
    figures: Figures,
}

#[derive(Debug, Default, Clone, Copy)]
struct Figures {
    operations: u64,
    reads: u64,
    records: u64,
    refused: u64,
    reopened: u64,
}

fn items() -> BucketConfig {
    BucketConfig::from_json(json!({
        "key": "id",
        "schema": { "id": {}, "a": {}, "b": {}, "u": {}, "tags": {}, "o": {}, "on": {} },
        "indexes": indexes(),
    }))
    .unwrap()
}

fn indexes() -> Vec<Value> {
    vec![
        json!({ "fields": ["a"], "name": "a" }),
        json!({ "fields": ["b", "-a"], "name": "b_a" }),
        json!({ "fields": ["-a", "b"], "name": "down" }),
        json!({ "fields": ["u"], "unique": true, "name": "u" }),
        json!({ "fields": ["tags"], "multi": true, "name": "tags" }),
        json!({ "fields": ["b", "tags"], "multi": true, "name": "b_tags" }),
        json!({ "fields": ["a"], "filter": { "on": true }, "name": "partial" }),
        json!({ "fields": ["o.x"], "name": "nested" }),
        json!({ "fields": ["b", "u"], "unique": true, "name": "b_u" }),
    ]
}

/// In this order, so that much is written right behind what little is read whole.
const BUCKETS: [&str; 5] = ["items", "keyed", "brief", "few", "bulk"];

fn configs() -> [BucketConfig; 5] {
    [
        items(),
        items().ordered_by_key(),
        items().ttl(Duration::from_secs(40)),
        BucketConfig::new("id").ordered_by_key(),
        BucketConfig::new("id").ordered_by_key().index("a").index("b"),
    ]
}

impl Run {
    fn new(seed: u64) -> Self {
        // Some are on disk, now and then.
        let on_disk = seed % 4 == 3;
        let durability = if on_disk { Durability::Buffered } else { Durability::Sync };
        let ones = KEPT.iter().enumerate();
        let ones = ones.map(|(at, kept)| One::new(seed, *kept, durability, on_disk && at >= 2));
        let ones = ones.collect();
        let figures = Figures::default();
        let run = Self { random: SeededRandom::new(seed), seed, ones, elapsed: 0, figures };
        for one in &run.ones {
            for (name, config) in BUCKETS.into_iter().zip(configs()) {
                one.store.define_bucket(name, config).unwrap();
            }
        }
        run
    }

    fn below(&self, n: u64) -> u64 {
        self.random.next_u64() % n
    }

    fn chance(&self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn pick<'a, T>(&self, of: &'a [T]) -> &'a T {
        &of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }

    /// Does the same with each, which must answer the same.
    fn same(&mut self, what: &str, act: impl Fn(&mut One) -> Result<Value>) -> Option<Value> {
        let mut answers = self.ones.iter_mut().map(|one| match act(one) {
            Ok(answer) => Ok(answer),
            Err(error) => Err((error.code(), error.message().to_owned())),
        });
        let expected = answers.next().unwrap();
        for (at, answer) in answers.enumerate() {
            assert_eq!(answer, expected, "store {}: {what}", at + 1);
        }
        self.figures.operations += 1;
        self.figures.refused += u64::from(expected.is_err());
        expected.ok()
    }

    fn value(&self) -> Value {
        match self.below(14) {
            0 => Value::Null,
            1 => json!(self.chance(50)),
            2 => json!(*self.pick(&["", "x", "xy", "y\u{0}z"])),
            3 => json!(*self.pick(&[-1.5, 0.5, -0.0, 1e300])),
            4 => json!(*self.pick(&[-1_i64, -2, i64::MAX, i64::MIN, 9_007_199_254_740_993])),
            _ => json!(self.below(12)),
        }
    }

    fn fields(&self) -> Map<String, Value> {
        let mut fields = Map::new();
        let mut put = |name: &str, value| fields.insert(name.to_owned(), value);
        for (name, percent) in [("a", 85), ("b", 70), ("u", 40)] {
            if self.chance(percent) {
                let value = if name == "u" { json!(self.below(200)) } else { self.value() };
                put(name, value);
            }
        }
        if self.chance(50) {
            put("tags", (0..self.below(4)).map(|_| json!(self.below(6))).collect());
        }
        if self.chance(40) {
            put("o", json!({ "x": self.value() }));
        }
        if self.chance(60) {
            put("on", json!(self.chance(60)));
        }
        // Some are too large to be kept, and few so large that little else is.
        match self.below(40) {
            0..=2 => put("text", "t".repeat(5_000).into()),
            3 => put("text", "t".repeat(100_000).into()),
            _ => put("text", "t".repeat(usize::try_from(self.below(300)).unwrap()).into()),
        };
        fields
    }

    fn key(&self, bucket: &str) -> Value {
        match bucket {
            "bulk" => json!(format!("{:100}{:04}", "", self.below(800))),
            "keyed" => json!(format!("k{:03}", self.below(KEYS))),
            _ => json!(self.below(KEYS)),
        }
    }

    fn slot(&self) -> Option<usize> {
        self.chance(60).then(|| usize::try_from(self.below(SLOTS as u64)).unwrap())
    }

    fn step(&mut self) {
        match self.below(100) {
            0..=37 => self.read(),
            38..=67 => self.write(),
            68..=75 => self.begin(),
            76..=83 => self.end(),
            84..=88 => self.savepoint(),
            89..=92 => self.maintain(),
            93..=94 => self.define(),
            95..=97 => self.bulk(),
            98 => {
                let seconds = self.below(30);
                self.elapsed += seconds;
                self.same("time passes", |one| {
                    one.clock.advance(Duration::from_secs(seconds));
                    Ok(Value::Null)
                });
            }
            _ if self.chance(70) => {}
            _ => self.reopen(),
        }
    }

    fn condition(&self) -> Value {
        let from = self.below(12);
        match self.below(9) {
            0 => json!({ "$gte": from, "$lt": from + 1 + self.below(6) }),
            1 => json!({ "$gt": from }),
            2 => json!({ "$lte": from }),
            3 => json!({ "$in": [self.value(), self.value(), from] }),
            4 => json!({ "$exists": self.chance(70) }),
            5 => json!({ "$startsWith": "x" }),
            _ => self.value(),
        }
    }

    fn filter(&self, bucket: &str) -> Value {
        let mut filter = Map::new();
        for _ in 0..self.below(3) {
            let field = *self.pick(&["a", "b", "u", "tags", "o.x", "on", "id"]);
            let condition = match field {
                "on" => json!(true),
                "u" => json!({ "$gte": self.below(200) }),
                "id" if self.chance(50) => json!({ "$gt": self.key(bucket) }),
                "id" => self.key(bucket),
                "tags" => json!(self.below(6)),
                _ => self.condition(),
            };
            filter.insert(field.to_owned(), condition);
        }
        Value::Object(filter)
    }

    fn read(&mut self) {
        let bucket = *self.pick(&BUCKETS);
        self.read_in(bucket);
    }

    fn read_in(&mut self, bucket: &'static str) {
        let slot = self.slot();
        let filter = self.filter(bucket);
        let by = ["a", "b", "-a", "-b", "u", "-u", "o.x", "-o.x", "id", "-id"];
        let sort: Vec<&str> = (0..self.below(3)).map(|_| *self.pick(&by)).collect();
        let limit = usize::try_from(self.below(20)).unwrap();
        let offset = if self.chance(20) { 3 } else { 0 };
        let (kind, place, key) = (self.below(8), self.below(SLOTS as u64), self.key(bucket));
        let place = usize::try_from(place).unwrap();
        let what = format!("{bucket} {slot:?} {kind} {filter} by {sort:?}, {limit}, {offset}");
        let answer = self.same(&what, |one| {
            let all = one.bucket(slot, bucket);
            match kind {
                0 => all.count(filter.clone()).map(Value::from),
                1 => all.get(key.clone()).map(|record| record.map_or(Value::Null, shown)),
                2 => all.first(limit).map(all_shown),
                3 => all.last(limit).map(all_shown),
                4 => {
                    let find = with(all.find(filter.clone()), &sort).offset(offset);
                    let records = find.iter()?.take(limit).map(|one| one.map(shown));
                    records.collect::<Result<Vec<_>>>().map(Value::from)
                }
                5 => {
                    // On from where some read was, whatever has been written since.
                    let mut find = with(all.find(filter.clone()), &sort).limit(limit.max(1));
                    if let Some(cursor) = &one.cursors[place] {
                        find = find.after(cursor.as_str());
                    }
                    find.records().map(all_shown)
                }
                6 => {
                    let mut pages = Vec::new();
                    let mut find = with(all.find(filter.clone()), &sort).limit(limit.max(3));
                    loop {
                        let page = find.page()?;
                        pages.extend(page.records.iter().map(Record::to_json));
                        match page.next_cursor.filter(|_| page.has_more) {
                            Some(cursor) => find = find.after(cursor),
                            None => break,
                        }
                    }
                    Ok(pages.into())
                }
                _ => {
                    let page = with(all.find(filter.clone()), &sort).limit(limit).page()?;
                    one.cursors[place].clone_from(&page.next_cursor);
                    let items = all_shown(page.records);
                    Ok(json!([items, page.has_more, page.next_cursor]))
                }
            }
        });
        self.figures.reads += 1;
        if let Some(Value::Array(records)) = answer {
            self.figures.records += records.len() as u64;
        }
    }

    fn write(&mut self) {
        let (bucket, slot) = (*self.pick(&BUCKETS[..4]), self.slot());
        let (kind, key, mut fields) = (self.below(10), self.key(bucket), self.fields());
        let filter = self.filter(bucket);
        if bucket == "few" {
            fields.remove("text");
        }
        if matches!(kind, 0..=3 | 6 | 7) {
            fields.insert("id".to_owned(), key.clone());
        }
        let fields = Value::Object(fields);
        let what = format!("{bucket} {slot:?} {kind} {key} {filter}");
        self.same(&what, |one| {
            let all = one.bucket(slot, bucket);
            match kind {
                0..=3 => all.insert(fields.clone()).map(shown),
                4 | 5 => all.update(key.clone(), fields.clone()).map(shown),
                6 => all.replace(key.clone(), fields.clone()).map(shown),
                7 => all.upsert(fields.clone()).map(shown),
                8 => all.delete(key.clone()).map(Value::from),
                _ if filter == json!({}) => Ok(Value::Null),
                _ => all.delete_many(filter.clone()).map(Value::from),
            }
        });
    }

    fn begin(&mut self) {
        let slot = usize::try_from(self.below(SLOTS as u64)).unwrap();
        let mut options = TransactionOptions::new().isolation(*self.pick(&Isolation::ALL));
        if self.chance(30) {
            options = options.read_only();
        }
        self.same("begin", |one| {
            if one.open[slot].is_none() {
                one.open[slot] = Some(one.store.begin_with(&options)?);
            }
            Ok(one.open[slot].as_ref().unwrap().revision().into())
        });
    }

    fn end(&mut self) {
        let slot = usize::try_from(self.below(SLOTS as u64)).unwrap();
        let commits = self.chance(70);
        self.same("end", |one| match one.open[slot].take() {
            Some(tx) if commits => tx.commit().map(|receipt| json!(receipt.revision)),
            _ => Ok(Value::Null),
        });
    }

    fn savepoint(&mut self) {
        let slot = usize::try_from(self.below(SLOTS as u64)).unwrap();
        let kind = self.below(5);
        self.same("savepoint", |one| {
            let Some(tx) = &one.open[slot] else { return Ok(Value::Null) };
            match kind {
                0 | 1 => tx.savepoint("s"),
                2 | 3 => tx.rollback_to("s"),
                _ => tx.release("s"),
            }
            .map(Value::from)
        });
    }

    /// A few steps of what is done in the background.
    fn maintain(&mut self) {
        let steps = self.below(6);
        self.same("maintain", |one| {
            let left = Cell::new(steps);
            one.store.maintain_until(|| left.replace(left.get().saturating_sub(1)) == 0)?;
            Ok(Value::Null)
        });
    }

    fn define(&mut self) {
        let at = usize::try_from(self.below(3)).unwrap();
        let (bucket, config) = (BUCKETS[at], &configs()[at]);
        let (index, kind, slot) = (self.pick(&indexes()).clone(), self.below(12), self.slot());
        let name = index["name"].as_str().unwrap().to_owned();
        self.same(&format!("define {bucket} {name} {kind}"), |one| {
            let index = tandem::IndexConfig::from_json(index.clone())?;
            let tx = slot.and_then(|slot| one.open[slot].as_ref());
            match (kind, tx) {
                (0..=2, None) => one.store.drop_index(bucket, &name).map(Value::from),
                (3 | 4, None) => one.store.create_index(bucket, index).map(Value::from),
                (5..=8, None) => {
                    one.store.create_index_in_background(bucket, index).map(Value::from)
                }
                (0..=2, Some(tx)) => tx.drop_index(bucket, &name).map(Value::from),
                (3..=8, Some(tx)) => tx.create_index(bucket, index).map(Value::from),
                (9, None) => {
                    one.store.drop_bucket(bucket)?;
                    one.store.define_bucket(bucket, config.clone()).map(Value::from)
                }
                _ => Ok(Value::Null),
            }
        });
    }

    /// So many records at once that a cache does not look for each, where it was read.
    fn bulk(&mut self) {
        let all = json!({ "b": { "$gte": 0 } });
        let some = json!({ "b": { "$lt": self.below(400) } });
        let (from, by, slot) = (self.below(100), 1 + self.below(4), self.slot());
        let most = if self.chance(60) { 500 } else { 60 };
        let key = |n: u64| format!("{:100}{:04}", "", from + n * by);
        let record = |n: u64| json!({ "id": key(n), "a": n % 50, "b": n });
        let records: Vec<Value> = (0..most).map(record).collect();
        let kinds = if self.chance(60) { vec![0, 2] } else { vec![self.below(4)] };
        for kind in kinds {
            for bucket in ["few", "bulk", "few", "bulk", "bulk"] {
                self.read_in(bucket);
            }
            self.same(&format!("bulk {slot:?} {kind} {some}"), |one| {
                let bulk = one.bucket(slot, "bulk");
                match kind {
                    0 => bulk.delete_many(all.clone()).map(Value::from),
                    1 => bulk.delete_many(some.clone()).map(Value::from),
                    3 => bulk.update_many(some.clone(), json!({ "a": from % 50 })).map(Value::from),
                    _ => bulk.insert_many(records.clone()).map(all_shown),
                }
            });
        }
        (0..3).for_each(|_| self.read_in("bulk"));
    }

    fn reopen(&mut self) {
        let is_in_memory = self.ones.iter().all(|one| matches!(one.place, Place::Memory(_)));
        if is_in_memory && self.chance(50) {
            for one in &self.ones {
                let Place::Memory(engine) = &one.place else { continue };
                engine.fails.store(true, Ordering::Relaxed);
            }
            // What was published before can be read, as often as one likes.
            for _ in 0..4 {
                self.write();
                self.end();
                (0..6).for_each(|_| self.read());
            }
        }
        self.figures.reopened += 1;
        let (seed, elapsed) = (self.seed + self.figures.reopened, self.elapsed);
        self.ones.iter_mut().for_each(|one| one.reopen(seed, elapsed));
    }
}

fn with<'a>(find: Find<'a>, sort: &[&str]) -> Find<'a> {
    sort.iter().fold(find, |find, by| find.sort(by))
}

fn shown(record: Record) -> Value {
    record.to_json()
}

fn all_shown(records: Vec<Record>) -> Value {
    records.into_iter().map(shown).collect()
}

fn run(seed: u64) -> Figures {
    let mut run = Run::new(seed);
    while run.figures.operations < OPERATIONS {
        run.step();
    }
    run.reopen();
    (0..20).for_each(|_| run.read());
    run.ones.iter().for_each(|one| assert_clean(&one.store));
    run.figures
}

#[test]
fn g3_g4_what_is_kept_changes_no_answer() {
    let setting = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let first = setting("SEED");
    let runs = setting("SEEDS").unwrap_or(if first.is_some() { 1 } else { SEEDS });
    let first = first.unwrap_or(0);
    let mut all = Figures::default();
    for seed in first..first + runs {
        match std::panic::catch_unwind(|| run(seed)) {
            Ok(figures) => {
                all.operations += figures.operations;
                all.reads += figures.reads;
                all.records += figures.records;
                all.refused += figures.refused;
                all.reopened += figures.reopened;
            }
            Err(panic) => {
                eprintln!("run again with SEED={seed}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    println!("{all:?}");
    // Otherwise nothing was shown.
    assert!(all.records > 100 * runs && all.refused * 2 < all.operations, "{all:?}");
}

/// Several threads write, each its own records; others read by index and by range. What
/// each read must be the state of its revision, which is known when all are done.
#[test]
fn g4_readers_of_ranges_see_the_state_of_their_revision_whoever_writes() {
    const WRITERS: u64 = 2;
    const EACH: u64 = 40;
    for (seed, kept) in KEPT.iter().enumerate().skip(1) {
        let engine = MemoryStorage::new();
        let engine = Arc::new(Fragile { engine, fails: AtomicBool::new(false) });
        let (store, _) = open(seed as u64, 0, &Place::Memory(engine), Durability::Sync, *kept);
        store.define_bucket("things", BucketConfig::new("id").index("a").index("b")).unwrap();
        type Written = Vec<(u64, u64, Option<u64>)>;
        let written: Mutex<Written> = Mutex::default();
        let done = AtomicBool::new(false);
        let write = |writer: u64| {
            let random = SeededRandom::new(seed as u64 * 10 + writer);
            for _ in 0..400 {
                let tx =
                    store.begin_with(&TransactionOptions::new().isolation(Isolation::Snapshot));
                let (tx, mut changes) = (tx.unwrap(), Vec::new());
                for _ in 0..=random.next_u64() % 3 {
                    let id = random.next_u64() % EACH * WRITERS + writer;
                    let value =
                        (!random.next_u64().is_multiple_of(4)).then(|| random.next_u64() % 30);
                    let things = tx.bucket("things");
                    match value {
                        Some(value) => {
                            things.upsert(json!({ "id": id, "a": value, "b": value % 3 })).map(drop)
                        }
                        None => things.delete(id).map(drop),
                    }
                    .unwrap();
                    changes.push((id, value));
                }
                let revision = tx.commit().unwrap().revision;
                let changes = changes.into_iter().map(|(id, value)| (revision, id, value));
                written.lock().unwrap().extend(changes);
            }
        };
        let read = |reader: u64| {
            let random = SeededRandom::new(seed as u64 * 10 + 5 + reader);
            let mut seen = Vec::new();
            while !done.load(Ordering::Relaxed) {
                let options = TransactionOptions::new().isolation(Isolation::Snapshot).read_only();
                let tx = store.begin_with(&options).unwrap();
                let revision = tx.revision();
                for _ in 0..6 {
                    let from = random.next_u64() % 30;
                    let until = from + 1 + random.next_u64() % 8;
                    let limit = usize::try_from(1 + random.next_u64() % 40).unwrap();
                    let is_down = random.next_u64().is_multiple_of(2);
                    let find =
                        tx.bucket("things").find(json!({ "a": { "$gte": from, "$lt": until } }));
                    let found = find.sort(if is_down { "-a" } else { "a" }).sort("id").limit(limit);
                    let number =
                        |record: &Record, name| record.get(name).unwrap().as_u64().unwrap();
                    let found: Vec<(u64, u64)> = found
                        .records()
                        .unwrap()
                        .iter()
                        .map(|record| (number(record, "id"), number(record, "a")))
                        .collect();
                    seen.push((revision, from..until, is_down, limit, found));
                }
            }
            seen
        };
        let (write, read) = (&write, &read);
        let seen = std::thread::scope(|scope| {
            let readers: Vec<_> = (0..2).map(|n| scope.spawn(move || read(n))).collect();
            let writers: Vec<_> = (0..WRITERS).map(|n| scope.spawn(move || write(n))).collect();
            let ended: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
            done.store(true, Ordering::Relaxed);
            let seen = readers.into_iter().flat_map(|reader| reader.join().unwrap());
            let seen: Vec<_> = seen.collect();
            ended.into_iter().for_each(|ended| ended.unwrap());
            seen
        });
        let mut written = written.into_inner().unwrap();
        // Stable: within a commit the last one stands.
        written.sort_by_key(|(revision, ..)| *revision);
        let mut seen = seen;
        seen.sort_by_key(|(revision, ..)| *revision);
        let (mut state, mut next) = (std::collections::BTreeMap::new(), 0);
        println!("{} reads, {} writes", seen.len(), written.len());
        for (revision, range, is_down, limit, found) in seen {
            while let Some((at, id, value)) = written.get(next).filter(|(at, ..)| *at <= revision) {
                debug_assert!(*at <= revision);
                match value {
                    Some(value) => state.insert(*id, *value),
                    None => state.remove(id),
                };
                next += 1;
            }
            let mut expected: Vec<(u64, u64)> =
                state.iter().map(|(id, a)| (*id, *a)).filter(|(_, a)| range.contains(a)).collect();
            expected.sort_by_key(|(id, a)| (if is_down { u64::MAX - a } else { *a }, *id));
            expected.truncate(limit);
            assert_eq!(found, expected, "at {revision}: {range:?} {is_down} {limit}");
        }
        assert_clean(&store);
    }
}

/// Where a bucket ends the next one begins.
#[test]
fn g4_a_large_commit_shows_in_a_bucket_that_was_read_with_the_one_before_it() {
    let store = Store::builder().memory().background(false).open().unwrap();
    for name in ["one", "other"] {
        store.define_bucket(name, BucketConfig::new("id").ordered_by_key()).unwrap();
        store.bucket(name).insert(json!({ "id": 0 })).unwrap();
        assert_eq!(store.bucket(name).all().records().unwrap().len(), 1);
    }
    store.bucket("other").insert_many((1..5_000).map(|n| json!({ "id": n }))).unwrap();
    assert_eq!(store.bucket("other").all().limit(20).records().unwrap().len(), 20);
}
