//! Filters: which records a read, an update or a partial index is about.
//!
//! A filter is parsed once, strictly, from JSON with MongoDB's meaning:
//!
//! ```text
//! {"age": {"$gte": 18}, "address.city": "Brno", "$or": [{"vip": true}, {"tags": "new"}]}
//! ```
//! * A path leads to candidates (see [`Path`]); a condition holds if one of
//!   them satisfies it. A candidate that is an array also stands for each of
//!   its elements: `"tags": "new"` matches `["old", "new"]`.
//! * The negations `$ne`, `$nin`, `$not`, `$nor` and `$exists: false` hold
//!   where the condition they negate does not.
//! * A missing field matches `null`.
//! * `$gt` and its like match only values of their operand's type.
//! * `$exists: true` means neither missing nor null.
//! * `$expr` holds where an [expression](crate::expression) is true. One that
//!   cannot be evaluated on a record is an error of the read.
//!
//! A planner sees the top of a filter as [`conjuncts`](Filter::conjuncts), of
//! which each must hold, and knows by [`implies`](Filter::implies) whether a
//! partial index has all records that the filter matches.

mod conjunct;
mod display;
mod element;
mod evaluate;
mod implies;
mod operators;
mod parse;
mod predicate;

use std::sync::Arc;

use serde_json::Value;
use tandem_base::Result;

use crate::expression::{Bindings, Expression};

pub use conjunct::{Conjunct, Constraint};
pub(crate) use element::ElementCondition;
use evaluate::Subject;
pub use predicate::{Bound, Predicate, Range, RegexMatch, Substring, ValueSet};

use crate::row::Row;
use crate::value::Path;

/// How deep `$and`, `$or`, `$nor`, `$not` and `$elemMatch` may stand inside
/// each other.
pub const MAX_FILTER_DEPTH: usize = 32;
/// How many conditions a filter may have.
pub const MAX_FILTER_CONDITIONS: usize = 1000;
/// How many values `$in`, `$nin` and `$all` may list.
pub const MAX_LIST_VALUES: usize = 10_000;

/// A parsed filter. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Filter {
    node: Arc<Node>,
    /// Whether a record that it cannot be evaluated on is passed over.
    passes_over: bool,
}

/// A part of a filter.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    And(Vec<Node>),
    Or(Vec<Node>),
    Nor(Vec<Node>),
    Condition(Box<Condition>),
    /// `$expr`, and how it was written.
    Expression(Box<(Expression, Value)>),
}

/// What a path's candidates have to satisfy.
#[derive(Clone, Debug)]
pub(crate) struct Condition {
    path: Path,
    predicate: Predicate,
}

impl Filter {
    /// Parses a filter.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` that names the operator and the field;
    /// `LIMIT_EXCEEDED` above the limits of this module.
    pub fn parse(filter: &Value) -> Result<Self> {
        Self::parse_with(filter, &Bindings::default())
    }

    /// As [`parse`](Self::parse), for a filter whose expressions see variables.
    ///
    /// # Errors
    /// As there.
    pub fn parse_with(filter: &Value, bindings: &Bindings) -> Result<Self> {
        Ok(Self::of(parse::filter(filter, bindings)?))
    }

    fn of(node: Node) -> Self {
        Self { node: Arc::new(node), passes_over: false }
    }

    /// This filter for whoever reads on: a record on which an `$expr` cannot be
    /// evaluated does not match, instead of failing the read.
    #[must_use]
    pub fn passing_over(mut self) -> Self {
        self.passes_over = true;
        self
    }

    /// The filter that a record matches if it matches each of these.
    #[must_use]
    pub fn every(filters: &[Self]) -> Self {
        match filters {
            [one] => one.clone(),
            all => {
                let nodes = all.iter().map(|filter| (*filter.node).clone()).collect();
                Self::of(Node::And(nodes))
            }
        }
    }

