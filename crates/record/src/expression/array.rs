//! Operators on arrays, also taken as sets.

use std::collections::BTreeMap;

use serde_json::Value;
use tandem_base::Result;

use crate::expression::call::{Operands, cost_of_comparing};
use crate::expression::compare::is_true;
use crate::expression::operators::Operator as O;
use crate::expression::types;
use crate::key;
use crate::value::arithmetic::whole;
use crate::value::{Path, compare, equal};

/// `$arrayElemAt`, `$first`, `$last`: nothing if there is no such element.
pub(super) fn element(given: &Operands<'_, '_>) -> Result<Option<Value>> {
    let at = match given.operator {
        O::First => 0,
        O::Last => -1,
        _ if given.or_null(1).is_null() => return Ok(Some(Value::Null)),
        _ => integer(given, 1)?,
    };
    let Some(elements) = array_or_null(given, 0)? else { return Ok(Some(Value::Null)) };
    let found = usize::try_from(at).ok().or_else(|| {
        let distance = usize::try_from(at.unsigned_abs()).ok()?;
        elements.len().checked_sub(distance)
    });
    found.and_then(|at| elements.get(at)).map(|element| given.meter.copy(element)).transpose()
}

pub(super) fn call(given: &Operands<'_, '_>) -> Result<Value> {
    let meter = given.meter;
    Ok(match given.operator {
        O::IsArray => given.or_null(0).is_array().into(),
        O::Size => array(given, 0)?.len().into(),
        O::ConcatArrays => {
            if given.any_nothing(given.all.len()) {
                return Ok(Value::Null);
            }
            let mut made = Vec::new();
            for at in 0..given.all.len() {
                for element in array(given, at)? {
                    made.push(meter.copy(element)?);
                }
            }
            made.into()
        }
        O::In => {
            let elements = array(given, 1)?;
            search_cost(given, elements, given.or_null(0))?;
            // What is missing is in no array.
            given.at(0).is_some_and(|value| elements.iter().any(|e| equal(e, value))).into()
        }
        O::IndexOfArray => index_of(given)?,
        O::ReverseArray => match array_or_null(given, 0)? {
            None => Value::Null,
            Some(elements) => copies(given, elements.iter().rev())?,
        },
        O::Range => range(given)?,
        O::Slice => slice(given)?,
        O::FirstN | O::LastN | O::MaxN | O::MinN => some(given)?,
        O::SortArray => sorted(given)?,
        O::Zip => zip(given)?,
        O::AllElementsTrue | O::AnyElementTrue => {
            let elements = array(given, 0)?;
            meter.spend(elements.len())?;
            if given.operator == O::AllElementsTrue {
                elements.iter().all(|e| is_true(Some(e))).into()
            } else {
                elements.iter().any(|e| is_true(Some(e))).into()
            }
        }
        _ => set(given)?,
    })
}

fn array<'a>(given: &Operands<'a, '_>, at: usize) -> Result<&'a [Value]> {
    match given.at(at) {
        Some(Value::Array(elements)) => Ok(elements),
        _ => Err(given.wrong("array")),
    }
}

fn array_or_null<'a>(given: &Operands<'a, '_>, at: usize) -> Result<Option<&'a [Value]>> {
    if given.or_null(at).is_null() { Ok(None) } else { array(given, at).map(Some) }
}

fn integer(given: &Operands<'_, '_>, at: usize) -> Result<i64> {
    let number = given.at(at).and_then(Value::as_number);
    number.and_then(whole).ok_or_else(|| given.wrong("integer"))
}

/// Takes what comparing a value with each element may cost.
fn search_cost(given: &Operands<'_, '_>, elements: &[Value], value: &Value) -> Result<()> {
    elements.iter().try_for_each(|element| given.meter.spend(cost_of_comparing(element, value)))
}

