//! Random operations on several connections against a simple model.
//!
//! One thread steps through connections in a random order, so every run is the
//! interleaving that its seed says. After each statement the answers must be
//! equal; at each commit the model says whether it had to fail; now and then
//! the store is opened again, checked, and compared record by record.
//!
//! `MODEL_SEED=n` replays one run, `MODEL_OPERATIONS=n` sets its length.

#![allow(clippy::unwrap_used, reason = "in tests, a failed step fails the test")]

mod reference;

use std::sync::Arc;

use reference::{Fields, Open, Predicate, Reference};
use serde_json::{Value, json};
use tandem::{
    BucketConfig, CheckOptions, Durability, Isolation, Store, Transaction, TransactionOptions,
};
use tandem_base::{Environment, Random, SeededRandom};
use tandem_storage::{MemoryStorage, Storage};

/// Few keys, so that transactions meet.
const KEYS: u64 = 40;
const CONNECTIONS: usize = 4;
const TAGS: [&str; 4] = ["red", "green", "blue", "grey"];

struct Connection {
    real: Transaction,
    model: Open,
}

/// Where a run keeps its data.
enum Place {
    /// The engine stays; the store over it is opened again.
    Memory(Arc<dyn Storage>),
    /// The engine is opened again too.
    Directory(tempfile::TempDir),
}

impl Place {
    fn memory() -> Self {
        Self::Memory(Arc::new(MemoryStorage::new()))
    }

    fn open(&self, seed: u64) -> Store {
        let (environment, _) = Environment::simulated(seed);
        let builder = match self {
            Self::Memory(storage) => Store::builder().storage(storage.clone()),
            Self::Directory(directory) => {
                Store::builder().path(directory.path()).durability(Durability::Buffered)
            }
        };
        builder.environment(environment).background(false).open().unwrap()
    }
}

struct Run {
    seed: u64,
    random: SeededRandom,
    place: Place,
    store: Option<Store>,
    reference: Reference,
    connections: Vec<Option<Connection>>,
    operations: u64,
    commits: u64,
    conflicts: u64,
}

impl Run {
    fn new(seed: u64, place: Place) -> Self {
        let store = place.open(seed);
        let config = json!({
            "key": "id",
            "schema": {
                "id": { "type": "number" },
                "b": { "type": "number" },
                "u": { "type": "number", "unique": true },
                "on": { "type": "boolean" },
            },
            "indexes": [
                { "fields": ["a", "-b"] },
                { "fields": ["tags"], "multi": true },
                { "fields": ["n.x"] },
                { "fields": ["b"], "filter": { "on": true } },
            ],
        });
        store.define_bucket("t", BucketConfig::from_json(config).unwrap()).unwrap();
        Self {
            seed,
            random: SeededRandom::new(seed),
            place,
            store: Some(store),
            reference: Reference::default(),
            connections: (0..CONNECTIONS).map(|_| None).collect(),
            operations: 0,
            commits: 0,
            conflicts: 0,
        }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().expect("the store is open between two steps")
    }

    fn below(&self, bound: u64) -> u64 {
        self.random.next_u64() % bound
    }

    fn key(&self) -> i64 {
        self.below(KEYS) as i64
    }

    fn fields(&self) -> Fields {
        let mut fields = Fields::new();
        match self.below(4) {
            0 => {}
            1 => drop(fields.insert("a".into(), Value::Null)),
            _ => drop(fields.insert("a".into(), json!(self.below(5)))),
        }
        if self.below(4) > 0 {
            fields.insert("b".into(), json!(self.below(10)));
        }
        match self.below(3) {
            0 => drop(fields.insert("u".into(), Value::Null)),
            1 => drop(fields.insert("u".into(), json!(self.below(30)))),
            _ => {}
        }
        let tags: Vec<_> = TAGS.iter().filter(|_| self.below(3) == 0).collect();
        fields.insert("tags".into(), json!(tags));
        fields.insert("n".into(), json!({ "x": self.below(10) }));
        fields.insert("on".into(), json!(self.below(2) == 0));
        fields.insert("plain".into(), json!(self.below(20)));
        fields
    }

