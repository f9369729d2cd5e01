//! A transaction that stays open.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tandem_base::Result;
use tandem_record::Records;
use tandem_storage::Durability;
use tandem_transaction as engine;

use crate::bucket::Bucket;
use crate::key::Key;
use crate::record::Record;
use crate::retry::RetryPolicy;
use crate::session::Session;
use crate::store::Store;
use crate::typed::TypedBucket;
use crate::{Isolation, TransactionId};

/// How a transaction is begun, and how [`Store::transaction_with`] ends it.
///
/// ```
/// use std::time::Duration;
/// use tandem::{Isolation, TransactionOptions};
///
/// let report = TransactionOptions::new()
///     .isolation(Isolation::Snapshot)
///     .read_only()
///     .timeout(Duration::from_secs(5));
/// # let _ = report;
/// ```
#[derive(Clone, Debug, Default)]
pub struct TransactionOptions {
    pub(crate) isolation: Isolation,
    pub(crate) read_only: bool,
    pub(crate) timeout: Option<Duration>,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) durability: Option<Durability>,
    pub(crate) retry: Option<RetryPolicy>,
}

impl TransactionOptions {
    /// Serializable, reading and writing, with the store's time limits and
    /// durability.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Which anomalies the transaction may meet.
    #[must_use]
    pub fn isolation(mut self, isolation: Isolation) -> Self {
        self.isolation = isolation;
        self
    }

    /// Refuses writes with `READ_ONLY`. Such a transaction never conflicts.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// How long it may be open in all; at most the store's limit.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// How long it may be unused; at most the store's limit.
    #[must_use]
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = Some(timeout);
        self
    }

    /// What must be true before its commit returns.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = Some(durability);
        self
    }

    /// How [`Store::transaction_with`] answers conflicts; [`Store::begin_with`]
    /// leaves them to the caller.
    #[must_use]
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = Some(policy);
        self
    }

    pub(crate) fn engine(&self) -> engine::TransactionOptions {
        engine::TransactionOptions {
            isolation: self.isolation,
            read_only: self.read_only,
            total_time: self.timeout,
            idle_time: self.idle_timeout,
        }
    }
}

/// How a commit is made.
#[derive(Clone, Debug, Default)]
pub struct CommitOptions {
    pub(crate) durability: Option<Durability>,
    pub(crate) idempotency_key: Option<Bytes>,
}

impl CommitOptions {
    /// With the transaction's durability, else the store's.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What must be true before the commit returns.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = Some(durability);
        self
    }

    /// A name for this commit. When a commit under the same name has already
    /// happened, within the retention window of the change log, that commit's
    /// receipt is returned and nothing is written: so a caller who does not
    /// know whether a commit happened can simply repeat the work.
    #[must_use]
    pub fn idempotency_key(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.idempotency_key = Some(Bytes::from(key.into()));
        self
    }
}

/// What a commit came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitReceipt {
    /// The commit's revision; of a transaction without writes, the one read.
    pub revision: u64,
    /// How many records it changed.
    pub changes: usize,
    /// The commit had happened before, under the same idempotency key.
    pub replayed: bool,
}

/// An open transaction: its reads see one state of the store with its own
/// writes in it, and its writes happen together, at [`commit`](Self::commit),
/// or not at all. Dropped, it is rolled back.
///
/// Several bucket handles may be in use at once, also from several threads;
/// statements then run one after the other. A failed statement is undone whole
/// and leaves the transaction usable, except after `CONFLICT` or `DEADLOCK`:
/// then only rollback is answered (`TRANSACTION_ABORTED`).
///
/// ```
/// # fn main() -> tandem::Result<()> {
/// # use serde_json::json;
/// # use tandem::{BucketConfig, Store};
/// # let store = Store::memory()?;
/// # store.define_bucket("users", BucketConfig::new("id"))?;
/// let tx = store.begin()?;
/// let users = tx.bucket("users");
/// users.insert(json!({ "id": 1, "name": "Alice" }))?;
/// tx.savepoint("before bob")?;
/// users.insert(json!({ "id": 2, "name": "Bob" }))?;
/// tx.rollback_to("before bob")?;
/// let receipt = tx.commit()?;
/// assert_eq!(receipt.changes, 1);
/// # Ok(())
/// # }
/// ```
pub struct Transaction {
    store: Store,
    durability: Option<Durability>,
    inner: Mutex<engine::Transaction>,
}

impl Transaction {
    pub(crate) fn begin(store: &Store, options: &TransactionOptions) -> Result<Self> {
        let inner = engine::Transaction::begin(store.coordination()?.clone(), &options.engine())?;
        Ok(Self { store: store.clone(), durability: options.durability, inner: Mutex::new(inner) })
    }

    /// A handle on a bucket as this transaction sees it. Nothing is looked up
    /// until it is used.
    pub fn bucket<'a>(&'a self, name: impl Into<std::borrow::Cow<'a, str>>) -> Bucket<'a> {
        Bucket::new(self.session(), name.into())
    }