fn copies<'v>(
    given: &Operands<'_, '_>,
    elements: impl Iterator<Item = &'v Value>,
) -> Result<Value> {
    let copies = elements.map(|element| given.meter.copy(element));
    Ok(Value::Array(copies.collect::<Result<_>>()?))
}

fn index_of(given: &Operands<'_, '_>) -> Result<Value> {
    let Some(elements) = array_or_null(given, 0)? else { return Ok(Value::Null) };
    let bound = |at: usize, default: usize| -> Result<usize> {
        if given.all.len() <= at {
            return Ok(default);
        }
        usize::try_from(integer(given, at)?)
            .map_err(|_| given.wrong("positions that are not negative"))
    };
    let (start, end) = (bound(2, 0)?, bound(3, elements.len())?.min(elements.len()));
    let value = given.or_null(1);
    search_cost(given, elements, value)?;
    let found = (start..end).find(|at| equal(&elements[*at], value));
    Ok(found.map_or_else(|| (-1).into(), Value::from))
}

fn range(given: &Operands<'_, '_>) -> Result<Value> {
    let (start, end) = (integer(given, 0)?, integer(given, 1)?);
    let step = if given.all.len() > 2 { integer(given, 2)? } else { 1 };
    if step == 0 {
        return Err(given.wrong("a step that is not 0"));
    }
    let mut made = Vec::new();
    let mut next = start;
    while if step > 0 { next < end } else { next > end } {
        given.meter.room(1)?;
        made.push(Value::from(next));
        let Some(after) = next.checked_add(step) else { break };
        next = after;
    }
    Ok(made.into())
}

/// Array and count, negative from the end; or array, position and count.
fn slice(given: &Operands<'_, '_>) -> Result<Value> {
    if given.any_nothing(given.all.len()) {
        return Ok(Value::Null);
    }
    let elements = array(given, 0)?;
    let length = elements.len();
    let from_either_end = |at: i64| {
        let distance = usize::try_from(at.unsigned_abs()).unwrap_or(usize::MAX);
        if at < 0 { length.saturating_sub(distance) } else { distance.min(length) }
    };
    let first = integer(given, 1)?;
    let (from, to) = if given.all.len() == 2 {
        if first < 0 { (from_either_end(first), length) } else { (0, from_either_end(first)) }
    } else {
        let count = integer(given, 2)?;
        let Some(count) = usize::try_from(count).ok().filter(|count| *count > 0) else {
            return Err(given.wrong("a positive count"));
        };
        let from = from_either_end(first);
        (from, from.saturating_add(count).min(length))
    };
    copies(given, elements[from..to].iter())
}

fn some(given: &Operands<'_, '_>) -> Result<Value> {
    let n = types::positive(given.name(), given.or_null(0))?;
    let Some(Value::Array(elements)) = given.at(1) else { return Err(given.wrong("array")) };
    let skipped = elements.len().saturating_sub(n);
    match given.operator {
        O::FirstN => copies(given, elements.iter().take(n)),
        O::LastN => copies(given, elements.iter().skip(skipped)),
        operator => {
            let mut sorted: Vec<&Value> = elements.iter().filter(|e| !e.is_null()).collect();
            given.meter.room(sorted.len())?;
            sorted.sort_by(|a, b| compare(a, b));
            if operator == O::MaxN {
                sorted.reverse();
            }
            copies(given, sorted.into_iter().take(n))
        }
    }
}

