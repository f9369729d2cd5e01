//! Numbers about the records that match: sum, average, smallest, largest,
//! count, and the same by group.
//!
//! Only numbers take part, anything else in the field is skipped. A result
//! does not depend on the order in which rows are visited (sums are exact
//! before they are rounded once), so any access path may serve it.

mod group;

use serde_json::Value;
use tandem_base::{Error, Result};
use tandem_record::Records;
use tandem_record::filter::Filter;
use tandem_record::row::Row;
use tandem_record::value::{ExactSum, Path, compare};
use tandem_transaction::Transaction;

pub(crate) use group::Groups;
pub use group::{GroupBy, group_by};

use crate::read::for_each_inner;

/// What is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Function {
    /// How many records.
    Count,
    /// The sum of the numbers; 0 without any. Exact for integers as long as
    /// the result is one of 64 bits, otherwise the nearest double.
    Sum,
    /// The mean of the numbers; 0 without any.
    Avg,
    /// The smallest number; null without any.
    Min,
    /// The largest number; null without any.
    Max,
}

impl Function {
    /// The function of that name: `count`, `sum`, `avg`, `min`, `max`.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` for another name.
    pub fn parse(name: &str) -> Result<Self> {
        match name {
            "count" => Ok(Self::Count),
            "sum" => Ok(Self::Sum),
            "avg" => Ok(Self::Avg),
            "min" => Ok(Self::Min),
            "max" => Ok(Self::Max),
            _ => Err(Error::validation(
                "Invalid \"function\": expected one of: count, sum, avg, min, max",
            )
            .with("function", name)),
        }
    }
}

/// A function over one field of the records that match.
///
/// # Errors
/// `BUCKET_NOT_DEFINED`; `VALIDATION_ERROR` for a function that lacks a field.
pub fn aggregate(
    records: &Records,
    tx: &mut Transaction,
    bucket: &str,
    function: Function,
    field: Option<&Path>,
    filter: Option<&Filter>,
) -> Result<Value> {
    let mut accumulator = Accumulator::new(function, field)?;
    tx.read_statement(|tx| {
        for_each_inner(records, tx, bucket, filter, &mut |_, row| {
            accumulator.add(&row);
            Ok(())
        })
    })?;
    Ok(accumulator.finish())
}

/// One function being computed.
#[derive(Clone, Debug)]
pub(crate) struct Accumulator {
    field: Option<Path>,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    Count(u64),
    Sum(ExactSum),
    Mean(ExactSum),
    Extreme { largest: bool, found: Option<Value> },
}

impl Accumulator {
    pub(crate) fn new(function: Function, field: Option<&Path>) -> Result<Self> {
        if field.is_none() && function != Function::Count {
            return Err(Error::validation(
                "Missing or invalid \"field\": expected non-empty string",
            ));
        }
        let state = match function {
            Function::Count => State::Count(0),
            Function::Sum => State::Sum(ExactSum::default()),
            Function::Avg => State::Mean(ExactSum::default()),
            Function::Min => State::Extreme { largest: false, found: None },
            Function::Max => State::Extreme { largest: true, found: None },
        };
        Ok(Self { field: field.cloned(), state })
    }

    pub(crate) fn add(&mut self, row: &Row) {
        if let State::Count(count) = &mut self.state {
            *count += 1;
            return;
        }
        let Some(number) = self.number(row) else { return };
        match &mut self.state {
            State::Count(_) => {}
            State::Sum(sum) | State::Mean(sum) => sum.add(&number),
            State::Extreme { largest, found } => {
                let number = Value::Number(number);
                let better = found.as_ref().is_none_or(|found| {
                    let order = compare(&number, found);
                    if *largest { order.is_gt() } else { order.is_lt() }
                });
                if better {
                    *found = Some(number);
                }
            }
        }
    }

    /// Takes a row out again. Returns false when what is left cannot be known
    /// from what is kept: it has to be computed anew.
    pub(crate) fn remove(&mut self, row: &Row) -> bool {
        if let State::Count(count) = &mut self.state {
            *count -= 1;
            return true;
        }
        let Some(number) = self.number(row) else { return true };
        match &mut self.state {
            State::Count(_) => true,
            State::Sum(sum) | State::Mean(sum) => sum.remove(&number),
            // Others may be as large; nobody counts them.
            State::Extreme { found, .. } => {
                found.as_ref().is_some_and(|found| compare(&Value::Number(number), found).is_ne())
            }
        }
    }

    /// Adds a row. Returns false when what comes out would depend on the order
    /// in which rows were added: a sum that has overflown, or two spellings of
    /// one extreme (`1` and `1.0`).
    pub(crate) fn add_surely(&mut self, row: &Row) -> bool {
        let tie = match &self.state {
            State::Extreme { found: Some(found), .. } => self
                .number(row)
                .map(Value::Number)
                .is_some_and(|number| compare(&number, found).is_eq() && number != *found),
            _ => false,
        };
        self.add(row);
        match &self.state {
            State::Sum(sum) | State::Mean(sum) => !sum.has_overflown(),
            _ => !tie,
        }
    }

    /// Whether one row may stand for the other.
    pub(crate) fn sees_the_same(&self, row: &Row, other: &Row) -> bool {
        matches!(self.state, State::Count(_)) || self.number(row) == self.number(other)
    }

    fn number(&self, row: &Row) -> Option<serde_json::Number> {
        match self.field.as_ref().and_then(|path| row.collect(path)) {
            Some(Value::Number(number)) => Some(number),
            _ => None,
        }
    }

    pub(crate) fn finish(self) -> Value {
        match self.state {
            State::Count(count) => count.into(),
            State::Sum(sum) => sum.total(),
            State::Mean(sum) => sum.mean(),
            State::Extreme { found, .. } => found.unwrap_or(Value::Null),
        }
    }
}
