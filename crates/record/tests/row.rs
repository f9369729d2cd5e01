//! The stored row: what goes in comes out, field by field, and damage is found.

mod common;

use bytes::Bytes;
use common::{cases, records};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tandem_record::row::{MAX_RECORD_BYTES, METADATA_NAMES};
use tandem_record::value::MAX_NESTING;
use tandem_record::{Metadata, Path, Position, Row};

const METADATA: Metadata = Metadata {
    version: 3,
    created_at: 1_700_000_000_000,
    updated_at: 1_700_000_000_001,
    position: Position { revision: 77, ordinal: 5 },
};

fn fields(value: Value) -> Map<String, Value> {
    let Value::Object(fields) = value else { panic!("not a record") };
    fields
}

fn row(value: Value) -> Row {
    Row::encode(&fields(value), METADATA).expect("a row")
}

fn written(row: &Row) -> String {
    let mut out = Vec::new();
    row.write_json(&mut out);
    String::from_utf8(out).expect("text")
}

#[test]
fn a_record_goes_out_as_its_fields_then_metadata() {
    let metadata = r#""_version":3,"_createdAt":1700000000000,"_updatedAt":1700000000001"#;
    for (record, expected) in [
        (json!({"b": 1, "a": "é\""}), format!(r#"{{"b":1,"a":"é\"",{metadata}}}"#)),
        (json!({}), format!("{{{metadata}}}")),
        (json!({"_expiresAt": 9, "a": 1}), format!(r#"{{"a":1,{metadata},"_expiresAt":9}}"#)),
        (json!({"_expiresAt": 9}), format!(r#"{{{metadata},"_expiresAt":9}}"#)),
        (json!({"_version": 8, "a": 1, "_createdAt": 0}), format!(r#"{{"a":1,{metadata}}}"#)),
    ] {
        let row = row(record);
        assert_eq!(written(&row), expected);
        assert_eq!(serde_json::to_string(&row.to_value().unwrap()).unwrap(), expected);
    }
}

#[test]
fn a_projection_has_exactly_the_listed_fields() {
    let row = row(json!({"a": {"x": 1}, "b\n": 2, "c": null}));
    for (names, expected) in [
        (&["c", "a", "missing"][..], r#"{"c":null,"a":{"x":1}}"#),
        (&["b\n", "_version", "b\n"], r#"{"b\n":2,"_version":3}"#),
        (&[], "{}"),
    ] {
        let mut out = Vec::new();
        row.write_projection(names, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}

#[test]
fn fields_and_metadata_are_readable_by_name_and_path() {
    let row = row(json!({"a": [{"b": 1}, {"b": 2}], "ab": "x", "\"": true, "o": {"p": null}}));
    for (path, expected) in [
        ("ab", Some(json!("x"))),
        ("\"", Some(json!(true))),
        ("a.b", Some(json!([1, 2]))),
        ("o.p", Some(json!(null))),
        ("o.q", None),
        ("b", None),
        ("_version", Some(json!(3))),
        ("_createdAt", Some(json!(1_700_000_000_000_u64))),
        ("_updatedAt", Some(json!(1_700_000_000_001_u64))),
        ("_version.x", None),
    ] {
        assert_eq!(row.collect(&Path::parse(path).unwrap()), expected, "{path}");
    }
    assert_eq!(row.field_text("o"), Some(&br#"{"p":null}"#[..]));
    assert_eq!(row.field_text("_version"), None);
}

#[test]
fn stamping_changes_version_and_position_and_nothing_else() {
    let before = row(json!({"a": 1}));
    let position = Position { revision: 78, ordinal: 0 };
    let shared = before.clone();
    let after = before.restamp(4, position);
    let expected =
        Row::encode(&shared.fields().unwrap(), Metadata { version: 4, position, ..METADATA });
    assert_eq!(after, expected.unwrap());
    assert_eq!(Row::from_stored(after.bytes().clone()).unwrap(), after);
    assert_eq!((shared.version(), shared.position()), (3, METADATA.position));
    assert!(Position::pending(0) > position && Position::pending(0).is_pending());
    assert_eq!(Position::from_bytes(position.to_bytes()), position);
}

#[test]
fn records_beyond_64_kib_and_with_many_fields_read_the_same() {
    for size in [65_000, 65_536, 70_000, 1_000_000] {
        let record = fields(json!({"first": 1, "big": "x".repeat(size), "last": [size]}));
        let row = Row::from_stored(Row::encode(&record, METADATA).unwrap().into_bytes()).unwrap();
        assert_eq!(row.field("last"), Some(json!([size])));
        assert_eq!(row.fields().unwrap(), record);
    }
    let many: Map<_, _> = (0..70_000).map(|n| (format!("f{n}"), json!(n))).collect();
    let row = Row::from_stored(Row::encode(&many, METADATA).unwrap().into_bytes()).unwrap();
    assert_eq!(row.field("f69999"), Some(json!(69_999)));
}

/// Reading numbers the fast way once gave this one's neighbour back.
#[test]
fn numbers_come_back_to_the_last_bit() {
    for number in [4_503_599_627_370_494.5, 0.1 + 0.2, 5e-324, f64::MAX, -1.0 / 3.0] {
        assert_eq!(row(json!({ "a": number })).field("a"), Some(json!(number)));
    }
    for number in [json!(u64::MAX), json!(i64::MIN), json!(9_007_199_254_740_993_u64)] {
        assert_eq!(row(json!({ "a": number })).field("a"), Some(number));
    }
}

#[test]
fn g10_a_record_has_a_largest_size_and_depth() {
    let big = fields(json!({"a": "x".repeat(MAX_RECORD_BYTES)}));
    let error = Row::encode(&big, METADATA).unwrap_err();
    assert_eq!(error.detail("limit"), Some(&json!("recordBytes")));

    let nested = |depth: usize| (1..depth).fold(json!(1), |inner, _| json!([inner]));
    let deepest = fields(json!({"a": nested(MAX_NESTING)}));
    assert_eq!(Row::encode(&deepest, METADATA).unwrap().fields().unwrap(), deepest);
    let error = Row::encode(&fields(json!({"a": nested(MAX_NESTING + 1)})), METADATA).unwrap_err();
    assert_eq!(error.detail("limit"), Some(&json!("nestingDepth")));
}

#[test]
fn damage_to_any_stored_bit_is_found() {
    let stored = row(json!({"a": 1, "b": {"c": "text"}, "d": [true, null]})).into_bytes();
    for bit in 0..stored.len() * 8 {
        let mut damaged = stored.to_vec();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(!Row::is_stored(&damaged), "bit {bit}");
        let error = Row::from_stored(Bytes::from(damaged)).unwrap_err();
        let expected = if bit < 8 { "FORMAT_UNSUPPORTED" } else { "CORRUPTED" };
        // The one bit whose loss leaves format 0.
        let expected = if bit == 0 { "CORRUPTED" } else { expected };
        assert_eq!(error.code().as_str(), expected, "bit {bit}");
    }
    for length in 0..stored.len() {
        assert!(Row::from_stored(stored.slice(..length)).is_err(), "{length} bytes");
    }
}

#[test]
fn g10_a_merged_record_has_the_same_largest_size_and_depth() {
    let half = json!("x".repeat(MAX_RECORD_BYTES / 2));
    let row = row(json!({ "a": half, "b": 1 }));
    let error = row.merge(&[("b", &half)], METADATA).unwrap_err();
    assert_eq!(error.detail("limit"), Some(&json!("recordBytes")));
    let short = row.merge(&[("a", &json!(1)), ("b", &half)], METADATA).unwrap();
    assert_eq!(short.field("b"), Some(half));
    let deep = (0..MAX_NESTING).fold(json!(1), |inner, _| json!([inner]));
    let error = row.merge(&[("b", &deep)], METADATA).unwrap_err();
    assert_eq!(error.detail("limit"), Some(&json!("nestingDepth")));
}

/// Records with and without a time to live, with and without a table of wide
/// offsets.
fn with_expiry_and_size() -> impl Strategy<Value = Map<String, Value>> {
    let sizes = prop::sample::select(vec![None, None, Some(3), Some(70_000)]);
    let expiry = prop::option::of(any::<u64>());
    (records(), sizes, expiry, any::<bool>()).prop_map(|(mut record, size, expiry, first)| {
        let text = size.map(|size| Value::from("x".repeat(size)));
        let expiry = expiry.map(Value::from);
        let mut more = vec![("text", text), ("_expiresAt", expiry)];
        if first {
            more.reverse();
        }
        for (name, value) in more {
            if let Some(value) = value {
                record.insert(name.to_owned(), value);
            }
        }
        record
    })
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn a_record_comes_back_whole_and_field_by_field(record in records()) {
        let row = Row::encode(&record, METADATA).unwrap();
        let row = Row::from_stored(row.into_bytes()).unwrap();
        prop_assert_eq!(&row.fields().unwrap(), &record);
        prop_assert_eq!(row.metadata(), METADATA);
        for (name, value) in &record {
            prop_assert_eq!(&row.field(name).unwrap(), value);
        }
        let whole: Value = serde_json::from_str(&written(&row)).unwrap();
        prop_assert_eq!(&whole, &row.to_value().unwrap());
        prop_assert!(METADATA_NAMES.iter().all(|name| whole[*name] == row.field(name).unwrap()));
    }

    /// An update writes only what it changes; the bytes are those of writing all.
    #[test]
    fn merging_is_encoding_the_merged_fields(
        old in with_expiry_and_size(),
        changes in with_expiry_and_size(),
    ) {
        let before = Row::encode(&old, METADATA).unwrap();
        let listed: Vec<(&str, &Value)> =
            changes.iter().map(|(name, value)| (name.as_str(), value)).collect();
        let after = Metadata { version: 4, updated_at: METADATA.updated_at + 1, ..METADATA };
        let merged = before.merge(&listed, after).unwrap();
        let mut all = old;
        all.extend(changes);
        let encoded = Row::encode(&all, after).unwrap();
        prop_assert!(merged.bytes() == encoded.bytes(), "{} {}", written(&merged), written(&encoded));
        // And what it knows of itself is what stands in its bytes.
        let stored = Row::from_stored(merged.bytes().clone()).unwrap();
        prop_assert_eq!(written(&merged), written(&stored));
        prop_assert_eq!(merged.fields().unwrap(), stored.fields().unwrap());
        prop_assert_eq!(merged.metadata(), after);
        for name in all.keys() {
            prop_assert_eq!(merged.field(name), stored.field(name));
        }
        // Merging again what it has changes nothing.
        let listed: Vec<(&str, &Value)> =
            all.iter().map(|(name, value)| (name.as_str(), value)).collect();
        let again = merged.merge(&listed, after).unwrap();
        prop_assert!(again.bytes() == merged.bytes());
    }

    #[test]
    fn g9_any_bytes_are_a_row_or_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        if let Some(format) = bytes.first_mut() {
            *format = 1;
        }
        prop_assert!(Row::from_stored(Bytes::from(bytes)).is_err());
    }
}
