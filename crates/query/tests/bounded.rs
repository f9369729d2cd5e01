//! Reads hold no more rows than their limits say.

#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod support;

use serde_json::{Value, json};
use support::{Store, ids};
use tandem_base::{Code, Error};
use tandem_query::{GroupBy, Query, QueryLimits, Stream, explain, group_by, rows};

fn store() -> Store {
    let store = Store::with_bucket(&json!({
        "key": "id", "schema": {"id": {}, "n": {"type": "number"}}, "indexes": ["n"],
    }));
    let records: Vec<Value> =
        (0..500).map(|n| json!({"id": n, "n": n % 2, "free": 1_000 - n})).collect();
    store.insert_all(&records);
    store
}

fn small(sort_rows: usize) -> QueryLimits {
    QueryLimits { sort_rows, result_rows: 400, groups: 10, ..QueryLimits::default() }
}

fn limit_of(error: &Error) -> (Code, &str) {
    (error.code(), error.detail("limit").and_then(Value::as_str).unwrap())
}

#[test]
fn g10_a_sort_in_memory_keeps_only_what_is_wanted_and_names_its_limit() {
    let store = store();
    let tx = &mut store.begin();
    let query = Query { limits: small(50), ..Query::new("b") }.sort_json(&json!("free")).unwrap();
    let error = rows(&store.records, tx, &query).unwrap_err();
    assert_eq!(limit_of(&error), (Code::LimitExceeded, "sortRows"));
    let top = rows(&store.records, tx, &query.limit(50)).unwrap();
    assert_eq!(ids(&top)[..2], [json!(499), json!(498)]);
}

#[test]
fn g10_an_index_never_makes_a_natural_read_fail_that_a_scan_could_serve() {
    let store = store();
    let tx = &mut store.begin();
    let query =
        Query { limits: small(50), ..Query::new("b") }.filter_json(&json!({"n": 1})).unwrap();
    assert_eq!(explain(&store.records, tx, &query).unwrap()["index"], "n");
    assert_eq!(rows(&store.records, tx, &query).unwrap().len(), 250);
    let mut stream = Stream::new(query);
    let mut count = 0;
    loop {
        let chunk = stream.next_chunk(&store.records, tx, 7).unwrap();
        if chunk.is_empty() {
            break;
        }
        count += chunk.len();
    }
    assert_eq!(count, 250);
}

#[test]
fn g10_results_and_groups_name_their_limits_and_a_stream_has_none() {
    let store = store();
    let tx = &mut store.begin();
    let query = Query { limits: small(1_000), ..Query::new("b") };
    let error = rows(&store.records, tx, &query).unwrap_err();
    assert_eq!(limit_of(&error), (Code::LimitExceeded, "resultRows"));
    let by_free = GroupBy::parse(&json!("free"), &json!(null)).unwrap();
    let error = group_by(&store.records, tx, "b", &by_free, None, &small(1)).unwrap_err();
    assert_eq!(limit_of(&error), (Code::LimitExceeded, "groups"));
    let limits =
        QueryLimits { sort_rows: 10, result_rows: 100, groups: 1, ..QueryLimits::default() };
    let mut stream = Stream::new(Query { limits, ..Query::new("b") });
    let mut streamed = Vec::new();
    loop {
        let chunk = stream.next_chunk(&store.records, tx, 50).unwrap();
        if chunk.is_empty() {
            break;
        }
        streamed.extend(ids(&chunk));
    }
    assert_eq!(streamed, (0..500).map(|n| json!(n)).collect::<Vec<_>>());
}

/// 40 rows of about 10 kB.
fn large_rows() -> Store {
    let store = Store::with_bucket(&json!({
        "key": "id", "schema": {"id": {}, "half": {}}, "indexes": ["half"],
    }));
    let record =
        |n: usize| json!({"id": n, "half": n % 2, "text": format!("{n}{}", "x".repeat(10_000))});
    store.insert_all(&(0..40).map(record).collect::<Vec<_>>());
    store
}

#[test]
fn g10_bytes_are_bounded_as_rows_are() {
    let store = large_rows();
    let tx = &mut store.begin();
    let limits =
        QueryLimits { sort_bytes: 50_000, result_bytes: 100_000, ..QueryLimits::default() };
    let all = Query { limits, ..Query::new("b") };
    let error = rows(&store.records, tx, &all).unwrap_err();
    assert_eq!(limit_of(&error), (Code::LimitExceeded, "resultBytes"));
    assert!(error.detail("actual").and_then(Value::as_u64).unwrap() < 120_000, "{error:?}");
    assert_eq!(rows(&store.records, tx, &all.clone().limit(9)).unwrap().len(), 9);

    let sorted = all.clone().sort_json(&json!("-text")).unwrap();
    let error = rows(&store.records, tx, &sorted).unwrap_err();
    assert_eq!(limit_of(&error), (Code::LimitExceeded, "sortBytes"));
    assert_eq!(rows(&store.records, tx, &sorted.limit(4)).unwrap().len(), 4);

    // Through an index, in groups of equal values: twenty rows in each.
    let grouped = all.sort_json(&json!(["half", "text"])).unwrap();
    let error = rows(&store.records, tx, &grouped).unwrap_err();
    assert_eq!(limit_of(&error), (Code::LimitExceeded, "sortBytes"));

    let by_text = GroupBy::parse(&json!("text"), &json!(null)).unwrap();
    let error = group_by(&store.records, tx, "b", &by_text, None, &limits).unwrap_err();
    assert_eq!(limit_of(&error), (Code::LimitExceeded, "resultBytes"));
}

#[test]
fn g10_a_stream_of_large_rows_comes_in_small_portions() {
    let store = Store::with_bucket(&json!({ "key": "id", "schema": {"id": {}} }));
    let record = |n: usize| json!({"id": n, "text": "x".repeat(300_000)});
    store.insert_all(&(0..20).map(record).collect::<Vec<_>>());
    let tx = &mut store.begin();
    let limits = QueryLimits { sort_bytes: 2 << 20, result_bytes: 1, ..QueryLimits::default() };
    let mut stream = Stream::new(Query { limits, ..Query::new("b") });
    let mut streamed = Vec::new();
    loop {
        let chunk = stream.next_chunk(&store.records, tx, 100).unwrap();
        if chunk.is_empty() {
            break;
        }
        assert!(chunk.len() <= 4, "a portion of {} rows", chunk.len());
        streamed.extend(ids(&chunk));
    }
    assert_eq!(streamed, (0..20).map(|n| json!(n)).collect::<Vec<_>>());
}
