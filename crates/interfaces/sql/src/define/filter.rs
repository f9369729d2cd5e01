//! From the WHERE of a partial index to a filter.
//!
//! A condition of SQL is true, false or unknown, a filter holds or does not; a row
//! is in the index if the condition is true. So what is translated is not a
//! condition, but that it is true, or that it is false:
//!
//! ```text
//! a = 1        true: {a: {$eq: 1}}     false: {a: {$ne: 1, $exists: true}}
//! NOT x        true: x is false        false: x is true
//! x AND y      true: both are          false: one of them is
//! x IS TRUE    true: x is true         false: x is not true ($nor)
//! ```
//! What cannot be said exactly is refused: an index with other rows than its
//! condition says would answer wrongly.

use serde_json::{Value as Json, json};
use sqlparser::ast::{BinaryOperator, Expr, InTarget, UnaryOperator};
use tandem_base::{Error, Result};
use tandem_record::Path;

use crate::conversion;
use crate::define::constant;
use crate::output::sql_error;
use crate::scope::Scope;
use crate::table::{Affinity, Table};
use crate::value::Value;

/// The filter that holds for the rows for which `condition` is true.
///
/// # Errors
/// `SQL_ERROR` for what has no exact translation.
pub(super) fn of(scope: &Scope<'_>, table: &Table, condition: &Expr) -> Result<Json> {
    Translation { scope, table }.holds(condition, true)
}

struct Translation<'a> {
    scope: &'a Scope<'a>,
    table: &'a Table,
}

/// A column of a condition.
struct Column<'a> {
    field: &'a str,
    affinity: Affinity,
}

