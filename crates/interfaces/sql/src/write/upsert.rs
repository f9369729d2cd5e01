//! INSERT … ON CONFLICT: <https://sqlite.org/lang_upsert.html>.

use serde_json::Value as Json;
use tandem_base::Result;
use tandem_record::entries::{IndexEntry, entries};
use tandem_record::row::{Metadata, Position, Row};
use tandem_record::{Fields, key};

use crate::output::sql_error;
use crate::table::{Table, quoted};
use crate::value::Value;
use crate::write::assign::{Place, assign, places};
use crate::write::constraint::{Collision, Failure, Unique};
use crate::write::insert::{Written, new_value};
use crate::write::parse::{Clause, Resolution, Upsert, excluded_name};
use crate::write::row::{RowText, parameter};
use crate::write::writer::Writer;

/// The clauses of a statement.
pub(crate) struct Upserts(Vec<Resolved>);

struct Resolved {
    /// What the clause is about; `None` = all.
    target: Option<Vec<Unique>>,
    /// `None` = nothing.
    update: Option<DoUpdate>,
}

struct DoUpdate {
    sql: String,
    /// The record that is in the way.
    row: RowText,
    places: Vec<Place>,
    /// The columns of `excluded` that it uses.
    excluded: Vec<usize>,
}

impl Upserts {
    pub(crate) fn new(writer: &Writer<'_>, clauses: &[Clause]) -> Result<Self> {
        let resolved = |clause: &Clause| {
            let target = match &clause.target {
                None => None,
                Some(columns) => Some(uniques(&writer.table, columns, clause.has_condition)?),
            };
            let update = clause.update.as_ref();
            let update = update.map(|update| DoUpdate::new(writer, update)).transpose()?;
            Ok(Resolved { target, update })
        };
        clauses.iter().map(resolved).collect::<Result<_>>().map(Self)
    }

    /// What becomes of a row that collides; `None` if no clause is about it.
    pub(crate) fn resolve(
        &self,
        writer: &Writer<'_>,
        collision: &Collision,
        fields: &Fields,
    ) -> std::result::Result<Option<Written>, Failure> {
        for Resolved { target, update } in &self.0 {
            let holder = match target {
                Some(target) if !target.contains(&collision.unique) => {
                    // The record layer found another one first.
                    let mut holder = None;
                    for unique in target {
                        if holder.is_none() {
                            holder = find_holder(writer, unique, fields)?;
                        }
                    }
                    holder
                }
                _ => Some(collision.holder.clone()),
            };
            let Some(holder) = holder else { continue };
            let Some(update) = update else { return Ok(Some(Written::Nothing)) };
            // Whatever INSERT OR says: it is about the insert.
            return update
                .run(writer, &holder, fields)
                .map(Some)
                .map_err(|failure| Failure::Statement(failure.into_error()));
        }
        Ok(None)
    }
}

impl DoUpdate {
    fn new(writer: &Writer<'_>, upsert: &Upsert) -> Result<Self> {
        let (table, alias) = (&*writer.table, &writer.writing.alias);
        let places = places(table, &upsert.assignments)?;
        let mut excluded = Vec::new();
        let mut list = Vec::new();
        let before = writer.writing.parameters.count();
        for name in &upsert.excluded {
            let at = table
                .column(name)
                .ok_or_else(|| sql_error(format!("no such column: excluded.{name}")))?;
            excluded.push(at);
            let parameter = parameter(table.columns[at].affinity, before + excluded.len());
            list.push(format!("{parameter} AS {}", quoted(&excluded_name(name))));
        }
        let expressions: Vec<&str> =
            upsert.assignments.iter().map(|assignment| assignment.expression.as_str()).collect();
        let list_of = expressions.join(", ");
        let condition = upsert.condition.as_deref();
        let mentioned = format!("{list_of} {}", condition.unwrap_or_default());
        let row = RowText::new(table, &mentioned, before + excluded.len());
        let mut sql = format!("SELECT {list_of} FROM {}", row.named(alias));
        if !list.is_empty() {
            sql += &format!(", (SELECT {}) AS excluded", list.join(", "));
        }
        if let Some(condition) = condition {
            sql += &format!(" WHERE {condition}");
        }
        writer.scope.prepare(&sql)?;
        Ok(Self { sql, row, places, excluded })
    }

