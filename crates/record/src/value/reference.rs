use serde_json::{Map, Number, Value};

use crate::value::Kind;

/// A value borrowed from a [`Value`] or from stored text.
#[derive(Clone, Copy, Debug)]
pub enum ValueRef<'a> {
    /// `null`
    Null,
    /// A number.
    Number(&'a Number),
    /// A string.
    String(&'a str),
    /// An object.
    Object(&'a Map<String, Value>),
    /// An array.
    Array(&'a [Value]),
    /// A boolean.
    Bool(bool),
}

impl<'a> From<&'a Value> for ValueRef<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(value) => Self::Number(value),
            Value::String(value) => Self::String(value),
            Value::Array(value) => Self::Array(value),
            Value::Object(value) => Self::Object(value),
        }
    }
}

impl ValueRef<'_> {
    /// What kind of value it is.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self {
            Self::Null => Kind::Null,
            Self::Number(_) => Kind::Number,
            Self::String(_) => Kind::String,
            Self::Object(_) => Kind::Object,
            Self::Array(_) => Kind::Array,
            Self::Bool(_) => Kind::Boolean,
        }
    }

    /// An owned copy.
    #[must_use]
    pub fn to_value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Number(value) => Value::Number(value.clone()),
            Self::String(value) => Value::String(value.to_owned()),
            Self::Object(value) => Value::Object(value.clone()),
            Self::Array(value) => Value::Array(value.to_vec()),
            Self::Bool(value) => Value::Bool(value),
        }
    }

    /// Reads compact JSON text and hands its value to `read`, without copying
    /// a string that has no escapes. Text that is no JSON reads as null.
    pub(crate) fn read_text<R>(text: &[u8], read: impl FnOnce(ValueRef<'_>) -> R) -> R {
        match text {
            b"null" => read(ValueRef::Null),
            b"true" => read(ValueRef::Bool(true)),
            b"false" => read(ValueRef::Bool(false)),
            [b'"', inner @ .., b'"'] if !inner.contains(&b'\\') => {
                read(std::str::from_utf8(inner).map_or(ValueRef::Null, ValueRef::String))
            }
            [b'0'..=b'9', ..] if text.len() <= 18 && text.iter().all(u8::is_ascii_digit) => {
                let digits = |number: u64, digit: &u8| number * 10 + u64::from(digit - b'0');
                read(ValueRef::Number(&Number::from(text.iter().fold(0, digits))))
            }
            _ => match serde_json::from_slice::<Value>(text) {
                Ok(value) => read(ValueRef::from(&value)),
                Err(_) => read(ValueRef::Null),
            },
        }
    }
}
