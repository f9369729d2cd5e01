//! The operators that need nothing but their operand.

use serde_json::{Number, Value};
use tandem_base::{Error, Result};

use crate::filter::parse::invalid;
use crate::filter::predicate::truncated;
use crate::filter::{Bound, MAX_LIST_VALUES, Predicate, Range, RegexMatch, Substring, ValueSet};
use crate::pattern::{Flags, Pattern};
use crate::value::TypeName;

/// `None` for an unknown operator.
pub(super) fn simple(operator: &str, field: &str, operand: &Value) -> Option<Result<Predicate>> {
    let bound = |inclusive| Some(Bound { value: operand.clone(), inclusive });
    let lower = |inclusive| Ok(Predicate::Range(Range { lower: bound(inclusive), upper: None }));
    let upper = |inclusive| Ok(Predicate::Range(Range { lower: None, upper: bound(inclusive) }));
    let text = || {
        let text = operand.as_str().map(str::to_owned);
        text.ok_or_else(|| invalid(operator, field, "string"))
    };
    Some(match operator {
        "$eq" => Ok(Predicate::Equal(operand.clone())),
        "$ne" | "$neq" => Ok(not(Predicate::Equal(operand.clone()))),
        "$gt" => lower(false),
        "$gte" => lower(true),
        "$lt" => upper(false),
        "$lte" => upper(true),
        "$between" => between(field, operand),
        "$in" => one_of("$in", field, operand),
        "$nin" => one_of("$nin", field, operand).map(not),
        "$contains" => text().map(|text| Predicate::Contains(Substring::new(&text))),
        "$startsWith" => text().map(Predicate::StartsWith),
        "$endsWith" => text().map(Predicate::EndsWith),
        "$exists" => match operand {
            Value::Bool(true) => Ok(Predicate::Exists),
            Value::Bool(false) => Ok(not(Predicate::Exists)),
            _ => Err(invalid("$exists", field, "boolean")),
        },
        "$size" => size(field, operand),
        "$type" => types(field, operand),
        "$mod" => modulo(field, operand),
        _ => return None,
    })
}

fn not(predicate: Predicate) -> Predicate {
    Predicate::Not(Box::new(predicate))
}

/// The predicate that nothing satisfies.
pub(super) fn none_of() -> Predicate {
    Predicate::In(ValueSet::new(Vec::new()))
}

pub(super) fn list<'a>(operator: &str, field: &str, operand: &'a Value) -> Result<&'a [Value]> {
    let Value::Array(values) = operand else { return Err(invalid(operator, field, "array")) };
    if values.len() > MAX_LIST_VALUES {
        let (max, actual) = (MAX_LIST_VALUES as u64, values.len() as u64);
        return Err(Error::limit("filterListValues", max, actual).with("operator", operator));
    }
    Ok(values)
}

fn one_of(operator: &str, field: &str, operand: &Value) -> Result<Predicate> {
    let values = list(operator, field, operand)?;
    let is_operator = |value: &Value| {
        value.as_object().is_some_and(|value| value.keys().any(|name| name.starts_with('$')))
    };
    if values.iter().any(is_operator) {
        return Err(invalid(operator, field, "values, not operators"));
    }
    Ok(Predicate::In(ValueSet::new(values.to_vec())))
}

fn between(field: &str, operand: &Value) -> Result<Predicate> {
    match operand.as_array().map(Vec::as_slice) {
        Some([lower, upper]) => {
            let bound = |value: &Value| Some(Bound { value: value.clone(), inclusive: true });
            Ok(Predicate::Range(Range { lower: bound(lower), upper: bound(upper) }))
        }
        _ => Err(invalid("$between", field, "array of two values")),
    }
}

fn whole(number: &Number) -> Option<i64> {
    let integer = i64::try_from(truncated(number)?).ok()?;
    number.as_f64().is_some_and(|float| !number.is_f64() || float.fract() == 0.0).then_some(integer)
}

fn size(field: &str, operand: &Value) -> Result<Predicate> {
    let size = operand.as_number().and_then(whole).and_then(|size| u64::try_from(size).ok());
    size.map(Predicate::Size).ok_or_else(|| invalid("$size", field, "non-negative integer"))
}

fn types(field: &str, operand: &Value) -> Result<Predicate> {
    let names = match operand {
        Value::Array(names) if !names.is_empty() => names.as_slice(),
        Value::Array(_) => return Err(invalid("$type", field, "at least one type")),
        name => std::slice::from_ref(name),
    };
    let mut types = names
        .iter()
        .map(|name| TypeName::parse(name).map_err(|_| invalid("$type", field, "known types")))
        .collect::<Result<Vec<_>>>()?;
    types.sort_by_key(|type_name| type_name.as_str());
    types.dedup();
    Ok(Predicate::Type(types))
}

fn modulo(field: &str, operand: &Value) -> Result<Predicate> {
    let integer = |value: &Value| {
        value.as_number().and_then(truncated).and_then(|integer| i64::try_from(integer).ok())
    };
    match operand.as_array().map(Vec::as_slice) {
        Some([divisor, remainder]) => match (integer(divisor), integer(remainder)) {
            (Some(0), _) => Err(invalid("$mod", field, "a divisor that is not 0")),
            (Some(divisor), Some(remainder)) => Ok(Predicate::Modulo { divisor, remainder }),
            _ => Err(invalid("$mod", field, "two numbers")),
        },
        _ => Err(invalid("$mod", field, "array of divisor and remainder")),
    }
}

pub(super) fn regex(field: &str, operand: &Value, options: Option<&Value>) -> Result<Predicate> {
    let Some(source) = operand.as_str() else { return Err(invalid("$regex", field, "string")) };
    let options = match options {
        None => "",
        Some(Value::String(options)) => options,
        Some(_) => return Err(invalid("$options", field, "string")),
    };
    let flags =
        Flags::parse(options).ok_or_else(|| invalid("$options", field, "letters of \"imsx\""))?;
    let pattern = Pattern::compile(source, flags).map_err(|problem| {
        Error::validation(format!("The pattern of \"$regex\" for field \"{field}\" {problem}"))
            .with("operator", "$regex")
            .with("field", field)
    })?;
    Ok(Predicate::Regex(RegexMatch { pattern, options: options.to_owned() }))
}
