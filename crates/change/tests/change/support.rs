//! A store with the simplest possible rows: a row is its bytes, its bucket's
//! name follows from the id in its key, and nothing is indexed.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tandem_base::{Code, Environment, Error, Result, SimulatedClock};
use tandem_change::{
    ChangeHub, ChangeLogOptions, ChangeLogRetention, ChangeSubscription, EventDispatcher, Notice,
    SubscribeOptions, Trimmed,
};
use tandem_storage::{Durability, MemoryStorage, Storage};
use tandem_transaction::{
    Change, Commit, CommitOptions, CommitState, ConflictCause, Coordination, Derive, Derived,
    IndexDelta, LocalCoordinator, Read, Stamp, Transaction, TransactionLimits, TransactionOptions,
    WriteSet, keyspace,
};

/// The ids of the buckets; a bucket's id is its place.
const BUCKETS: [&str; 4] = ["users", "orders", "eu.users", "_sessions"];

/// Long enough for anything that is going to happen at all.
pub const PATIENCE: Duration = Duration::from_secs(60);

struct PlainRows;

impl Derive for PlainRows {
    fn derive(&self, state: &dyn CommitState, writes: &WriteSet, stamp: Stamp) -> Result<Derived> {
        let mut derived = Derived::default();
        for (key, write) in writes.rows_in_order() {
            let before = state.get(key)?;
            if before.is_none() && write.after.is_none() {
                continue;
            }
            let (bucket, primary_key) = match key[0] {
                keyspace::CATALOG => ("_buckets", key.slice(2..)),
                _ => (BUCKETS[usize::from(key[4])], key.slice(5..)),
            };
            if key[0] == keyspace::ROW {
                let mut tombstone = key.to_vec();
                tombstone[0] = keyspace::TOMBSTONE;
                let value = [1u64.to_be_bytes(), stamp.revision.to_be_bytes()].concat();
                let deleted = write.after.is_none();
                derived.writes.push((tombstone.into(), deleted.then(|| value.into())));
            }
            derived.writes.push((key.clone(), write.after.clone()));
            let after = write.after.clone();
            let bucket = bucket.into();
            derived.changes.push(Change { bucket, key: primary_key, before, after });
            derived.record_changes += 1;
        }
        Ok(derived)
    }

    fn conflict(&self, _: ConflictCause, _: &[u8]) -> Error {
        Error::new(Code::Conflict, "Transaction conflict")
    }
}

/// One opening of a store.
pub struct Store {
    pub storage: Arc<dyn Storage>,
    pub clock: Arc<SimulatedClock>,
    pub hub: Arc<ChangeHub>,
    pub coordination: Arc<dyn Coordination>,
    pub retention: ChangeLogRetention,
}

impl Store {
    pub fn new(options: ChangeLogOptions) -> Self {
        Self::open(Arc::new(MemoryStorage::new()), options)
    }

    pub fn open(storage: Arc<dyn Storage>, options: ChangeLogOptions) -> Self {
        let (environment, clock) = Environment::simulated(7);
        let hub = Arc::new(ChangeHub::new(environment.clone(), &options));
        let coordination = LocalCoordinator::open(
            storage.clone(),
            Arc::new(PlainRows),
            hub.clone(),
            environment,
            TransactionLimits::default(),
            Durability::Buffered,
        );
        let coordination = Arc::new(coordination.unwrap());
        let retention = ChangeLogRetention::new(hub.clone(), options);
        Self { storage, clock, hub, coordination, retention }
    }

    pub fn begin(&self) -> Transaction {
        Transaction::begin(self.coordination.clone(), &TransactionOptions::default()).unwrap()
    }

    /// Commits `rows` of (bucket, key, value), `None` = delete, and returns
    /// the revision.
    pub fn commit(&self, rows: &[(&str, &str, Option<&str>)]) -> u64 {
        self.commit_as(rows, CommitOptions::default())
    }

