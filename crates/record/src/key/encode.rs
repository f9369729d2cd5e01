use serde_json::Value;

use crate::key::{number, tag};
use crate::value::ValueRef;

/// Appends the encoding of a value. Cost: its size.
pub fn encode_ascending<'a>(value: impl Into<ValueRef<'a>>, out: &mut Vec<u8>) {
    ascending(value.into(), out);
}

fn ascending(value: ValueRef<'_>, out: &mut Vec<u8>) {
    match value {
        ValueRef::Null => out.push(tag::NULL),
        ValueRef::Number(value) => {
            out.push(tag::NUMBER);
            number::encode(value, out);
        }
        ValueRef::String(value) => {
            out.push(tag::STRING);
            encode_text(value, out);
        }
        ValueRef::Object(fields) => {
            out.push(tag::OBJECT);
            for (name, value) in fields {
                out.push(tag::MORE);
                out.push(kind_tag(value));
                encode_text(name, out);
                encode_ascending(value, out);
            }
            out.push(tag::END);
        }
        ValueRef::Array(elements) => {
            out.push(tag::ARRAY);
            for element in elements {
                out.push(tag::MORE);
                encode_ascending(element, out);
            }
            out.push(tag::END);
        }
        ValueRef::Bool(false) => out.push(tag::FALSE),
        ValueRef::Bool(true) => out.push(tag::TRUE),
    }
}

/// Appends the encoding that orders larger values first.
pub fn encode_descending<'a>(value: impl Into<ValueRef<'a>>, out: &mut Vec<u8>) {
    let start = out.len();
    encode_ascending(value, out);
    for byte in &mut out[start..] {
        *byte = !*byte;
    }
}

/// The first byte of the encoding of `value`, which is that of its type.
#[must_use]
pub fn first_byte(value: &Value) -> u8 {
    if *value == Value::Bool(true) { tag::TRUE } else { kind_tag(value) }
}

/// The tag by which fields are ordered before their names: one for both
/// booleans.
pub(super) fn kind_tag(value: &Value) -> u8 {
    match value {
        Value::Null => tag::NULL,
        Value::Number(_) => tag::NUMBER,
        Value::String(_) => tag::STRING,
        Value::Object(_) => tag::OBJECT,
        Value::Array(_) => tag::ARRAY,
        Value::Bool(_) => tag::FALSE,
    }
}

fn encode_text(text: &str, out: &mut Vec<u8>) {
    let mut pieces = text.as_bytes().split(|byte| *byte == 0);
    out.extend_from_slice(pieces.next().unwrap_or_default());
    for piece in pieces {
        out.extend_from_slice(&[0, tag::ESCAPED]);
        out.extend_from_slice(piece);
    }
    out.extend_from_slice(&[0, tag::TERMINATOR]);
}
