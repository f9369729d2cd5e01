//! INSERT and REPLACE.

use std::borrow::Cow;

use serde_json::Value as Json;
use tandem_base::{Error, Result};
use tandem_record::Fields;
use tandem_record::row::Row;
use tandem_record::schema::Generated;

use crate::output::sql_error;
use crate::session::Done;
use crate::table::{Source as ColumnSource, Table};
use crate::value::Value;
use crate::write::assign::Place;
use crate::write::constraint::{Failure, is_null};
use crate::write::parse::{Insert, Resolution, Source};
use crate::write::upsert::Upserts;
use crate::write::writer::Writer;

/// What became of a row.
pub(crate) enum Written {
    Inserted(Row),
    Updated(Row),
    Nothing,
}

pub(crate) fn run(writer: &mut Writer<'_>, insert: &Insert) -> Result<Option<Done>> {
    let table = writer.table.clone();
    let places = places(&table, insert)?;
    let upserts = Upserts::new(writer, &insert.clauses)?;
    let one = OneInsert { insert, table: &table, taken: taken(&places), upserts: &upserts };
    match &insert.source {
        Source::Defaults => one.run(writer, &[]),
        Source::Constants(rows) => {
            check_width(&table, insert, places.len(), rows.first().map_or(0, Vec::len))?;
            let scope = writer.scope;
            for row in rows {
                let values = row
                    .iter()
                    .map(|value| value.value(scope.parameters))
                    .collect::<Result<Vec<_>>>()?;
                if let Some(done) = one.run(writer, &values)? {
                    return Ok(Some(done));
                }
            }
            Ok(None)
        }
        Source::Query(sql) => {
            let (columns, rows) = writer.scope.rows(sql)?;
            check_width(&table, insert, places.len(), columns.len())?;
            for row in rows {
                let values: Vec<_> = row.into_iter().map(Cow::Owned).collect();
                if let Some(done) = one.run(writer, &values)? {
                    return Ok(Some(done));
                }
            }
            Ok(None)
        }
    }
}

/// Where the values of a row go.
fn places(table: &Table, insert: &Insert) -> Result<Vec<Place>> {
    if insert.columns.is_empty() {
        let is_defaults = matches!(insert.source, Source::Defaults);
        let visible = table.visible().filter(|_| !is_defaults);
        return Ok(visible.map(|(at, _)| Place::Column(at)).collect());
    }
    let place = |name: &String| {
        Place::of(table, name)?.ok_or_else(|| {
            sql_error(format!("table {} has no column named {name}", table.name))
                .with("field", name.as_str())
        })
    };
    insert.columns.iter().map(place).collect()
}

/// The values that are taken, and where they go: of a column that is named twice the
/// first, as in SQLite.
fn taken(places: &[Place]) -> Vec<(usize, Place)> {
    let all = places.iter().copied().enumerate();
    all.filter(|(at, place)| !places[..*at].contains(place)).collect()
}

fn check_width(table: &Table, insert: &Insert, expected: usize, given: usize) -> Result<()> {
    if expected == given {
        return Ok(());
    }
    Err(sql_error(if insert.columns.is_empty() {
        format!("table {} has {expected} columns but {given} values were supplied", table.name)
    } else {
        format!("{given} values for {expected} columns")
    }))
}

struct OneInsert<'a> {
    insert: &'a Insert,
    table: &'a Table,
    taken: Vec<(usize, Place)>,
    upserts: &'a Upserts,
}

