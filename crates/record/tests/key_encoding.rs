//! The encoding of keys: byte by byte as documented, ordered as values are.

mod common;

use common::{cases, values};
use proptest::prelude::*;
use serde_json::{Value, json};
use tandem_record::key::{
    MAX_KEY_BYTES, decode, decode_descending, decode_key, display, encode_ascending,
    encode_descending, encode_key, skip, skip_descending,
};
use tandem_record::keys;
use tandem_record::value::{MAX_NESTING, compare, equal};

fn ascending(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_ascending(value, &mut bytes);
    bytes
}

fn descending(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_descending(value, &mut bytes);
    bytes
}

#[test]
fn the_documented_examples_are_the_bytes() {
    let document = include_str!("../../../docs/key-encoding.md");
    let (_, examples) = document.split_once("## Examples").unwrap();
    let mut checked = 0;
    for line in examples.lines().filter(|line| line.starts_with("| `")) {
        let mut cells = line.split('`');
        let (text, bytes) = (cells.nth(1).unwrap(), cells.nth(1).unwrap());
        let value: Value = serde_json::from_str(text).unwrap();
        let hexadecimal: Vec<_> =
            ascending(&value).iter().map(|byte| format!("{byte:02X}")).collect();
        assert_eq!(hexadecimal.join(" "), bytes, "{text}");
        let inverted: Vec<_> = ascending(&value).iter().map(|byte| !byte).collect();
        assert_eq!(descending(&value), inverted, "{text}");
        checked += 1;
    }
    assert_eq!(checked, 23);
}

/// A zero byte ends a string, so one inside it must not look like the end.
#[test]
fn g3_a_zero_byte_in_a_string_is_neither_its_end_nor_out_of_order() {
    let texts = ["", "\0", "\0\0", "\0a", "a", "a\0", "a\0\0", "a\0b", "a\u{1}", "aa", "b"];
    let encoded: Vec<_> = texts.iter().map(|text| ascending(&json!(text))).collect();
    for (one, bytes) in texts.iter().zip(&encoded) {
        for (other, others) in texts.iter().zip(&encoded) {
            assert_eq!(bytes.cmp(others), one.cmp(other), "{one:?} beside {other:?}");
            let starts = bytes.starts_with(others) && one != other;
            assert!(!starts, "{other:?} looks like the beginning of {one:?}");
        }
    }
}

#[test]
fn only_strings_numbers_and_booleans_are_keys() {
    for key in [json!("a"), json!(""), json!(0), json!(-1.5), json!(u64::MAX), json!(false)] {
        let bytes = encode_key(&key).unwrap();
        assert!(equal(&decode_key(&bytes), &key), "{key}");
    }
    for (bad, found) in [(json!(null), "null"), (json!({}), "object"), (json!([1]), "array")] {
        let error = encode_key(&bad).unwrap_err();
        assert_eq!(error.code().as_str(), "VALIDATION_ERROR", "{bad}");
        assert_eq!(error.detail("actual"), Some(&json!(found)), "what was given instead is said");
    }
}

#[test]
fn g10_keys_have_a_longest() {
    let longest = json!("a".repeat(MAX_KEY_BYTES - 3));
    assert_eq!(encode_key(&longest).unwrap().len(), MAX_KEY_BYTES);
    for long in [json!("a".repeat(MAX_KEY_BYTES - 2)), json!("\0".repeat(MAX_KEY_BYTES / 2))] {
        let error = encode_key(&long).unwrap_err();
        assert_eq!(error.code().as_str(), "LIMIT_EXCEEDED");
        assert_eq!(error.detail("limit"), Some(&json!("keyBytes")));
        let encoded = ascending(&long).len();
        assert_eq!(error.detail("actual"), Some(&json!(encoded)), "the encoded key is limited");
    }
}

