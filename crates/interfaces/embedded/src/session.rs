//! Where an operation runs: on its own, or as part of an open transaction.
//!
//! Every handle (`Bucket`, `Find`, …) holds a [`Session`] and asks it to read
//! or write, so the same code serves both. On its own, a read is a read-only
//! transaction over the newest revision that nobody needs to know of, and a
//! write is a serializable transaction of one statement that is run again when
//! it conflicts.

use tandem_base::Result;
use tandem_record::Records;
use tandem_transaction::{CommitOptions, Transaction as Engine, TransactionOptions};

use crate::store::Store;
use crate::transaction::Transaction;

/// See the [module](self).
#[derive(Clone, Copy)]
pub(crate) enum Session<'a> {
    /// Each operation is its own transaction.
    Autocommit(&'a Store),
    /// All operations are part of this one.
    Open(&'a Transaction),
}

impl<'a> Session<'a> {
    pub(crate) fn store(&self) -> &'a Store {
        match self {
            Self::Autocommit(store) => store,
            Self::Open(transaction) => transaction.store(),
        }
    }

    /// Runs reading statements, all of one revision unless the transaction is
    /// read committed.
    pub(crate) fn read<T>(
        &self,
        work: impl FnOnce(&Records, &mut Engine) -> Result<T>,
    ) -> Result<T> {
        match self {
            Self::Autocommit(store) => {
                let mut read = Engine::read(store.coordination()?.clone())?;
                work(store.records(), &mut read)
            }
            Self::Open(transaction) => transaction.with(work),
        }
    }

    /// Runs reading statements, if all that they need is in memory: for where
    /// nothing may wait. `None` = it is not, or nobody can tell.
    pub(crate) fn read_at_hand<T>(
        &self,
        work: impl FnOnce(&Records, &mut Engine) -> Result<T>,
    ) -> Option<Result<T>> {
        let Self::Autocommit(store) = self else { return None };
        let mut read = match store.coordination() {
            Ok(coordination) => Engine::read_at_hand(coordination.clone())?,
            Err(closed) => return Some(Err(closed)),
        };
        let answer = work(store.records(), &mut read);
        (!read.fell_short()).then_some(answer)
    }

    /// Runs one writing statement over `input`. On its own it may be run
    /// several times, but commits at most once.
    pub(crate) fn write<I: Clone, T>(
        &self,
        input: I,
        mut work: impl FnMut(&Records, &mut Engine, I) -> Result<T>,
    ) -> Result<T> {
        match self {
            Self::Open(transaction) => {
                transaction.with(|records, engine| work(records, engine, input))
            }
            Self::Autocommit(store) => {
                let coordination = store.coordination()?;
                let options = TransactionOptions::default();
                store.limits().retry.run(
                    store.environment(),
                    || store.count_retry(),
                    || {
                        let mut engine = Engine::begin(coordination.clone(), &options)?;
                        let value = work(store.records(), &mut engine, input.clone())?;
                        engine.commit(CommitOptions::default())?;
                        Ok(value)
                    },
                )
            }
        }
    }
}
