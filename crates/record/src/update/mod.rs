//! Update expressions: what `{"$inc": {"stock": -1}, "$push": {"log": "sold"}}`
//! does to a record, with MongoDB's meaning.
//!
//! ```text
//! {"$set": {"a.b": 1}}        path ─┬─> objects are made where nothing is
//! {"$inc": {"l.0.n": 2}}            ├─> a number is an array's position
//! {"$max": {"l.$[].n": 9}}          ├─> every element
//! {"$set": {"l.$.done": true}}      └─> the element that the filter matched
//! ```
//! * An expression is parsed once, strictly, and applied to each record in the
//!   order in which it is written. Two of its paths must not overlap.
//! * It applies whole or not at all: an error leaves nothing behind, because
//!   it is applied to a copy of the fields.
//! * Integers are exact: a result beyond 64 bits, or beyond all doubles, is an
//!   error and never a rounded number.
//! * What it may add to a record is bounded before it is added.
//!
//! Where it differs from MongoDB: `$currentDate` sets milliseconds since 1970,
//! as `_updatedAt` is; filters on elements (`$[name]`) and pipelines as updates
//! do not exist; paths are processed in the order written.

mod array;
mod operator;
mod parse;
mod path;
mod walk;

use serde_json::{Map, Value};
use tandem_base::{Error, Result};

use crate::filter::Filter;
use crate::row::MAX_RECORD_BYTES;
use crate::value::{equal, weight};
use operator::Operator;
use path::{Segment, UpdatePath};

/// How many paths one update expression may name.
pub const MAX_UPDATE_PATHS: usize = 1000;

/// How many nulls one path may add to an array to reach a position beyond its
/// end.
pub const MAX_PADDING: usize = 1_000_000;

/// A parsed update expression.
#[derive(Clone, Debug)]
pub struct Update {
    edits: Vec<Edit>,
}

/// One operator on one path.
#[derive(Clone, Debug)]
struct Edit {
    path: UpdatePath,
    operator: Operator,
}

/// What surrounds the application to one record.
pub(crate) struct Occasion<'a> {
    /// Milliseconds since 1970.
    pub(crate) now_ms: u64,
    /// What selected the record, for the positional `$`.
    pub(crate) filter: Option<&'a Filter>,
}

/// The fields of a record that updates do not change.
pub(crate) trait Immutable {
    fn is_key(&self, field: &str) -> bool;
    /// Metadata and generated fields.
    fn is_kept(&self, field: &str) -> bool;
}

impl Update {
    /// Whether these changes are meant as an expression and not as fields to
    /// be merged.
    #[must_use]
    pub fn is_expression(changes: &Map<String, Value>) -> bool {
        changes.keys().any(|name| name.starts_with('$'))
    }

    /// Parses an expression.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` for an unknown operator, a wrong operand, plain names
    /// among the operators, a path that is none, or paths that overlap;
    /// `LIMIT_EXCEEDED` above [`MAX_UPDATE_PATHS`].
    pub fn parse(changes: &Map<String, Value>) -> Result<Self> {
        parse::update(changes)
    }

    /// Applies the expression to a record's fields. Returns the names of the
    /// top-level fields that it may have changed.
    ///
    /// Key, metadata and generated fields are not changed: a `$set` of them is
    /// passed over, as in a merge, unless it gives another key.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` when it is impossible on this record, `LIMIT_EXCEEDED`
    /// when it would grow too large; `fields` is then unspecified.
    pub(crate) fn apply(
        &self,
        fields: &mut Map<String, Value>,
        immutable: &dyn Immutable,
        occasion: &Occasion<'_>,
    ) -> Result<Vec<&str>> {
        let mut room = Room { left: MAX_RECORD_BYTES };
        let mut touched = Vec::new();
        for edit in &self.edits {
            if edit.is_passed_over(fields, immutable)? {
                continue;
            }
            touched.push(edit.path.first());
            if let Operator::Rename(to) = &edit.operator {
                touched.push(to.first());
                walk::rename(fields, &edit.path, to, &mut room)?;
            } else {
                let matched = edit.matched(fields, occasion)?;
                let walk = walk::Walk { edit, matched, now_ms: occasion.now_ms };
                walk.record(fields, &mut room)?;
            }
        }
        Ok(touched)
    }
}

impl Edit {
    /// Whether the edit is a `$set` of what stays as it is.
    fn is_passed_over(
        &self,
        fields: &Map<String, Value>,
        immutable: &dyn Immutable,
    ) -> Result<bool> {
        let first = self.path.first();
        if let Operator::Rename(to) = &self.operator
            && (immutable.is_key(to.first()) || immutable.is_kept(to.first()))
        {
            return Err(immutable_field(to.first()));
        }
        if !immutable.is_key(first) && !immutable.is_kept(first) {
            return Ok(false);
        }
        match &self.operator {
            Operator::Set(_) if self.path.is_single() && immutable.is_kept(first) => Ok(true),
            Operator::Set(value)
                if self.path.is_single()
                    && equal(value, fields.get(first).unwrap_or(&Value::Null)) =>
            {
                Ok(true)
            }
            _ => Err(immutable_field(first)),
        }
    }

    /// Which element the filter matched, if the path asks for it.
    fn matched(
        &self,
        fields: &Map<String, Value>,
        occasion: &Occasion<'_>,
    ) -> Result<Option<usize>> {
        let Some(array) = self.path.before_matched() else { return Ok(None) };
        let found = occasion.filter.and_then(|filter| filter.matched_element(fields, array));
        let position = found.ok_or_else(|| {
            impossible(
                &self.path,
                "the positional operator did not find the match needed from the filter",
            )
        })?;
        Ok(Some(position))
    }
}

/// How much an update may still add.
struct Room {
    left: usize,
}

impl Room {
    fn take(&mut self, bytes: usize) -> Result<()> {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                let max = MAX_RECORD_BYTES as u64;
                Err(Error::limit("recordBytes", max, max + 1))
            }
        }
    }

    /// A copy of `value`, if there is room for it.
    fn copy(&mut self, value: &Value) -> Result<Value> {
        self.take(weight(value, 1)?)?;
        Ok(value.clone())
    }
}

fn immutable_field(field: &str) -> Error {
    Error::validation(format!("The field \"{field}\" cannot be changed by an update"))
        .with("field", field)
}

/// An expression that cannot be carried out on this record.
fn impossible(path: &UpdatePath, why: &str) -> Error {
    Error::validation(format!("Cannot update \"{path}\": {why}")).with("field", path.as_str())
}
