//! What a statement is carried out with: SQLite for what is read and evaluated,
//! and the transaction that everything happens in.

use std::sync::Arc;

use rusqlite::Connection;
use tandem::Transaction;
use tandem_base::{Error, Result};

use crate::output::{OutputColumn, Row, sql_error};
use crate::parameters::Parameters;
use crate::session::{KEPT_TEXT_BYTES, SessionOptions};
use crate::shared::Shared;
use crate::table::Table;
use crate::value::Value;

/// See the [module](self).
pub(crate) struct Scope<'a> {
    pub(crate) sqlite: &'a Connection,
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) transaction: &'a Arc<Transaction>,
    pub(crate) parameters: &'a Parameters,
    pub(crate) options: &'a SessionOptions,
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

    /// Runs something that reads, with the statement's own parameters, and hands
    /// on row by row until `each` says that it is enough. Its text is kept
    /// compiled, unless it is a long one.
    pub(crate) fn select(
        &self,
        sql: &str,
        each: &mut dyn FnMut(&Arc<[OutputColumn]>, Vec<Value>) -> Result<bool>,
    ) -> Result<Arc<[OutputColumn]>> {
        if sql.len() <= KEPT_TEXT_BYTES {
            let mut statement = self.sqlite.prepare_cached(sql).map_err(|e| self.error(e))?;
            self.step(&mut statement, each)
        } else {
            let mut statement = self.sqlite.prepare(sql).map_err(|e| self.error(e))?;
            self.step(&mut statement, each)
        }
    }

    fn step(
        &self,
        statement: &mut rusqlite::Statement<'_>,
        each: &mut dyn FnMut(&Arc<[OutputColumn]>, Vec<Value>) -> Result<bool>,
    ) -> Result<Arc<[OutputColumn]>> {
        if !statement.readonly() {
            return Err(sql_error("The statement is not one that reads"));
        }
        for index in 1..=statement.parameter_count() {
            let value = self.parameters.value(index, statement.parameter_name(index))?;
            statement.raw_bind_parameter(index, value).map_err(|error| self.error(error))?;
        }
        let columns: Arc<[OutputColumn]> = statement
            .columns()
            .map(|column| OutputColumn {
                name: column.name().to_owned(),
                declared_type: column
                    .decl_type()
                    .filter(|text| !text.is_empty())
                    .map(str::to_owned),
            })
            .collect();
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
    pub(crate) fn rows(&self, sql: &str) -> Result<(Arc<[OutputColumn]>, Vec<Vec<Value>>)> {
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
        let mut found = None;
        Scope { parameters: &parameters, ..*self }.select(sql, &mut |_, row| {
            found = Some(row);
            Ok(false)
        })?;
        found.ok_or_else(|| sql_error("An expression has no value"))
    }

    fn error(&self, error: rusqlite::Error) -> Error {
        crate::error::of(error, self.shared)
    }
}

/// Rows as they are answered.
pub(crate) fn answered(columns: &Arc<[OutputColumn]>, rows: Vec<Vec<Value>>) -> Vec<Row> {
    rows.into_iter().map(|values| Row { columns: columns.clone(), values }).collect()
}
