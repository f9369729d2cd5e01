//! Giving columns of a record new values: what UPDATE and DO UPDATE do to a row.

use serde_json::{Value as Json, json};
use tandem_base::{Code, Error, Result};
use tandem_record::Fields;
use tandem_record::row::Row;

use crate::conversion::integral;
use crate::output::sql_error;
use crate::table::{Source, Table, quoted};
use crate::value::Value;
use crate::write::constraint::{Failure, is_null};
use crate::write::insert::new_value;
use crate::write::parse::{Assignment, Resolution};
use crate::write::store::cannot_store;
use crate::write::writer::Writer;

/// Where a value goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Column(usize),
    /// The row number.
    Rowid,
    /// The whole record.
    Record,
}

impl Place {
    /// `None` if there is no such column.
    ///
    /// # Errors
    /// `SQL_ERROR` for what nobody writes.
    pub(crate) fn of(table: &Table, name: &str) -> Result<Option<Self>> {
        let Some(at) = table.column(name) else {
            return Ok(table.is_rowid_name(name).then_some(Self::Rowid));
        };
        match &table.columns[at].source {
            Source::Field(_) => Ok(Some(Self::Column(at))),
            Source::Record => Ok(Some(Self::Record)),
            Source::Version | Source::CreatedAt | Source::UpdatedAt => {
                Err(sql_error(format!("column {name} cannot be written")).with("field", name))
            }
        }
    }

    /// What is stored there for `value`.
    pub(crate) fn stored(self, writer: &Writer<'_>, value: &Value) -> Result<Json> {
        match self {
            Self::Column(at) => writer.stored(&writer.table.columns[at], value),
            Self::Rowid => crate::virtual_table::as_number(value)
                .as_ref()
                .and_then(integral)
                .map(|number| json!(number))
                .ok_or_else(|| cannot_store(&writer.table, "rowid", "INTEGER", value)),
            Self::Record => writer.record(value).map(Json::Object),
        }
    }
}

/// The places that are assigned to.
pub(crate) fn places(table: &Table, assignments: &[Assignment]) -> Result<Vec<Place>> {
    let place = |Assignment { column, .. }: &Assignment| {
        Place::of(table, column)?.ok_or_else(|| {
            sql_error(format!("no such column: {column}")).with("field", column.as_str())
        })
    };
    assignments.iter().map(place).collect()
}

/// Gives the record with that key new values. `None` if it is gone.
pub(crate) fn assign(
    writer: &Writer<'_>,
    key: &Json,
    places: &[Place],
    values: &[Value],
    resolution: Resolution,
) -> std::result::Result<Option<Row>, Failure> {
    let table = &*writer.table;
    let key_field = &table.bucket.key_field;
    let mut changes = Changes { whole: None, fields: Fields::new() };
    for (place, value) in places.iter().zip(values) {
        if *place == Place::Record {
            let mut whole = writer.record(value)?;
            if whole.get(key_field).is_some_and(Json::is_null) {
                whole.shift_remove(key_field);
            }
            changes.whole = Some(whole);
        }
    }
    for (place, value) in places.iter().zip(values) {
        let field = match *place {
            Place::Record => continue,
            Place::Rowid => key_field,
            Place::Column(at) => match table.columns[at].field() {
                Some(field) => field,
                None => continue,
            },
        };
        let mut json = place.stored(writer, value)?;
        if let (true, Place::Column(at)) = (json.is_null(), *place) {
            let column = &table.columns[at];
            if column.not_null {
                let default = match resolution {
                    Resolution::Replace => writer.default(column)?,
                    _ => None,
                };
                json = default
                    .filter(|default| !default.is_null())
                    .ok_or_else(|| Failure::Constraint(is_null(table, &column.name)))?;
            }
        }
        changes.fields.insert(field.to_owned(), json);
    }
    changes.check_whole(table)?;
    let new_key = changes.value_of(key_field).filter(|key| !key.is_null()).cloned();
    let new_key = match new_key {
        Some(new) if !Writer::is_same_key(&new, key)? => Some(new),
        _ => None,
    };
    let looks = |at: usize| {
        places.contains(&Place::Column(at))
            || changes.whole.is_some()
            || places.contains(&Place::Rowid)
            || table.columns[at].source == Source::Record
    };
    let checks = writer.checks.as_ref().filter(|checks| checks.looks_at(looks));
    let sets_generated = changes
        .fields
        .keys()
        .any(|name| name != key_field && table.bucket.schema.is_generated(name));
    let is_plain = changes.whole.is_none() && !sets_generated && new_key.is_none();
    if checks.is_none() && is_plain {
        return write_over(writer, resolution, || {
            writer.scope.transaction.statement(|records, tx| {
                records.update(tx, &table.name, key, &changes.fields, None)
            })
        });
    }
    let Some(current) = writer.get(key)? else { return Ok(None) };
    if let Some(checks) = checks {
        checks.check(writer.scope, table, |at| changes.shown(table, &current, at))?;
    }
    if is_plain {
        return write_over(writer, resolution, || {
            writer.scope.transaction.statement(|records, tx| {
                records.update(tx, &table.name, key, &changes.fields, None)
            })
        });
    }
    let fields = changes.merged(&current)?;
    if let Some(new_key) = new_key {
        check_unreferred(writer, key)?;
        return writer.one_row(|| {
            if !writer.delete(key)? {
                return Ok(None);
            }
            let mut fields = fields;
            fields.insert(key_field.clone(), new_key);
            write_over(writer, resolution, || {
                let fields = fields.clone();
                writer
                    .scope
                    .transaction
                    .statement(|records, tx| records.insert(tx, &table.name, fields))
            })
        });
    }
    write_over(writer, resolution, || {
        let fields = fields.clone();
        writer
            .scope
            .transaction
            .statement(|records, tx| records.replace(tx, &table.name, key, fields, None))
    })
}

