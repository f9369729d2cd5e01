//! A record's version grows by one per committed update, and a stale expected
//! version never commits.

#![allow(clippy::unwrap_used, reason = "in tests, a failed step fails the test")]

mod support;

use serde_json::{Value, json};
use support::{Bench, fields};
use tandem_base::Code;
use tandem_transaction::{CommitOptions, Isolation};

fn bench() -> Bench {
    let bench = Bench::new();
    bench.define("t", json!({ "key": "id", "schema": { "id": { "type": "number" } } }));
    bench.insert("t", json!({ "id": 1, "v": 10 })).unwrap();
    bench
}

fn version(bench: &Bench) -> Value {
    bench.get("t", json!(1)).unwrap()["_version"].clone()
}

fn set(value: i64) -> serde_json::Map<String, Value> {
    fields(json!({ "v": value }))
}

#[test]
fn g6_several_updates_in_one_transaction_are_one() {
    let bench = bench();
    bench
        .run(|records, tx| {
            for value in 0..3 {
                let row = records.update(tx, "t", &json!(1), &set(value), None)?;
                assert_eq!(row.version(), 2);
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(version(&bench), 2);
}

#[test]
fn g6_the_last_writer_continues_the_version_of_the_row_it_replaces() {
    let bench = bench();
    let mut tx = bench.begin(Isolation::ReadCommitted);
    bench.records.update(&mut tx, "t", &json!(1), &set(1), None).unwrap();
    for value in 2..5 {
        bench.run(|records, tx| records.update(tx, "t", &json!(1), &set(value), None)).unwrap();
    }
    tx.commit(CommitOptions::default()).unwrap();
    let record = bench.get("t", json!(1)).unwrap();
    assert_eq!((&record["v"], &record["_version"]), (&json!(1), &json!(5)));
}

#[test]
fn g6_a_stale_expected_version_is_a_conflict_at_every_level() {
    for isolation in Isolation::ALL {
        let bench = bench();
        // Stale at the statement.
        let mut tx = bench.begin(isolation);
        let error = bench.records.update(&mut tx, "t", &json!(1), &set(1), Some(9)).unwrap_err();
        assert_eq!((error.code(), error.retryable()), (Code::Conflict, false));
        assert_eq!(error.detail("expectedVersion"), Some(&json!(9)));
        assert_eq!(error.detail("actualVersion"), Some(&json!(1)));
        let after = bench.records.get(&mut tx, "t", &json!(1)).unwrap_err();
        assert_eq!(after.code(), Code::TransactionAborted);
        // Stale by the time of the commit.
        let mut tx = bench.begin(isolation);
        bench.records.update(&mut tx, "t", &json!(1), &set(1), Some(1)).unwrap();
        bench.run(|records, tx| records.update(tx, "t", &json!(1), &set(2), None)).unwrap();
        assert_eq!(tx.commit(CommitOptions::default()).unwrap_err().code(), Code::Conflict);
        assert_eq!(bench.get("t", json!(1)).unwrap()["v"], 2);
    }
}

#[test]
fn g6_a_version_from_before_a_delete_does_not_match_the_record_inserted_after_it() {
    for isolation in Isolation::ALL {
        let bench = bench();
        let mut tx = bench.begin(isolation);
        assert_eq!(bench.records.get(&mut tx, "t", &json!(1)).unwrap().unwrap().version(), 1);
        bench.run(|records, tx| records.delete(tx, "t", &json!(1), None)).unwrap();
        bench.insert("t", json!({ "id": 1, "v": 10 })).unwrap();
        assert_eq!(version(&bench), 2);
        let failed = bench
            .records
            .update(&mut tx, "t", &json!(1), &set(1), Some(1))
            .and_then(|_| tx.commit(CommitOptions::default()));
        assert_eq!(failed.unwrap_err().code(), Code::Conflict, "{isolation}");
    }
}

#[test]
fn g6_a_record_deleted_meanwhile_is_not_resurrected() {
    let bench = bench();
    let mut tx = bench.begin(Isolation::ReadCommitted);
    bench.records.update(&mut tx, "t", &json!(1), &set(1), None).unwrap();
    bench.run(|records, tx| records.delete(tx, "t", &json!(1), None)).unwrap();
    assert_eq!(tx.commit(CommitOptions::default()).unwrap_err().code(), Code::Conflict);
    assert_eq!(bench.count("t"), 0);
    bench.check_clean();
}

#[test]
fn delete_and_insert_in_one_transaction_replace_the_record() {
    let bench = bench();
    bench.insert("t", json!({ "id": 2 })).unwrap();
    bench
        .run(|records, tx| {
            records.delete(tx, "t", &json!(1), None)?;
            records.insert(tx, "t", fields(json!({ "id": 1, "v": 20 })))
        })
        .unwrap();
    let record = bench.get("t", json!(1)).unwrap();
    assert_eq!((&record["v"], &record["_version"]), (&json!(20), &json!(2)));
    bench.check_clean();
}

#[test]
fn a_write_that_came_to_nothing_does_not_make_a_read_committed_transaction_too_old() {
    // An insert that was deleted again left its guard on the bucket's schema
    // behind, while the transaction moved on to newer revisions: its commit was
    // then refused as too old to validate.
    let bench = bench();
    let mut tx = bench.begin(Isolation::ReadCommitted);
    bench.records.insert(&mut tx, "t", fields(json!({ "id": 2 }))).unwrap();
    bench.records.delete(&mut tx, "t", &json!(2), None).unwrap();
    for value in 0..3 {
        bench.run(|records, tx| records.update(tx, "t", &json!(1), &set(value), None)).unwrap();
        bench.records.get(&mut tx, "t", &json!(1)).unwrap();
    }
    bench.records.insert(&mut tx, "t", fields(json!({ "id": 3 }))).unwrap();
    tx.commit(CommitOptions::default()).unwrap();
}

#[test]
fn a_record_inserted_and_deleted_again_does_not_hide_what_another_commits() {
    // The own overlay kept the row and its entries hidden after they had come
    // to nothing; a read through an index then met an entry without a row.
    let bench = bench();
    let mut tx = bench.begin(Isolation::ReadCommitted);
    bench.records.insert(&mut tx, "t", fields(json!({ "id": 2 }))).unwrap();
    bench.records.delete(&mut tx, "t", &json!(2), None).unwrap();
    bench.insert("t", json!({ "id": 2, "v": 5 })).unwrap();
    let seen = bench.records.get(&mut tx, "t", &json!(2)).unwrap().expect("it is committed");
    assert_eq!(seen.field("v"), Some(json!(5)));
    assert_eq!(bench.records.count(&mut tx, "t").unwrap(), 2);
}
