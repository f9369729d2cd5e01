//! Constants: of DEFAULT, and in the condition of an index.

use sqlparser::ast::{Expr, UnaryOperator, Value as Literal};
use tandem_base::Result;

use crate::scope::Scope;
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
