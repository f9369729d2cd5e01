//! A bucket as a table.
//!
//! Every bucket is one. Declared fields are its columns, in the order of the
//! schema; what a record has beside them is in the hidden column `_record`, the
//! whole record as JSON. What SQL knows of a table and a bucket does not (declared
//! types, expressions of DEFAULT and CHECK, a primary key of several columns) is
//! kept in the bucket's config under `sql`:
//!
//! ```json
//! {"columns": {"price": {"type": "DECIMAL(10,2)", "default": "1 + 1"}},
//!  "primaryKey": ["a", "b"], "rowid": true,
//!  "checks": [{"name": "positive", "column": "price", "expression": "price > 0"}],
//!  "constraints": ["t_primary_key"]}
//! ```
//! `rowid`: the key field is not one of the table's columns, only its row number.
//! `constraints`: the indexes that belong to a constraint, and so to the table.

use std::sync::Arc;

use rusqlite::types::ValueRef;
use serde_json::Value as Json;
use tandem_base::Result;
use tandem_record::catalog::Bucket;
use tandem_record::row::Row;
use tandem_record::schema::{FieldType, Generated};
use tandem_record::value::ValueRef as Stored;

use crate::conversion::integral;
use crate::output::sql_error;
use crate::value::Value;

/// What a column's values are: SQLite's affinities, checked as in STRICT tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Affinity {
    /// Whole numbers.
    Integer,
    /// Floating point numbers.
    Real,
    /// Numbers of both kinds.
    Numeric,
    /// Text.
    Text,
    /// 1 and 0, stored as true and false.
    Boolean,
    /// Text or numbers: dates and times.
    Date,
    /// An array or an object, shown as JSON text.
    Json,
    /// Anything.
    Any,
}

impl Affinity {
    /// By the rules of SQLite, section 3.1 of <https://sqlite.org/datatype3.html>,
    /// with names for booleans, dates and JSON before them. `None`: bytes, which
    /// a record cannot hold.
    pub(crate) fn of_declared(declared: &str) -> Option<Self> {
        let declared = declared.to_ascii_uppercase();
        let has = |part: &str| declared.contains(part);
        Some(if has("BOOL") {
            Self::Boolean
        } else if has("DATE") || has("TIME") {
            Self::Date
        } else if has("JSON") {
            Self::Json
        } else if has("INT") {
            Self::Integer
        } else if has("CHAR") || has("CLOB") || has("TEXT") || has("UUID") {
            Self::Text
        } else if has("BLOB") || has("BYTEA") || has("BINARY") {
            return None;
        } else if declared.is_empty() || declared == "ANY" {
            Self::Any
        } else if has("REAL") || has("FLOA") || has("DOUB") {
            Self::Real
        } else {
            Self::Numeric
        })
    }

    fn of_field(field_type: Option<FieldType>) -> Self {
        match field_type {
            Some(FieldType::String) => Self::Text,
            Some(FieldType::Number) => Self::Numeric,
            Some(FieldType::Boolean) => Self::Boolean,
            Some(FieldType::Date) => Self::Date,
            Some(FieldType::Object | FieldType::Array) => Self::Json,
            None => Self::Any,
        }
    }

    /// The type of a field that holds such values; `None` = any.
    pub(crate) fn field_type(self) -> Option<&'static str> {
        match self {
            Self::Integer | Self::Real | Self::Numeric => Some("number"),
            Self::Text => Some("string"),
            Self::Boolean => Some("boolean"),
            Self::Date => Some("date"),
            Self::Json | Self::Any => None,
        }
    }

    pub(crate) fn is_numeric(self) -> bool {
        matches!(self, Self::Integer | Self::Real | Self::Numeric)
    }

    fn default_name(self) -> &'static str {
        match self {
            Self::Integer => "INTEGER",
            Self::Real => "REAL",
            Self::Numeric => "NUMERIC",
            Self::Text => "TEXT",
            Self::Boolean => "BOOLEAN",
            Self::Date => "DATE",
            Self::Json => "JSON",
            Self::Any => "ANY",
        }
    }
}

/// Where a column's values come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A field of the record.
    Field(String),
    /// The whole record, as JSON.
    Record,
    /// The record's version.
    Version,
    /// When it was inserted, in milliseconds since 1970.
    CreatedAt,
    /// When it was last updated.
    UpdatedAt,
}