#[test]
fn bytes_that_no_value_has_are_refused() {
    for bytes in [
        "",
        "00",
        "FF",
        "10",
        "10 80",
        "20 61",
        "20 61 00",
        "20 61 00 02",
        "20 FF 00 01",
        "30",
        "30 01",
        "40 01",
        "40 02",
        "40 01 05",
        "30 01 10 61 00 01 05 00",
        // A field twice.
        "30 01 05 61 00 01 05 01 05 61 00 01 05 00",
        // NaN, infinity, minus zero.
        "10 FF F8 00 00 00 00 00 00 80 00",
        "10 FF F0 00 00 00 00 00 00 80 00",
        "10 7F FF FF FF FF FF FF FF",
        // A residual of another float, and one on a fraction too large for integers.
        "10 C3 40 00 00 00 00 00 00 90 00",
        "10 C5 40 00 00 00 00 00 00 80 01",
    ] {
        let bytes: Vec<_> =
            bytes.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
        let error = decode(&mut &bytes[..]).unwrap_err();
        assert_eq!(error.code().as_str(), "CORRUPTED", "{bytes:?}");
        let inverted: Vec<_> = bytes.iter().map(|byte| !byte).collect();
        assert!(decode_descending(&mut &inverted[..]).is_err(), "{bytes:?}");
    }
    // What no number has is not stepped over either.
    for bits in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0].map(f64::to_bits) {
        let ordered = if bits >> 63 == 0 { bits | 1 << 63 } else { !bits };
        let bytes = [&[0x10][..], &ordered.to_be_bytes(), &[0x80, 0]].concat();
        assert!(skip(&mut &bytes[..]).is_err(), "{bytes:?}");
    }
}

#[test]
fn g9_bytes_nested_without_end_are_refused_instead_of_overflowing_the_stack() {
    let hostile = [0x40, 0x01].repeat(1_000_000);
    assert!(decode(&mut &hostile[..]).is_err());
    assert!(skip(&mut &hostile[..]).is_err());
}

#[test]
fn g9_values_decode_as_deep_as_records_may_nest_and_no_deeper() {
    let arrays: fn(usize) -> Value =
        |depth| (0..depth).fold(json!(null), |inner, _| json!([inner]));
    let objects: fn(usize) -> Value =
        |depth| (0..depth).fold(json!(null), |inner, _| json!({ "a": inner }));
    for nested in [arrays, objects] {
        let (deepest, deeper) =
            (ascending(&nested(MAX_NESTING)), ascending(&nested(MAX_NESTING + 1)));
        assert!(equal(&decode(&mut &deepest[..]).unwrap(), &nested(MAX_NESTING)));
        assert_eq!(skip(&mut &deepest[..]).unwrap(), deepest);
        assert!(decode(&mut &deeper[..]).is_err());
        assert!(skip(&mut &deeper[..]).is_err());
    }
}

#[test]
fn bytes_that_are_more_than_a_key_are_shown_as_no_key() {
    let mut bytes = encode_key(&json!("a")).unwrap();
    assert_eq!(decode_key(&bytes), json!("a"));
    bytes.push(0);
    assert_eq!(decode_key(&bytes), json!(null));
}

#[test]
fn messages_show_strings_without_quotes_and_other_keys_as_they_are() {
    let shown = [json!("a b"), json!(-1.5), json!(true)].map(|key| display(&key));
    assert_eq!(shown, ["a b", "-1.5", "true"]);
}

/// Nothing outside the process may depend on where keys lie, but stores that were
/// written before do.
#[test]
fn everything_lies_where_the_key_space_is_documented_to_have_it() {
    use tandem_record::{Position, keys};
    let id = 0x0102_0304;
    let position = Position { revision: 5, ordinal: 6 };
    for (key, bytes) in [
        (keys::bucket_definition("ab"), &b"\x02bab"[..]),
        (keys::query_definition("ab"), b"\x02qab"),
        (keys::schema_version(id), b"\x02s\x01\x02\x03\x04"),
        (keys::count(id), b"\x03c\x01\x02\x03\x04"),
        (keys::autoincrement(id), b"\x03a\x01\x02\x03\x04"),
        (keys::build_progress(id), b"\x03p\x01\x02\x03\x04"),
        (keys::tombstone(id, b"k"), b"\x05\x01\x02\x03\x04k"),
        (keys::tombstone_prefix(id), b"\x05\x01\x02\x03\x04"),
        (keys::garbage(b"ab"), b"\x06ab"),
        (keys::row(id, b"k"), b"\x10\x01\x02\x03\x04k"),
        (keys::row_prefix(id), b"\x10\x01\x02\x03\x04"),
        (keys::index_prefix(id), b"\x20\x01\x02\x03\x04"),
        (keys::order_entry(id, position), b"\x20\x01\x02\x03\x04\0\0\0\0\0\0\0\x05\0\0\0\x06"),
    ] {
        assert_eq!(key, bytes);
    }
    assert_eq!(keys::split_row(&keys::row(id, b"k")), Some((id, &b"k"[..])));
    assert_eq!(keys::split_index_entry(&keys::index_prefix(id)), Some((id, &b""[..])));
    for other in [keys::index_prefix(id), keys::row_prefix(id).slice(..4)] {
        assert_eq!(keys::split_row(&other), None);
    }
    let (catalog, buckets) = (keys::catalog(), keys::bucket_definitions());
    let (bucket, query) = (keys::bucket_definition("z"), keys::query_definition("z"));
    assert!(catalog.contains(&bucket) && catalog.contains(&query));
    assert!(!catalog.contains(&keys::count(id)) && !catalog.contains(b"\x01r"));
    assert!(buckets.contains(&bucket) && !buckets.contains(&query));
    assert!(
        keys::query_definitions().contains(&query) && !keys::query_definitions().contains(&bucket)
    );
}