    pub fn commit_as(&self, rows: &[(&str, &str, Option<&str>)], options: CommitOptions) -> u64 {
        let mut transaction = self.begin();
        for (bucket, key, value) in rows {
            write(&mut transaction, &row_key(bucket, key), *value);
        }
        transaction.commit(options).unwrap().revision
    }

    /// Commits `count` inserts into `users` and returns the last revision.
    pub fn fill(&self, count: usize) -> u64 {
        (0..count).map(|n| self.commit(&[("users", &format!("{n}"), Some("x"))])).last().unwrap()
    }

    pub fn revision(&self) -> u64 {
        self.coordination.view().unwrap().revision()
    }

    pub fn subscribe(&self, options: SubscribeOptions) -> Result<ChangeSubscription> {
        ChangeSubscription::open(self.hub.clone(), self.coordination.clone(), options)
    }

    pub fn subscribe_from(&self, revision: u64) -> ChangeSubscription {
        self.subscribe(from(revision)).unwrap()
    }

    pub fn dispatcher(&self) -> EventDispatcher {
        EventDispatcher::new(self.hub.clone(), self.coordination.clone())
    }

    /// Trims until there is nothing left to do now.
    pub fn trim(&self) -> Trimmed {
        use tandem_base::Clock;
        let mut total = Trimmed::default();
        loop {
            let step = self.retention.trim(&*self.coordination, self.clock.now_ms()).unwrap();
            total.log_entries += step.log_entries;
            total.log_bytes += step.log_bytes;
            total.tombstones += step.tombstones;
            total.idempotency_rows += step.idempotency_rows;
            if !step.more {
                return total;
            }
        }
    }

    /// How many keys a space holds.
    pub fn count(&self, space: u8) -> usize {
        let view = self.coordination.view().unwrap();
        let range = tandem_storage::KeyRange::prefix(&[space]);
        view.scan(&range, tandem_storage::Direction::Forward).count()
    }
}

pub fn from(revision: u64) -> SubscribeOptions {
    SubscribeOptions { from: Some(revision), ..SubscribeOptions::default() }
}

/// A hub that remembers next to nothing, so that everything is read from the log.
pub fn no_ring() -> ChangeLogOptions {
    ChangeLogOptions { ring_commits: 0, ..ChangeLogOptions::default() }
}

pub fn row_key(bucket: &str, key: &str) -> Bytes {
    let id = BUCKETS.iter().position(|name| *name == bucket).unwrap();
    let mut row = vec![keyspace::ROW, 0, 0, 0, id as u8];
    row.extend_from_slice(key.as_bytes());
    row.into()
}

pub fn definition_key(bucket: &str) -> Bytes {
    [&[keyspace::CATALOG, b'b'], bucket.as_bytes()].concat().into()
}

pub fn write(transaction: &mut Transaction, key: &Bytes, value: Option<&str>) {
    transaction
        .write_statement(|transaction| {
            let current = transaction.get_untracked(key)?;
            let after = value.map(|value| Bytes::copy_from_slice(value.as_bytes()));
            transaction.write(key, current.as_ref(), after, None, IndexDelta::default(), None);
            Ok(())
        })
        .unwrap();
}

/// The commit that a notice carries.
pub fn commit_of(notice: Notice) -> Arc<Commit> {
    match notice {
        Notice::Commit(commit) => commit,
        other => panic!("expected a commit, got {other:?}"),
    }
}

/// Everything that a subscription delivers now.
pub fn drain(subscription: &mut ChangeSubscription) -> Vec<Notice> {
    std::iter::from_fn(|| subscription.try_next().unwrap()).collect()
}

/// The revisions of the commits that a subscription delivers now.
pub fn revisions(subscription: &mut ChangeSubscription) -> Vec<u64> {
    drain(subscription).into_iter().map(|notice| commit_of(notice).revision).collect()
}

/// `bucket/key` of each change of a commit, in order.
pub fn names(commit: &Commit) -> Vec<String> {
    let name = |change: &Change| {
        format!("{}/{}", change.bucket, std::str::from_utf8(&change.key).unwrap())
    };
    commit.changes.iter().map(name).collect()
}
