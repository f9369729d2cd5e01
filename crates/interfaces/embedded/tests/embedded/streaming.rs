//! Iterators read in portions, of one revision, inside and outside.

#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

use crate::support;
use serde_json::json;
use tandem::{BucketConfig, Code, Limits, Store};

/// 1000 numbers, portions of 10.
fn numbers() -> Store {
    let limits = Limits { iterator_records: 10, ..Limits::default() };
    let store = Store::builder().memory().background(false).limits(limits).open().unwrap();
    store.define_bucket("numbers", BucketConfig::new("n").index("half")).unwrap();
    let numbers = (0..1000).map(|n| json!({ "n": n, "half": n / 2, "odd": n % 2 == 1 }));
    store.bucket("numbers").insert_many(numbers).unwrap();
    store
}

fn keys(rows: impl Iterator<Item = tandem::Result<tandem::Record>>) -> Vec<i64> {
    rows.map(|row| row.unwrap().get("n").unwrap().as_i64().unwrap()).collect()
}

#[test]
fn all_records_come_once_and_in_order() {
    let store = numbers();
    let numbers = store.bucket("numbers");
    assert_eq!(keys(numbers.all().iter().unwrap()), (0..1000).collect::<Vec<_>>());
    assert_eq!(keys(numbers.all().sort("-half").iter().unwrap())[..4], [998, 999, 996, 997]);
    let odd = keys(numbers.find(json!({ "odd": true })).offset(3).limit(25).iter().unwrap());
    assert_eq!(odd, (7..57).step_by(2).collect::<Vec<_>>());
    let shown = numbers.all().fields(["half"]).iter().unwrap().next().unwrap().unwrap();
    assert_eq!(shown.to_json(), json!({ "half": 0 }));
}

#[test]
fn an_iterator_on_a_store_stays_at_its_revision() {
    let store = numbers();
    let mut rows = store.bucket("numbers").all().iter().unwrap();
    let first = rows.next().unwrap().unwrap();
    assert_eq!(first.get("n"), Some(json!(0)));
    store.bucket("numbers").delete_many(json!({ "odd": true })).unwrap();
    store.bucket("numbers").insert(json!({ "n": 5000 })).unwrap();
    assert_eq!(keys(rows), (1..1000).collect::<Vec<_>>());
    assert_eq!(keys(store.bucket("numbers").all().iter().unwrap()).len(), 501);
}

#[test]
fn a_transaction_can_write_while_it_iterates() {
    let store = numbers();
    let tx = store.begin().unwrap();
    let numbers = tx.bucket("numbers");
    let mut seen = 0;
    for row in numbers.find(json!({ "odd": true })).iter().unwrap() {
        let row = row.unwrap();
        numbers.update(row.get("n").unwrap(), json!({ "odd": "was" })).unwrap();
        seen += 1;
    }
    assert_eq!(seen, 500);
    assert_eq!(numbers.count(json!({ "odd": "was" })).unwrap(), 500);
    drop(numbers);
    tx.commit().unwrap();
    support::assert_clean(&store);
}

#[test]
fn pages_go_on_where_they_ended_whatever_is_written() {
    let store = numbers();
    let numbers = store.bucket("numbers");
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let mut find = numbers.all().sort("half").limit(99);
        if let Some(cursor) = after {
            find = find.after(cursor);
        }
        let page = find.page().unwrap();
        seen.extend(keys(page.records.into_iter().map(Ok)));
        // Behind and before the place that the page has come to.
        numbers.delete(seen[0] + 7).unwrap();
        if !page.has_more {
            break;
        }
        after = page.next_cursor;
    }
    assert_eq!(seen, (0..1000).collect::<Vec<_>>());
    let unknown = numbers.all().after("no such key").page().unwrap();
    assert!(unknown.records.is_empty() && !unknown.has_more);
    let cursor = numbers.all().limit(1).page().unwrap().next_cursor.unwrap();
    let foreign = numbers.all().sort("-n").after(cursor).page().unwrap_err();
    assert_eq!(foreign.code(), Code::ValidationError);
}

#[test]
fn an_iterator_of_an_ended_transaction_ends_with_its_error() {
    let store = numbers();
    store.define_bucket("sorted", BucketConfig::new("n").ordered_by_key()).unwrap();
    store.bucket("sorted").insert_many((0..1000).map(|n| json!({ "n": n }))).unwrap();
    let tx = store.begin().unwrap();
    let mut rows = tx.bucket("sorted").all().iter().unwrap();
    assert!(rows.next().unwrap().is_ok());
    tx.cancel();
    let rest: Vec<_> = rows.collect();
    assert_eq!(rest.len(), 10, "nine of the first portion, then the error");
    assert_eq!(rest[9].as_ref().unwrap_err().code(), Code::TransactionNotFound);
}

#[test]
fn explain_tells_which_index_serves() {
    let store = numbers();
    let plan = store.bucket("numbers").find(json!({ "half": 7 })).explain().unwrap();
    assert_eq!((&plan["access"], &plan["index"]), (&json!("index"), &json!("half")));
    assert_eq!(plan["rowsReturned"], 2);
    let scan = store.bucket("numbers").find(json!({ "odd": true })).explain().unwrap();
    assert_eq!(scan["rowsExamined"], 1000);
}
