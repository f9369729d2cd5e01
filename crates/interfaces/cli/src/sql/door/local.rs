use std::path::Path;

use serde_json::Value;
use tandem::{CheckOptions, Store};
use tandem_sql::{Parameters, Session};

use crate::import;
use crate::sql::answer::Answer;
use crate::sql::door::Door;
use crate::sql::failure::{Failure, Result};

/// A store that this process has opened.
pub(in crate::sql) struct Local {
    session: Session,
}

impl Local {
    /// # Errors
    /// As [`Session::new`].
    pub(in crate::sql) fn new(store: Store) -> tandem::Result<Self> {
        Ok(Self { session: Session::new(&store)? })
    }

    fn store(&self) -> &Store {
        self.session.store()
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        // Rolled back before the store is closed.
        if let Some(open) = self.session.transaction() {
            open.cancel();
        }
        self.store().close();
    }
}

impl Door for Local {
    fn execute(&mut self, sql: &str, parameters: &Value) -> Result<Answer> {
        Ok(self.session.execute(sql, Parameters::from_json(parameters)?)?.into())
    }

    fn is_in_transaction(&self) -> bool {
        self.session.is_in_transaction()
    }

    fn tables(&mut self) -> Result<Vec<String>> {
        Ok(match self.session.transaction() {
            Some(open) => open.bucket_names()?,
            None => self.store().bucket_names()?,
        })
    }

    fn config(&mut self, table: &str) -> Result<Value> {
        Ok(match self.session.transaction() {
            Some(open) => open.bucket_config(table)?,
            None => self.store().bucket_config(table)?,
        })
    }

    fn indexes(&mut self, table: &str) -> Result<Vec<Value>> {
        let indexes = match self.session.transaction() {
            Some(open) => open.indexes(table)?,
            None => self.store().indexes(table)?,
        };
        Ok(indexes.iter().map(tandem::IndexInfo::to_json).collect())
    }

    fn check(&mut self) -> Result<Value> {
        Ok(self.store().check(&CheckOptions::new())?.to_json())
    }

    fn import(&mut self, file: &Path, table: &str) -> Result<bool> {
        if self.is_in_transaction() {
            return Err(Failure::invalid(
                "An import commits by itself: COMMIT or ROLLBACK before it",
            ));
        }
        Ok(import::into_table(self.store(), file, table)?)
    }
}
