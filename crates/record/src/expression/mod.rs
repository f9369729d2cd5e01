//! Expressions: what `{"$multiply": ["$price", {"$subtract": [1, "$discount"]}]}`
//! makes of a record, with MongoDB's meaning. Aggregation pipelines compute
//! with them, and `$expr` filters by them.
//!
//! ```text
//! "$a.b"        a field; through an array, of each of its objects
//! "$$name"      a variable: ROOT, CURRENT, NOW, REMOVE, or bound by an operator
//! {"$op": …}    an operator
//! {"f": …}      an object of expressions        […]  an array of them
//! anything else is itself; {"$literal": …} is what it holds, whatever it is
//! ```
//! * An expression is parsed once, strictly; an unknown operator is an error
//!   that names it. Variables of the surroundings are bound while parsing.
//! * A value may be *missing*, which is not null: missing comes before null, and
//!   a missing field of an object is left out.
//! * Integers are exact as long as the result is one of 64 bits, otherwise the
//!   nearest double; what no double can hold is null. 1 and 1.0 are equal.
//! * A date is a number of milliseconds since 1970 or an ISO 8601 text; results
//!   that MongoDB has as dates are milliseconds.
//! * What one evaluation may do and make is bounded ([`MAX_WORK`]); so a
//!   hostile expression costs a bounded time and memory per record.
//!
//! Reading order: `parse`, `evaluate`, then one file per family of operators;
//! [`Accumulator`] is what `$group` computes with.

mod accumulate;
mod array;
mod call;
mod compare;
mod date;
mod evaluate;
mod meter;
mod number;
mod object;
mod operators;
mod parse;
mod path;
mod pattern;
mod text;
mod types;

use std::sync::Arc;

use serde_json::Value;
use tandem_base::{Error, Result};

pub use accumulate::{Accumulation, Accumulator};
pub(crate) use meter::Meter;
pub use meter::Work;
use operators::Operator;
use path::FieldPath;

/// How deep operators, objects and arrays of an expression may stand inside
/// each other.
pub const MAX_EXPRESSION_DEPTH: usize = 50;

/// What one evaluation may do: operators evaluated, and about the bytes of
/// values made.
pub const MAX_WORK: usize = 32 << 20;

/// What variables stand for that an expression's surroundings define.
#[derive(Clone, Debug, Default)]
pub struct Bindings {
    /// `$$NOW`, in milliseconds since 1970; `None` where there is no such time.
    pub now_ms: Option<u64>,
    /// By name, the innermost last; `None` is a missing value.
    pub variables: Vec<(String, Option<Value>)>,
}

/// A parsed expression. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Expression {
    node: Arc<Node>,
}

impl Expression {
    /// Parses an expression.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` that names an unknown operator or variable, or a wrong
    /// operand; `LIMIT_EXCEEDED` naming `expressionDepth`.
    pub fn parse(expression: &Value, bindings: &Bindings) -> Result<Self> {
        Ok(Self { node: Arc::new(parse::expression(expression, bindings)?) })
    }

    /// The expression that is this value, whatever it looks like.
    #[must_use]
    pub fn literal(value: Value) -> Self {
        Self { node: Arc::new(Node::Literal(value)) }
    }

    /// The value for `record`; `None` is missing.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` for operands of the wrong type; `LIMIT_EXCEEDED`
    /// naming `expressionWork`, or what `work` is bounded by.
    pub fn evaluate(&self, record: &Value, work: &Work) -> Result<Option<Value>> {
        let meter = Meter::new(work);
        let found = evaluate::evaluate(&self.node, &evaluate::Scope::new(record), &meter)?;
        found.map(|value| meter.own(value)).transpose()
    }

    /// Whether the value for `record` counts as true: not false, null, 0 or
    /// missing.
    ///
    /// # Errors
    /// As [`evaluate`](Self::evaluate).
    pub fn is_true(&self, record: &Value, work: &Work) -> Result<bool> {
        let meter = Meter::new(work);
        let found = evaluate::evaluate(&self.node, &evaluate::Scope::new(record), &meter)?;
        Ok(compare::is_true(found.as_deref()))
    }
}

/// A part of an expression.
#[derive(Clone, Debug)]
enum Node {
    Literal(Value),
    Missing,
    /// A field of the record or of a variable (0 = the innermost), or that
    /// itself.
    Path {
        variable: Option<usize>,
        path: FieldPath,
    },
    Object(Vec<(String, Node)>),
    Array(Vec<Node>),
    Call(Operator, Vec<Node>),
    And(Vec<Node>),
    Or(Vec<Node>),
    /// If, then, else.
    Condition(Box<[Node; 3]>),
    /// The first that is neither null nor missing, or the last.
    IfNull(Vec<Node>),
    Switch {
        branches: Vec<(Node, Node)>,
        default: Option<Box<Node>>,
    },
    /// Each variable sees those of the surroundings alone.
    Let {
        variables: Vec<Node>,
        body: Box<Node>,
    },
    Map {
        input: Box<Node>,
        body: Box<Node>,
    },
    Filter {
        input: Box<Node>,
        condition: Box<Node>,
        limit: Option<Box<Node>>,
    },
    /// The body sees `this` (0) and `value` (1).
    Reduce {
        input: Box<Node>,
        initial: Box<Node>,
        body: Box<Node>,
    },
    Convert {
        input: Box<Node>,
        to: Box<Node>,
        on_error: Option<Box<Node>>,
        on_null: Option<Box<Node>>,
    },
    Regex(Box<pattern::Search>),
}

/// An operand that an operator cannot work with.
fn wrong(operator: &str, expected: &str) -> Error {
    Error::validation(format!("Invalid operand of \"{operator}\": expected {expected}"))
        .with("operator", operator)
}
