use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::bucket::{Bucket, number};
use crate::client::{Client, Door, Within, unique_name};
use crate::connection::{Call, Command};
use crate::error::{Error, Outcome, Result};
use crate::options::RetryPolicy;

/// Which anomalies a transaction admits; see `docs/isolation.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Isolation {
    /// Each read sees the newest revision.
    ReadCommitted,
    /// Reads see the begin revision; the first committer of a record wins.
    Snapshot,
    /// As if transactions ran one after the other. The default.
    Serializable,
}

impl Isolation {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::ReadCommitted => "read committed",
            Self::Snapshot => "snapshot",
            Self::Serializable => "serializable",
        }
    }
}

/// What an acknowledged commit survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Durability {
    /// A power cut.
    Sync,
    /// A kill of the server's process.
    Buffered,
}

impl Durability {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Buffered => "buffered",
        }
    }
}

/// How a transaction is begun, committed and run again.
#[derive(Clone, Debug)]
pub struct TransactionOptions {
    /// The level; serializable.
    pub isolation: Isolation,
    /// Whether writes are refused.
    pub read_only: bool,
    /// How long it may be open; the server's default is 30 s.
    pub timeout: Option<Duration>,
    /// What the commit survives; the server's config says, unless told.
    pub durability: Option<Durability>,
    /// How a closure is run again; [`Options::retry`](crate::Options::retry)
    /// unless told.
    pub retry: Option<RetryPolicy>,
    /// Whether a closure's commit is named, so that its outcome can be found
    /// out after a lost connection. True; it costs the server an entry for 24
    /// hours.
    pub named: bool,
}

impl Default for TransactionOptions {
    fn default() -> Self {
        Self {
            isolation: Isolation::Serializable,
            read_only: false,
            timeout: None,
            durability: None,
            retry: None,
            named: true,
        }
    }
}

/// What a commit answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The commit's number.
    pub revision: u64,
    /// Records that it changed.
    pub changes: u64,
}

/// An open transaction; clones share it. Dropping the last one rolls back.
#[derive(Clone, Debug)]
pub struct Transaction {
    open: Arc<Open>,
}

#[derive(Debug)]
struct Open {
    door: Door,
    revision: u64,
    durability: Option<Durability>,
    ended: AtomicBool,
}

impl Transaction {
    /// The requests of one bucket, as part of the transaction.
    #[must_use]
    pub fn bucket(&self, name: impl Into<String>) -> Bucket {
        Bucket::new(self.open.door.clone(), name.into())
    }

