//! Where statements go.

mod local;
mod remote;

use std::path::Path;

use serde_json::Value;

use crate::sql::answer::Answer;
use crate::sql::failure::{Failure, Result};

pub(super) use local::Local;
pub(super) use remote::Remote;

/// A store or a server, with at most one open transaction. Everything is asked
/// within that, if there is one.
pub(super) trait Door {
    /// Carries out one statement, `BEGIN` and `COMMIT` included.
    fn execute(&mut self, sql: &str, parameters: &Value) -> Result<Answer>;

    fn is_in_transaction(&self) -> bool;

    /// The tables, in the order of their definition.
    fn tables(&mut self) -> Result<Vec<String>>;

    /// The config of the bucket that a table is.
    fn config(&mut self, table: &str) -> Result<Value>;

    /// The indexes of a table, as `store.indexes` answers them.
    fn indexes(&mut self, table: &str) -> Result<Vec<Value>>;

    /// Compares every index with its rows; as `store.check` answers it.
    fn check(&mut self) -> Result<Value>;

    /// Imports a file, and makes the table if there is none; whether every row is
    /// there now.
    fn import(&mut self, file: &Path, table: &str) -> Result<bool>;
}

impl dyn Door {
    /// The name of a table as it is defined, whatever case it is asked for in.
    pub(super) fn table(&mut self, name: &str) -> Result<String> {
        let tables = self.tables()?;
        let exact = tables.iter().find(|table| *table == name);
        let found = exact.or_else(|| tables.iter().find(|table| table.eq_ignore_ascii_case(name)));
        found.cloned().ok_or_else(|| Failure::invalid(format!("There is no table {name}")))
    }
}
