//! From an operator to what it does.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::Value;
use tandem_base::Result;

use crate::expression::compare::{compare, is_true};
use crate::expression::evaluate::Maybe;
use crate::expression::operators::Operator;
use crate::expression::{Meter, array, date, number, object, text, types};
use crate::value::{ValueRef, footprint};

/// Operands of an operator, all evaluated.
pub(super) struct Operands<'a, 'v> {
    pub(super) operator: Operator,
    pub(super) all: &'a [Maybe<'v>],
    pub(super) meter: &'a Meter<'a>,
}

impl<'a> Operands<'a, '_> {
    /// The operand at a place; `None` if it is missing.
    pub(super) fn at(&self, at: usize) -> Option<&'a Value> {
        self.all.get(at).and_then(|operand| operand.as_deref())
    }

    /// The operand at a place; missing is null.
    pub(super) fn or_null(&self, at: usize) -> &'a Value {
        self.at(at).unwrap_or(&Value::Null)
    }

    pub(super) fn name(&self) -> &'static str {
        self.operator.name()
    }

    /// Whether one of the first `n` is null or missing.
    pub(super) fn any_nothing(&self, n: usize) -> bool {
        (0..n).any(|at| self.or_null(at).is_null())
    }

    pub(super) fn wrong(&self, expected: &str) -> tandem_base::Error {
        super::wrong(self.name(), expected)
    }
}

pub(super) fn call<'v>(
    operator: Operator,
    operands: Vec<Maybe<'v>>,
    meter: &Meter<'_>,
) -> Result<Maybe<'v>> {
    use Operator as O;
    let given = Operands { operator, all: &operands, meter };
    if given.all.len() == 2 && operator.is_comparison() {
        meter.spend(cost_of_comparing(given.or_null(0), given.or_null(1)))?;
    }
    let order = || compare(given.at(0), given.at(1));
    let value = match operator {
        O::Compare => Value::from(order() as i8),
        O::Equal => order().is_eq().into(),
        O::NotEqual => order().is_ne().into(),
        O::Greater => order().is_gt().into(),
        O::GreaterEqual => order().is_ge().into(),
        O::Less => (order() == Ordering::Less).into(),
        O::LessEqual => order().is_le().into(),
        O::Not => (!is_true(given.at(0))).into(),
        O::Abs
        | O::Add
        | O::Ceil
        | O::Divide
        | O::Exp
        | O::Floor
        | O::Ln
        | O::Log
        | O::Log10
        | O::Mod
        | O::Multiply
        | O::Pow
        | O::Round
        | O::Sqrt
        | O::Subtract
        | O::Trunc
        | O::Sin
        | O::Cos
        | O::Tan
        | O::BitAnd
        | O::BitOr
        | O::BitXor
        | O::BitNot => number::call(&given)?,
        O::Sum | O::Avg | O::Min | O::Max | O::StdDevPop | O::StdDevSamp => {
            super::accumulate::over(&given)?
        }
        O::Concat
        | O::IndexOfBytes
        | O::IndexOfCP
        | O::Split
        | O::StrLenBytes
        | O::StrLenCP
        | O::StrCaseCmp
        | O::Substr
        | O::SubstrBytes
        | O::SubstrCP
        | O::ToLower
        | O::ToUpper
        | O::Trim
        | O::LTrim
        | O::RTrim
        | O::ReplaceOne
        | O::ReplaceAll => text::call(&given)?,
        O::ArrayElemAt | O::First | O::Last => {
            return Ok(array::element(&given)?.map(Cow::Owned));
        }
        O::ConcatArrays
        | O::FirstN
        | O::LastN
        | O::MaxN
        | O::MinN
        | O::In
        | O::IndexOfArray
        | O::IsArray
        | O::Range
        | O::ReverseArray
        | O::Size
        | O::Slice
        | O::SortArray
        | O::Zip
        | O::AllElementsTrue
        | O::AnyElementTrue
        | O::SetDifference
        | O::SetEquals
        | O::SetIntersection
        | O::SetIsSubset
        | O::SetUnion => array::call(&given)?,
        O::GetField => return Ok(object::field(&given)?.map(Cow::Owned)),
        O::ArrayToObject | O::ObjectToArray | O::MergeObjects | O::SetField | O::UnsetField => {
            object::call(&given)?
        }
        O::Type => types::name(given.at(0)).into(),
        O::IsNumber => matches!(given.at(0).map(ValueRef::from), Some(ValueRef::Number(_))).into(),
        O::ToBool | O::ToDate | O::ToDouble | O::ToInt | O::ToLong | O::ToText => {
            types::call(&given)?
        }
        O::Year
        | O::Month
        | O::Week
        | O::DayOfMonth
        | O::DayOfWeek
        | O::DayOfYear
        | O::Hour
        | O::Minute
        | O::Second
        | O::Millisecond
        | O::IsoDayOfWeek
        | O::IsoWeek
        | O::IsoWeekYear
        | O::DateAdd
        | O::DateSubtract
        | O::DateDiff
        | O::DateTrunc
        | O::DateFromParts
        | O::DateToParts
        | O::DateFromString
        | O::DateToString => date::call(&given)?,
    };
    Ok(Some(Cow::Owned(value)))
}

impl Operator {
    fn is_comparison(self) -> bool {
        matches!(
            self,
            Self::Compare
                | Self::Equal
                | Self::NotEqual
                | Self::Greater
                | Self::GreaterEqual
                | Self::Less
                | Self::LessEqual
        )
    }
}

/// At most so much of two values is looked at to compare them.
pub(super) fn cost_of_comparing(a: &Value, b: &Value) -> usize {
    match (a, b) {
        (Value::String(a), Value::String(b)) => a.len().min(b.len()),
        (Value::Array(_), Value::Array(_)) | (Value::Object(_), Value::Object(_)) => {
            footprint(a).min(footprint(b))
        }
        _ => 1,
    }
}
