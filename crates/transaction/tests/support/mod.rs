//! Transactions over bytes in memory: rows are bytes, and nothing follows from
//! them but what the test says.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "in tests, a failed step fails the test")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tandem_base::{Code, Environment, Error, Result, SimulatedClock};
use tandem_storage::{Durability, MemoryStorage, Storage};
use tandem_transaction::{
    Change, Commit, CommitListener, CommitOptions, CommitState, ConflictCause, Coordination,
    Derive, Derived, IndexDelta, Isolation, LocalCoordinator, Receipt, Stamp, Transaction,
    TransactionLimits, TransactionOptions, WriteSet, keyspace,
};

struct Plain;

impl Derive for Plain {
    fn derive(&self, state: &dyn CommitState, writes: &WriteSet, _: Stamp) -> Result<Derived> {
        let mut derived = Derived::default();
        for (key, write) in writes.rows_in_order() {
            let (bucket, before) = (Arc::from("rows"), state.get(key)?);
            let (key, after) = (key.clone(), write.after.clone());
            derived.writes.push((key.clone(), after.clone()));
            derived.changes.push(Change { bucket, key, before, after });
        }
        derived.record_changes = derived.changes.len();
        Ok(derived)
    }

    fn conflict(&self, cause: ConflictCause, _: &[u8]) -> Error {
        Error::new(Code::Conflict, format!("{cause:?}"))
    }
}

struct Nobody;

impl CommitListener for Nobody {
    fn committed(&self, _: &[Arc<Commit>], _: u64) {}
}

pub struct Store {
    pub coordination: Arc<LocalCoordinator>,
    pub clock: Arc<SimulatedClock>,
}

impl Store {
    pub fn new() -> Self {
        Self::with_limits(TransactionLimits::default())
    }

    pub fn with_limits(limits: TransactionLimits) -> Self {
        Self::over(Arc::new(MemoryStorage::new()), limits)
    }

    pub fn over(storage: Arc<dyn Storage>, limits: TransactionLimits) -> Self {
        let (environment, clock) = Environment::simulated(1);
        let coordination = LocalCoordinator::open(
            storage,
            Arc::new(Plain),
            Arc::new(Nobody),
            environment,
            limits,
            Durability::Sync,
        )
        .unwrap();
        Self { coordination: Arc::new(coordination), clock }
    }

    pub fn begin(&self, isolation: Isolation) -> Transaction {
        self.begin_with(&TransactionOptions { isolation, ..TransactionOptions::default() })
    }

    pub fn begin_with(&self, options: &TransactionOptions) -> Transaction {
        Transaction::begin(self.coordination.clone(), options).unwrap()
    }

    /// Commits rows in a transaction of their own.
    pub fn put(&self, rows: &[(u8, Option<&str>)]) -> Receipt {
        let mut tx = self.begin(Isolation::ReadCommitted);
        for (n, after) in rows {
            put(&mut tx, *n, *after).unwrap();
        }
        commit(&mut tx).unwrap()
    }

    pub fn open_transactions(&self) -> usize {
        self.coordination.registry().len()
    }
}

pub fn key(n: u8) -> Bytes {
    vec![keyspace::ROW, 0, 0, 0, 1, n].into()
}

pub fn bytes(text: &str) -> Bytes {
    text.to_owned().into()
}

/// One writing statement.
pub fn put(tx: &mut Transaction, n: u8, after: Option<&str>) -> Result<()> {
    tx.write_statement(|tx| {
        let current = tx.get_untracked(&key(n))?;
        tx.write(&key(n), current.as_ref(), after.map(bytes), None, IndexDelta::default(), None);
        Ok(())
    })
}

/// One reading statement.
pub fn get(tx: &mut Transaction, n: u8) -> Result<Option<String>> {
    let value = tx.read_statement(|tx| tx.get(&key(n)))?;
    Ok(value.map(|value| String::from_utf8(value.to_vec()).unwrap()))
}

pub fn commit(tx: &mut Transaction) -> Result<Receipt> {
    tx.commit(CommitOptions::default())
}

pub const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}
