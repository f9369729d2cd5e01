//! What a statement is carried out with: SQLite for what is read and evaluated,
//! and the transaction that everything happens in.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rusqlite::Connection;
use tandem::Transaction;
use tandem_base::{Error, Result};

use crate::output::{OutputColumn, Row, sql_error};
use crate::parameters::Parameters;
use crate::session::{KEPT_TEXT_BYTES, KEPT_TEXTS, SessionOptions};
use crate::shared::Shared;
use crate::table::Table;
use crate::value::Value;

/// What is done with each row; it answers whether to go on.
pub(crate) type Each<'a> = dyn FnMut(&Arc<[OutputColumn]>, Vec<Value>) -> Result<bool> + 'a;

/// Columns and rows.
pub(crate) type Found = (Arc<[OutputColumn]>, Vec<Vec<Value>>);

/// See the [module](self).
pub(crate) struct Scope<'a> {
    pub(crate) sqlite: &'a Connection,
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) transaction: &'a Arc<Transaction>,
    pub(crate) parameters: &'a Parameters,
    pub(crate) options: &'a SessionOptions,
    /// When the statement has to be over, as the session keeps it.
    pub(crate) deadline: &'a AtomicU64,
}

impl Scope<'_> {
    /// The table of that name.
    ///
    /// # Errors
    /// `BUCKET_NOT_DEFINED`.
    pub(crate) fn table(&self, name: &str) -> Result<Arc<Table>> {
        self.shared.table(name).ok_or_else(|| {
            Error::new(tandem::Code::BucketNotDefined, format!("no such table: {name}"))
                .with("bucket", name)
        })
    }

    /// Fails when the statement has run for too long. SQLite looks itself, while it
    /// is the one that works.
    ///
    /// # Errors
    /// `TIMEOUT` naming `statementTime`.
    pub(crate) fn check_time(&self) -> Result<()> {
        let deadline = self.deadline.load(Ordering::Relaxed);
        let clock = &self.transaction.store().environment().clock;
        if deadline != 0 && clock.monotonic() >= Duration::from_nanos(deadline) {
            return Err(crate::error::too_late());
        }
        Ok(())
    }

    /// Runs something that reads, with the statement's own parameters, and hands
    /// on row by row until `each` says that it is enough. Its text is kept
    /// compiled, unless it is a long one.
    pub(crate) fn select(&self, sql: &str, each: &mut Each<'_>) -> Result<Arc<[OutputColumn]>> {
        if sql.len() <= KEPT_TEXT_BYTES {
            let mut statement = self.sqlite.prepare_cached(sql).map_err(|e| self.error(e))?;
            let columns = self.columns(sql, &statement);
            self.step(&mut statement, columns, each)
        } else {
            let mut statement = self.sqlite.prepare(sql).map_err(|e| self.error(e))?;
            let columns = columns_of(&statement);
            self.step(&mut statement, columns, each)
        }
    }

    /// The columns of a text that is kept compiled, which are kept with it.
    fn columns(&self, sql: &str, statement: &rusqlite::Statement<'_>) -> Arc<[OutputColumn]> {
        let mut kept = self.shared.columns();
        if let Some(columns) = kept.get(sql) {
            return columns.clone();
        }
        if kept.len() >= KEPT_TEXTS {
            kept.clear();
        }
        let columns = columns_of(statement);
        kept.insert(sql.to_owned(), columns.clone());
        columns
    }

    fn step(
        &self,
        statement: &mut rusqlite::Statement<'_>,
        columns: Arc<[OutputColumn]>,
        each: &mut Each<'_>,
    ) -> Result<Arc<[OutputColumn]>> {
        if !statement.readonly() {
            return Err(sql_error("The statement is not one that reads"));
        }
        for index in 1..=statement.parameter_count() {
            let value = self.parameters.value(index, statement.parameter_name(index))?;
            statement.raw_bind_parameter(index, value).map_err(|error| self.error(error))?;
        }
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().map_err(|error| self.error(error))? {
            let values: Vec<Value> = (0..columns.len())
                .map(|at| row.get_ref(at).map(Value::of))
                .collect::<rusqlite::Result<_>>()
                .map_err(|error| self.error(error))?;
            if !each(&columns, values)? {
                break;
            }
        }
        Ok(columns)
    }

    /// As [`select`](Self::select), all rows at once.
    ///
    /// # Errors
    /// `LIMIT_EXCEEDED` naming `sqlRows` or `sqlResultBytes`.
    pub(crate) fn rows(&self, sql: &str) -> Result<Found> {
        let (max, max_bytes) = (self.options.max_rows, self.options.max_result_bytes);
        let (mut rows, mut bytes) = (Vec::new(), 0);
        let columns = self.select(sql, &mut |_, row| {
            if rows.len() >= max {
                return Err(Error::limit("sqlRows", max as u64, max as u64 + 1));
            }
            bytes += row.iter().map(Value::bytes).sum::<usize>();
            if bytes > max_bytes {
                return Err(Error::limit("sqlResultBytes", max_bytes as u64, bytes as u64));
            }
            rows.push(row);
            Ok(true)
        })?;
        Ok((columns, rows))
    }

    /// Evaluates expressions, one row, over values that `?1`, `?2` … of `sql` stand
    /// for, instead of the statement's own parameters.
    pub(crate) fn evaluate(&self, sql: &str, values: &[Value]) -> Result<Vec<Value>> {
        let parameters = Parameters::Positional(values.to_vec());
        Scope { parameters: &parameters, ..*self }.one(sql)?.ok_or_else(no_value)
    }

    /// As [`evaluate`](Self::evaluate), over the statement's own parameters, which
    /// are positional, and `more` after them.
    pub(crate) fn evaluate_with(&self, sql: &str, more: Vec<Value>) -> Result<Vec<Value>> {
        self.first(sql, more)?.ok_or_else(no_value)
    }

    /// The first row, over the same.
    pub(crate) fn first(&self, sql: &str, more: Vec<Value>) -> Result<Option<Vec<Value>>> {
        let parameters = match self.parameters {
            Parameters::Positional(own) => own.iter().cloned().chain(more).collect(),
            _ => more,
        };
        let parameters = Parameters::Positional(parameters);
        Scope { parameters: &parameters, ..*self }.one(sql)
    }

    fn one(&self, sql: &str) -> Result<Option<Vec<Value>>> {
        let mut found = None;
        self.select(sql, &mut |_, row| {
            found = Some(row);
            Ok(false)
        })?;
        Ok(found)
    }

    /// Sees whether SQLite understands `sql`, and keeps it compiled, unless it is long.
    pub(crate) fn prepare(&self, sql: &str) -> Result<()> {
        let prepared = if sql.len() <= KEPT_TEXT_BYTES {
            self.sqlite.prepare_cached(sql).map(drop)
        } else {
            self.sqlite.prepare(sql).map(drop)
        };
        prepared.map_err(|error| self.error(error))
    }

    fn error(&self, error: rusqlite::Error) -> Error {
        crate::error::of(error, self.shared)
    }
}

fn columns_of(statement: &rusqlite::Statement<'_>) -> Arc<[OutputColumn]> {
    let columns = statement.columns().map(|column| OutputColumn {
        name: column.name().to_owned(),
        declared_type: column.decl_type().filter(|text| !text.is_empty()).map(str::to_owned),
    });
    columns.collect()
}

fn no_value() -> Error {
    sql_error("An expression has no value")
}

/// Rows as they are answered.
pub(crate) fn answered(columns: &Arc<[OutputColumn]>, rows: Vec<Vec<Value>>) -> Vec<Row> {
    rows.into_iter().map(|values| Row { columns: columns.clone(), values }).collect()
}
