use std::cmp::Ordering;

use serde_json::Value;

use crate::value;

/// The order of values, what is missing before everything.
pub(super) fn compare(a: Option<&Value>, b: Option<&Value>) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => value::compare(a, b),
        (a, b) => a.is_some().cmp(&b.is_some()),
    }
}

/// Whether a value counts as true.
pub(super) fn is_true(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => false,
        Some(Value::Bool(value)) => *value,
        Some(Value::Number(number)) => number.as_f64() != Some(0.0),
        Some(_) => true,
    }
}

/// Whether a value is null or missing.
pub(super) fn is_nothing(value: Option<&Value>) -> bool {
    value.is_none_or(Value::is_null)
}
