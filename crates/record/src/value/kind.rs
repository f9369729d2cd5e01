use serde_json::{Number, Value};
use tandem_base::{Error, Result};

use crate::value::ValueRef;

/// The kinds of value, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `null`, and what is missing.
    Null,
    /// Any number.
    Number,
    /// A string.
    String,
    /// An object.
    Object,
    /// An array.
    Array,
    /// `false` or `true`.
    Boolean,
}

/// A type as `$type` names it.
///
/// JSON has one type of number, so the three of MongoDB are told apart by
/// value: an integer of 32 bits, another integer of 64 bits, anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TypeName {
    /// Any number.
    Number,
    /// A number that is not an integer of 64 bits.
    Double,
    /// An integer of 32 bits.
    Int,
    /// An integer of 64 bits that is not one of 32.
    Long,
    /// A string.
    String,
    /// An object.
    Object,
    /// An array.
    Array,
    /// A boolean.
    Bool,
    /// Null.
    Null,
}

const TYPE_NAMES: [(&str, Option<i64>, TypeName); 9] = [
    ("number", None, TypeName::Number),
    ("double", Some(1), TypeName::Double),
    ("string", Some(2), TypeName::String),
    ("object", Some(3), TypeName::Object),
    ("array", Some(4), TypeName::Array),
    ("bool", Some(8), TypeName::Bool),
    ("null", Some(10), TypeName::Null),
    ("int", Some(16), TypeName::Int),
    ("long", Some(18), TypeName::Long),
];

impl TypeName {
    /// The type that an alias (`"string"`) or a numeric code (`2`) stands for.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` for anything else, types that JSON cannot hold
    /// included.
    pub fn parse(name: &Value) -> Result<Self> {
        TYPE_NAMES
            .iter()
            .find(|(alias, code, _)| match name {
                Value::String(name) => name == alias,
                Value::Number(number) => code.is_some() && integer(number) == *code,
                _ => false,
            })
            .map(|(_, _, type_name)| *type_name)
            .ok_or_else(|| Error::validation(format!("Unknown type {name}")))
    }

    /// The alias.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        TYPE_NAMES.iter().find(|(_, _, name)| *name == self).map_or("", |(alias, _, _)| alias)
    }

    /// Whether `value` has the type.
    #[must_use]
    pub fn holds(self, value: ValueRef<'_>) -> bool {
        match (self, value) {
            (Self::Number, ValueRef::Number(_))
            | (Self::String, ValueRef::String(_))
            | (Self::Object, ValueRef::Object(_))
            | (Self::Array, ValueRef::Array(_))
            | (Self::Bool, ValueRef::Bool(_))
            | (Self::Null, ValueRef::Null) => true,
            (Self::Int, ValueRef::Number(number)) => is_int(number),
            (Self::Long, ValueRef::Number(number)) => {
                !is_int(number) && (integer(number).is_some() || number.is_u64())
            }
            (Self::Double, ValueRef::Number(number)) => {
                integer(number).is_none() && !number.is_u64()
            }
            _ => false,
        }
    }
}

fn is_int(number: &Number) -> bool {
    integer(number).is_some_and(|integer| i32::try_from(integer).is_ok())
}

/// The number as a 64-bit integer, if that is what it is by value.
fn integer(number: &Number) -> Option<i64> {
    const TWO_POW_63: f64 = 9_223_372_036_854_775_808.0;
    number.as_i64().or_else(|| {
        let float = number.as_f64().filter(|_| number.is_f64())?;
        let is_integer = float.fract() == 0.0 && (-TWO_POW_63..TWO_POW_63).contains(&float);
        #[expect(clippy::cast_possible_truncation, reason = "in range and integral, as checked")]
        is_integer.then_some(float as i64)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_told_apart_by_value_not_by_spelling() {
        let names = |value: &Value| -> Vec<&str> {
            TYPE_NAMES
                .iter()
                .filter(|(_, _, name)| name.holds(ValueRef::from(value)))
                .map(|(alias, _, _)| *alias)
                .collect()
        };
        for (value, expected) in [
            (json!(1), vec!["number", "int"]),
            (json!(1.0), vec!["number", "int"]),
            (json!(1.5), vec!["number", "double"]),
            (json!(3_000_000_000_u64), vec!["number", "long"]),
            (json!(u64::MAX), vec!["number", "long"]),
            (json!(1e300), vec!["number", "double"]),
            (json!("a"), vec!["string"]),
            (json!(true), vec!["bool"]),
            (json!(null), vec!["null"]),
            (json!({}), vec!["object"]),
            (json!([]), vec!["array"]),
        ] {
            assert_eq!(names(&value), expected, "{value}");
        }
    }

    #[test]
    fn aliases_and_codes_name_the_same_types_and_others_are_refused() {
        assert_eq!(TypeName::parse(&json!(2)).unwrap(), TypeName::parse(&json!("string")).unwrap());
        assert_eq!(TypeName::parse(&json!(16.0)).unwrap(), TypeName::Int);
        for bad in [json!("date"), json!(9), json!(true), json!(2.5), json!([])] {
            assert_eq!(TypeName::parse(&bad).unwrap_err().code().as_str(), "VALIDATION_ERROR");
        }
    }
}