impl OneInsert<'_> {
    fn run(&self, writer: &mut Writer<'_>, values: &[Cow<'_, Value>]) -> Result<Option<Done>> {
        writer.scope.check_time()?;
        match self.write(writer, values) {
            Ok(Written::Inserted(row)) => writer.inserted(&row).map(|()| None),
            Ok(Written::Updated(row)) => writer.changed(&row).map(|()| None),
            Ok(Written::Nothing) => Ok(None),
            Err(failure) => failure.resolve(self.insert.resolution),
        }
    }

    fn write(
        &self,
        writer: &Writer<'_>,
        values: &[Cow<'_, Value>],
    ) -> std::result::Result<Written, Failure> {
        let fields = self.fields(writer, values)?;
        let Some(checks) = &writer.checks else { return self.store(writer, fields) };
        // What the record layer makes is there only afterwards.
        let is_made = |at: usize| match &self.table.columns[at].source {
            ColumnSource::Field(field) => {
                self.table.bucket.schema.is_generated(field) && !fields.contains_key(field)
            }
            ColumnSource::Record => false,
            _ => true,
        };
        if checks.looks_at(is_made) {
            return writer.one_row(|| {
                let written = self.store(writer, fields)?;
                if let Written::Inserted(row) = &written {
                    checks.check(writer.scope, self.table, |at| match at {
                        Some(at) => self.table.value(row, at),
                        None => Value::Integer(self.table.rowid(row)),
                    })?;
                }
                Ok(written)
            });
        }
        checks.check(writer.scope, self.table, |at| new_value(self.table, &fields, at))?;
        self.store(writer, fields)
    }

    /// The record that the row is, without what the record layer fills in.
    fn fields(
        &self,
        writer: &Writer<'_>,
        values: &[Cow<'_, Value>],
    ) -> std::result::Result<Fields, Failure> {
        let table = self.table;
        let mut fields = Fields::new();
        let taken = self.taken.iter().filter_map(|(at, place)| Some((*place, values.get(*at)?)));
        for (place, value) in taken.clone() {
            if place == Place::Record {
                fields = writer.record(value)?;
            }
        }
        for (place, value) in taken {
            match place {
                Place::Record => {}
                Place::Rowid if value.is_null() => {
                    fields.shift_remove(&table.bucket.key_field);
                }
                Place::Rowid => {
                    let number = place.stored(writer, value)?;
                    fields.insert(table.bucket.key_field.clone(), number);
                }
                Place::Column(at) => {
                    let Some(field) = table.columns[at].field() else { continue };
                    if value.is_null() && draws_number(table, field) {
                        fields.shift_remove(field);
                    } else {
                        fields.insert(field.to_owned(), place.stored(writer, value)?);
                    }
                }
            }
        }
        for (_, column) in table.visible() {
            let Some(field) = column.field() else { continue };
            let given = fields.get(field);
            if given.is_some_and(|given| !given.is_null() || !column.not_null) {
                continue;
            }
            let is_given = given.is_some();
            if is_given && self.insert.resolution != Resolution::Replace {
                return Err(Failure::Constraint(is_null(table, &column.name)));
            }
            // Left out, or NULL where REPLACE takes the default.
            if column.is_filled {
                fields.shift_remove(field);
                continue;
            }
            match writer.default(column)? {
                Some(default) if !default.is_null() => {
                    fields.insert(field.to_owned(), default);
                }
                _ if column.not_null => {
                    return Err(Failure::Constraint(is_null(table, &column.name)));
                }
                _ => {}
            }
        }
        Ok(fields)
    }

    fn store(
        &self,
        writer: &Writer<'_>,
        mut fields: Fields,
    ) -> std::result::Result<Written, Failure> {
        let is_kept =
            self.insert.resolution == Resolution::Replace || !self.insert.clauses.is_empty();
        loop {
            let attempted = if is_kept { fields.clone() } else { std::mem::take(&mut fields) };
            let collision = match writer.insert(attempted)? {
                Ok(row) => return Ok(Written::Inserted(row)),
                Err(collision) => collision,
            };
            if let Some(written) = self.upserts.resolve(writer, &collision, &fields)? {
                return Ok(written);
            }
            if self.insert.resolution != Resolution::Replace {
                return Err(Failure::Constraint(collision.error));
            }
            writer.make_way(collision)?;
        }
    }
}

/// Whether NULL in that field asks for the bucket's next number.
fn draws_number(table: &Table, field: &str) -> bool {
    field == table.bucket.key_field
        && table
            .bucket
            .schema
            .field(field)
            .is_some_and(|field| field.generated == Some(Generated::Autoincrement))
}

/// What a record that is about to be inserted will show in a column.
pub(crate) fn new_value(table: &Table, fields: &Fields, at: Option<usize>) -> Value {
    let Some(at) = at else {
        return fields.get(&table.bucket.key_field).map_or(Value::Null, Value::from_json);
    };
    let column = &table.columns[at];
    match &column.source {
        ColumnSource::Field(field) => {
            let made = table.bucket.schema.field(field).and_then(|field| field.default.as_ref());
            fields.get(field).or(made).map_or(Value::Null, |json| column.shown(json))
        }
        ColumnSource::Record => Value::Text(Json::Object(fields.clone()).to_string()),
        _ => Value::Null,
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        failure.into_error()
    }
}
