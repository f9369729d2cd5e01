//! Sums, means, extremes and groups.

#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod support;

use serde_json::{Value, json};
use support::{Store, fields};
use tandem_base::Code;
use tandem_query::{Function, GroupBy, QueryLimits, aggregate, count, group_by};
use tandem_record::filter::Filter;
use tandem_record::value::Path;

fn store() -> Store {
    let store = Store::with_bucket(&json!({
        "key": "id", "schema": {"id": {}, "kind": {}}, "indexes": ["kind"],
    }));
    store.insert_all(&[
        json!({"id": "d", "kind": "b", "n": 2}),
        json!({"id": "c", "kind": "a", "n": 0.5}),
        json!({"id": "b", "n": "7"}),
        json!({"id": "a", "kind": "b", "n": 9_007_199_254_740_993_i64}),
    ]);
    store
}

fn compute(store: &Store, function: &str, field: &str, filter: Value) -> Value {
    let (filter, path) = (Filter::parse(&filter).unwrap(), Path::parse(field).unwrap());
    let function = Function::parse(function).unwrap();
    let tx = &mut store.begin();
    aggregate(&store.records, tx, "b", function, Some(&path), Some(&filter)).unwrap()
}

#[test]
fn only_numbers_take_part_and_nothing_has_a_value_of_its_own() {
    let store = store();
    assert_eq!(compute(&store, "sum", "n", json!({"kind": "b"})), json!(9_007_199_254_740_995_i64));
    assert_eq!(compute(&store, "avg", "n", json!({"id": {"$in": ["c", "d", "b"]}})), json!(1.25));
    assert_eq!(compute(&store, "min", "n", json!({})), json!(0.5));
    assert_eq!(compute(&store, "max", "n", json!({})), json!(9_007_199_254_740_993_i64));
    for (function, expected) in
        [("sum", json!(0)), ("avg", json!(0)), ("min", json!(null)), ("max", json!(null))]
    {
        assert_eq!(compute(&store, function, "n", json!({"kind": "none"})), expected);
        assert_eq!(compute(&store, function, "kind", json!({})), expected);
    }
}

#[test]
fn groups_come_in_the_order_in_which_they_first_occur() {
    let store = store();
    let tx = &mut store.begin();
    let mut by = |field: Value, function: Value| {
        let by = GroupBy::parse(&field, &function).unwrap();
        group_by(&store.records, tx, "b", &by, None, &QueryLimits::default()).unwrap()
    };
    assert_eq!(
        by(json!("kind"), json!(null)),
        [
            json!({"key": {"kind": "b"}, "value": 2}),
            json!({"key": {"kind": "a"}, "value": 1}),
            json!({"key": {"kind": null}, "value": 1}),
        ]
    );
    assert_eq!(
        by(json!(["kind"]), json!({"function": "max", "field": "n"})),
        [
            json!({"key": {"kind": "b"}, "value": 9_007_199_254_740_993_i64}),
            json!({"key": {"kind": "a"}, "value": 0.5}),
            json!({"key": {"kind": null}, "value": 0}),
        ]
    );
    assert_eq!(by(json!(["kind", "n"]), json!({"function": "count"})).len(), 4);
}

#[test]
fn g9_a_wrong_function_or_field_is_refused() {
    for (field, function) in [
        (json!(null), json!({"function": "count"})),
        (json!([]), json!(null)),
        (json!("kind"), json!({"function": "median", "field": "n"})),
        (json!("kind"), json!("sum")),
    ] {
        let error = GroupBy::parse(&field, &function).unwrap_err();
        assert_eq!(error.code(), Code::ValidationError);
    }
    let store = store();
    let tx = &mut store.begin();
    let error = aggregate(&store.records, tx, "b", Function::Sum, None, None).unwrap_err();
    assert_eq!(error.code(), Code::ValidationError);
    assert_eq!(count(&store.records, tx, "none", None).unwrap_err().code(), Code::BucketNotDefined);
}

#[test]
fn a_count_sees_own_writes() {
    let store = store();
    let tx = &mut store.begin();
    store.records.delete(tx, "b", &json!("a"), None).unwrap();
    store.records.insert(tx, "b", fields(&json!({"id": "x", "kind": "b"}))).unwrap();
    store.records.insert(tx, "b", fields(&json!({"id": "y", "kind": "b"}))).unwrap();
    assert_eq!(count(&store.records, tx, "b", None).unwrap(), 5);
    let kind_b = Filter::parse(&json!({"kind": "b"})).unwrap();
    assert_eq!(count(&store.records, tx, "b", Some(&kind_b)).unwrap(), 3);
}