fn sorted(given: &Operands<'_, '_>) -> Result<Value> {
    let Some(elements) = array_or_null(given, 0)? else { return Ok(Value::Null) };
    let wrong = || given.wrong("1, -1 or an object of paths in \"sortBy\"");
    let descending = |direction: &Value| match direction.as_number().and_then(whole) {
        Some(1) => Ok(false),
        Some(-1) => Ok(true),
        _ => Err(wrong()),
    };
    let parts: Vec<(Option<Path>, bool)> = match given.or_null(1) {
        Value::Object(paths) if !paths.is_empty() => paths
            .iter()
            .map(|(path, direction)| Ok((Some(Path::parse(path)?), descending(direction)?)))
            .collect::<Result<_>>()?,
        direction => vec![(None, descending(direction)?)],
    };
    given.meter.room(elements.len())?;
    let mut keyed = Vec::with_capacity(elements.len());
    for element in elements {
        let mut bytes = Vec::new();
        for (path, descending) in &parts {
            let value = match path {
                None => element.clone(),
                Some(path) => element.as_object().and_then(|e| path.collect(e)).unwrap_or_default(),
            };
            key::encode_part(&value, *descending, &mut bytes);
        }
        given.meter.spend(bytes.len())?;
        keyed.push((bytes, element));
    }
    keyed.sort_by(|a, b| a.0.cmp(&b.0));
    copies(given, keyed.into_iter().map(|(_, element)| element))
}

fn zip(given: &Operands<'_, '_>) -> Result<Value> {
    let inputs = array(given, 0)?;
    let longest = match given.at(1) {
        None => false,
        Some(Value::Bool(longest)) => *longest,
        Some(_) => return Err(given.wrong("boolean in \"useLongestLength\"")),
    };
    let defaults: &[Value] = match given.at(2) {
        None | Some(Value::Null) => &[],
        Some(Value::Array(defaults)) if longest && defaults.len() == inputs.len() => defaults,
        Some(_) => return Err(given.wrong("\"defaults\" for the longest length, one per input")),
    };
    if inputs.is_empty() {
        return Err(given.wrong("at least one input"));
    }
    let mut arrays = Vec::with_capacity(inputs.len());
    for input in inputs {
        match input {
            Value::Null => return Ok(Value::Null),
            Value::Array(elements) => arrays.push(elements),
            _ => return Err(given.wrong("arrays")),
        }
    }
    let lengths = arrays.iter().map(|elements| elements.len());
    let length = if longest { lengths.max() } else { lengths.min() }.unwrap_or(0);
    let mut made = Vec::new();
    for at in 0..length {
        given.meter.room(1 + arrays.len())?;
        let row = arrays.iter().enumerate().map(|(input, elements)| {
            let value = elements.get(at).or_else(|| defaults.get(input));
            value.map_or(Ok(Value::Null), |value| given.meter.copy(value))
        });
        made.push(Value::Array(row.collect::<Result<_>>()?));
    }
    Ok(made.into())
}

/// Sets: arrays without order and repetition. A set that is made is in the
/// order of its values.
fn set(given: &Operands<'_, '_>) -> Result<Value> {
    let makes_set = matches!(given.operator, O::SetUnion | O::SetIntersection | O::SetDifference);
    if makes_set && given.any_nothing(given.all.len()) {
        return Ok(Value::Null);
    }
    let members = |at: usize| -> Result<BTreeMap<Vec<u8>, &Value>> {
        let elements = array(given, at)?;
        given.meter.room(elements.len())?;
        let mut members = BTreeMap::new();
        for element in elements {
            let mut bytes = Vec::new();
            key::encode_ascending(element, &mut bytes);
            given.meter.spend(bytes.len())?;
            members.entry(bytes).or_insert(element);
        }
        Ok(members)
    };
    let mut made = if given.all.is_empty() { BTreeMap::new() } else { members(0)? };
    for at in 1..given.all.len() {
        let other = members(at)?;
        match given.operator {
            O::SetUnion => {
                for (bytes, element) in other {
                    made.entry(bytes).or_insert(element);
                }
            }
            O::SetIntersection => made.retain(|bytes, _| other.contains_key(bytes)),
            O::SetDifference => made.retain(|bytes, _| !other.contains_key(bytes)),
            O::SetIsSubset => return Ok(made.keys().all(|bytes| other.contains_key(bytes)).into()),
            _ => {
                if !made.keys().eq(other.keys()) {
                    return Ok(false.into());
                }
            }
        }
    }
    if given.operator == O::SetEquals {
        return Ok(true.into());
    }
    copies(given, made.into_values())
}
