use serde_json::Value;
use tandem_base::{Error, Result};

use crate::value::MAX_NESTING;

/// About how many bytes the JSON text of `value` has, which stands inside
/// `depth` others. Cost: the size of the value.
///
/// # Errors
/// `LIMIT_EXCEEDED` naming `nestingDepth` for what is nested too deep for a
/// record.
pub fn weight(value: &Value, depth: usize) -> Result<usize> {
    if depth > MAX_NESTING {
        return Err(Error::limit("nestingDepth", MAX_NESTING as u64, depth as u64));
    }
    Ok(match value {
        Value::Null | Value::Bool(_) => 5,
        Value::Number(_) => 8,
        Value::String(text) => text.len() + 3,
        Value::Array(elements) => {
            let mut sum = 2;
            for element in elements {
                sum += weight(element, depth + 1)?;
            }
            sum
        }
        Value::Object(fields) => {
            let mut sum = 2;
            for (name, value) in fields {
                sum += name.len() + 4 + weight(value, depth + 1)?;
            }
            sum
        }
    })
}

/// About how many bytes of memory `value` takes. Cost: the size of the value.
#[must_use]
pub fn footprint(value: &Value) -> usize {
    size_of::<Value>()
        + match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
            Value::String(text) => text.len(),
            Value::Array(elements) => elements.iter().map(footprint).sum(),
            Value::Object(fields) => {
                fields.iter().map(|(name, value)| name.len() + 48 + footprint(value)).sum()
            }
        }
}
