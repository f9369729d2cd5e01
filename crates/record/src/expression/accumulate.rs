//! Accumulators: numbers and values of many records, as `$group` computes them.
//!
//! Unless it says otherwise, what an accumulator answers does not depend on the
//! order of the records: sums are exact before they are rounded once, a set is
//! in the order of its values, and of equal values (1 and 1.0) the one whose
//! text is smaller is kept.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use tandem_base::{Error, Result};

use crate::expression::call::Operands;
use crate::expression::operators::Operator as O;
use crate::expression::{Bindings, Expression, Work, types, wrong};
use crate::key;
use crate::value::{ExactSum, compare, footprint};

/// What is computed of a group, and of which values.
#[derive(Clone, Debug)]
pub struct Accumulator {
    function: Function,
    of: Expression,
    /// How many, for `$firstN` and its like.
    n: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Function {
    Sum,
    Avg,
    Min,
    Max,
    First,
    Last,
    Push,
    AddToSet,
    Count,
    MergeObjects,
    StdDevPop,
    StdDevSamp,
    FirstN,
    LastN,
    MinN,
    MaxN,
}

const FUNCTIONS: [(&str, Function); 16] = [
    ("$sum", Function::Sum),
    ("$avg", Function::Avg),
    ("$min", Function::Min),
    ("$max", Function::Max),
    ("$first", Function::First),
    ("$last", Function::Last),
    ("$push", Function::Push),
    ("$addToSet", Function::AddToSet),
    ("$count", Function::Count),
    ("$mergeObjects", Function::MergeObjects),
    ("$stdDevPop", Function::StdDevPop),
    ("$stdDevSamp", Function::StdDevSamp),
    ("$firstN", Function::FirstN),
    ("$lastN", Function::LastN),
    ("$minN", Function::MinN),
    ("$maxN", Function::MaxN),
];

impl Accumulator {
    /// Parses `{"$sum": expression}` or its like.
    ///
    /// # Errors
    /// As [`Expression::parse`]; `VALIDATION_ERROR` naming an accumulator that
    /// does not exist.
    pub fn parse(field: &str, accumulator: &Value, bindings: &Bindings) -> Result<Self> {
        let one = accumulator.as_object().filter(|fields| fields.len() == 1);
        let Some((name, operand)) = one.and_then(|fields| fields.iter().next()) else {
            return Err(Error::validation(format!(
                "The field \"{field}\" of \"$group\" must be an object of one accumulator"
            ))
            .with("field", field));
        };
        let function =
            FUNCTIONS.iter().find(|(known, _)| known == name).map(|(_, function)| *function);
        let Some(function) = function else {
            return Err(Error::validation(format!("Unknown accumulator \"{name}\""))
                .with("operator", name.as_str())
                .with("field", field));
        };
        let (of, n) = match function {
            Function::Count => {
                if operand.as_object().is_none_or(|operand| !operand.is_empty()) {
                    return Err(wrong("$count", "{}"));
                }
                (Expression::literal(Value::Null), 0)
            }
            Function::FirstN | Function::LastN | Function::MinN | Function::MaxN => {
                let parts = operand.as_object().filter(|parts| parts.len() == 2);
                let parts = parts.and_then(|parts| Some((parts.get("input")?, parts.get("n")?)));
                let Some((input, n)) = parts else { return Err(wrong(name, "input and n")) };
                (Expression::parse(input, bindings)?, types::positive(name, n)?)
            }
            _ => {
                // One operand; an array of several is an array only to $push
                // and its like.
                (Expression::parse(operand, bindings)?, 0)
            }
        };
        Ok(Self { function, of, n })
    }

    /// `{"$sum": 1}`.
    #[must_use]
    pub fn counting() -> Self {
        let of = Expression::literal(Value::from(1));
        Self { function: Function::Sum, of, n: 0 }
    }

    /// Whether the answer is the same in whatever order the records come.
    #[must_use]
    pub fn is_commutative(&self) -> bool {
        matches!(
            self.function,
            Function::Sum
                | Function::Avg
                | Function::Min
                | Function::Max
                | Function::AddToSet
                | Function::Count
        )
    }

    /// The computation, begun.
    #[must_use]
    pub fn begin(&self) -> Accumulation {
        Accumulation { held: 0, state: State::of(self.function) }
    }

