//! Types and conversions. JSON tells numbers apart by value only: a whole
//! number of 32 bits is `int`, of 64 bits `long`, any other `double`.

use std::borrow::Cow;

use serde_json::{Number, Value};
use tandem_base::Result;

use crate::expression::call::Operands;
use crate::expression::operators::Operator as O;
use crate::expression::{Meter, date, wrong};
use crate::value::arithmetic::{Outcome, integer_number, outcome, whole};
use crate::value::{TypeName, ValueRef};

/// The name of a value's type, as `$type` answers it.
pub(super) fn name(value: Option<&Value>) -> &'static str {
    const NAMES: [TypeName; 8] = [
        TypeName::Int,
        TypeName::Long,
        TypeName::Double,
        TypeName::String,
        TypeName::Object,
        TypeName::Array,
        TypeName::Bool,
        TypeName::Null,
    ];
    let Some(value) = value else { return "missing" };
    let holds = |name: &&TypeName| name.holds(ValueRef::from(value));
    NAMES.iter().find(holds).map_or("null", |name| name.as_str())
}

/// A count from 1.
pub(super) fn positive(operator: &str, value: &Value) -> Result<usize> {
    value
        .as_number()
        .and_then(whole)
        .and_then(|number| usize::try_from(number).ok())
        .filter(|number| *number > 0)
        .ok_or_else(|| wrong(operator, "positive integer"))
}

/// A value as text, where MongoDB reads one leniently: null is the empty text,
/// a number its digits.
pub(super) fn to_text<'a>(given: &Operands<'_, '_>, value: &'a Value) -> Result<Cow<'a, str>> {
    match value {
        Value::Null => Ok(Cow::Borrowed("")),
        Value::String(text) => Ok(Cow::Borrowed(text)),
        Value::Number(number) => Ok(Cow::Owned(number.to_string())),
        _ => Err(given.wrong("string")),
    }
}

/// What a value is converted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Bool,
    Date,
    Double,
    Int,
    Long,
    Text,
}

impl Target {
    pub(super) fn parse(to: &Value) -> Result<Self> {
        let code = to.as_number().and_then(whole);
        Ok(match (to.as_str(), code) {
            (Some("double"), _) | (_, Some(1)) => Self::Double,
            (Some("string"), _) | (_, Some(2)) => Self::Text,
            (Some("bool"), _) | (_, Some(8)) => Self::Bool,
            (Some("date"), _) | (_, Some(9)) => Self::Date,
            (Some("int"), _) | (_, Some(16)) => Self::Int,
            (Some("long"), _) | (_, Some(18)) => Self::Long,
            _ => {
                return Err(wrong(
                    "$convert",
                    "one of double, string, bool, date, int, long in \"to\"",
                ));
            }
        })
    }
}

pub(super) fn call(given: &Operands<'_, '_>) -> Result<Value> {
    let target = match given.operator {
        O::ToBool => Target::Bool,
        O::ToDate => Target::Date,
        O::ToDouble => Target::Double,
        O::ToInt => Target::Int,
        O::ToLong => Target::Long,
        _ => Target::Text,
    };
    match given.or_null(0) {
        Value::Null => Ok(Value::Null),
        value => convert(given.name(), value, target, given.meter),
    }
}

/// A value that is not null, as another type.
pub(super) fn convert(
    operator: &str,
    value: &Value,
    to: Target,
    meter: &Meter<'_>,
) -> Result<Value> {
    let cannot = || {
        let from = name(Some(value));
        wrong(operator, &format!("a value that can become what is asked for, not this {from}"))
    };
    let integer = |number: i128, to: Target| {
        let fits = match to {
            Target::Int => i32::try_from(number).is_ok(),
            _ => true,
        };
        let exact = if fits { integer_number(number) } else { None };
        exact.map(Value::Number).ok_or_else(cannot)
    };
    match (to, value) {
        (Target::Bool, Value::Bool(_)) | (Target::Text, Value::String(_)) => meter.copy(value),
        (Target::Bool, Value::Number(number)) => Ok((number.as_f64() != Some(0.0)).into()),
        (Target::Bool, _) => Ok(true.into()),
        (Target::Text, Value::Bool(_) | Value::Number(_)) => Ok(value.to_string().into()),
        (Target::Date, _) => date::to_milliseconds(operator, value).map(Value::from),
        (Target::Int | Target::Long, Value::Bool(value)) => Ok(i64::from(*value).into()),
        (Target::Double, Value::Bool(value)) => Ok(f64::from(u8::from(*value)).into()),
        (Target::Int | Target::Long, Value::Number(number)) => match outcome(number) {
            Outcome::Integer(number) => integer(number, to),
            #[expect(clippy::cast_possible_truncation, reason = "the fraction is to go")]
            Outcome::Double(number) if number.abs() < 1e19 => integer(number as i128, to),
            _ => Err(cannot()),
        },
        (Target::Double, Value::Number(number)) => {
            let double = number.as_f64().and_then(Number::from_f64);
            double.map(Value::Number).ok_or_else(cannot)
        }
        (Target::Int | Target::Long, Value::String(text)) => {
            let number = text.parse::<i128>().map_err(|_| cannot())?;
            integer(number, to)
        }
        (Target::Double, Value::String(text)) => {
            let double = text.parse::<f64>().ok().and_then(Number::from_f64);
            double.map(Value::Number).ok_or_else(cannot)
        }
        _ => Err(cannot()),
    }
}