    /// The filter that a record matches if the path leads to one of the values;
    /// null stands for missing too.
    ///
    /// # Errors
    /// `LIMIT_EXCEEDED` for more than [`MAX_LIST_VALUES`]; as [`Path::parse`].
    pub fn any_of(path: &str, values: Vec<Value>) -> Result<Self> {
        if values.len() > MAX_LIST_VALUES {
            let (max, actual) = (MAX_LIST_VALUES as u64, values.len() as u64);
            return Err(tandem_base::Error::limit("filterListValues", max, actual));
        }
        let predicate = Predicate::In(ValueSet::new(values));
        let condition = Condition { path: Path::parse(path)?, predicate };
        Ok(Self::of(Node::Condition(Box::new(condition))))
    }

    /// Whether an `$expr` is part of it.
    #[must_use]
    pub fn has_expression(&self) -> bool {
        fn has(node: &Node) -> bool {
            match node {
                Node::And(nodes) | Node::Or(nodes) | Node::Nor(nodes) => nodes.iter().any(has),
                Node::Condition(_) => false,
                Node::Expression(_) => true,
            }
        }
        has(&self.node)
    }

    /// The filter that every record matches.
    #[must_use]
    pub fn all() -> Self {
        Self::of(Node::And(Vec::new()))
    }

    /// Whether every record matches, by the filter's form.
    #[must_use]
    pub fn is_all(&self) -> bool {
        matches!(&*self.node, Node::And(nodes) if nodes.is_empty())
    }

    /// Whether a record matches. Cost: reads only the fields that the filter
    /// names, all of them for an `$expr`.
    ///
    /// # Errors
    /// `VALIDATION_ERROR`, `LIMIT_EXCEEDED` for an `$expr` that cannot be
    /// evaluated on the record, unless it is [passed over](Self::passing_over).
    pub fn try_matches(&self, row: &Row) -> Result<bool> {
        match evaluate::matches(&self.node, Subject::Row(row)) {
            Err(_) if self.passes_over => Ok(false),
            matches => matches,
        }
    }

    /// As [`try_matches`](Self::try_matches); where that fails, the record does
    /// not match.
    #[must_use]
    pub fn matches(&self, row: &Row) -> bool {
        self.try_matches(row).unwrap_or(false)
    }

    /// As [`try_matches`](Self::try_matches), for a record that is given as
    /// JSON, with its metadata; nothing but an object ever matches.
    ///
    /// # Errors
    /// As there.
    pub fn try_matches_value(&self, record: &Value) -> Result<bool> {
        if !record.is_object() {
            return Ok(false);
        }
        evaluate::matches(&self.node, Subject::Record(record))
    }

    /// Whether a record matches that is given as JSON, with its metadata;
    /// nothing but an object ever does.
    #[must_use]
    pub fn matches_value(&self, record: &Value) -> bool {
        self.try_matches_value(record).unwrap_or(false)
    }

    /// The conditions of which each must hold, as an index could use them.
    /// What is not one condition on one path (`$or`, `$nor`) is left out, so
    /// the filter still has to be checked.
    #[must_use]
    pub fn conjuncts(&self) -> Vec<Conjunct<'_>> {
        conjunct::conjuncts(&self.node)
    }

    /// Whether a record matches exactly if each of the [`conjuncts`](Self::conjuncts)
    /// holds for it: nothing was left out of them.
    #[must_use]
    pub fn is_conjunction(&self) -> bool {
        conjunct::is_conjunction(&self.node)
    }

    /// Whether every record that matches this filter surely matches `other`.
    /// Sound, not complete: a `false` says nothing. Cost: the product of the
    /// two sizes.
    #[must_use]
    pub fn implies(&self, other: &Self) -> bool {
        implies::implies(&self.node, &other.node)
    }

    /// The filter as JSON in one spelling: parsing it again gives the same.
    #[must_use]
    pub fn to_json(&self) -> Value {
        display::node(&self.node)
    }
}

impl std::fmt::Display for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.to_json())
    }
}
