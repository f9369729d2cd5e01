//! The encoding of values in keys: byte order is value order.
//!
//! Primary keys and the parts of index entries are keys of an ordered byte
//! store, so the bytes of two values must compare as the values do (see
//! [`value`](crate::value)), and the bytes of one value must say where they
//! end, so that several can stand one after the other. `docs/key-encoding.md`
//! has the encoding byte by byte.
//!
//! Equal values have equal bytes: `1`, `1.0` and `1e0` are one key, and decode
//! to the integer. A descending part is the ascending one with every bit
//! inverted.

mod decode;
mod encode;
mod number;

use serde_json::Value;
use tandem_base::{Error, Result};

use crate::value::ValueRef;

pub use decode::{decode, decode_descending, skip, skip_descending};
pub use encode::{encode_ascending, encode_descending, first_byte};

/// The most bytes that an encoded primary key may have.
pub const MAX_KEY_BYTES: usize = 1024;

/// The most bytes that the key of an index entry may have.
pub const MAX_INDEX_ENTRY_BYTES: usize = 4096;

mod tag {
    pub(super) const NULL: u8 = 0x05;
    pub(super) const NUMBER: u8 = 0x10;
    pub(super) const STRING: u8 = 0x20;
    pub(super) const OBJECT: u8 = 0x30;
    pub(super) const ARRAY: u8 = 0x40;
    pub(super) const FALSE: u8 = 0x50;
    pub(super) const TRUE: u8 = 0x51;

    /// In front of each field and element.
    pub(super) const MORE: u8 = 0x01;
    /// After the last field or element.
    pub(super) const END: u8 = 0x00;
    /// After a zero byte within a string.
    pub(super) const ESCAPED: u8 = 0xFF;
    /// After the zero byte at a string's end.
    pub(super) const TERMINATOR: u8 = 0x01;
}

/// Encodes a primary key.
///
/// # Errors
/// `VALIDATION_ERROR` for null, objects and arrays, which cannot be keys;
/// `LIMIT_EXCEEDED` above [`MAX_KEY_BYTES`].
pub fn encode_key(key: &Value) -> Result<Vec<u8>> {
    match key {
        Value::Null | Value::Object(_) | Value::Array(_) => {
            let found = match key {
                Value::Null => "null",
                Value::Object(_) => "object",
                _ => "array",
            };
            Err(Error::validation("Invalid key: expected string, number or boolean")
                .with("actual", found))
        }
        Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            let mut bytes = Vec::with_capacity(24);
            encode_ascending(key, &mut bytes);
            if bytes.len() > MAX_KEY_BYTES {
                return Err(Error::limit("keyBytes", MAX_KEY_BYTES as u64, bytes.len() as u64));
            }
            Ok(bytes)
        }
    }
}

/// The key that `bytes` encode, for messages and answers; null for bytes that
/// [`encode_key`] never makes.
#[must_use]
pub fn decode_key(mut bytes: &[u8]) -> Value {
    match decode(&mut bytes) {
        Ok(key) if bytes.is_empty() => key,
        _ => Value::Null,
    }
}

/// A key as messages show it: a string without its quotes.
#[must_use]
pub fn display(key: &Value) -> String {
    key.as_str().map_or_else(|| key.to_string(), str::to_owned)
}

/// Appends one part of an index entry.
pub fn encode_part<'a>(value: impl Into<ValueRef<'a>>, descending: bool, out: &mut Vec<u8>) {
    if descending { encode_descending(value, out) } else { encode_ascending(value, out) }
}

/// Steps over one part of an index entry and returns its bytes.
///
/// # Errors
/// `CORRUPTED` when the bytes are no encoded value; `input` is then unspecified.
pub fn skip_part<'a>(descending: bool, input: &mut &'a [u8]) -> Result<&'a [u8]> {
    if descending { skip_descending(input) } else { skip(input) }
}