    /// The revision that it reads.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.open.revision
    }

    /// Any request by its type and fields, as part of the transaction.
    ///
    /// # Errors
    /// What the server answers; [`CONNECTION_LOST`](crate::CONNECTION_LOST),
    /// retryable, when the transaction has ended with its connection.
    pub async fn request(&self, kind: &str, fields: Value) -> Result<Value> {
        self.open.door.request(kind, fields).await
    }

    pub(crate) fn door(&self) -> &Door {
        &self.open.door
    }

    /// Marks the present state under a name.
    ///
    /// # Errors
    /// `LIMIT_EXCEEDED`, `TRANSACTION_ABORTED`.
    pub async fn savepoint(&self, name: &str) -> Result<()> {
        self.request("store.savepoint", json!({ "name": name })).await.map(drop)
    }

    /// Undoes what happened since a savepoint, which stays.
    ///
    /// # Errors
    /// `SAVEPOINT_NOT_FOUND`, `TRANSACTION_ABORTED`.
    pub async fn rollback_to(&self, name: &str) -> Result<()> {
        self.request("store.rollbackTo", json!({ "name": name })).await.map(drop)
    }

    /// Forgets a savepoint and keeps what happened since.
    ///
    /// # Errors
    /// `SAVEPOINT_NOT_FOUND`, `TRANSACTION_ABORTED`.
    pub async fn release(&self, name: &str) -> Result<()> {
        self.request("store.release", json!({ "name": name })).await.map(drop)
    }

    /// The record, locked to the transaction's end: other writers wait. `wait`
    /// bounds how long this one waits for a lock.
    ///
    /// # Errors
    /// `LOCK_TIMEOUT`, `DEADLOCK`, `CONFLICT`, all retryable.
    pub async fn lock(
        &self,
        bucket: &str,
        key: impl Into<Value>,
        wait: Option<Duration>,
    ) -> Result<Option<Value>> {
        let mut fields = json!({ "bucket": bucket, "key": key.into() });
        if let Some(wait) = wait {
            fields["waitMs"] = milliseconds(wait).into();
        }
        let record = self.request("store.lock", fields).await?;
        Ok(Some(record).filter(|record| !record.is_null()))
    }

    /// Commits.
    ///
    /// # Errors
    /// `CONFLICT` and the other retryable ones: nothing was committed.
    /// [`CONNECTION_LOST`](crate::CONNECTION_LOST): see [`Error::outcome`].
    pub async fn commit(&self) -> Result<Receipt> {
        self.finish(None).await
    }

    /// Commits under a name: the same name again within 24 hours answers this
    /// result and changes nothing.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub async fn commit_named(&self, idempotency_key: &str) -> Result<Receipt> {
        self.finish(Some(idempotency_key)).await
    }

    async fn finish(&self, idempotency_key: Option<&str>) -> Result<Receipt> {
        let mut fields = json!({});
        if let Some(key) = idempotency_key {
            fields["idempotencyKey"] = key.into();
        }
        if let Some(durability) = self.open.durability {
            fields["durability"] = durability.as_str().into();
        }
        let answer = self.request("store.commit", fields).await?;
        self.open.ended.store(true, Ordering::Relaxed);
        Ok(Receipt { revision: number(&answer["revision"])?, changes: number(&answer["changes"])? })
    }

    /// Rolls back, and waits until that is done.
    ///
    /// # Errors
    /// `TRANSACTION_EXPIRED`, `TRANSACTION_NOT_FOUND`: it was over already.
    pub async fn rollback(&self) -> Result<()> {
        self.open.ended.store(true, Ordering::Relaxed);
        self.request("store.rollback", json!({})).await.map(drop)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if !*self.ended.get_mut()
            && let Some(within) = &self.door.within
        {
            let mut fields = Map::new();
            fields.insert("transaction".to_owned(), within.handle.as_str().into());
            let (reply, _nobody) = oneshot::channel();
            self.door.client.link.send(Command::Call(Call {
                kind: "store.rollback".to_owned(),
                fields: fields.into(),
                session: Some(within.session),
                reply,
                _room: None,
            }));
        }
    }
}

/// Why a transaction closure failed: for a reason of the server or the
/// connection, or of the application. See [`Client::try_transaction`].
#[derive(Clone, Debug)]
pub enum Abort<E> {
    /// The client's reason; `?` makes it from an [`Error`].
    Client(Error),
    /// The application's own: the transaction is rolled back, not run again.
    Application(E),
}

impl<E> From<Error> for Abort<E> {
    fn from(error: Error) -> Self {
        Self::Client(error)
    }
}

impl<E: fmt::Display> fmt::Display for Abort<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(error) => error.fmt(f),
            Self::Application(error) => error.fmt(f),
        }
    }
}

impl<E: std::error::Error> std::error::Error for Abort<E> {}

impl Client {
    /// Begins a serializable transaction, which the caller commits.
    ///
    /// # Errors
    /// `LIMIT_EXCEEDED` when too many are open on this connection.
    pub async fn begin(&self) -> Result<Transaction> {
        self.begin_with(&TransactionOptions::default()).await
    }

