//! What the three statements share: the table, the constraints, and the answer.

use std::sync::Arc;

use serde_json::Value as Json;
use tandem_base::{Error, Result};
use tandem_record::row::Row;
use tandem_record::{Fields, key};

use crate::output::Output;
use crate::scope::{Scope, answered};
use crate::table::{Affinity, Column, Source, Table, quoted};
use crate::value::Value;
use crate::write::constraint::{Checks, Collision, Failure};
use crate::write::parse::Writing;
use crate::write::returning::Returning;
use crate::write::store::stored;

/// Names the savepoint of one row.
const ROW: &str = "row of a statement";

/// See the [module](self).
pub(crate) struct Writer<'a> {
    pub(crate) scope: &'a Scope<'a>,
    pub(crate) table: Arc<Table>,
    pub(crate) writing: &'a Writing,
    pub(crate) checks: Option<Checks>,
    returning: Option<Returning>,
    rows: Vec<Vec<Value>>,
    changes: u64,
    last_key: Option<Json>,
}

/// What a write of a record came to.
pub(crate) type Attempt<T> = std::result::Result<std::result::Result<T, Collision>, Failure>;

impl<'a> Writer<'a> {
    pub(crate) fn new(
        scope: &'a Scope<'a>,
        table: Arc<Table>,
        writing: &'a Writing,
    ) -> Result<Self> {
        let returning = writing.returning.as_ref();
        let returning =
            returning.map(|items| Returning::new(scope, &table, writing, items)).transpose()?;
        let checks = Checks::of(&table);
        let (rows, changes, last_key) = (Vec::new(), 0, None);
        Ok(Self { scope, table, writing, checks, returning, rows, changes, last_key })
    }

    pub(crate) fn finish(self) -> Output {
        let columns = self.returning.map(|returning| returning.columns).unwrap_or_default();
        let rows = answered(&columns, self.rows);
        Output { columns, rows, changes: self.changes, last_key: self.last_key }
    }

    // --------------------------------------------------------------------- records

    pub(crate) fn get(&self, key: &Json) -> Result<Option<Row>> {
        self.scope.transaction.statement(|records, tx| records.get(tx, &self.table.name, key))
    }

    pub(crate) fn insert(&self, fields: Fields) -> Attempt<Row> {
        let inserted = self
            .scope
            .transaction
            .statement(|records, tx| records.insert(tx, &self.table.name, fields));
        self.attempt(inserted)
    }

    /// What a write of the record layer came to.
    pub(crate) fn attempt<T>(&self, written: Result<T>) -> Attempt<T> {
        match written {
            Ok(written) => Ok(Ok(written)),
            Err(error) => Collision::of(&self.table, error).map(Err),
        }
    }

    pub(crate) fn delete(&self, key: &Json) -> Result<bool> {
        self.scope
            .transaction
            .statement(|records, tx| records.delete(tx, &self.table.name, key, None))
    }

    /// Deletes the record that is in the way of a row of OR REPLACE.
    pub(crate) fn make_way(&self, collision: Collision) -> std::result::Result<(), Failure> {
        if self.delete(&collision.holder)? {
            Ok(())
        } else {
            Err(Failure::Statement(collision.error))
        }
    }

    /// Runs what writes one row in several steps: all or none of them.
    pub(crate) fn one_row<T>(
        &self,
        work: impl FnOnce() -> std::result::Result<T, Failure>,
    ) -> std::result::Result<T, Failure> {
        let transaction = self.scope.transaction;
        transaction.savepoint(ROW)?;
        let worked = work();
        if worked.is_err() {
            transaction.rollback_to(ROW)?;
        }
        transaction.release(ROW)?;
        worked
    }

    // ------------------------------------------------------------------- the answer

    pub(crate) fn inserted(&mut self, row: &Row) -> Result<()> {
        self.last_key = row.field(&self.table.bucket.key_field);
        self.changed(row)
    }

