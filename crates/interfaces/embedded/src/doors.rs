//! Calls for the doors to a store that are not written in Rust: the server and
//! the command line.

use std::sync::Arc;

use serde_json::Value;
use tandem_base::Result;
use tandem_storage::{Durability, WriteBatch};

use tandem_record::Records;
use tandem_transaction::{Errand, Errands, Read, Transaction as Engine};

use crate::batch::{self, BatchEnding, BatchOptions, BatchResult, Operation};
use crate::session::Session;
use crate::store::Store;
use crate::transaction::{Transaction, TransactionOptions};

impl Transaction {
    /// Runs one statement of the layers below.
    ///
    /// # Errors
    /// What `work` answers; and when the transaction is over.
    pub fn statement<T>(&self, work: impl FnOnce(&Records, &mut Engine) -> Result<T>) -> Result<T> {
        self.with(work)
    }

    /// Runs a statement that is made of several of this transaction: they see
    /// one state of the store, also when it is read committed, and when `work`
    /// fails (or panics) they are undone together. Others that are made from
    /// other threads meanwhile become part of it.
    ///
    /// # Errors
    /// What `work` answers; and when the transaction is over.
    pub fn compound<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        struct Ending<'a>(&'a Transaction, bool);
        impl Drop for Ending<'_> {
            fn drop(&mut self) {
                // Nobody is left to be told if the store was closed meanwhile.
                self.0.end_compound(self.1);
            }
        }
        self.with(|_, engine| engine.begin_compound())?;
        let mut ending = Ending(self, false);
        let answer = work();
        ending.1 = answer.is_ok();
        answer
    }
}

impl Store {
    /// Runs `attempt` as often as the retry policy of `options` says, else the store's,
    /// while it ends in conflicts.
    ///
    /// # Errors
    /// What its last run answered.
    pub fn retrying<T>(
        &self,
        options: &TransactionOptions,
        attempt: impl FnMut() -> Result<T>,
    ) -> Result<T> {
        options.retry.unwrap_or(self.limits().retry).run(
            self.environment(),
            || self.count_retry(),
            attempt,
        )
    }

    /// Runs a batch for a caller that does not wait for its commit on a thread: once,
    /// up to the commit, on this one. `then` takes what came of it, wherever that is
    /// known first, and has to be quick. If others wait for the caller meanwhile, it is
    /// given an errand to do; those that come later are for `errands`.
    pub fn batch_then(
        &self,
        operations: &[Operation],
        options: &BatchOptions,
        errands: &Arc<dyn Errands>,
        then: impl FnOnce(BatchEnding) + Send + 'static,
    ) -> Option<Errand> {
        batch::begin(self, operations, options, errands, then)
    }

    /// Runs a batch that has met a conflict once, waiting and counting its attempts as
    /// [`batch`](Self::batch) would have.
    ///
    /// # Errors
    /// As [`batch`](Self::batch).
    pub fn batch_again(
        &self,
        operations: &[Operation],
        options: &BatchOptions,
    ) -> Result<BatchResult> {
        batch::run_again(self, operations, options)
    }

    /// What a batch of that idempotency key has answered before, if it has one.
    ///
    /// # Errors
    /// `STORAGE_ERROR`, `CLOSED`.
    pub fn batch_before(&self, options: &BatchOptions) -> Result<Option<BatchResult>> {
        batch::first_result(self, options)
    }

    /// The config of a stored query.
    ///
    /// # Errors
    /// `QUERY_NOT_DEFINED`.
    pub fn query_config(&self, name: &str) -> Result<Value> {
        Session::Autocommit(self)
            .read(|records, tx| Ok(records.catalog(tx)?.query(name)?.config.clone()))
    }

    /// The number that names a bucket's data. It is never used again: a bucket
    /// that is dropped and defined anew has another one.
    ///
    /// # Errors
    /// `BUCKET_NOT_DEFINED`.
    pub fn bucket_id(&self, name: &str) -> Result<u32> {
        Session::Autocommit(self).read(|records, tx| Ok(records.catalog(tx)?.bucket(name)?.id))
    }

    /// Runs reading statements on the newest revision, and tells which it is.
    ///
    /// # Errors
    /// What `work` answers; `STORAGE_ERROR`, `CLOSED`.
    pub fn read_at<T>(
        &self,
        work: impl FnOnce(&Records, &mut Engine) -> Result<T>,
    ) -> Result<(u64, T)> {
        Session::Autocommit(self).read(|records, tx| {
            let revision = tx.view().revision();
            Ok((revision, work(records, tx)?))
        })
    }

    /// Makes every commit so far survive a power cut, those that were only
    /// [`Buffered`](Durability::Buffered) too. Does nothing for a store over
    /// another coordination, whose commits are its own affair.
    ///
    /// # Errors
    /// `STORE_FAILED`: reopen the store to learn what is there.
    pub fn flush(&self) -> Result<()> {
        self.coordination()?;
        match &self.inner().storage {
            Some(storage) => storage.write(WriteBatch::new(), Durability::Sync),
            None => Ok(()),
        }
    }
}
