//! What a session shares with SQLite's calls into it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tandem::Transaction;
use tandem_base::{Code, Error, Result};

use crate::output::OutputColumn;
use crate::table::Table;

/// See the [module](self). SQLite calls back on the thread that runs a statement,
/// so nothing here is ever waited for.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// The transaction of the statement that runs.
    current: Mutex<Option<Arc<Transaction>>>,
    /// The tables that the connection of SQLite has, by their names in small
    /// letters.
    tables: Mutex<HashMap<String, Arc<Table>>>,
    /// The columns of the answers of texts that are kept compiled; the tables stay as
    /// they are meanwhile.
    columns: Mutex<HashMap<String, Arc<[OutputColumn]>>>,
    /// What went wrong in a call: SQLite keeps a text of it alone.
    failure: Mutex<Option<Error>>,
}

impl Shared {
    pub(crate) fn transaction(&self) -> Result<Arc<Transaction>> {
        lock(&self.current)
            .clone()
            .ok_or_else(|| Error::new(Code::InternalError, "A table is read outside a statement"))
    }

    /// Makes `transaction` that of the statement until what is returned is dropped.
    pub(crate) fn enter(&self, transaction: Arc<Transaction>) -> Entered<'_> {
        let before = lock(&self.current).replace(transaction);
        Entered { shared: self, before }
    }

    pub(crate) fn tables(&self) -> MutexGuard<'_, HashMap<String, Arc<Table>>> {
        lock(&self.tables)
    }

    /// The table of that name, whatever its case.
    pub(crate) fn table(&self, name: &str) -> Option<Arc<Table>> {
        self.tables().get(&name.to_lowercase()).cloned()
    }

    pub(crate) fn columns(&self) -> MutexGuard<'_, HashMap<String, Arc<[OutputColumn]>>> {
        lock(&self.columns)
    }

    pub(crate) fn fail(&self, error: Error) {
        lock(&self.failure).get_or_insert(error);
    }

    pub(crate) fn take_failure(&self) -> Option<Error> {
        lock(&self.failure).take()
    }
}

/// A statement runs in a transaction.
pub(crate) struct Entered<'a> {
    shared: &'a Shared,
    before: Option<Arc<Transaction>>,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        *lock(&self.shared.current) = self.before.take();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