    fn predicate(&self) -> Predicate {
        let a = if self.below(4) == 0 { Value::Null } else { json!(self.below(5)) };
        match self.below(7) {
            0 => Predicate::A(a),
            1 => Predicate::AB(a, self.below(10) as i64),
            2 => Predicate::U(json!(self.below(30))),
            3 => Predicate::Tag(TAGS[self.below(4) as usize]),
            4 => Predicate::Nested(self.below(10) as i64),
            5 => Predicate::On(self.below(10) as i64),
            _ => Predicate::Plain(self.below(20) as i64),
        }
    }

    fn step(&mut self) {
        self.operations += 1;
        let at = self.below(CONNECTIONS as u64) as usize;
        let Some(mut connection) = self.connections[at].take() else {
            let isolation = Isolation::ALL[self.below(3) as usize];
            let options = TransactionOptions::new().isolation(isolation);
            let real = self.store().begin_with(&options).unwrap();
            self.connections[at] =
                Some(Connection { real, model: self.reference.begin(isolation) });
            return;
        };
        match self.below(100) {
            0..15 => self.insert(&mut connection),
            15..35 => self.update(&mut connection),
            35..45 => self.delete(&mut connection),
            45..57 => self.get(&mut connection),
            57..75 => self.find(&mut connection),
            75..78 => self.count(&mut connection),
            78..88 => self.savepoint(&mut connection),
            88..98 => return self.commit(connection),
            _ => return connection.real.rollback(),
        }
        // A conflict ends the transaction.
        if connection.real.is_open() {
            self.connections[at] = Some(connection);
        }
    }

    fn insert(&self, connection: &mut Connection) {
        let (key, fields) = (self.key(), self.fields());
        let mut record = fields.clone();
        record.insert("id".into(), json!(key));
        let real = connection.real.bucket("t").insert(record).map(|_| ());
        let level = connection.model.isolation;
        let model = self.reference.insert(&mut connection.model, key, fields.clone());
        let story = format!("{level}: insert {key} {fields:?}: {real:?}");
        assert_eq!(real.map_err(|error| error.code()), model, "{story}");
    }

    fn update(&self, connection: &mut Connection) {
        let (key, changes) = (self.key(), self.fields());
        // Under read committed the row may change between looking and writing.
        let checks = connection.model.isolation != Isolation::ReadCommitted && self.below(3) == 0;
        let expected = checks
            .then(|| self.reference.version(&connection.model, key))
            .flatten()
            .map(|version| version + u64::from(self.below(4) == 0));
        let bucket = connection.real.bucket("t");
        let real = match expected {
            Some(expected) => bucket.update_if(key, changes.clone(), expected),
            None => bucket.update(key, changes.clone()),
        };
        let model = self.reference.update(&mut connection.model, key, &changes, expected);
        assert_eq!(real.map(|_| ()).map_err(|error| error.code()), model, "update {key}");
    }

    fn delete(&self, connection: &mut Connection) {
        let key = self.key();
        let real = connection.real.bucket("t").delete(key).unwrap();
        assert_eq!(real, self.reference.delete(&mut connection.model, key), "delete {key}");
    }

    fn get(&self, connection: &mut Connection) {
        let key = self.key();
        let real = connection.real.bucket("t").get(key).unwrap();
        let shown = real.as_ref().map(|record| user_fields(&record.to_json()));
        let model = self.reference.get(&mut connection.model, key);
        assert!(same(shown.as_ref(), model.as_ref()), "get {key}: {shown:?} is not {model:?}");
        let stable =
            connection.model.isolation != Isolation::ReadCommitted || !connection.model.wrote(key);
        if stable {
            let version = self.reference.version(&connection.model, key);
            assert_eq!(real.map(|record| record.version()), version, "version of {key}");
        }
    }

    fn find(&self, connection: &mut Connection) {
        let predicate = self.predicate();
        let real = connection.real.bucket("t").find(predicate.filter()).records().unwrap();
        let mut keys: Vec<_> =
            real.iter().filter_map(|record| record.get("id")?.as_i64()).collect();
        keys.sort_unstable();
        assert_eq!(keys, self.reference.find(&mut connection.model, &predicate), "{predicate:?}");
    }

    fn count(&self, connection: &mut Connection) {
        let real = connection.real.bucket("t").count(json!({})).unwrap();
        assert_eq!(real, self.reference.count(&mut connection.model) as u64);
    }

