//! From a value of SQL to the JSON that a column stores, as STRICT tables do:
//! what an affinity can convert without a loss is converted, the rest refused.

use serde_json::{Value as Json, json};
use tandem_base::{Code, Error, Result};

use crate::scope::Scope;
use crate::table::{Affinity, Column, Table};
use crate::value::Value;
use crate::virtual_table::as_number;

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
    let refused = || Err(cannot_store(table, &column.name, &column.declared, value));
    match (column.affinity, value) {
        (_, Value::Null) => return Ok(Json::Null),
        (_, Value::Blob(_)) => return refused(),
        (_, Value::Real(real)) if !real.is_finite() => {
            return Err(Error::new(
                Code::ConstraintViolation,
                format!("cannot store an infinity in column {}.{}", table.name, column.name),
            )
            .with("bucket", &*table.name)
            .with("field", column.name.as_str()));
        }
        (Affinity::Text | Affinity::Date | Affinity::Any, Value::Text(text)) => {
            return Ok(json!(text));
        }
        (Affinity::Text, Value::Integer(integer)) => return Ok(json!(integer.to_string())),
        (Affinity::Text, Value::Real(_)) => {
            let text = scope.evaluate("SELECT CAST(?1 AS TEXT)", std::slice::from_ref(value))?;
            return Ok(text.first().map_or(Json::Null, Value::to_json));
        }
        (Affinity::Date | Affinity::Any | Affinity::Json, Value::Integer(_) | Value::Real(_)) => {
            return Ok(value.to_json());
        }
        (Affinity::Json, Value::Text(text)) => {
            return serde_json::from_str(text).or_else(|_| refused());
        }
        (Affinity::Boolean, Value::Text(text)) if text.eq_ignore_ascii_case("true") => {
            return Ok(json!(true));
        }
        (Affinity::Boolean, Value::Text(text)) if text.eq_ignore_ascii_case("false") => {
            return Ok(json!(false));
        }
        _ => {}
    }
    let Some(number) = as_number(value) else { return refused() };
    match column.affinity {
        Affinity::Integer => integral(&number).map_or_else(refused, |integer| Ok(json!(integer))),
        Affinity::Real => Ok(number.as_f64().map_or(number, |real| json!(real))),
        Affinity::Boolean => match integral(&number) {
            Some(0) => Ok(json!(false)),
            Some(1) => Ok(json!(true)),
            _ => refused(),
        },
        _ => Ok(integral(&number).map_or(number, |integer| json!(integer))),
    }
}

/// The whole number that it is.
pub(crate) fn integral(number: &Json) -> Option<i64> {
    // Beyond it not every whole number is a float.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    number.as_i64().or_else(|| {
        let real = number.as_f64().filter(|real| real.fract() == 0.0 && real.abs() <= EXACT)?;
        #[expect(clippy::cast_possible_truncation, reason = "whole and small enough")]
        Some(real as i64)
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
