//! `tandem check` on stores that are as they should be, and on damaged ones.

mod support;

use serde_json::{Value, json};
use support::{Place, exists};
use tandem::layers::storage::{
    Bytes, Direction, DiskOptions, DiskStorage, Durability, KeyRange, Storage, WriteBatch,
};

/// What the keys of index entries begin with.
const INDEX_SPACE: u8 = 0x20;

/// Three records, indexed by `name`.
fn filled() -> Place {
    let place = Place::new();
    place.write(
        "rows.ndjson",
        "{\"id\":1,\"name\":\"Ada\"}\n{\"id\":2,\"name\":\"Bob\"}\n{\"id\":3,\"name\":\"Cy\"}\n",
    );
    place.import("rows.ndjson --bucket people --key id --index name").succeeded();
    place
}

/// Changes the stored bytes behind the store's back.
fn damage(place: &Place, change: impl FnOnce(&dyn Storage) -> WriteBatch) {
    let storage = DiskStorage::open(place.store_directory(), &DiskOptions::default());
    let storage = storage.expect("the engine opens");
    let batch = change(&storage);
    assert!(!batch.is_empty(), "something is damaged");
    storage.write(batch, Durability::Sync).expect("written");
}

/// The only index entry with `text` in its key.
fn entry(storage: &dyn Storage, text: &str) -> (Bytes, Bytes) {
    let snapshot = storage.snapshot().expect("a snapshot");
    let entries = snapshot.scan(&KeyRange::prefix(&[INDEX_SPACE]), Direction::Forward);
    let mut found = entries
        .map(|entry| entry.expect("read"))
        .filter(|(key, _)| key.windows(text.len()).any(|part| part == text.as_bytes()));
    let entry = found.next().expect("an entry");
    assert!(found.next().is_none(), "only one");
    entry
}

fn take_entry_away(place: &Place, text: &str) {
    damage(place, |storage| {
        let mut batch = WriteBatch::new();
        batch.delete(entry(storage, text).0);
        batch
    });
}

/// Adds an entry that is Ada's but for the name.
fn add_entry(place: &Place, text: &str) {
    damage(place, |storage| {
        let (key, value) = entry(storage, "Ada");
        let at = key.windows(3).position(|part| part == b"Ada").expect("the name");
        let mut key = key.to_vec();
        key[at..at + 3].copy_from_slice(text.as_bytes());
        let mut batch = WriteBatch::new();
        batch.put(Bytes::from(key), value);
        batch
    });
}

fn json_report(place: &Place, arguments: &[&str]) -> (i32, Value) {
    let ended = place.run(&[&["check", "--json"], arguments].concat());
    assert_eq!((ended.out.lines().count(), ended.err.as_str()), (1, ""), "{}", ended.out);
    (ended.code, serde_json::from_str(&ended.out).expect("one line of JSON"))
}

#[test]
fn g3_a_clean_store_is_compared_whole() {
    let place = filled();
    let ended = place.run(&["check"]).succeeded();
    // Each record has an entry of `name` and one of its place in the order.
    assert!(ended.out.starts_with("compared 3 rows and 6 index entries of 1 buckets at revision "));
    ended.says("0 missing, 0 dangling, 0 wrong counts");
    let (code, report) = json_report(&place, &["--repair"]);
    assert_eq!((code, &report["rows"], &report["entries"]), (0, &json!(3), &json!(6)));
    assert_eq!((&report["repaired"], &report["problems"]), (&json!(0), &json!([])));
}

#[test]
fn g3_a_missing_entry_is_found_and_mended() {
    let place = filled();
    take_entry_away(&place, "Bob");
    let ended = place.run(&["check"]).refused("");
    let ended = ended.says("missing entry: bucket people, index name, key 2");
    ended.says("1 missing, 0 dangling, 0 wrong counts");
    let ended = place.run(&["check", "--repair"]).succeeded();
    let ended = ended.says("missing entry: bucket people, index name, key 2");
    ended.says("1 repaired; everything agrees now");
    place.assert_consistent();
    let store = place.store();
    let bob = store.bucket("people").find(json!({ "name": "Bob" })).records().expect("read");
    assert_eq!(bob.len(), 1);
}

#[test]
fn g3_a_dangling_entry_is_found_and_mended() {
    let place = filled();
    add_entry(&place, "Eve");
    let ended = place.run(&["check"]).refused("");
    let ended = ended.says("dangling entry: bucket people, index name, key 1");
    ended.says("0 missing, 1 dangling, 0 wrong counts");
    let (code, report) = json_report(&place, &[]);
    assert_eq!((code, &report["dangling"], &report["missing"]), (1, &json!(1), &json!(0)));
    let problem = json!({ "kind": "dangling", "bucket": "people", "index": "name", "key": 1 });
    assert_eq!(report["problems"], json!([problem]));
    let (code, report) = json_report(&place, &["--repair"]);
    assert_eq!((code, &report["dangling"], &report["repaired"]), (0, &json!(1), &json!(1)));
    place.assert_consistent();
    assert_eq!(place.records("people").len(), 3);
}

#[test]
fn a_wrong_record_count_is_found_and_mended() {
    let place = filled();
    damage(&place, |storage| {
        let counters = KeyRange::prefix(&[0x03, b'c']);
        let snapshot = storage.snapshot().expect("a snapshot");
        let mut batch = WriteBatch::new();
        for entry in snapshot.scan(&counters, Direction::Forward) {
            batch.put(entry.expect("read").0, Bytes::copy_from_slice(&9u64.to_be_bytes()));
        }
        batch
    });
    place.run(&["check"]).refused("").says("wrong record count: bucket people");
    place.run(&["check", "--repair"]).succeeded();
    place.assert_consistent();
}

#[test]
fn both_kinds_are_mended_together_and_one_bucket_can_be_looked_at() {
    let place = filled();
    place.define("others", json!({ "key": "id", "schema": { "id": {} } }));
    take_entry_away(&place, "Cy");
    add_entry(&place, "Zoe");
    let others = place.run(&["check", "--bucket", "others"]).succeeded();
    assert!(others.out.starts_with("compared 0 rows and 0 index entries of 1 buckets"));
    place
        .run(&["check", "--bucket", "people"])
        .refused("")
        .says("1 missing, 1 dangling, 0 wrong counts");
    place.run(&["check", "--repair"]).succeeded().says("2 repaired; everything agrees now");
    place.assert_consistent();
}

#[test]
fn g9_what_is_not_there_is_not_created() {
    let place = Place::new();
    place.run(&["check"]).refused("NOT_FOUND: There is no store at tandem-data");
    assert!(!exists(&place.store_directory()));
    let place = filled();
    let unknown = place.run(&["check", "--bucket", "nobody"]);
    unknown.refused("BUCKET_NOT_DEFINED: Bucket \"nobody\" is not defined");
}