    /// A row was written, or is deleted.
    pub(crate) fn changed(&mut self, row: &Row) -> Result<()> {
        self.count();
        let Some(returning) = &self.returning else { return Ok(()) };
        let max = self.scope.options.max_rows;
        if self.rows.len() >= max {
            return Err(Error::limit("sqlRows", max as u64, max as u64 + 1));
        }
        let row = returning.of(self.scope, &self.table, row)?;
        self.rows.push(row);
        Ok(())
    }

    pub(crate) fn count(&mut self) {
        self.changes += 1;
    }

    pub(crate) fn returns(&self) -> bool {
        self.returning.is_some()
    }

    // ------------------------------------------------------------------------- keys

    /// What a SELECT from the table lists for [`key_of`](Self::key_of).
    pub(crate) fn key_expression(&self) -> String {
        let column = match (self.table.key, self.record_column()) {
            (Some(key), Some(record)) if self.table.columns[key].affinity == Affinity::Any => {
                record
            }
            // A whole number that is shown as a float may be shown rounded.
            (Some(key), Some(record)) if self.table.columns[key].affinity.is_numeric() => {
                let alias = quoted(&self.writing.alias);
                let key = format!("{alias}.{}", quoted(&self.table.columns[key].name));
                let record = format!("{alias}.{}", quoted(&record.name));
                return format!("CASE typeof({key}) WHEN 'real' THEN {record} ELSE {key} END");
            }
            (Some(key), _) => &self.table.columns[key],
            (None, _) => return format!("{}.rowid", quoted(&self.writing.alias)),
        };
        format!("{}.{}", quoted(&self.writing.alias), quoted(&column.name))
    }

    /// The key that is shown as `value`.
    pub(crate) fn key_of(&self, value: &Value) -> Json {
        let affinity = self.table.key.map(|key| self.table.columns[key].affinity);
        match (affinity, value) {
            (Some(Affinity::Boolean), Value::Integer(integer)) => Json::Bool(*integer != 0),
            // SQL cannot tell true from 1 in a column of any type.
            (Some(affinity), Value::Text(text))
                if (affinity == Affinity::Any || affinity.is_numeric())
                    && self.record_column().is_some() =>
            {
                serde_json::from_str::<Fields>(text)
                    .ok()
                    .and_then(|mut fields| fields.shift_remove(&self.table.bucket.key_field))
                    .unwrap_or_default()
            }
            _ => value.to_json(),
        }
    }

    fn record_column(&self) -> Option<&Column> {
        self.table.columns.iter().find(|column| column.source == Source::Record)
    }

    // ----------------------------------------------------------------------- values

    pub(crate) fn stored(&self, column: &Column, value: &Value) -> Result<Json> {
        stored(self.scope, &self.table, column, value)
    }

    /// What an insert that leaves the column out stores in it, but for generated
    /// values.
    pub(crate) fn default(&self, column: &Column) -> Result<Option<Json>> {
        if let Some(expression) = &column.default {
            let values = self.scope.evaluate(&format!("SELECT {expression}"), &[])?;
            let value = values.into_iter().next().unwrap_or(Value::Null);
            return self.stored(column, &value).map(Some);
        }
        let field = column.field().and_then(|field| self.table.bucket.schema.field(field));
        Ok(field.and_then(|field| field.default.clone()))
    }

    /// A whole record that is given as text.
    pub(crate) fn record(&self, value: &Value) -> Result<Fields> {
        let fields = match value {
            Value::Null => Some(Fields::new()),
            Value::Text(text) => serde_json::from_str::<Fields>(text).ok(),
            _ => None,
        };
        fields.ok_or_else(|| {
            Error::validation("Invalid \"_record\": expected the text of a JSON object")
                .with("field", "_record")
        })
    }

    /// Whether two keys are one.
    pub(crate) fn is_same_key(one: &Json, other: &Json) -> Result<bool> {
        Ok(one == other || key::encode_key(one)? == key::encode_key(other)?)
    }
}
