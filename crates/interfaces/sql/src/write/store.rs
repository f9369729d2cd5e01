//! What a column stores, or why it does not.

use serde_json::Value as Json;
use tandem_base::{Code, Error, Result};

use crate::conversion;
use crate::scope::Scope;
use crate::table::{Column, Table};
use crate::value::Value;

/// What `column` stores for `value`.
///
/// # Errors
/// `CONSTRAINT_VIOLATION`.
pub(crate) fn stored(
    scope: &Scope<'_>,
    table: &Table,
    column: &Column,
    value: &Value,
) -> Result<Json> {
    conversion::stored(scope, column.affinity, value)?.ok_or_else(|| match value {
        Value::Real(real) if !real.is_finite() => Error::new(
            Code::ConstraintViolation,
            format!("cannot store an infinity in column {}.{}", table.name, column.name),
        )
        .with("bucket", &*table.name)
        .with("field", column.name.as_str()),
        _ => cannot_store(table, &column.name, &column.declared, value),
    })
}

pub(crate) fn cannot_store(table: &Table, column: &str, declared: &str, value: &Value) -> Error {
    let kind = match value {
        Value::Null => "NULL",
        Value::Integer(_) => "INT",
        Value::Real(_) => "REAL",
        Value::Text(_) => "TEXT",
        Value::Blob(_) => "BLOB",
    };
    let message = format!("cannot store {kind} value in {declared} column {}.{column}", table.name);
    Error::new(Code::ConstraintViolation, message)
        .with("bucket", &*table.name)
        .with("field", column)
}
