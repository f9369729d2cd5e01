//! What follows from a row follows from the row that the commit replaces.

#![allow(clippy::unwrap_used, reason = "in tests, a failed step fails the test")]

mod support;

use serde_json::{Value, json};
use support::{Bench, fields};
use tandem_record::key::MAX_INDEX_ENTRY_BYTES;
use tandem_storage::{Direction, KeyRange};
use tandem_transaction::{CommitOptions, Isolation};

/// A bucket with an index of each kind and one record in all of them.
fn bench() -> Bench {
    let bench = Bench::new();
    let indexes = json!([
        "g",
        { "name": "part", "fields": ["p"], "filter": { "on": true } },
        { "name": "tags", "fields": ["tags"], "multi": true },
    ]);
    let config = json!({ "key": "id", "schema": { "id": { "type": "number" },
        "g": {}, "p": {}, "on": {}, "tags": {} }, "indexes": indexes });
    bench.define("t", config);
    let tags = json!(["a", "b", "a", "a"]);
    bench.insert("t", json!({ "id": 1, "g": 1, "p": 1, "on": true, "tags": tags })).unwrap();
    bench
}

fn entries(bench: &Bench, name: &str) -> usize {
    let view = bench.coordination.view().unwrap();
    let catalog = bench.records.catalog_at(&*view).unwrap();
    let index = catalog.bucket("t").unwrap().index(name).unwrap().id;
    let range = KeyRange::prefix(&tandem_record::keys::index_prefix(index));
    tandem_transaction::Read::scan(&*view, &range, Direction::Forward).count()
}

fn update(bench: &Bench, isolation: Isolation, change: Value) {
    let mut tx = bench.begin(isolation);
    bench.records.update(&mut tx, "t", &json!(1), &fields(change), None).unwrap();
    tx.commit(CommitOptions::default()).unwrap();
}

#[test]
fn g3_an_update_moves_the_entry_and_a_delete_removes_it_at_every_level() {
    for isolation in Isolation::ALL {
        let bench = bench();
        update(&bench, isolation, json!({ "g": 2 }));
        assert_eq!(entries(&bench, "g"), 1, "{isolation}");
        bench.check_clean();
        let mut tx = bench.begin(isolation);
        bench.records.delete(&mut tx, "t", &json!(1), None).unwrap();
        tx.commit(CommitOptions::default()).unwrap();
        assert_eq!(entries(&bench, "g"), 0, "{isolation}");
        bench.check_clean();
    }
}

#[test]
fn g3_a_record_is_in_a_partial_index_while_its_filter_matches() {
    let bench = bench();
    for (on, count) in [(false, 0), (true, 1)] {
        update(&bench, Isolation::Serializable, json!({ "on": on }));
        assert_eq!(entries(&bench, "part"), count);
        bench.check_clean();
    }
}

#[test]
fn g3_an_element_that_occurs_again_has_one_entry() {
    let bench = bench();
    assert_eq!(entries(&bench, "tags"), 2);
    let tagged = bench
        .run(|records, tx| {
            let row = records.get(tx, "t", &json!(1))?.unwrap();
            let catalog = records.catalog(tx)?;
            let mut found = Vec::new();
            let index = catalog.bucket("t").unwrap().index("tags").unwrap().clone();
            tandem_record::entries::entries(&index, &row, b"key", &mut found)?;
            Ok(found)
        })
        .unwrap();
    assert_eq!(tagged.len(), 2, "{tagged:?}");
}

#[test]
fn g10_index_entries_have_a_longest() {
    let bench = bench();
    // The index, the string with its tag and end, the primary key: a number.
    let around = 5 + 3 + 9;
    let insert = |id: u64, length: usize| {
        bench.insert("t", json!({ "id": id, "g": "x".repeat(length - around) }))
    };
    insert(2, MAX_INDEX_ENTRY_BYTES).unwrap();
    let error = insert(3, MAX_INDEX_ENTRY_BYTES + 1).unwrap_err();
    assert_eq!(error.code().as_str(), "LIMIT_EXCEEDED");
    assert_eq!(error.detail("limit"), Some(&json!("indexEntryBytes")));
    assert_eq!(bench.count("t"), 2);
    bench.check_clean();
}

#[test]
fn g3_an_index_follows_a_row_that_changed_after_the_statement() {
    let bench = bench();
    let mut tx = bench.begin(Isolation::ReadCommitted);
    let change = fields(json!({ "g": 3 }));
    bench.records.update(&mut tx, "t", &json!(1), &change, None).unwrap();
    update(&bench, Isolation::Serializable, json!({ "g": 2 }));
    tx.commit(CommitOptions::default()).unwrap();
    assert_eq!(entries(&bench, "g"), 1);
    bench.check_clean();
}

#[test]
fn autoincrement_numbers_that_were_committed_are_not_given_again_by_another_opener() {
    let config = json!({ "key": "id", "schema": {
        "id": { "type": "number", "generated": "autoincrement" } } });
    let bench = Bench::new();
    bench.define("log", config);
    bench.insert("log", json!({})).unwrap();
    bench.run(|records, tx| records.delete(tx, "log", &json!(1), None)).unwrap();
    let (environment, _) = tandem_base::Environment::simulated(8);
    let reopened = tandem_record::Records::new(environment);
    let mut tx = bench.begin(Isolation::Serializable);
    let row = reopened.insert(&mut tx, "log", fields(json!({}))).unwrap();
    assert_eq!(row.field("id"), Some(json!(2)));
}