    /// As [`bucket`](Self::bucket), over values of `T`.
    pub fn typed<'a, T>(
        &'a self,
        name: impl Into<std::borrow::Cow<'a, str>>,
    ) -> TypedBucket<'a, T> {
        TypedBucket::new(self.bucket(name))
    }

    /// The transaction's number within this run of the store.
    #[must_use]
    pub fn id(&self) -> TransactionId {
        self.engine().id()
    }

    /// The chosen isolation level.
    #[must_use]
    pub fn isolation(&self) -> Isolation {
        self.engine().isolation()
    }

    /// The revision that the transaction reads.
    #[must_use]
    pub fn revision(&self) -> u64 {
        engine::Read::revision(&**self.engine().view())
    }

    /// Whether statements are still accepted.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.engine().is_open()
    }

    /// How much of its time is left, if it stays in use.
    #[must_use]
    pub fn remaining_time(&self) -> Option<Duration> {
        self.engine().remaining_time()
    }

    /// Opens a savepoint. Savepoints nest; the same name may be open twice.
    ///
    /// # Errors
    /// `LIMIT_EXCEEDED` for too many; and when the transaction or the store is over.
    pub fn savepoint(&self, name: &str) -> Result<()> {
        self.with(|_, engine| engine.savepoint(name))
    }

    /// Undoes every write after the innermost savepoint of that name. The
    /// savepoint stays open. Cost: what is undone.
    ///
    /// # Errors
    /// `SAVEPOINT_NOT_FOUND`; and when the transaction or the store is over.
    pub fn rollback_to(&self, name: &str) -> Result<()> {
        self.with(|_, engine| engine.rollback_to(name))
    }

    /// Forgets the innermost savepoint of that name; its writes stay.
    ///
    /// # Errors
    /// `SAVEPOINT_NOT_FOUND`; and when the transaction or the store is over.
    pub fn release(&self, name: &str) -> Result<()> {
        self.with(|_, engine| engine.release_savepoint(name))
    }

    /// Reads a record and locks it to the end of the transaction: other
    /// transactions that lock or write it wait meanwhile. Waits up to `wait`
    /// (`None` = the store's limit) for its present owner. Other statements of
    /// this transaction wait with it.
    ///
    /// # Errors
    /// `LOCK_TIMEOUT`; `DEADLOCK` and `CONFLICT`, after which the transaction
    /// has to be run again.
    pub fn lock(
        &self,
        bucket: &str,
        key: impl Into<Key>,
        wait: Option<Duration>,
    ) -> Result<Option<Record>> {
        let key = key.into().into_value();
        let row = self.with(|records, engine| records.lock(engine, bucket, &key, wait))?;
        Ok(row.map(Record::new))
    }

    /// Commits, with the durability that was asked for at the beginning.
    ///
    /// # Errors
    /// `CONFLICT` and other violations: nothing happened. `STORE_FAILED`:
    /// reopen the store to learn whether it happened.
    pub fn commit(self) -> Result<CommitReceipt> {
        self.finish(CommitOptions::default())
    }

    /// Commits as `options` say.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub fn commit_with(self, options: CommitOptions) -> Result<CommitReceipt> {
        self.finish(options)
    }

    /// Commits and keeps the handle, for those who hold transactions by name.
    /// Afterwards every call answers `TRANSACTION_NOT_FOUND`, or after a failed
    /// commit `TRANSACTION_ABORTED` until [`cancel`](Self::cancel).
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub fn finish(&self, options: CommitOptions) -> Result<CommitReceipt> {
        let receipt = self.commit_keeping(options, Bytes::new())?;
        Ok(receipt_of(&receipt))
    }

    /// Commits; under an idempotency key, `payload` is kept for a repetition.
    pub(crate) fn commit_keeping(
        &self,
        options: CommitOptions,
        payload: Bytes,
    ) -> Result<engine::Receipt> {
        self.store.coordination()?;
        self.engine().commit(engine::CommitOptions {
            durability: options.durability.or(self.durability),
            idempotency: options.idempotency_key.map(|key| (key, payload)),
        })
    }

    /// As [`commit_keeping`](Self::commit_keeping), for a caller that does not wait; see
    /// [`engine::Transaction::commit_then`].
    pub(crate) fn commit_then(
        self,
        options: CommitOptions,
        payload: Bytes,
        errands: &Arc<dyn engine::Errands>,
        then: impl FnOnce(engine::Ending) + Send + 'static,
    ) -> Option<engine::Errand> {
        let options = engine::CommitOptions {
            durability: options.durability.or(self.durability),
            idempotency: options.idempotency_key.map(|key| (key, payload)),
        };
        let engine = self.inner.into_inner().unwrap_or_else(PoisonError::into_inner);
        engine.commit_then(options, errands, then)
    }

    /// Forgets everything that the transaction wrote; so does dropping it.
    pub fn rollback(self) {
        self.cancel();
    }

    /// Rolls back and keeps the handle, for those who hold transactions by
    /// name. Safe to call in any state.
    pub fn cancel(&self) {
        self.engine().rollback();
    }

    /// The store that it is a transaction of.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn session(&self) -> Session<'_> {
        Session::Open(self)
    }

    /// Runs a statement. A panic in it ends the transaction.
    pub(crate) fn with<T>(
        &self,
        work: impl FnOnce(&Records, &mut engine::Transaction) -> Result<T>,
    ) -> Result<T> {
        self.store.coordination()?;
        let mut statement = Statement { engine: self.engine(), finished: false };
        let result = work(self.store.records(), &mut statement.engine);
        statement.finished = true;
        result
    }

    pub(crate) fn end_compound(&self, keep: bool) {
        self.engine().end_compound(keep);
    }

    fn engine(&self) -> MutexGuard<'_, engine::Transaction> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running statement. If it never finishes, because it panicked, what it has
/// written so far must not be committed.
struct Statement<'a> {
    engine: MutexGuard<'a, engine::Transaction>,
    finished: bool,
}

impl Drop for Statement<'_> {
    fn drop(&mut self) {
        if !self.finished {
            self.engine.abort();
        }
    }
}

pub(crate) fn receipt_of(receipt: &engine::Receipt) -> CommitReceipt {
    CommitReceipt {
        revision: receipt.revision,
        changes: receipt.changes,
        replayed: receipt.replayed.is_some(),
    }
}

impl std::fmt::Debug for Transaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transaction")
            .field("id", &self.id())
            .field("isolation", &self.isolation())
            .field("revision", &self.revision())
            .finish_non_exhaustive()
    }
}
