//! The pessimistic side of a transaction: locking records, waiting for those of
//! others, and seeing the newest state after a wait.

use std::time::Duration;

use bytes::Bytes;
use tandem_base::{Code, Error, Result};

use crate::isolation::Isolation;
use crate::read_set::ReadSet;
use crate::registry::expired_error;
use crate::statistics::Statistics;
use crate::transaction::{Status, Transaction};
use crate::view::Read;

impl Transaction {
    /// Locks the row at `key` to the end of the transaction, waiting up to
    /// `wait` for its present owner. Afterwards the transaction sees the row
    /// as it is now: under snapshot and serializable its view is moved forward
    /// if nothing that it has read or written changed meanwhile.
    ///
    /// Call it inside a statement.
    ///
    /// # Errors
    /// `LOCK_TIMEOUT`, `DEADLOCK`, `LIMIT_EXCEEDED`; `TRANSACTION_EXPIRED` when
    /// its time ran out while it waited; `CONFLICT` when the row
    /// was changed after the begin revision and the view cannot be moved;
    /// `STORE_FAILED` when a failed write may have changed it.
    pub fn lock(&mut self, key: &Bytes, wait: Option<Duration>) -> Result<()> {
        let wait = wait.unwrap_or(self.coordination.limits().lock_wait);
        let clock = &*self.coordination.environment().clock;
        let outcome = self.coordination.locks().lock(clock, self.id(), key, wait);
        self.count_lock(&outcome);
        outcome?;
        // The reaper may have released our locks while we waited for this one.
        if self.active.as_ref().is_some_and(|active| active.is_expired()) {
            self.release(Status::Expired);
            return Err(expired_error());
        }
        self.renew_view(key)
    }

    /// Waits until no other transaction holds a lock on the row at `key`. Every
    /// writing statement calls it before it reads the row.
    ///
    /// # Errors
    /// As [`lock`](Self::lock).
    pub fn wait_for_lock(&mut self, key: &Bytes) -> Result<()> {
        if self.coordination.locks().is_empty() {
            return Ok(());
        }
        let clock = &*self.coordination.environment().clock;
        let wait = self.coordination.limits().lock_wait;
        let outcome = self.coordination.locks().pass_by(clock, self.id(), key, wait);
        self.count_lock(&outcome);
        if outcome? {
            self.renew_view(key)?;
        }
        Ok(())
    }

    fn count_lock(&self, outcome: &Result<bool>) {
        let statistics = self.coordination.statistics();
        match outcome {
            Ok(false) => {}
            Ok(true) => Statistics::add(&statistics.lock_waits, 1),
            Err(error) if error.code() == Code::Deadlock => {
                Statistics::add(&statistics.deadlocks, 1)
            }
            Err(_) => Statistics::add(&statistics.lock_timeouts, 1),
        }
    }

    /// After a wait: see the row at `key` as it is now, or say that it changed.
    fn renew_view(&mut self, key: &Bytes) -> Result<()> {
        let nothing = ReadSet::new(1);
        let from = self.view.revision();
        let only_key = |advance| {
            let mut keys = std::iter::once(key);
            self.coordination.refresh(advance, from, &nothing, &mut keys)
        };
        let renewed = match self.isolation {
            Isolation::ReadCommitted => {
                self.coordination.refresh(None, from, &nothing, &mut std::iter::empty())?
            }
            Isolation::Snapshot
                if self.has_read.load(tandem_base::sync::atomic::Ordering::Relaxed) =>
            {
                None
            }
            Isolation::Snapshot | Isolation::Serializable => {
                let reads = self.read_set();
                let mut keys = self.writes.rows().map(|(key, _)| key);
                // As long as there are guards, the registry keeps the older
                // pin: what they watch is compared since they were set.
                let advance = self.writes.guards().next().is_none().then(|| self.id());
                self.coordination.refresh(advance, from, &reads, &mut keys)?
            }
        };
        match renewed {
            Some(view) => self.view = view,
            None if only_key(None)?.is_some() => {}
            None => {
                return Err(Error::new(
                    Code::Conflict,
                    "The locked record was changed after this transaction began",
                ));
            }
        }
        Ok(())
    }
}
