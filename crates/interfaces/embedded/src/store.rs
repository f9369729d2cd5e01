//! The store: what all its handles share.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tandem_base::{Code, Environment, Error, Result};
use tandem_change::{ChangeHub, ChangeLogRetention, EventDispatcher};
use tandem_record::Records;
use tandem_storage::Storage;
use tandem_transaction::{Coordination, Read};

use crate::batch::{self, BatchOptions, BatchResult, Operation};
use crate::bucket::Bucket;
use crate::builder::StoreBuilder;
use crate::limits::Limits;
use crate::maintenance::{Builds, MaintenanceReport, Worker};
use crate::session::Session;
use crate::statistics::StoreStatistics;
use crate::typed::TypedBucket;

/// An open store. Cloning it is cheap; all clones are handles on the same
/// store, and can be used from any thread.
///
/// The store is closed when its last handle is dropped (transactions,
/// subscriptions and iterators are handles too), or by [`close`](Self::close).
#[derive(Clone)]
pub struct Store {
    handle: Arc<Handle>,
}

/// What the user's handles share: when the last one goes, background work is
/// over before the call that dropped it returns.
struct Handle {
    inner: Arc<Inner>,
    worker: Option<Worker>,
}

/// What the background thread shares with them.
pub(crate) struct Inner {
    pub(crate) coordination: Arc<dyn Coordination>,
    pub(crate) records: Arc<Records>,
    pub(crate) changes: Arc<ChangeHub>,
    pub(crate) events: EventDispatcher,
    pub(crate) retention: ChangeLogRetention,
    /// `None` when the coordination came from outside.
    pub(crate) storage: Option<Arc<dyn Storage>>,
    pub(crate) environment: Environment,
    pub(crate) limits: Limits,
    pub(crate) builds: Builds,
    pub(crate) closed: AtomicBool,
}

impl Store {
    /// Opens the store in a directory, creating both if they do not exist.
    ///
    /// # Errors
    /// `STORE_LOCKED` when the directory is open already, here or in another
    /// process; `FORMAT_UNSUPPORTED`; `CORRUPTED`; `STORAGE_ERROR`.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::builder().path(path).open()
    }

    /// A new store in memory; it is gone with its last handle.
    ///
    /// # Errors
    /// `STORAGE_ERROR` when the background thread cannot be started.
    pub fn memory() -> Result<Self> {
        Self::builder().memory().open()
    }

    /// Says how a store is to be opened.
    #[must_use]
    pub fn builder() -> StoreBuilder {
        StoreBuilder::new()
    }

    pub(crate) fn start(inner: Inner, background: bool) -> Result<Self> {
        let inner = Arc::new(inner);
        let worker = background.then(|| Worker::start(inner.clone())).transpose()?;
        Ok(Self { handle: Arc::new(Handle { inner, worker }) })
    }

    /// A handle on a bucket whose operations commit on their own. Nothing is
    /// looked up until it is used.
    pub fn bucket<'a>(&'a self, name: impl Into<Cow<'a, str>>) -> Bucket<'a> {
        Bucket::new(Session::Autocommit(self), name.into())
    }

    /// As [`bucket`](Self::bucket), over values of `T`.
    pub fn typed<'a, T>(&'a self, name: impl Into<Cow<'a, str>>) -> TypedBucket<'a, T> {
        TypedBucket::new(self.bucket(name))
    }

    /// Runs operations in order, all or nothing; see [`Operation`]. On a
    /// conflict the whole batch is run again, a bounded number of times.
    ///
    /// # Errors
    /// That of the first operation that fails, its message preceded by
    /// `operations[i]: `; `VALIDATION_ERROR` for an empty batch;
    /// `LIMIT_EXCEEDED` for a too long one.
    ///
    /// ```
    /// # fn main() -> tandem::Result<()> {
    /// use serde_json::json;
    /// use tandem::{BatchOptions, BucketConfig, Operation, Store};
    ///
    /// let store = Store::memory()?;
    /// store.define_bucket("users", BucketConfig::new("id"))?;
    /// let answer = store.batch(
    ///     &[
    ///         Operation::insert("users", json!({ "id": 1, "role": "admin" })),
    ///         Operation::find("users", json!({ "role": "admin" })),
    ///         Operation::count("users", None),
    ///     ],
    ///     &BatchOptions::new().idempotency_key("request 4711"),
    /// )?;
    /// assert_eq!(answer.results[1].records().len(), 1);
    /// assert_eq!(answer.results[2].as_count(), Some(1));
    /// # Ok(())
    /// # }
    /// ```
    pub fn batch(&self, operations: &[Operation], options: &BatchOptions) -> Result<BatchResult> {
        batch::run(self, operations, options)
    }

    /// The newest revision.
    ///
    /// # Errors
    /// `STORAGE_ERROR`, `CLOSED`.
    pub fn revision(&self) -> Result<u64> {
        Ok(self.coordination()?.view()?.revision())
    }

    /// What the store holds and what it has done since it was opened.
    ///
    /// # Errors
    /// `STORAGE_ERROR`, `CLOSED`.
    pub fn statistics(&self) -> Result<StoreStatistics> {
        StoreStatistics::read(self)
    }

    /// Does one round of maintenance to its end, on the calling thread: for a
    /// store that was opened without background work.
    ///
    /// # Errors
    /// `STORE_FAILED`, `STORAGE_ERROR`, `CLOSED`. What was done before stays.
    pub fn maintain(&self) -> Result<MaintenanceReport> {
        self.inner().maintain(&|| false)
    }

    /// As [`maintain`](Self::maintain), but ends between two steps as soon as
    /// `stop` says so, which is asked before each further step. What is left is
    /// done by the next round: a deterministic run lets other work happen
    /// between any two steps.
    ///
    /// # Errors
    /// As there.
    pub fn maintain_until(&self, stop: impl Fn() -> bool) -> Result<MaintenanceReport> {
        self.inner().maintain(&stop)
    }

    /// The bounds in force.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.inner().limits
    }

    /// Closes the store for all its handles: background work and event delivery
    /// end, and every later call answers `CLOSED`. What was committed stays. A
    /// directory can be opened again once the last handle is dropped.
    pub fn close(&self) {
        self.handle.close();
    }

    /// Whether [`close`](Self::close) was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.inner().closed.load(Ordering::Acquire)
    }

    /// A transaction is run again after a conflict.
    pub(crate) fn count_retry(&self) {
        self.inner().coordination.statistics().count_retry();
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.handle.inner
    }

    pub(crate) fn coordination(&self) -> Result<&Arc<dyn Coordination>> {
        self.inner().coordination()
    }

    pub(crate) fn records(&self) -> &Arc<Records> {
        &self.inner().records
    }

    /// Where its time, randomness and threads come from.
    #[must_use]
    pub fn environment(&self) -> &Environment {
        &self.inner().environment
    }

    pub(crate) fn wake_maintenance(&self) {
        if let Some(worker) = &self.handle.worker {
            worker.wake();
        }
    }
}

impl Inner {
    pub(crate) fn coordination(&self) -> Result<&Arc<dyn Coordination>> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::new(Code::Closed, "The store is closed"));
        }
        Ok(&self.coordination)
    }
}

impl Handle {
    fn close(&self) {
        self.inner.closed.store(true, Ordering::Release);
        if let Some(worker) = &self.worker {
            worker.stop();
        }
        self.inner.changes.close();
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.close();
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("storage", &self.inner().storage.as_ref().map(|storage| storage.name()))
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