    /// Takes one record into a computation that this accumulator has begun.
    ///
    /// # Errors
    /// As [`Expression::evaluate`].
    pub fn add(&self, to: &mut Accumulation, record: &Value, work: &Work) -> Result<()> {
        let value = match to.state {
            State::Count(ref mut count) => {
                *count += 1;
                return Ok(());
            }
            State::First(Some(_)) => return Ok(()),
            _ => self.of.evaluate(record, work)?,
        };
        to.take(self, value)
    }
}

/// An accumulator at work on one group.
#[derive(Clone, Debug)]
pub struct Accumulation {
    /// About the bytes of values held.
    held: usize,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    Count(u64),
    Sum(ExactSum),
    Mean(ExactSum),
    Extreme { largest: bool, found: Option<Value> },
    First(Option<Value>),
    Last(Option<Value>),
    List(Vec<Value>),
    Set(BTreeMap<Vec<u8>, Value>),
    Merged(Map<String, Value>),
    Deviation { sample: bool, count: u64, mean: f64, squares: f64 },
}

impl State {
    fn of(function: Function) -> Self {
        match function {
            Function::Count => Self::Count(0),
            Function::Sum => Self::Sum(ExactSum::default()),
            Function::Avg => Self::Mean(ExactSum::default()),
            Function::Min => Self::Extreme { largest: false, found: None },
            Function::Max => Self::Extreme { largest: true, found: None },
            Function::First => Self::First(None),
            Function::Last => Self::Last(None),
            Function::AddToSet => Self::Set(BTreeMap::new()),
            Function::MergeObjects => Self::Merged(Map::new()),
            Function::StdDevPop | Function::StdDevSamp => Self::Deviation {
                sample: function == Function::StdDevSamp,
                count: 0,
                mean: 0.0,
                squares: 0.0,
            },
            _ => Self::List(Vec::new()),
        }
    }
}

impl Accumulation {
    /// About the bytes that it holds.
    #[must_use]
    pub fn held(&self) -> usize {
        size_of::<Self>() + self.held
    }

    fn take(&mut self, accumulator: &Accumulator, value: Option<Value>) -> Result<()> {
        match &mut self.state {
            State::Count(_) => {}
            State::Sum(sum) | State::Mean(sum) => {
                if let Some(Value::Number(number)) = &value {
                    sum.add(number);
                }
            }
            State::Deviation { count, mean, squares, .. } => {
                if let Some(number) = value.as_ref().and_then(Value::as_f64) {
                    *count += 1;
                    let before = number - *mean;
                    #[expect(clippy::cast_precision_loss, reason = "a count")]
                    let step = before / *count as f64;
                    *mean += step;
                    *squares += before * (number - *mean);
                }
            }
            State::Extreme { largest, found } => {
                if let Some(value) = value.filter(|value| !value.is_null()) {
                    let better = found.as_ref().is_none_or(|found| {
                        let order = compare(&value, found);
                        let order = if *largest { order.reverse() } else { order };
                        order.is_lt() || order.is_eq() && is_shorter_spelling(&value, found)
                    });
                    if better {
                        self.held = footprint(&value);
                        *found = Some(value);
                    }
                }
            }
            State::First(first) => {
                let value = value.unwrap_or_default();
                self.held = footprint(&value);
                *first = Some(value);
            }
            State::Last(last) => {
                let value = value.unwrap_or_default();
                self.held = footprint(&value);
                *last = Some(value);
            }
            State::Set(set) => {
                if let Some(value) = value {
                    let mut bytes = Vec::new();
                    key::encode_ascending(&value, &mut bytes);
                    let size = bytes.len() + 32 + footprint(&value);
                    match set.entry(bytes) {
                        std::collections::btree_map::Entry::Vacant(entry) => {
                            self.held += size;
                            entry.insert(value);
                        }
                        std::collections::btree_map::Entry::Occupied(mut entry) => {
                            if is_shorter_spelling(&value, entry.get()) {
                                entry.insert(value);
                            }
                        }
                    }
                }
            }
            State::Merged(merged) => match value {
                None | Some(Value::Null) => {}
                Some(Value::Object(fields)) => {
                    for (name, value) in fields {
                        self.held += name.len() + 48 + footprint(&value);
                        if let Some(old) = merged.insert(name, value) {
                            self.held = self.held.saturating_sub(footprint(&old));
                        }
                    }
                }
                Some(_) => return Err(wrong("$mergeObjects", "objects")),
            },
            State::List(list) => {
                let n = accumulator.n;
                match accumulator.function {
                    Function::Push => list.extend(value),
                    Function::FirstN if list.len() >= n => return Ok(()),
                    Function::FirstN => list.push(value.unwrap_or_default()),
                    Function::LastN => {
                        if list.len() == n {
                            self.held = self.held.saturating_sub(footprint(&list.remove(0)));
                        }
                        list.push(value.unwrap_or_default());
                    }
                    function => {
                        let Some(value) = value.filter(|value| !value.is_null()) else {
                            return Ok(());
                        };
                        let largest = function == Function::MaxN;
                        let at = list.partition_point(|known| {
                            let order = compare(known, &value);
                            if largest { order.is_ge() } else { order.is_le() }
                        });
                        if at >= n {
                            return Ok(());
                        }
                        self.held += footprint(&value);
                        list.insert(at, value);
                        if list.len() > n {
                            let dropped = list.pop();
                            let size = dropped.as_ref().map_or(0, footprint);
                            self.held = self.held.saturating_sub(size);
                        }
                        return Ok(());
                    }
                }
                self.held += list.last().map_or(0, footprint);
            }
        }
        Ok(())
    }

