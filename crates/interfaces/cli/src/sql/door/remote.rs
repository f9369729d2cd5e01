use std::path::Path;

use serde_json::{Value, json};
use tandem::{Code, Error};
use tandem_client::{Client, Isolation, Transaction, TransactionOptions};
use tandem_sql::Control;
use tokio::runtime::Runtime;

use crate::sql::answer::Answer;
use crate::sql::door::Door;
use crate::sql::failure::{Failure, Result};

/// A server. What a person says of the transaction becomes the requests for it.
pub(in crate::sql) struct Remote {
    client: Client,
    open: Option<Transaction>,
    /// Dropped last: what is dropped before still says goodbye.
    runtime: Runtime,
}

impl Remote {
    /// # Errors
    /// `CONNECTION_LOST`, `INVALID_ANSWER`.
    pub(in crate::sql) fn connect(url: &str) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(|error| Error::internal(format!("Cannot start: {error}")))?;
        let client = runtime.block_on(Client::connect(url))?;
        Ok(Self { client, open: None, runtime })
    }

    fn request(&mut self, kind: &str, fields: Value) -> Result<Value> {
        let answer = match &self.open {
            Some(open) => self.runtime.block_on(open.request(kind, fields)),
            None => self.runtime.block_on(self.client.request(kind, fields)),
        };
        self.seen(answer)
    }

    /// A transaction that the server has ended is not open any more.
    fn seen<T>(&mut self, answer: tandem_client::Result<T>) -> Result<T> {
        answer.map_err(|error| {
            let over = error.is(Code::TransactionExpired)
                || error.is(Code::TransactionNotFound)
                || error.code() == tandem_client::CONNECTION_LOST;
            if over {
                self.open = None;
            }
            error.into()
        })
    }

    fn control(&mut self, control: Control) -> Result<()> {
        if let Control::Begin { isolation, read_only } = control {
            return self.begin(isolation.map(level), read_only);
        }
        // As in SQL: a savepoint begins a transaction, if none is open.
        if self.open.is_none() && matches!(control, Control::Savepoint(_)) {
            self.begin(None, false)?;
        }
        let Some(open) = self.open.clone() else {
            return Err(no_transaction(&control).into());
        };
        let ends = matches!(control, Control::Commit | Control::Rollback);
        let done = self.runtime.block_on(async {
            match &control {
                Control::Begin { .. } => Ok(()),
                Control::Commit => open.commit().await.map(drop),
                Control::Rollback => open.rollback().await,
                Control::Savepoint(name) => open.savepoint(name).await,
                Control::RollbackTo(name) => open.rollback_to(name).await,
                Control::Release(name) => open.release(name).await,
            }
        });
        self.seen(done)?;
        if ends {
            self.open = None;
        }
        Ok(())
    }

    fn begin(&mut self, isolation: Option<Isolation>, read_only: bool) -> Result<()> {
        if self.open.is_some() {
            let said = "cannot start a transaction within a transaction";
            return Err(Error::new(Code::SqlError, said).into());
        }
        let mut options = TransactionOptions { read_only, ..TransactionOptions::default() };
        if let Some(isolation) = isolation {
            options.isolation = isolation;
        }
        self.open = Some(self.runtime.block_on(self.client.begin_with(&options))?);
        Ok(())
    }
}

fn level(isolation: tandem::Isolation) -> Isolation {
    match isolation {
        tandem::Isolation::ReadCommitted => Isolation::ReadCommitted,
        tandem::Isolation::Snapshot => Isolation::Snapshot,
        tandem::Isolation::Serializable => Isolation::Serializable,
    }
}

fn no_transaction(control: &Control) -> Error {
    match control {
        Control::RollbackTo(name) | Control::Release(name) => {
            Error::new(Code::SavepointNotFound, format!("no such savepoint: {name}"))
        }
        Control::Rollback => {
            Error::new(Code::SqlError, "cannot rollback - no transaction is active")
        }
        _ => Error::new(Code::SqlError, "cannot commit - no transaction is active"),
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.open = None;
        self.runtime.block_on(self.client.close());
    }
}

impl Door for Remote {
    fn execute(&mut self, sql: &str, parameters: &Value) -> Result<Answer> {
        if let Some(control) = tandem_sql::control(sql)? {
            return self.control(control).map(|()| Answer::default());
        }
        let answer = match &self.open {
            Some(open) => self.runtime.block_on(open.sql(sql, parameters.clone())),
            None => self.runtime.block_on(self.client.sql(sql, parameters.clone())),
        };
        self.seen(answer).map(Answer::from)
    }

    fn is_in_transaction(&self) -> bool {
        self.open.is_some()
    }

    fn tables(&mut self) -> Result<Vec<String>> {
        let answer = self.request("store.buckets", json!({}))?;
        let names = answer["names"].as_array().into_iter().flatten();
        Ok(names.filter_map(Value::as_str).map(str::to_owned).collect())
    }

    fn config(&mut self, table: &str) -> Result<Value> {
        let mut answer = self.request("store.getBucketSchema", json!({ "name": table }))?;
        Ok(answer["config"].take())
    }

    fn indexes(&mut self, table: &str) -> Result<Vec<Value>> {
        match self.request("store.indexes", json!({ "bucket": table }))? {
            Value::Array(indexes) => Ok(indexes),
            _ => Ok(Vec::new()),
        }
    }

    fn check(&mut self) -> Result<Value> {
        let answer = self.runtime.block_on(self.client.request("store.check", json!({})));
        self.seen(answer)
    }

    fn import(&mut self, _: &Path, _: &str) -> Result<bool> {
        Err(Failure::invalid(
            "A file is imported into a store that is opened here: leave out --url, or use \
             \"tandem import\" while no server has the store open",
        ))
    }
}
