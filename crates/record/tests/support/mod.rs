//! A record layer over the local coordinator and the memory engine.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "in tests, a failed step fails the test")]

use std::sync::Arc;

use serde_json::{Map, Value};
use tandem_base::{Environment, Result, SimulatedClock};
use tandem_record::{CheckReport, Records, Row};
use tandem_storage::{Direction, Durability, KeyRange, MemoryStorage, Storage};
use tandem_transaction::{
    Commit, CommitListener, CommitOptions, Coordination, Isolation, LocalCoordinator, Read,
    Transaction, TransactionLimits, TransactionOptions,
};

struct Nobody;

impl CommitListener for Nobody {
    fn committed(&self, _: &[Arc<Commit>], _: u64) {}
}

pub struct Bench {
    pub records: Arc<Records>,
    pub coordination: Arc<dyn Coordination>,
    pub clock: Arc<SimulatedClock>,
}

impl Bench {
    pub fn new() -> Self {
        Self::with_limits(TransactionLimits::default())
    }

    pub fn with_limits(limits: TransactionLimits) -> Self {
        Self::over(Arc::new(MemoryStorage::new()), limits)
    }

    pub fn over(storage: Arc<dyn Storage>, limits: TransactionLimits) -> Self {
        let (environment, clock) = Environment::simulated(7);
        let records = Arc::new(Records::new(environment.clone()));
        let coordination = LocalCoordinator::open(
            storage,
            records.clone(),
            Arc::new(Nobody),
            environment,
            limits,
            Durability::Sync,
        )
        .unwrap();
        Self { records, coordination: Arc::new(coordination), clock }
    }

    pub fn begin(&self, isolation: Isolation) -> Transaction {
        let options = TransactionOptions { isolation, ..TransactionOptions::default() };
        Transaction::begin(self.coordination.clone(), &options).unwrap()
    }

    /// Runs `body` in a transaction of its own and commits it.
    pub fn run<T>(&self, body: impl FnOnce(&Records, &mut Transaction) -> Result<T>) -> Result<T> {
        let mut tx = self.begin(Isolation::Serializable);
        let value = body(&self.records, &mut tx)?;
        tx.commit(CommitOptions::default())?;
        Ok(value)
    }

    pub fn define(&self, name: &str, config: Value) {
        self.run(|records, tx| records.define_bucket(tx, name, &config)).unwrap();
    }

    pub fn insert(&self, bucket: &str, data: Value) -> Result<Row> {
        self.run(|records, tx| records.insert(tx, bucket, fields(data)))
    }

    pub fn get(&self, bucket: &str, key: Value) -> Option<Value> {
        let row = self.run(|records, tx| records.get(tx, bucket, &key)).unwrap();
        row.map(|row| row.to_value().unwrap())
    }

    pub fn count(&self, bucket: &str) -> u64 {
        self.run(|records, tx| records.count(tx, bucket)).unwrap()
    }

    /// How many keys of that space are stored.
    pub fn keys_with_prefix(&self, space: u8) -> usize {
        let range = KeyRange::prefix(&[space]);
        let view = self.coordination.view().unwrap();
        view.scan(&range, Direction::Forward).map(Result::unwrap).count()
    }

    pub fn check(&self) -> CheckReport {
        self.records.check(&*self.coordination, None, false).unwrap()
    }

    pub fn check_clean(&self) {
        let report = self.check();
        assert!(report.is_clean(), "{report:?}");
    }
}

pub fn fields(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        other => panic!("not an object: {other}"),
    }
}