/// A column.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// The type as it was declared.
    pub(crate) declared: String,
    pub(crate) affinity: Affinity,
    pub(crate) source: Source,
    pub(crate) not_null: bool,
    /// An expression that makes the value that an insert leaves out. What the
    /// bucket itself fills in (a constant, a generated value) is not here.
    pub(crate) default: Option<String>,
    /// The bucket fills in what an insert leaves out.
    pub(crate) is_filled: bool,
    /// Not among those of `*`, nor of an insert without a list.
    pub(crate) hidden: bool,
}

/// A CHECK of a table.
#[derive(Clone, Debug)]
pub(crate) struct Check {
    pub(crate) name: Option<String>,
    /// The column that it was written with, and goes with.
    pub(crate) column: Option<String>,
    pub(crate) expression: String,
}

/// See the [module](self).
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) name: Arc<str>,
    pub(crate) bucket: Arc<Bucket>,
    /// Visible ones in their order, then the hidden ones.
    pub(crate) columns: Vec<Column>,
    /// The column that the key field is; `None` when it is the row number alone.
    pub(crate) key: Option<usize>,
    /// Whether the key is the row number: an integer, found as `rowid` too.
    pub(crate) has_rowid: bool,
    /// The columns of the primary key, as declared.
    pub(crate) primary_key: Vec<usize>,
    pub(crate) checks: Vec<Check>,
}

impl Table {
    /// The table that `bucket` is.
    pub(crate) fn of(bucket: &Arc<Bucket>) -> Self {
        let sql = bucket.config.get("sql").unwrap_or(&Json::Null);
        let only_rowid = sql["rowid"] == Json::Bool(true);
        let mut columns: Vec<Column> = Vec::new();
        for (name, field) in bucket.schema.fields() {
            if only_rowid && name == bucket.key_field {
                continue;
            }
            // Names that differ in case alone are one name to SQL: the first.
            if columns.iter().any(|column| column.name.eq_ignore_ascii_case(name)) {
                continue;
            }
            let known = &sql["columns"][name];
            let declared = known["type"].as_str();
            let affinity = declared
                .and_then(Affinity::of_declared)
                .unwrap_or_else(|| Affinity::of_field(field.field_type));
            columns.push(Column {
                name: name.to_owned(),
                declared: declared.unwrap_or(affinity.default_name()).to_owned(),
                affinity,
                source: Source::Field(name.to_owned()),
                not_null: field.required || name == bucket.key_field,
                default: known["default"].as_str().map(str::to_owned),
                is_filled: field.default.is_some() || field.generated.is_some(),
                hidden: false,
            });
        }
        let key = columns.iter().position(|column| column.name == bucket.key_field);
        let integer_key = key.is_some_and(|key| {
            let generated =
                bucket.schema.field(&bucket.key_field).and_then(|field| field.generated);
            columns[key].affinity == Affinity::Integer
                || generated == Some(Generated::Autoincrement)
        });
        let declared_key: Vec<usize> = sql["primaryKey"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Json::as_str)
            .filter_map(|name| columns.iter().position(|column| column.name == name))
            .collect();
        let hidden = |name: &str, declared: &str, affinity, source| Column {
            name: name.to_owned(),
            declared: declared.to_owned(),
            affinity,
            source,
            not_null: true,
            default: None,
            is_filled: true,
            hidden: true,
        };
        for column in [
            hidden("_record", "JSON", Affinity::Json, Source::Record),
            hidden("_version", "INTEGER", Affinity::Integer, Source::Version),
            hidden("_createdAt", "INTEGER", Affinity::Integer, Source::CreatedAt),
            hidden("_updatedAt", "INTEGER", Affinity::Integer, Source::UpdatedAt),
        ] {
            if !columns.iter().any(|other| other.name.eq_ignore_ascii_case(&column.name)) {
                columns.push(column);
            }
        }
        let checks = sql["checks"].as_array().into_iter().flatten();
        let checks = checks
            .filter_map(|check| {
                Some(Check {
                    name: check["name"].as_str().map(str::to_owned),
                    column: check["column"].as_str().map(str::to_owned),
                    expression: check["expression"].as_str()?.to_owned(),
                })
            })
            .collect();
        Self {
            name: bucket.name.clone(),
            bucket: bucket.clone(),
            primary_key: if declared_key.is_empty() {
                key.into_iter().collect()
            } else {
                declared_key
            },
            has_rowid: only_rowid || integer_key,
            columns,
            key,
            checks,
        }
    }