    fn run(
        &self,
        writer: &Writer<'_>,
        holder: &Json,
        fields: &Fields,
    ) -> std::result::Result<Written, Failure> {
        let table = &*writer.table;
        let Some(current) = writer.get(holder)? else { return Ok(Written::Nothing) };
        let excluded = self.excluded.iter().map(|at| new_value(table, fields, Some(*at)));
        let own = self.row.values(|at| match at {
            Some(at) => table.value(&current, at),
            None => Value::Integer(table.rowid(&current)),
        });
        let Some(values) = writer.scope.first(&self.sql, excluded.chain(own).collect())? else {
            return Ok(Written::Nothing);
        };
        let updated = assign(writer, holder, &self.places, &values, Resolution::Abort)?;
        Ok(updated.map_or(Written::Nothing, Written::Updated))
    }
}

/// The constraints that are about exactly these columns.
fn uniques(table: &Table, columns: &[String], has_condition: bool) -> Result<Vec<Unique>> {
    let bucket = &table.bucket;
    let fields: Option<Vec<&str>> = columns
        .iter()
        .map(|name| match Place::of(table, name) {
            Ok(Some(Place::Rowid)) => Some(bucket.key_field.as_str()),
            Ok(Some(Place::Column(at))) => table.columns[at].field(),
            _ => None,
        })
        .collect();
    let Some(fields) = fields else {
        let unknown = columns.iter().find(|name| !matches!(Place::of(table, name), Ok(Some(_))));
        let unknown = unknown.map_or("", String::as_str);
        return Err(sql_error(format!("no such column: {unknown}")));
    };
    let is_about = |other: &[&str]| {
        fields.iter().all(|field| other.contains(field))
            && other.iter().all(|field| fields.contains(field))
    };
    let mut found = Vec::new();
    if is_about(&[bucket.key_field.as_str()]) {
        found.push(Unique::Key);
    }
    for index in bucket.indexes.iter().filter(|index| index.unique && !index.internal) {
        let parts: Vec<&str> =
            index.fields.iter().map(|field| field.strip_prefix('-').unwrap_or(field)).collect();
        if is_about(&parts) && (index.filter.is_none() || has_condition) {
            found.push(Unique::Index(index.name.clone()));
        }
    }
    if found.is_empty() {
        return Err(sql_error(
            "ON CONFLICT clause does not match any PRIMARY KEY or UNIQUE constraint",
        ));
    }
    Ok(found)
}

/// The record that has what `fields` would have by that constraint.
fn find_holder(writer: &Writer<'_>, unique: &Unique, fields: &Fields) -> Result<Option<Json>> {
    let bucket = &writer.table.bucket;
    let own_key = fields.get(&bucket.key_field).filter(|key| !key.is_null());
    let name = match (unique, own_key) {
        (Unique::Key, None) => return Ok(None),
        (Unique::Key, Some(key)) => return Ok(writer.get(key)?.map(|_| key.clone())),
        (Unique::Index(name), _) => name,
    };
    let Some(index) = bucket.index(name) else { return Ok(None) };
    let mut filled = fields.clone();
    for (name, field) in bucket.schema.fields() {
        if let (Some(default), false) = (&field.default, filled.contains_key(name)) {
            filled.insert(name.to_owned(), default.clone());
        }
    }
    let position = Position::pending(0);
    let metadata = Metadata { version: 1, created_at: 0, updated_at: 0, position };
    let row = Row::encode(&filled, metadata)?;
    let mut made = Vec::new();
    // The key is no part of what is looked for.
    entries(index, &row, &key::encode_key(&Json::Bool(false))?, &mut made)?;
    for entry in made.iter().filter(|entry| IndexEntry::is_exclusive(entry)) {
        let holder = writer
            .scope
            .transaction
            .statement(|_, tx| tx.read_statement(|tx| tx.get(&entry.key)))?;
        if let Some(holder) = holder {
            return Ok(Some(key::decode_key(&holder)));
        }
    }
    Ok(None)
}
