//! The bucket that `tandem import` fills.

mod support;

use serde_json::{Value, json};
use support::Place;

const ROWS: &str = "{\"a\":1,\"b\":2,\"c\":3}\n{\"a\":1,\"b\":1,\"c\":4}\n";

fn indexes(place: &Place, bucket: &str) -> Vec<(Vec<String>, bool)> {
    let store = place.store();
    let indexes = store.indexes(bucket).expect("the bucket exists");
    store.close();
    indexes.into_iter().map(|index| (index.fields, index.unique)).collect()
}

fn index(fields: &[&str], unique: bool) -> (Vec<String>, bool) {
    (fields.iter().map(|field| (*field).to_owned()).collect(), unique)
}

#[test]
fn without_a_key_records_get_numbers() {
    let place = Place::new();
    place.write("rows.ndjson", ROWS);
    place.import("rows.ndjson --bucket items").succeeded();
    assert_eq!(place.field("items", "id"), [1, 2]);
}

#[test]
fn a_new_bucket_gets_the_key_and_the_indexes_asked_for() {
    let place = Place::new();
    place.write("rows.ndjson", ROWS);
    place
        .import("rows.ndjson --bucket items --key c --index a,-b --index b --unique c,a")
        .succeeded();
    let expected = [index(&["a", "-b"], false), index(&["b"], false), index(&["c", "a"], true)];
    assert_eq!(indexes(&place, "items"), expected);
    let store = place.store();
    assert!(store.bucket("items").get(4).expect("read").is_some());
    drop(store);
    place.assert_consistent();
}

#[test]
fn an_existing_bucket_keeps_its_key_and_gets_the_indexes_that_it_lacks() {
    let place = Place::new();
    place.define(
        "items",
        json!({ "key": "c", "schema": { "c": {} }, "indexes": [{ "fields": ["a"] }] }),
    );
    place.write("rows.ndjson", ROWS);
    let refused = place.import("rows.ndjson --bucket items --key a");
    refused.refused("VALIDATION_ERROR: Bucket \"items\" exists and has the key \"c\", not \"a\"");
    assert!(place.records("items").is_empty());
    place.import("rows.ndjson --bucket items --key c --index a --unique b").succeeded();
    assert_eq!(indexes(&place, "items"), [index(&["a"], false), index(&["b"], true)]);
    place.import("rows.ndjson --bucket items --unique a").refused("ALREADY_EXISTS");
    assert_eq!(indexes(&place, "items").len(), 2);
    place.assert_consistent();
}

#[test]
fn g5_a_unique_value_is_taken_once() {
    let place = Place::new();
    place.write("rows.ndjson", ROWS);
    let ended = place.import("rows.ndjson --bucket items --unique a");
    let ended = ended.refused("line 2: ALREADY_EXISTS: ");
    ended.says("1 bad rows; with them, 1 good rows of their batches were not imported");
    assert!(place.records("items").is_empty());
}

#[test]
fn a_record_needs_its_key() {
    let place = Place::new();
    place.write("rows.json", "[{\"code\":\"x\"},\n{\"cod\":\"y\"},\n{\"code\":\"x\"}]");
    let ended = place.import("rows.json --bucket items --key code --batch 1");
    let ended = ended.refused("line 2: VALIDATION_ERROR: ");
    assert!(ended.err.contains("line 3: ALREADY_EXISTS: "), "{}", ended.err);
    assert_eq!(place.records("items"), [json!({ "code": "x" })]);
}

#[test]
fn a_bucket_that_was_dropped_is_filled_again() {
    let place = Place::new();
    place.write("rows.ndjson", ROWS);
    place.import("rows.ndjson --bucket items --key c").succeeded();
    let store = place.store();
    store.drop_bucket("items").expect("dropped");
    store.close();
    drop(store);
    let ended = place.import("rows.ndjson --bucket items --key c").succeeded();
    ended.says("imported 2 records into items");
    assert_eq!(place.field("items", "c"), [Value::from(3), 4.into()]);
}