impl Translation<'_> {
    /// That `condition` is true, or that it is false.
    fn holds(&self, condition: &Expr, wanted: bool) -> Result<Json> {
        use BinaryOperator::{And, Or};
        match condition {
            Expr::Nested(inner) => self.holds(inner, wanted),
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => self.holds(expr, !wanted),
            Expr::BinaryOp { left, op: op @ (And | Or), right } => {
                let both = matches!(op, And) == wanted;
                let sides = [self.holds(left, wanted)?, self.holds(right, wanted)?];
                Ok(json!({ if both { "$and" } else { "$or" }: sides }))
            }
            Expr::BinaryOp { left, op, right } => {
                self.comparison(condition, left, op, right, wanted)
            }
            Expr::IsNull(column) => self.is_null(column, wanted),
            Expr::IsNotNull(column) => self.is_null(column, !wanted),
            Expr::IsTrue(inner) => self.is(inner, true, wanted),
            Expr::IsNotTrue(inner) => self.is(inner, true, !wanted),
            Expr::IsFalse(inner) => self.is(inner, false, wanted),
            Expr::IsNotFalse(inner) => self.is(inner, false, !wanted),
            Expr::Between { expr, negated, low, high } => {
                let wanted = wanted != *negated;
                let column = self.column(expr)?;
                let ends = if wanted {
                    [("$gte", low), ("$lte", high)]
                } else {
                    [("$lt", low), ("$gt", high)]
                };
                let mut sides = Vec::with_capacity(2);
                for (operator, end) in ends {
                    let value = self.bound(condition, &column, end)?;
                    sides.push(json!({ column.field: { operator: value } }));
                }
                Ok(json!({ if wanted { "$and" } else { "$or" }: sides }))
            }
            Expr::In { expr, target: InTarget::List(list), negated, .. } => {
                let column = self.column(expr)?;
                let values: Vec<Json> = list
                    .iter()
                    .map(|value| self.equal_to(condition, &column, value))
                    .collect::<Result<_>>()?;
                Ok(match wanted != *negated {
                    true => json!({ column.field: { "$in": values } }),
                    false => json!({ column.field: { "$nin": values, "$exists": true } }),
                })
            }
            Expr::Identifier(_) => {
                let column = self.column(condition)?;
                let field = column.field;
                match (column.affinity, wanted) {
                    (Affinity::Boolean, wanted) => Ok(json!({ field: { "$eq": wanted } })),
                    (Affinity::Integer | Affinity::Real | Affinity::Numeric, true) => {
                        Ok(json!({ field: { "$ne": 0, "$exists": true } }))
                    }
                    (Affinity::Integer | Affinity::Real | Affinity::Numeric, false) => {
                        Ok(json!({ field: { "$eq": 0 } }))
                    }
                    _ => Err(inexact(condition)),
                }
            }
            _ => Err(inexact(condition)),
        }
    }

    /// `inner IS TRUE`, `inner IS FALSE`: never unknown.
    fn is(&self, inner: &Expr, truth: bool, wanted: bool) -> Result<Json> {
        let holds = self.holds(inner, truth)?;
        Ok(if wanted { holds } else { json!({ "$nor": [holds] }) })
    }

    fn is_null(&self, column: &Expr, wanted: bool) -> Result<Json> {
        let (field, scalar) = self.named(column)?;
        Ok(match (wanted, scalar) {
            // The form that a read by the index asks in.
            (true, Some(_)) => json!({ field: { "$eq": null } }),
            (true, None) => json!({ field: { "$exists": false } }),
            (false, _) => json!({ field: { "$exists": true } }),
        })
    }

    fn comparison(
        &self,
        whole: &Expr,
        left: &Expr,
        op: &BinaryOperator,
        right: &Expr,
        wanted: bool,
    ) -> Result<Json> {
        use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
        let (column, constant, op) = match self.column(left) {
            Ok(column) => (column, right, op.clone()),
            Err(error) => match self.column(right) {
                // `1 < a` is `a > 1`.
                Ok(column) => {
                    let turned = match op {
                        Lt => Gt,
                        LtEq => GtEq,
                        Gt => Lt,
                        GtEq => LtEq,
                        other => other.clone(),
                    };
                    (column, left, turned)
                }
                Err(_) => return Err(error),
            },
        };
        let field = column.field;
        let range = |when: &str, when_not: &str| -> Result<Json> {
            let value = self.bound(whole, &column, constant)?;
            Ok(json!({ field: { if wanted { when } else { when_not }: value } }))
        };
        match op {
            Eq | NotEq => {
                let value = self.equal_to(whole, &column, constant)?;
                Ok(match matches!(op, Eq) == wanted {
                    true => json!({ field: { "$eq": value } }),
                    false => json!({ field: { "$ne": value, "$exists": true } }),
                })
            }
            Lt => range("$lt", "$gte"),
            LtEq => range("$lte", "$gt"),
            Gt => range("$gt", "$lte"),
            GtEq => range("$gte", "$lt"),
            _ => Err(inexact(whole)),
        }
    }

    /// What a record has where SQL finds the column equal to the constant.
    fn equal_to(&self, whole: &Expr, column: &Column<'_>, constant: &Expr) -> Result<Json> {
        let value = self.constant(whole, constant)?;
        let exact = match column.affinity {
            Affinity::Integer | Affinity::Real | Affinity::Numeric | Affinity::Boolean => true,
            Affinity::Text | Affinity::Date => matches!(value, Value::Text(_)),
            Affinity::Json | Affinity::Any => false,
        };
        self.stored(whole, column, &value, exact)
    }

    /// The end of a range.
    fn bound(&self, whole: &Expr, column: &Column<'_>, constant: &Expr) -> Result<Json> {
        let value = self.constant(whole, constant)?;
        let exact = match column.affinity {
            Affinity::Integer | Affinity::Real | Affinity::Numeric => true,
            Affinity::Text => matches!(value, Value::Text(_)),
            _ => false,
        };
        self.stored(whole, column, &value, exact)
    }

    fn constant(&self, whole: &Expr, constant: &Expr) -> Result<Value> {
        match constant::value(self.scope, constant)? {
            Some(value) if !value.is_null() => Ok(value),
            _ => Err(inexact(whole)),
        }
    }

    fn stored(
        &self,
        whole: &Expr,
        column: &Column<'_>,
        value: &Value,
        exact: bool,
    ) -> Result<Json> {
        let affinity = match column.affinity {
            // A whole number may be compared with one that is not.
            Affinity::Integer | Affinity::Real => Affinity::Numeric,
            other => other,
        };
        let stored = conversion::stored(self.scope, affinity, value)?;
        stored.filter(|_| exact).ok_or_else(|| inexact(whole))
    }

    /// The column that an expression is, if each of its values is one scalar.
    fn column(&self, expression: &Expr) -> Result<Column<'_>> {
        let (field, scalar) = self.named(expression)?;
        let affinity = scalar.ok_or_else(|| inexact(expression))?;
        Ok(Column { field, affinity })
    }

    fn named(&self, expression: &Expr) -> Result<(&str, Option<Affinity>)> {
        let name = match expression {
            Expr::Nested(inner) => return self.named(inner),
            Expr::Identifier(name) => name,
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [table, name] if table.value.eq_ignore_ascii_case(&self.table.name) => name,
                _ => return Err(inexact(expression)),
            },
            _ => return Err(inexact(expression)),
        };
        let found = self.table.column(&name.value).map(|at| &self.table.columns[at]);
        let found = found.and_then(|column| Some((column.field()?, column.affinity)));
        let (field, affinity) = found.ok_or_else(|| {
            sql_error(format!("no such column: {}", name.value)).with("column", &*name.value)
        })?;
        let scalar = self.table.bucket.schema.scalar_guaranteed(&Path::parse(field)?);
        Ok((field, Some(affinity).filter(|_| scalar)))
    }
}

fn inexact(condition: &Expr) -> Error {
    sql_error(format!(
        "An index cannot have the condition {condition}: only comparisons of columns with constants, IN, BETWEEN and IS NULL, with AND, OR and NOT"
    ))
    .with("condition", condition.to_string())
}
