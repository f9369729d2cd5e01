//! The transactions that one socket holds open.
//!
//! ```text
//! store.begin ──> open ──commit, rollback──> forgotten   TRANSACTION_NOT_FOUND
//!                  │ ├──conflict──> aborted              only rollback is answered
//!                  │ └──time limit──> expired            TRANSACTION_EXPIRED
//!                  └──socket ends──> rolled back
//! ```
//!
//! A handle means something on its own socket only. The store ends a
//! transaction whose time is over by itself; the session only lets go of its
//! memory and remembers the handle, so that a late use is told why.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tandem::Transaction;
use tandem_base::{Code, Error, Result};
use tokio::time::{Instant, sleep_until};

use crate::limits::Held;

/// Expired handles that a session remembers.
const REMEMBERED: usize = 256;

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Session {
    open: BTreeMap<String, Entry>,
    expired: VecDeque<String>,
    max_open: usize,
}

#[derive(Debug)]
struct Entry {
    transaction: Arc<Transaction>,
    total: Instant,
    idle: Duration,
    last_used: Instant,
    _held: Held,
}

impl Entry {
    fn due(&self) -> Instant {
        self.total.min(self.last_used + self.idle)
    }
}

impl Session {
    pub(crate) fn new(max_open: usize) -> Self {
        Self { open: BTreeMap::new(), expired: VecDeque::new(), max_open }
    }

    /// Whether one more may be begun.
    ///
    /// # Errors
    /// `LIMIT_EXCEEDED`.
    pub(crate) fn check_room(&self) -> Result<()> {
        if self.open.len() < self.max_open {
            return Ok(());
        }
        let (max, actual) = (self.max_open as u64, self.open.len() as u64);
        Err(Error::limit("maxTransactionsPerConnection", max, actual))
    }

    /// Keeps a transaction under `handle` for at most `total`, and for `idle`
    /// after each use.
    pub(crate) fn keep(
        &mut self,
        handle: String,
        transaction: Arc<Transaction>,
        total: Duration,
        idle: Duration,
        held: Held,
    ) {
        let now = Instant::now();
        let entry = Entry { transaction, total: now + total, idle, last_used: now, _held: held };
        self.open.insert(handle, entry);
    }

    /// The transaction of that handle.
    ///
    /// # Errors
    /// `TRANSACTION_NOT_FOUND`, `TRANSACTION_EXPIRED`.
    pub(crate) fn transaction(&mut self, handle: &str) -> Result<Arc<Transaction>> {
        if let Some(entry) = self.open.get(handle) {
            return Ok(entry.transaction.clone());
        }
        if self.expired.iter().any(|expired| expired == handle) {
            return Err(expired_error(handle));
        }
        Err(Error::new(
            Code::TransactionNotFound,
            format!("Transaction \"{handle}\" is not open on this connection"),
        )
        .with("transaction", handle))
    }

    /// Notes that a statement of the transaction has ended, and how.
    pub(crate) fn used(&mut self, handle: &str, outcome: Option<&Error>) {
        if outcome.is_some_and(|error| error.code() == Code::TransactionExpired) {
            self.expire(handle);
        } else if let Some(entry) = self.open.get_mut(handle) {
            entry.last_used = Instant::now();
        }
    }

    /// Forgets a transaction that was committed or rolled back.
    pub(crate) fn forget(&mut self, handle: &str) {
        self.open.remove(handle);
    }

    fn expire(&mut self, handle: &str) {
        if self.open.remove(handle).is_some() {
            if self.expired.len() == REMEMBERED {
                self.expired.pop_front();
            }
            self.expired.push_back(handle.to_owned());
        }
    }

    /// Waits until a time limit ends a transaction; for ever without one. Safe
    /// to cancel.
    pub(crate) async fn due(&self) {
        match self.open.values().map(Entry::due).min() {
            Some(due) => sleep_until(due).await,
            None => std::future::pending().await,
        }
    }

    /// Takes out the transactions whose time is over, to be dropped where
    /// blocking is allowed.
    pub(crate) fn take_expired(&mut self) -> Vec<Arc<Transaction>> {
        let now = Instant::now();
        let is_due = |entry: &Entry| entry.due() <= now;
        let due: Vec<(String, Arc<Transaction>)> = self
            .open
            .iter()
            .filter(|(_, entry)| is_due(entry))
            .map(|(handle, entry)| (handle.clone(), entry.transaction.clone()))
            .collect();
        for (handle, _) in &due {
            self.expire(handle);
        }
        due.into_iter().map(|(_, transaction)| transaction).collect()
    }

    /// Takes out every transaction: the socket has ended.
    pub(crate) fn take_all(&mut self) -> Vec<Arc<Transaction>> {
        std::mem::take(&mut self.open).into_values().map(|entry| entry.transaction).collect()
    }
}

fn expired_error(handle: &str) -> Error {
    Error::new(
        Code::TransactionExpired,
        "The transaction exceeded its time limit and was rolled back",
    )
    .with("transaction", handle)
}