proptest! {
    #![proptest_config(cases(3000))]

    #[test]
    fn encoded_order_is_value_order(a in values(), b in values()) {
        prop_assert_eq!(ascending(&a).cmp(&ascending(&b)), compare(&a, &b));
        prop_assert_eq!(descending(&a).cmp(&descending(&b)), compare(&b, &a));
    }

    #[test]
    fn values_come_back_equal_and_say_where_they_end(
        a in values(), b in values(), rest in prop::collection::vec(any::<u8>(), 0..4)
    ) {
        let mut bytes = ascending(&a);
        let first = bytes.len();
        encode_descending(&b, &mut bytes);
        let second = bytes.len();
        bytes.extend_from_slice(&rest);

        let mut input = &bytes[..];
        prop_assert!(equal(&decode(&mut input).unwrap(), &a));
        prop_assert_eq!(input, &bytes[first..]);
        prop_assert!(equal(&decode_descending(&mut input).unwrap(), &b));
        prop_assert_eq!(input, &rest[..]);

        let mut input = &bytes[..];
        prop_assert_eq!(skip(&mut input).unwrap(), &bytes[..first]);
        prop_assert_eq!(skip_descending(&mut input).unwrap(), &bytes[first..second]);
        prop_assert_eq!(input, &rest[..]);
    }

    #[test]
    fn parts_one_after_the_other_order_part_by_part(
        a in values(), b in values(), c in values(), d in values()
    ) {
        let pair = |first: &Value, second: &Value| {
            let mut bytes = ascending(first);
            encode_descending(second, &mut bytes);
            bytes
        };
        let expected = compare(&a, &c).then_with(|| compare(&d, &b));
        prop_assert_eq!(pair(&a, &b).cmp(&pair(&c, &d)), expected);
    }

    #[test]
    fn g9_any_bytes_decode_or_are_refused(bytes in prop::collection::vec(
        prop_oneof![any::<u8>(), prop::sample::select(vec![0, 1, 5, 0x10, 0x20, 0x30, 0x40, 0x50, 0xFF])],
        0..40,
    )) {
        let (mut decoding, mut skipping) = (&bytes[..], &bytes[..]);
        if let Ok(value) = decode(&mut decoding) {
            // What decodes is the only encoding of its value.
            prop_assert_eq!(ascending(&value), &bytes[..bytes.len() - decoding.len()]);
            prop_assert!(skip(&mut skipping).is_ok());
            prop_assert_eq!(skipping, decoding);
        }
        let _ = skip(&mut &bytes[..]);
        let _ = decode_descending(&mut &bytes[..]);
        let _ = skip_descending(&mut &bytes[..]);
    }
}

#[test]
fn the_key_of_a_row_is_the_same_in_a_buffer_that_held_another() {
    let mut buffer = keys::row(1, b"a longer one than the next").to_vec();
    for primary_key in [&b"short"[..], b"", b"longer again"] {
        keys::put_row(7, primary_key, &mut buffer);
        assert_eq!(buffer, keys::row(7, primary_key));
    }
}
