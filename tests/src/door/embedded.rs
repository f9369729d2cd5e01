use std::time::Duration;

use serde_json::{Map, Value};
use tandem::{
    BucketConfig, Change, CheckOptions, CommitOptions, Error, Isolation, Notice, Record, Store,
    SubscribeOptions, Subscription, Transaction, TransactionOptions,
};

use super::{BUCKET, Connection, Door, World};
use crate::answer::{Answer, ChangeSeen};
use crate::script::Action;

/// The library in the same process.
pub struct Embedded;

impl Door for Embedded {
    fn name(&self) -> &'static str {
        "embedded"
    }

    fn open(&self, bucket: &Value) -> Box<dyn World> {
        let store = Store::builder().memory().background(false).open().expect("memory opens");
        define(&store, bucket);
        Box::new(OneStore { store })
    }
}

/// Defines the script's bucket.
pub(super) fn define(store: &Store, bucket: &Value) {
    let config = BucketConfig::from_json(bucket.clone()).expect("the bucket is well defined");
    store.define_bucket(BUCKET, config).expect("the bucket is new");
}

struct OneStore {
    store: Store,
}

impl World for OneStore {
    fn connect(&mut self, level: Isolation) -> Box<dyn Connection> {
        Box::new(Caller::new(self.store.clone(), level))
    }

    fn lock_waiters(&mut self) -> usize {
        lock_waiters(&self.store)
    }

    fn problems(&mut self) -> Vec<String> {
        problems_of(&self.store)
    }
}

/// How many transactions wait for a lock in `store`.
pub(super) fn lock_waiters(store: &Store) -> usize {
    store.statistics().expect("a store that is open has figures").lock_waiters
}

/// What is wrong with a store that nobody uses any more.
pub(super) fn problems_of(store: &Store) -> Vec<String> {
    let mut problems = Vec::new();
    match store.statistics() {
        Ok(statistics) if statistics.open_transactions == 0 => {}
        Ok(statistics) => {
            problems.push(format!("{} transactions are still open", statistics.open_transactions));
        }
        Err(error) => problems.push(error.to_string()),
    }
    match store.check(&CheckOptions::new()) {
        Ok(report) if report.is_clean() => {}
        Ok(report) => problems.push(format!("the indexes do not match the records: {report:?}")),
        Err(error) => problems.push(error.to_string()),
    }
    problems
}

/// A caller of the embedded API: its store and at most one open transaction.
pub(super) struct Caller {
    // Dropped before the store.
    transaction: Option<Transaction>,
    watcher: Watcher,
    store: Store,
    level: Isolation,
}

/// What a connection follows.
pub(super) struct Watcher {
    // Dropped before the store.
    subscription: Option<Subscription>,
    store: Store,
}

impl Watcher {
    pub(super) fn new(store: &Store) -> Self {
        Self { subscription: None, store: store.clone() }
    }

    pub(super) fn watch(&mut self, from_start: bool) -> Result<Answer, Error> {
        let mut options = SubscribeOptions::new().bucket(BUCKET);
        if from_start {
            options = options.from(0);
        }
        self.subscription = Some(self.store.subscribe(options)?);
        Ok(Answer::Done)
    }

    pub(super) fn changes(&mut self) -> Result<Answer, Error> {
        let mut commits = Vec::new();
        if let Some(subscription) = &mut self.subscription {
            while let Some(notice) = subscription.try_next()? {
                match notice {
                    Notice::Commit(commit) => {
                        let seen = |change: &Change| ChangeSeen::from_json(&change.to_json());
                        commits.push(commit.changes.iter().map(seen).collect());
                    }
                    Notice::Progress { .. } => {}
                    other => return Ok(Answer::failed("NOT A COMMIT", format!("{other:?}"))),
                }
            }
        }
        Ok(Answer::Commits(commits))
    }
}

impl Caller {
    pub(super) fn new(store: Store, level: Isolation) -> Self {
        Self { transaction: None, watcher: Watcher::new(&store), store, level }
    }

