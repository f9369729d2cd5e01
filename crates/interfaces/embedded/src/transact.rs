//! Transactions as closures: begun, committed and run again by the store.

use std::fmt;

use tandem_base::{Error, Result};

use crate::store::Store;
use crate::transaction::{CommitOptions, CommitReceipt, Transaction, TransactionOptions};

/// Why a transaction closure failed: for a reason of the store or of the
/// application. See [`Store::try_transaction`].
#[derive(Clone, Debug)]
pub enum Abort<E> {
    /// The store's reason; `?` makes it from an [`Error`].
    Store(Error),
    /// The application's own: the transaction is rolled back, not run again.
    Application(E),
}

impl<E> Abort<E> {
    fn store_error(&self) -> Option<&Error> {
        match self {
            Self::Store(error) => Some(error),
            Self::Application(_) => None,
        }
    }
}

impl<E> From<Error> for Abort<E> {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl<E: fmt::Display> fmt::Display for Abort<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Application(error) => error.fmt(f),
        }
    }
}

impl<E: std::error::Error> std::error::Error for Abort<E> {}

impl Store {
    /// Runs `work` in a serializable transaction and commits it. When the
    /// transaction conflicts with another, all of it is rolled back and `work`
    /// is run again, after a short random wait and a bounded number of times
    /// (see [`Limits::retry`](crate::Limits::retry)); so `work` should have no
    /// effects outside the transaction. An error or a panic rolls back.
    ///
    /// # Errors
    /// What `work` or the commit answers last.
    ///
    /// ```
    /// # fn main() -> tandem::Result<()> {
    /// # use serde_json::json;
    /// # let store = tandem::Store::memory()?;
    /// # store.define_bucket("counters", tandem::BucketConfig::new("name"))?;
    /// let count = store.transaction(|tx| {
    ///     let counters = tx.bucket("counters");
    ///     let visits = counters.get("visits")?;
    ///     let count = visits.and_then(|v| v.get("count")?.as_u64()).unwrap_or(0) + 1;
    ///     counters.upsert(json!({ "name": "visits", "count": count }))?;
    ///     Ok(count)
    /// })?;
    /// assert_eq!(count, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn transaction<T>(&self, work: impl FnMut(&Transaction) -> Result<T>) -> Result<T> {
        self.transaction_with(&TransactionOptions::default(), work)
    }

    /// The first result of a commit under this idempotency key, if it happened
    /// within the window.
    ///
    /// # Errors
    /// `STORAGE_ERROR`, `CLOSED`.
    pub fn committed(&self, idempotency_key: &[u8]) -> Result<Option<CommitReceipt>> {
        let first = self.coordination()?.replay(idempotency_key)?;
        Ok(first.map(|first| CommitReceipt {
            revision: first.revision,
            changes: first.changes,
            replayed: true,
        }))
    }

    /// As [`transaction`](Self::transaction), with options.
    ///
    /// # Errors
    /// As there.
    pub fn transaction_with<T>(
        &self,
        options: &TransactionOptions,
        work: impl FnMut(&Transaction) -> Result<T>,
    ) -> Result<T> {
        self.run_transaction(options, |error| Some(error), work)
    }

    /// As [`transaction`](Self::transaction), for a closure that can also fail
    /// with an error of its own.
    ///
    /// # Errors
    /// As there; [`Abort::Application`] with what `work` answered.
    ///
    /// ```
    /// # fn main() -> tandem::Result<()> {
    /// use tandem::Abort;
    /// # let store = tandem::Store::memory()?;
    /// # store.define_bucket("stock", tandem::BucketConfig::new("sku"))?;
    ///
    /// #[derive(Debug, PartialEq)]
    /// struct SoldOut;
    ///
    /// let result = store.try_transaction(|tx| match tx.bucket("stock").get("hat")? {
    ///     Some(hat) => Ok(hat),
    ///     None => Err(Abort::Application(SoldOut)),
    /// });
    /// assert!(matches!(result, Err(Abort::Application(SoldOut))));
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_transaction<T, E>(
        &self,
        work: impl FnMut(&Transaction) -> Result<T, Abort<E>>,
    ) -> Result<T, Abort<E>> {
        self.run_transaction(&TransactionOptions::default(), Abort::store_error, work)
    }

    fn run_transaction<T, E: From<Error>>(
        &self,
        options: &TransactionOptions,
        store_error: impl Fn(&E) -> Option<&Error>,
        mut work: impl FnMut(&Transaction) -> Result<T, E>,
    ) -> Result<T, E> {
        let policy = options.retry.unwrap_or(self.limits().retry);
        policy.run_finding(
            self.environment(),
            || self.count_retry(),
            store_error,
            || {
                let transaction = Transaction::begin(self, options)?;
                let value = work(&transaction)?;
                transaction.finish(CommitOptions::default())?;
                Ok(value)
            },
        )
    }

    /// Begins a serializable transaction, which the caller commits.
    ///
    /// # Errors
    /// `LIMIT_EXCEEDED` when too many are open; `CLOSED`; `STORAGE_ERROR`.
    pub fn begin(&self) -> Result<Transaction> {
        self.begin_with(&TransactionOptions::default())
    }

    /// Begins a transaction with options, which the caller commits.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    pub fn begin_with(&self, options: &TransactionOptions) -> Result<Transaction> {
        Transaction::begin(self, options)
    }
}
