//! A store without anything above it, and reads done the plain way.

#![allow(dead_code, reason = "each test file uses a part")]

use std::cmp::Ordering;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use tandem_base::Environment;
use tandem_query::SortPart;
use tandem_record::Records;
use tandem_record::filter::Filter;
use tandem_record::keys;
use tandem_record::row::Row;
use tandem_record::value::compare;
use tandem_storage::{Direction, Durability, KeyRange, MemoryStorage};
use tandem_transaction::{
    Commit, CommitListener, CommitOptions, Isolation, LocalCoordinator, Transaction,
    TransactionLimits, TransactionOptions,
};

struct Nobody;

impl CommitListener for Nobody {
    fn committed(&self, _: &[Arc<Commit>], _: u64) {}
}

pub struct Store {
    pub records: Arc<Records>,
    coordinator: Arc<LocalCoordinator>,
}

impl Store {
    pub fn new() -> Self {
        Self::keeping(TransactionLimits::default().record_cache_bytes)
    }

    /// A store that keeps so many bytes of rows at hand; with 0, the engine is asked for
    /// every row.
    pub fn keeping(record_cache_bytes: usize) -> Self {
        let (environment, _) = Environment::simulated(7);
        let records = Arc::new(Records::new(environment.clone()));
        let coordinator = LocalCoordinator::open(
            Arc::new(MemoryStorage::new()),
            records.clone(),
            Arc::new(Nobody),
            environment,
            TransactionLimits { record_cache_bytes, ..TransactionLimits::default() },
            Durability::Buffered,
        )
        .unwrap();
        Self { records, coordinator: Arc::new(coordinator) }
    }

    /// A store with one bucket `b`.
    pub fn with_bucket(config: &Value) -> Self {
        Self::new().and_bucket(config)
    }

    /// The same store with the bucket `b`.
    pub fn and_bucket(self, config: &Value) -> Self {
        let mut tx = self.begin();
        self.records.define_bucket(&mut tx, "b", config).unwrap();
        commit(tx);
        self
    }

    pub fn begin(&self) -> Transaction {
        self.begin_at(Isolation::Serializable)
    }

    pub fn begin_at(&self, isolation: Isolation) -> Transaction {
        let options = TransactionOptions { isolation, ..Default::default() };
        Transaction::begin(self.coordinator.clone(), &options).unwrap()
    }

    /// Inserts and commits.
    pub fn insert_all(&self, records: &[Value]) {
        let mut tx = self.begin();
        for record in records {
            self.records.insert(&mut tx, "b", fields(record)).unwrap();
        }
        commit(tx);
    }
}

pub fn commit(mut tx: Transaction) {
    tx.commit(CommitOptions::default()).unwrap();
}

pub fn fields(record: &Value) -> Map<String, Value> {
    record.as_object().unwrap().clone()
}

/// The value of a field in each row.
pub fn values(rows: &[Row], field: &str) -> Vec<Value> {
    rows.iter().map(|row| row.field(field).unwrap_or(json!(null))).collect()
}

/// The keys of rows.
pub fn ids(rows: &[Row]) -> Vec<Value> {
    values(rows, "id")
}

/// The answer to a read, by looking at every row and sorting them by value.
pub fn naive(
    store: &Store,
    tx: &Transaction,
    filter: Option<&Filter>,
    sort: &[SortPart],
) -> Vec<Row> {
    let catalog = store.records.catalog(tx).unwrap();
    let bucket = catalog.bucket("b").unwrap();
    let range = KeyRange::prefix(&keys::row_prefix(bucket.id));
    let mut rows: Vec<Row> = tx
        .scan_untracked(&range, Direction::Forward)
        .map(|entry| Row::from_stored(entry.unwrap().value).unwrap())
        .filter(|row| filter.is_none_or(|filter| filter.matches(row)))
        .collect();
    if !bucket.ordered_by_key {
        rows.sort_by_key(Row::position);
    }
    rows.sort_by(|a, b| {
        let by_part = |part: &SortPart| {
            let value = |row: &Row| row.collect(&part.path).unwrap_or(Value::Null);
            let order = compare(&value(a), &value(b));
            if part.descending { order.reverse() } else { order }
        };
        sort.iter().map(by_part).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    });
    rows
}

/// Numbers from a seed.
pub struct Seeded(u64);

impl Seeded {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x1234_5678_9ABC_DEF1)
    }

    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 11) % end as u64).unwrap()
    }

    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}
