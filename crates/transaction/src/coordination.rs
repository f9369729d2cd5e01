//! The contract between a connection and whatever commits for it: *begin a
//! view; read it; commit (read set, row changes, derive) → revision, or
//! conflict*.
//!
//! [`LocalCoordinator`](crate::LocalCoordinator) implements it over the storage
//! trait. A database with distributed serializable transactions can implement
//! it too, by running validate and derive inside its own transaction; so
//! nothing above may assume that one process sees all commits, that a view is
//! near, or that the revisions of two commits are adjacent.

use std::sync::Arc;

use bytes::Bytes;
use tandem_base::{Environment, Result};
use tandem_storage::Durability;

use crate::commit::Commit;
use crate::derive::Maintenance;
use crate::errand::{Answer, Errand, Errands, Then};
use crate::isolation::Isolation;
use crate::limits::TransactionLimits;
use crate::lock::LockManager;
use crate::read_set::ReadSet;
use crate::registry::{Registry, TransactionId};
use crate::statistics::Statistics;
use crate::view::View;
use crate::write_set::WriteSet;

/// How a commit is to be made.
#[derive(Clone, Debug, Default)]
pub struct CommitOptions {
    /// What must be true before the commit is acknowledged; `None` = the
    /// store's default.
    pub durability: Option<Durability>,
    /// A name for this commit: committing again under the same name, within
    /// the window, answers the first result and changes nothing. With it, a
    /// payload that is kept for the answer.
    pub idempotency: Option<(Bytes, Bytes)>,
}

/// What a commit came to.
#[derive(Clone, Debug)]
pub struct Receipt {
    /// The commit's revision; for an empty write set, the view's.
    pub revision: u64,
    /// How many records it changed.
    pub changes: usize,
    /// The commit itself; `None` if nothing was written or it was replayed.
    pub commit: Option<Arc<Commit>>,
    /// The kept payload, when the idempotency key was seen before.
    pub replayed: Option<Bytes>,
}

/// What a [`CommitRequest`] asks the commit section to do.
pub enum Work {
    /// Validate and commit a transaction.
    Transaction {
        /// Who commits; its locks do not stand in its own way.
        id: TransactionId,
        /// Its level.
        isolation: Isolation,
        /// The revision that it reads.
        begin: u64,
        /// What it read.
        reads: ReadSet,
        /// What it writes.
        writes: WriteSet,
    },
    /// Background work on derived or expired data.
    Maintenance(Maintenance),
}

/// Work for the commit section.
pub struct CommitRequest {
    /// The work.
    pub work: Work,
    /// How to commit it.
    pub options: CommitOptions,
}

/// Begins views and commits; shared by all connections of a store.
pub trait Coordination: Send + Sync {
    /// The newest published state.
    ///
    /// # Errors
    /// `STORAGE_ERROR` when it cannot be reached.
    fn view(&self) -> Result<Arc<View>>;

    /// The newest published state, to be read where nothing may wait: it answers
    /// what is in memory, and says so when that
    /// [was not enough](View::fell_short). `None` where even the view is not near.
    fn view_at_hand(&self) -> Option<Arc<View>> {
        None
    }

    /// Commits, or says why not. On return the commit is as durable as asked,
    /// visible to every later view, and in the hands of the listeners.
    ///
    /// # Errors
    /// `CONFLICT` and constraint violations: nothing was written.
    /// `STORE_FAILED`: unknown until the store is opened again.
    fn commit(&self, request: CommitRequest) -> Result<Receipt>;

    /// As [`commit`](Self::commit), for a caller that does not wait: `then` takes the
    /// answer. If others wait for the caller meanwhile, it is given an errand to do;
    /// those that come later are for `errands`.
    fn commit_then(
        self: Arc<Self>,
        request: CommitRequest,
        errands: &Arc<dyn Errands>,
        then: Then,
    ) -> Option<Errand>
    where
        Self: 'static,
    {
        let _by_this_one = errands;
        let environment = self.environment().clone();
        Some(Errand::new(&environment, move || {
            let result = self.commit(request);
            drop(self);
            then(Answer { result, spent: None });
        }))
    }

    /// The newest view, if everything in `reads` and `keys` is in it as in the
    /// view of revision `from`; `None` if not. Commits that were under way when
    /// it was called are over when it returns. `advance` moves that transaction
    /// to the view in the registry.
    ///
    /// # Errors
    /// `STORAGE_ERROR` when the state cannot be reached; `STORE_FAILED` when it
    /// is not known any more.
    fn refresh(
        &self,
        advance: Option<TransactionId>,
        from: u64,
        reads: &ReadSet,
        keys: &mut dyn Iterator<Item = &Bytes>,
    ) -> Result<Option<Arc<View>>>;

    /// The first result under an idempotency key, if it is still kept.
    ///
    /// # Errors
    /// `STORAGE_ERROR` when the state cannot be read.
    fn replay(&self, idempotency_key: &[u8]) -> Result<Option<Receipt>>;

    /// The open transactions.
    fn registry(&self) -> &Registry;

    /// The record locks.
    fn locks(&self) -> &LockManager;

    /// The bounds in force.
    fn limits(&self) -> &TransactionLimits;

    /// Time, randomness, threads.
    fn environment(&self) -> &Environment;

    /// Counters.
    fn statistics(&self) -> &Statistics;

    /// Ends every transaction whose time is over, whether anybody uses it any more or
    /// not: its locks go, and it is counted. Answers how many there were.
    fn expire_transactions(&self) -> u64 {
        let expired = self.registry().expire(self.environment().clock.monotonic());
        for id in &expired {
            self.locks().release_all(*id);
        }
        let ended = expired.len() as u64;
        Statistics::add(&self.statistics().expired, ended);
        ended
    }
}