    fn bucket(&self) -> tandem::Bucket<'_> {
        match &self.transaction {
            Some(transaction) => transaction.bucket(BUCKET),
            None => self.store.bucket(BUCKET),
        }
    }

    fn transaction(&self) -> Result<&Transaction, Error> {
        let missing = || Error::new(tandem::Code::TransactionNotFound, "No transaction is open");
        self.transaction.as_ref().ok_or_else(missing)
    }

    fn begin(&mut self, read_only: bool) -> Result<Answer, Error> {
        let options = TransactionOptions::new().isolation(self.level);
        let options = if read_only { options.read_only() } else { options };
        self.transaction = Some(self.store.begin_with(&options)?);
        Ok(Answer::Done)
    }

    /// A failed commit keeps the handle, which then answers only rollback.
    fn commit(&mut self, idempotency_key: Option<&String>) -> Result<Answer, Error> {
        let mut options = CommitOptions::new();
        if let Some(key) = idempotency_key {
            options = options.idempotency_key(key.as_bytes());
        }
        self.transaction()?.finish(options)?;
        self.transaction = None;
        Ok(Answer::Done)
    }

    fn rollback(&mut self) -> Answer {
        if let Some(transaction) = self.transaction.take() {
            transaction.rollback();
        }
        Answer::Done
    }

    fn try_take(&mut self, action: &Action) -> Result<Answer, Error> {
        match action {
            Action::Begin { read_only } => return self.begin(*read_only),
            Action::Commit { idempotency_key, .. } => return self.commit(idempotency_key.as_ref()),
            Action::Rollback => return Ok(self.rollback()),
            Action::Watch { from_start } => return self.watcher.watch(*from_start),
            Action::Changes => return self.watcher.changes(),
            _ => {}
        }
        let bucket = self.bucket();
        Ok(match action {
            Action::Savepoint(name) => done(self.transaction()?.savepoint(name)?),
            Action::RollbackTo(name) => done(self.transaction()?.rollback_to(name)?),
            Action::Release(name) => done(self.transaction()?.release(name)?),
            Action::Lock { key, wait_ms } => {
                let wait = wait_ms.map(Duration::from_millis);
                record_or_nothing(self.transaction()?.lock(BUCKET, key, wait)?)
            }
            Action::Get(key) => record_or_nothing(bucket.get(key)?),
            Action::All => records(bucket.all().records()?),
            Action::Where(filter) => records(bucket.find(filter.clone()).records()?),
            Action::FindOne(filter) => record_or_nothing(bucket.find_one(filter.clone())?),
            Action::Count(filter) => Answer::Number(bucket.count(filter_or_all(filter))?),
            Action::Sum { field, filter } => {
                let sum = bucket.sum(field, filter_or_all(filter))?;
                Answer::Number(sum.as_u64().unwrap_or(u64::MAX))
            }
            Action::Insert(rows) => match &rows[..] {
                [row] => record(&bucket.insert(row.clone())?),
                _ => records(bucket.insert_many(rows.iter().cloned())?),
            },
            Action::Upsert(data) => record(&bucket.upsert(data.clone())?),
            Action::Replace { key, data } => record(&bucket.replace(key, data.clone())?),
            Action::Update { key, changes, expected_version } => record(&match expected_version {
                Some(version) => bucket.update_if(key, changes.clone(), *version)?,
                None => bucket.update(key, changes.clone())?,
            }),
            Action::Delete { key, expected_version } => {
                match expected_version {
                    Some(version) => bucket.delete_if(key, *version)?,
                    None => bucket.delete(key)?,
                };
                Answer::Done
            }
            Action::UpdateMany { filter, changes } => {
                Answer::Number(bucket.update_many(filter.clone(), changes.clone())?)
            }
            Action::DeleteMany(filter) => Answer::Number(bucket.delete_many(filter.clone())?),
            other => Answer::failed("NOT A STEP OF THIS DOOR", format!("{other:?}")),
        })
    }
}

impl Connection for Caller {
    fn take(&mut self, action: &Action) -> Answer {
        self.try_take(action)
            .unwrap_or_else(|error| Answer::failed(error.code().as_str(), error.to_string()))
    }

    fn index_for(&mut self, filter: &Value, _counts: bool) -> Option<String> {
        let plan = self.bucket().find(filter.clone()).explain().ok()?;
        plan["index"].as_str().map(str::to_owned)
    }
}

fn filter_or_all(filter: &Option<Value>) -> Value {
    filter.clone().unwrap_or_else(|| Value::Object(Map::new()))
}

fn done((): ()) -> Answer {
    Answer::Done
}

fn record(record: &Record) -> Answer {
    Answer::Record(record.to_json())
}

fn record_or_nothing(found: Option<Record>) -> Answer {
    found.map_or(Answer::Nothing, |found| record(&found))
}

fn records(records: Vec<Record>) -> Answer {
    Answer::Records(records.iter().map(Record::to_json).collect())
}
