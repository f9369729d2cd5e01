//! Key encoding: bytes in any order, values in any shape.
//!
//! The first byte chooses. Even: the rest is taken for an encoded key. Odd: the
//! rest is JSON, an array of values, whose encodings must order, decode and
//! stand one after another as the values do.

use serde_json::Value;
use tandem_record::key::{
    decode, decode_descending, decode_key, encode_ascending, encode_descending, encode_key,
    encode_part, skip, skip_descending, skip_part,
};
use tandem_record::value::{compare, equal};

use crate::verdict::coded;

/// See the [module](self).
///
/// # Panics
/// When a promise is broken.
pub fn target(data: &[u8]) {
    let Some((choice, rest)) = data.split_first() else { return };
    if choice % 2 == 0 {
        foreign(rest);
    } else if let Ok(Value::Array(values)) = serde_json::from_slice(rest) {
        values.iter().for_each(round_trip);
        let values = &values[..values.len().min(24)];
        for pair in values.iter().flat_map(|a| values.iter().map(move |b| (a, b))) {
            ordered(pair.0, pair.1);
        }
        in_a_row(values);
    }
}

fn decode_part(descending: bool, input: &mut &[u8]) -> tandem_base::Result<Value> {
    if descending { decode_descending(input) } else { decode(input) }
}

/// Bytes that nobody encoded: an error, or a value whose encoding reads back.
fn foreign(bytes: &[u8]) {
    let _key_or_null = decode_key(bytes);
    for descending in [false, true] {
        let (mut read, mut skipped) = (bytes, bytes);
        let value = coded(decode_part(descending, &mut read));
        let skip = coded(skip_part(descending, &mut skipped));
        let Some(value) = value else { continue };
        assert!(skip.is_some(), "what can be read can be stepped over");
        assert_eq!(read.len(), skipped.len(), "both end at the same byte");
        let mut again = Vec::new();
        encode_part(&value, descending, &mut again);
        let back = coded(decode_part(descending, &mut &again[..])).expect("encoded by us");
        assert!(equal(&value, &back), "{value} became {back}");
    }
}

fn round_trip(value: &Value) {
    let (mut up, mut down) = (Vec::new(), Vec::new());
    encode_ascending(value, &mut up);
    encode_descending(value, &mut down);
    if nesting(value) > 100 {
        return; // No record holds it.
    }
    let read = [decode(&mut &up[..]), decode_descending(&mut &down[..])];
    for back in read {
        let back = coded(back).expect("what was encoded can be read");
        assert!(equal(value, &back), "{value} became {back}");
    }
    assert_eq!(coded(skip(&mut &up[..])), Some(&up[..]));
    assert_eq!(coded(skip_descending(&mut &down[..])), Some(&down[..]));
    if let Some(key) = coded(encode_key(value)) {
        assert!(equal(&decode_key(&key), value), "{value} is another key");
    }
}

fn ordered(a: &Value, b: &Value) {
    let encode = |value, descending| {
        let mut bytes = Vec::new();
        encode_part(value, descending, &mut bytes);
        bytes
    };
    let order = compare(a, b);
    assert_eq!(encode(a, false).cmp(&encode(b, false)), order, "{a} and {b}, ascending");
    assert_eq!(encode(b, true).cmp(&encode(a, true)), order, "{a} and {b}, descending");
    assert_eq!(compare(b, a), order.reverse(), "{a} and {b}");
    assert_eq!(equal(a, b), order.is_eq(), "{a} and {b}");
}

/// Several parts make one index entry.
fn in_a_row(values: &[Value]) {
    if values.iter().any(|value| nesting(value) > 100) {
        return;
    }
    let mut bytes = Vec::new();
    for (place, value) in values.iter().enumerate() {
        encode_part(value, place % 2 == 1, &mut bytes);
    }
    let mut rest = &bytes[..];
    for (place, value) in values.iter().enumerate() {
        let back = coded(decode_part(place % 2 == 1, &mut rest)).expect("what was encoded");
        assert!(equal(value, &back), "{value} became {back}");
    }
    assert!(rest.is_empty());
}

fn nesting(value: &Value) -> usize {
    match value {
        Value::Array(elements) => 1 + elements.iter().map(nesting).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(nesting).max().unwrap_or(0),
        _ => 0,
    }
}