    /// Begins a transaction with options, which the caller commits.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    pub async fn begin_with(&self, options: &TransactionOptions) -> Result<Transaction> {
        let mut fields = json!({
            "isolation": options.isolation.as_str(), "readOnly": options.read_only
        });
        if let Some(timeout) = options.timeout {
            fields["timeoutMs"] = milliseconds(timeout).into();
        }
        let mut door = Door::of(self.clone());
        let answer = door.reply("store.begin", fields).await?;
        let handle = answer.data["transaction"].as_str().unwrap_or_default().to_owned();
        door.within = Some(Arc::new(Within { handle, session: answer.session }));
        Ok(Transaction {
            open: Arc::new(Open {
                door,
                revision: number(&answer.data["revision"])?,
                durability: options.durability,
                ended: AtomicBool::new(false),
            }),
        })
    }

    /// Runs `work` in a serializable transaction and commits it. After a
    /// retryable error (a conflict, a deadlock, a lost connection) all of it is
    /// rolled back and `work` is run again, after a random wait that grows, a
    /// bounded number of times; so `work` should have no effects outside the
    /// transaction.
    ///
    /// A connection that is lost while the commit is on its way leaves no doubt:
    /// the commit has a name, under which the client asks on the next
    /// connection whether it happened, and makes sure that it does not happen
    /// later if it has not.
    ///
    /// # Errors
    /// What `work` or the commit answers last.
    pub async fn transaction<T, F>(&self, work: impl FnMut(Transaction) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        self.transaction_with(&TransactionOptions::default(), work).await
    }

    /// As [`transaction`](Self::transaction), with options.
    ///
    /// # Errors
    /// As there.
    pub async fn transaction_with<T, F>(
        &self,
        options: &TransactionOptions,
        mut work: impl FnMut(Transaction) -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let run = |tx| {
            let result = work(tx);
            async { result.await.map_err(Abort::<std::convert::Infallible>::Client) }
        };
        match self.run(options, run).await {
            Ok(value) => Ok(value),
            Err(Abort::Client(error)) => Err(error),
            Err(Abort::Application(never)) => match never {},
        }
    }

    /// As [`transaction`](Self::transaction), for a closure that can also fail
    /// with an error of its own.
    ///
    /// # Errors
    /// As there; [`Abort::Application`] with what `work` answered.
    pub async fn try_transaction<T, E, F>(
        &self,
        options: &TransactionOptions,
        work: impl FnMut(Transaction) -> F,
    ) -> Result<T, Abort<E>>
    where
        F: Future<Output = Result<T, Abort<E>>>,
    {
        self.run(options, work).await
    }

    async fn run<T, E, F>(
        &self,
        options: &TransactionOptions,
        mut work: impl FnMut(Transaction) -> F,
    ) -> Result<T, Abort<E>>
    where
        F: Future<Output = Result<T, Abort<E>>>,
    {
        let policy = options.retry.unwrap_or(self.options().retry);
        let mut made = 1;
        loop {
            let error = match self.attempt(options, &mut work).await {
                Err(Abort::Client(error)) if error.retryable() && made < policy.attempts => error,
                ended => return ended,
            };
            drop(error);
            sleep(policy.wait(made)).await;
            made += 1;
        }
    }

    async fn attempt<T, E, F>(
        &self,
        options: &TransactionOptions,
        work: &mut impl FnMut(Transaction) -> F,
    ) -> Result<T, Abort<E>>
    where
        F: Future<Output = Result<T, Abort<E>>>,
    {
        let tx = self.begin_with(options).await?;
        let value = match work(tx.clone()).await {
            Ok(value) => value,
            Err(error) => {
                // Waited for, so that the next attempt meets none of its locks.
                let _over_already = tx.rollback().await;
                return Err(error);
            }
        };
        // Nothing that a read-only transaction has done could be in doubt.
        let name = (options.named && !options.read_only).then(unique_name);
        let committed = match &name {
            Some(name) => tx.commit_named(name).await,
            None => tx.commit().await,
        };
        match (committed, name) {
            (Ok(_), _) => Ok(value),
            (Err(error), Some(name)) if error.outcome() == Outcome::Unknown => {
                if self.has_committed(&name).await? {
                    Ok(value)
                } else {
                    Err(Error::rolled_back().into())
                }
            }
            (Err(error), _) => {
                let _over_already = tx.rollback().await;
                Err(error.into())
            }
        }
    }

    /// Whether the commit of that name happened. It is asked by committing
    /// nothing under the same name, so that afterwards it cannot happen any
    /// more: a server that still has the first request before it answers that
    /// one with the result of this.
    async fn has_committed(&self, name: &str) -> Result<bool> {
        let mut asked = 1;
        loop {
            let answer = async { self.begin().await?.commit_named(name).await }.await;
            match answer {
                Ok(receipt) => return Ok(receipt.changes > 0),
                Err(error)
                    if asked < self.options().retry.attempts
                        && (error.retryable() || error.outcome() == Outcome::Unknown) =>
                {
                    sleep(self.options().retry.wait(asked)).await;
                    asked += 1;
                }
                // Nobody knows; the first reason says so.
                Err(_) => return Err(Error::unanswered()),
            }
        }
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