    /// The column of that name, whatever its case.
    pub(crate) fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name.eq_ignore_ascii_case(name))
    }

    /// Whether `name` is a name of the row number in this table.
    pub(crate) fn is_rowid_name(&self, name: &str) -> bool {
        self.has_rowid
            && ["rowid", "oid", "_rowid_"].iter().any(|known| known.eq_ignore_ascii_case(name))
            && self.column(name).is_none()
    }

    /// The columns of `*` and of an insert without a list.
    pub(crate) fn visible(&self) -> impl Iterator<Item = (usize, &Column)> {
        self.columns.iter().enumerate().filter(|(_, column)| !column.hidden)
    }

    /// What the column at `at` has in `row`.
    pub(crate) fn value(&self, row: &Row, at: usize) -> Value {
        self.with_value(row, at, Value::of)
    }

    /// Hands what the column at `at` has in `row` to `read`, text as it is stored.
    pub(crate) fn with_value<R>(
        &self,
        row: &Row,
        at: usize,
        read: impl FnOnce(ValueRef<'_>) -> R,
    ) -> R {
        let integer = |number: u64| ValueRef::Integer(number.cast_signed());
        match &self.columns[at].source {
            Source::Field(field) => row.with_field(field, |stored| match stored {
                Some(stored) => self.columns[at].with_shown(stored, read),
                None => read(ValueRef::Null),
            }),
            Source::Record => {
                let mut text = Vec::new();
                row.write_json(&mut text);
                read(ValueRef::Text(&text))
            }
            Source::Version => read(integer(row.version())),
            Source::CreatedAt => read(integer(row.created_at())),
            Source::UpdatedAt => read(integer(row.updated_at())),
        }
    }

    /// The row number of `row`; 0 if it has none.
    pub(crate) fn rowid(&self, row: &Row) -> i64 {
        row.field(&self.bucket.key_field).and_then(|key| integral(&key)).unwrap_or_default()
    }

    /// The row number of `row`, for whoever finds rows by it.
    ///
    /// # Errors
    /// `SQL_ERROR`: its key is none. The record API takes any number for one, and
    /// SQLite takes two rows of one row number for one row.
    pub(crate) fn row_number(&self, row: &Row) -> Result<i64> {
        let key = row.field(&self.bucket.key_field).unwrap_or_default();
        integral(&key).ok_or_else(|| {
            sql_error("A record's key is not an integer, so it has no row number")
                .with("bucket", &*self.name)
                .with("key", key)
        })
    }
}

impl Column {
    /// What a stored value is in this column.
    pub(crate) fn shown(&self, json: &Json) -> Value {
        self.with_shown(json.into(), Value::of)
    }

    /// Hands it to `read`: text is not copied.
    fn with_shown<R>(&self, stored: Stored<'_>, read: impl FnOnce(ValueRef<'_>) -> R) -> R {
        let value = match stored {
            Stored::String(text) => return read(ValueRef::Text(text.as_bytes())),
            Stored::Array(_) | Stored::Object(_) => {
                return read(ValueRef::Text(stored.to_value().to_string().as_bytes()));
            }
            Stored::Null => ValueRef::Null,
            Stored::Bool(flag) => ValueRef::Integer(i64::from(flag)),
            Stored::Number(number) => match number.as_i64() {
                Some(integer) => ValueRef::Integer(integer),
                None => ValueRef::Real(number.as_f64().unwrap_or(f64::NAN)),
            },
        };
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            reason = "as SQLite"
        )]
        read(match (self.affinity, value) {
            (Affinity::Real, ValueRef::Integer(integer)) => ValueRef::Real(integer as f64),
            (Affinity::Integer, ValueRef::Real(real))
                if real.fract() == 0.0 && real.abs() < 9.0e15 =>
            {
                ValueRef::Integer(real as i64)
            }
            (_, value) => value,
        })
    }

    /// The field that it is.
    pub(crate) fn field(&self) -> Option<&str> {
        match &self.source {
            Source::Field(field) => Some(field),
            _ => None,
        }
    }
}

/// `name` as SQL writes a name that may be anything.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
