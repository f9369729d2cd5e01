//! From a value of SQL to the JSON that a column stores, as STRICT tables do: what an
//! affinity can convert without a loss is converted, the rest is not stored.

use serde_json::{Value as Json, json};
use tandem_base::Result;

use crate::scope::Scope;
use crate::table::Affinity;
use crate::value::Value;
use crate::virtual_table::as_number;

/// What a column of that affinity stores for `value`; `None`: it cannot.
///
/// # Errors
/// Those of evaluating a cast.
pub(crate) fn stored(scope: &Scope<'_>, affinity: Affinity, value: &Value) -> Result<Option<Json>> {
    match (affinity, value) {
        (_, Value::Null) => return Ok(Some(Json::Null)),
        (_, Value::Blob(_)) => return Ok(None),
        (_, Value::Real(real)) if !real.is_finite() => return Ok(None),
        (Affinity::Text | Affinity::Date | Affinity::Any, Value::Text(text)) => {
            return Ok(Some(json!(text)));
        }
        (Affinity::Text, Value::Integer(integer)) => return Ok(Some(json!(integer.to_string()))),
        (Affinity::Text, Value::Real(_)) => {
            let text = scope.evaluate("SELECT CAST(?1 AS TEXT)", std::slice::from_ref(value))?;
            return Ok(text.first().map(Value::to_json));
        }
        (Affinity::Date | Affinity::Any | Affinity::Json, Value::Integer(_) | Value::Real(_)) => {
            return Ok(Some(value.to_json()));
        }
        (Affinity::Json, Value::Text(text)) => return Ok(serde_json::from_str(text).ok()),
        (Affinity::Boolean, Value::Text(text)) if text.eq_ignore_ascii_case("true") => {
            return Ok(Some(json!(true)));
        }
        (Affinity::Boolean, Value::Text(text)) if text.eq_ignore_ascii_case("false") => {
            return Ok(Some(json!(false)));
        }
        _ => {}
    }
    let Some(number) = as_number(value) else { return Ok(None) };
    Ok(match affinity {
        Affinity::Integer => integral(&number).map(|integer| json!(integer)),
        Affinity::Real => Some(number.as_f64().map_or(number, |real| json!(real))),
        Affinity::Boolean => match integral(&number) {
            Some(0) => Some(json!(false)),
            Some(1) => Some(json!(true)),
            _ => None,
        },
        _ => Some(integral(&number).map_or(number, |integer| json!(integer))),
    })
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