    /// The answer.
    #[must_use]
    pub fn finish(self) -> Value {
        match self.state {
            State::Count(count) => count.into(),
            State::Sum(sum) => sum.total(),
            State::Mean(sum) if sum.count() == 0 => Value::Null,
            State::Mean(sum) => sum.mean(),
            State::Extreme { found, .. } | State::First(found) | State::Last(found) => {
                found.unwrap_or_default()
            }
            State::List(list) => list.into(),
            State::Set(set) => Value::Array(set.into_values().collect()),
            State::Merged(merged) => Value::Object(merged),
            State::Deviation { sample, count, squares, .. } => {
                let divisor = if sample { count.saturating_sub(1) } else { count };
                if divisor == 0 {
                    return Value::Null;
                }
                #[expect(clippy::cast_precision_loss, reason = "a count")]
                let deviation = (squares / divisor as f64).sqrt();
                serde_json::Number::from_f64(deviation).map_or(Value::Null, Value::Number)
            }
        }
    }
}

/// Of two equal values, whether the first is to be kept: so that it does not
/// matter which came first.
fn is_shorter_spelling(value: &Value, kept: &Value) -> bool {
    if value == kept {
        return false;
    }
    let (text, kept_text) = (value.to_string(), kept.to_string());
    text < kept_text
}

/// `$sum` and its like as operators: over the operands, or over the elements of
/// an array that is the only one. What is no number is passed over.
pub(super) fn over(given: &Operands<'_, '_>) -> Result<Value> {
    let function = match given.operator {
        O::Sum => Function::Sum,
        O::Avg => Function::Avg,
        O::Min => Function::Min,
        O::Max => Function::Max,
        O::StdDevPop => Function::StdDevPop,
        _ => Function::StdDevSamp,
    };
    let accumulator = Accumulator { function, of: Expression::literal(Value::Null), n: 0 };
    let mut accumulation = accumulator.begin();
    match (given.all.len(), given.at(0)) {
        (1, Some(Value::Array(elements))) => {
            given.meter.spend(elements.len())?;
            for element in elements {
                accumulation.take(&accumulator, given.copy_if_kept(function, element)?)?;
            }
        }
        _ => {
            for at in 0..given.all.len() {
                if let Some(value) = given.at(at) {
                    accumulation.take(&accumulator, given.copy_if_kept(function, value)?)?;
                }
            }
        }
    }
    Ok(accumulation.finish())
}

impl Operands<'_, '_> {
    /// A copy, for functions that look at any value; numbers for the others.
    fn copy_if_kept(&self, function: Function, value: &Value) -> Result<Option<Value>> {
        match (function, value) {
            (_, Value::Number(_)) | (Function::Min | Function::Max, _) => {
                self.meter.copy(value).map(Some)
            }
            _ => Ok(None),
        }
    }
}