/// Writes, as often as REPLACE finds another record in the way.
fn write_over(
    writer: &Writer<'_>,
    resolution: Resolution,
    write: impl Fn() -> Result<Row>,
) -> std::result::Result<Option<Row>, Failure> {
    loop {
        let collision = match write() {
            Err(error) if error.code() == Code::NotFound => return Ok(None),
            written => match writer.attempt(written)? {
                Ok(row) => return Ok(Some(row)),
                Err(collision) => collision,
            },
        };
        if resolution != Resolution::Replace {
            return Err(Failure::Constraint(collision.error));
        }
        writer.make_way(collision)?;
    }
}

/// What a record becomes.
struct Changes {
    /// Instead of all its fields.
    whole: Option<Fields>,
    fields: Fields,
}

impl Changes {
    fn value_of(&self, field: &str) -> Option<&Json> {
        let whole = || self.whole.as_ref().and_then(|whole| whole.get(field));
        self.fields.get(field).or_else(whole)
    }

    /// What is new shows in a column; what stays is `current`'s.
    fn shown(&self, table: &Table, current: &Row, at: Option<usize>) -> Value {
        let key_field = &table.bucket.key_field;
        let Some(at) = at else {
            let new = self.value_of(key_field).map(Value::from_json);
            return new.unwrap_or_else(|| Value::Integer(table.rowid(current)));
        };
        let column = &table.columns[at];
        match &column.source {
            Source::Field(field) => match (self.value_of(field), &self.whole) {
                (Some(new), _) => column.shown(new),
                (None, Some(whole)) if field != key_field => new_value(table, whole, Some(at)),
                _ => table.value(current, at),
            },
            Source::Record => self
                .merged(current)
                .map_or(Value::Null, |merged| Value::Text(Json::Object(merged).to_string())),
            _ => table.value(current, at),
        }
    }

    fn merged(&self, current: &Row) -> Result<Fields> {
        let mut fields = match &self.whole {
            Some(whole) => whole.clone(),
            None => current.fields()?,
        };
        for (name, value) in &self.fields {
            fields.insert(name.clone(), value.clone());
        }
        Ok(fields)
    }

    /// A whole record has to have what may not be NULL.
    fn check_whole(&self, table: &Table) -> std::result::Result<(), Failure> {
        if self.whole.is_none() {
            return Ok(());
        }
        for (_, column) in table.visible() {
            let Some(field) = column.field() else { continue };
            let is_missing = match self.value_of(field) {
                Some(value) => value.is_null(),
                None => !column.is_filled && *field != table.bucket.key_field,
            };
            if column.not_null && is_missing {
                return Err(Failure::Constraint(is_null(table, &column.name)));
            }
        }
        Ok(())
    }
}

/// A key that others refer to does not change: their `onDelete` is about records
/// that go.
fn check_unreferred(writer: &Writer<'_>, key: &Json) -> Result<()> {
    let table = &*writer.table;
    let catalog = writer.scope.transaction.statement(|records, tx| records.catalog(tx))?;
    for bucket in catalog.buckets() {
        for reference in bucket.references.iter().filter(|to| *to.target == *table.name) {
            let sql = format!(
                "SELECT count(*) FROM (SELECT 1 FROM {} WHERE {} = ?1 LIMIT 1)",
                quoted(&bucket.name),
                quoted(&reference.field)
            );
            let found = writer.scope.evaluate(&sql, &[Value::from_json(key)])?;
            if found != [Value::Integer(0)] {
                return Err(Error::new(Code::ReferenceViolation, "FOREIGN KEY constraint failed")
                    .with("bucket", &*table.name)
                    .with("key", key.clone())
                    .with(
                        "referrer",
                        json!({ "bucket": &*bucket.name, "field": reference.field }),
                    ));
            }
        }
    }
    Ok(())
}
