//! Constants: of DEFAULT, and in the condition of an index.

use serde_json::Value as Json;
use sqlparser::ast::{Expr, UnaryOperator, Value as Literal};
use tandem_base::Result;

use crate::scope::Scope;
use crate::table::Affinity;
use crate::value::Value;

/// The value of an expression that is one literal, with or without a sign.
/// `None` for any other.
pub(super) fn value(scope: &Scope<'_>, expression: &Expr) -> Result<Option<Value>> {
    if !is_literal(expression) {
        return Ok(None);
    }
    Ok(scope.evaluate(&format!("SELECT {expression}"), &[])?.into_iter().next())
}

fn is_literal(expression: &Expr) -> bool {
    match expression {
        Expr::Value(value) => !matches!(value.value, Literal::Placeholder(_)),
        Expr::Nested(inner) => is_literal(inner),
        Expr::UnaryOp { op: UnaryOperator::Minus | UnaryOperator::Plus, expr } => is_literal(expr),
        _ => false,
    }
}

/// What a column of that affinity stores of `value`, as in a STRICT table.
/// `None`: it cannot.
pub(super) fn stored(scope: &Scope<'_>, affinity: Affinity, value: &Value) -> Result<Option<Json>> {
    if value.is_null() {
        return Ok(Some(Json::Null));
    }
    if matches!(value, Value::Blob(_)) || matches!(value, Value::Real(real) if !real.is_finite()) {
        return Ok(None);
    }
    let cast = |to: &str| -> Result<Value> {
        let cast =
            scope.evaluate(&format!("SELECT CAST(?1 AS {to})"), std::slice::from_ref(value))?;
        Ok(cast.into_iter().next().unwrap_or(Value::Null))
    };
    Ok(match (affinity, value) {
        (Affinity::Integer | Affinity::Real | Affinity::Numeric, Value::Text(text)) => {
            let text = text.trim();
            let is_number = text.parse::<f64>().is_ok_and(f64::is_finite)
                && !text.contains(|c: char| c.is_ascii_alphabetic() && !matches!(c, 'e' | 'E'));
            if !is_number {
                return Ok(None);
            }
            return stored(scope, affinity, &cast("NUMERIC")?);
        }
        (Affinity::Integer, Value::Real(_)) => match cast("NUMERIC")? {
            Value::Integer(integer) => Some(integer.into()),
            Value::Real(real) if real.fract() == 0.0 && real.abs() < 9.0e15 => {
                let whole = cast("INTEGER")?;
                Some(whole.to_json())
            }
            _ => None,
        },
        (Affinity::Text, Value::Integer(_) | Value::Real(_)) => Some(cast("TEXT")?.to_json()),
        (Affinity::Boolean, Value::Integer(flag @ (0 | 1))) => Some((*flag == 1).into()),
        (Affinity::Boolean, _) => None,
        (Affinity::Json, Value::Text(text)) => Some(
            serde_json::from_str::<Json>(text)
                .ok()
                .filter(|json| json.is_array() || json.is_object())
                .unwrap_or_else(|| text.as_str().into()),
        ),
        (_, value) => Some(value.to_json()),
    })
}