    fn savepoint(&self, connection: &mut Connection) {
        let name = ["s1", "s2"][self.below(2) as usize];
        let (real, model) = (&connection.real, &mut connection.model);
        match self.below(4) {
            0 | 1 => {
                real.savepoint(name).unwrap();
                model.savepoint(name);
            }
            2 => assert_eq!(real.rollback_to(name).is_ok(), model.rollback_to(name)),
            _ => assert_eq!(real.release(name).is_ok(), model.release(name)),
        }
    }

    fn commit(&mut self, connection: Connection) {
        let Connection { real, model } = connection;
        let outcome = real.commit().map(|_| ());
        self.commits += u64::from(outcome.is_ok() && model.has_writes());
        self.conflicts += u64::from(outcome.is_err());
        self.reference.commit(&model, outcome);
    }

    /// Opens the store again and compares everything, both ways.
    fn reopen_and_compare(&mut self) {
        self.connections = (0..CONNECTIONS).map(|_| None).collect();
        // The directory is free when the last handle is gone.
        drop(self.store.take());
        self.store = Some(self.place.open(self.seed));
        let report = self.store().check(&CheckOptions::new()).unwrap();
        assert!(report.is_clean(), "seed {}: {report:?}", self.seed);

        let bucket = self.store().bucket("t");
        let all = bucket.all().records().unwrap();
        let model = self.reference.in_order();
        let keys: Vec<_> = all.iter().filter_map(|record| record.get("id")?.as_i64()).collect();
        assert_eq!(keys, model.iter().map(|(key, _)| *key).collect::<Vec<_>>());
        for (record, (key, stored)) in all.iter().zip(model) {
            let shown = user_fields(&record.to_json());
            assert!(same(Some(&shown), Some(&stored.fields)), "{key}: {shown:?} {stored:?}");
            assert_eq!(record.version(), stored.version, "version of {key}");
        }
        for _ in 0..20 {
            let predicate = self.predicate();
            let found = bucket.find(predicate.filter()).records().unwrap();
            let mut keys: Vec<_> =
                found.iter().filter_map(|found| found.get("id")?.as_i64()).collect();
            keys.sort_unstable();
            assert_eq!(keys, self.reference.matching(&predicate), "{predicate:?}");
        }
    }
}

/// The fields that a user gave, without key and metadata.
fn user_fields(record: &Value) -> Fields {
    let mut fields = record.as_object().cloned().unwrap_or_default();
    fields.retain(|name, _| !name.starts_with('_') && name != "id");
    fields
}

/// Equal whatever the order of the fields.
fn same(real: Option<&Fields>, model: Option<&Fields>) -> bool {
    match (real, model) {
        (Some(real), Some(model)) => {
            real.len() == model.len()
                && model.iter().all(|(name, value)| real.get(name) == Some(value))
        }
        (real, model) => real.is_none() && model.is_none(),
    }
}

/// Prints the seed when the run fails.
struct Failing(u64);

impl Drop for Failing {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("replay with MODEL_SEED={}", self.0);
        }
    }
}

fn run(seed: u64, operations: u64, place: Place) {
    let _failing = Failing(seed);
    let mut run = Run::new(seed, place);
    while run.operations < operations {
        run.step();
        if run.operations.is_multiple_of(5_000) {
            run.reopen_and_compare();
        }
    }
    run.reopen_and_compare();
    println!(
        "seed {seed}: {} operations, {} commits, {} conflicts",
        run.operations, run.commits, run.conflicts
    );
    assert!(run.commits * 100 > operations, "the workload commits");
    assert!(run.conflicts * 1_000 > operations, "the workload conflicts");
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn g1_g3_g4_g5_g6_random_transactions_behave_as_the_model_in_memory() {
    let operations = setting("MODEL_OPERATIONS").unwrap_or(100_000);
    match setting("MODEL_SEED") {
        Some(seed) => run(seed, operations, Place::memory()),
        None => {
            for seed in 1..=2 {
                run(seed, operations, Place::memory());
            }
        }
    }
}

#[test]
fn g1_g3_g4_g5_g6_random_transactions_behave_as_the_model_on_disk() {
    let place = Place::Directory(tempfile::tempdir().unwrap());
    let operations = setting("MODEL_OPERATIONS").unwrap_or(20_000);
    run(setting("MODEL_SEED").unwrap_or(3), operations, place);
}
