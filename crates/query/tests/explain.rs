//! Which plan is chosen for what, and how many rows it looks at.

#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod support;

use serde_json::{Value, json};
use support::{Store, values};
use tandem_query::{Hint, Query, explain, rows};
use tandem_transaction::Transaction;

fn store() -> Store {
    let store = Store::with_bucket(&json!({
        "key": "id",
        "schema": {
            "id": {"type": "number"}, "city": {"type": "string"}, "age": {"type": "number"},
            "email": {"type": "string", "unique": true}, "tags": {}, "any": {},
        },
        "indexes": [
            {"fields": ["city", "-age"]}, {"fields": ["tags"], "multi": true}, "any",
            {"fields": ["age"], "filter": {"city": "Oslo"}, "name": "oslo_age"},
        ],
    }));
    let cities = ["Bern", "Oslo", "Rome", "Wien"];
    let records: Vec<Value> = (0..1_000)
        .map(|n| {
            json!({"id": n, "city": cities[n % 4], "age": n % 90, "email": format!("{n}@x"),
                   "tags": [n % 7, n % 5], "any": n % 100})
        })
        .collect();
    store.insert_all(&records);
    store
}

fn plan(store: &Store, tx: &mut Transaction, filter: Value, sort: Value, limit: usize) -> Value {
    let query = Query::new("b").filter_json(&filter).unwrap().sort_json(&sort).unwrap();
    explain(&store.records, tx, &query.limit(limit)).unwrap()
}

#[test]
fn each_kind_of_question_takes_the_shortest_way() {
    let store = store();
    let tx = &mut store.begin();
    for (filter, sort, limit, access, sorted, at_most) in [
        (json!({"id": 7}), json!(null), 0, "primaryKey", "natural", 1),
        (json!({"id": {"$in": [1, 2, 3, "x", null]}}), json!(null), 0, "primaryKey", "memory", 4),
        (json!({"id": {"$gte": 990}}), json!(null), 0, "keyRange", "memory", 10),
        (json!({"email": "7@x"}), json!(null), 0, "email", "natural", 1),
        (json!({"email": "none"}), json!(null), 0, "email", "natural", 0),
        (json!({"city": "Oslo", "age": {"$gt": 80}}), json!(null), 0, "city_-age", "memory", 40),
        (json!({"city": "Oslo"}), json!({"age": -1}), 5, "city_-age", "indexGroups", 10),
        (json!({"city": "Oslo"}), json!({"age": 1}), 5, "city_-age", "indexGroups", 10),
        (json!({}), json!({"city": 1, "age": -1}), 5, "city_-age", "indexGroups", 10),
        (json!({}), json!({"city": 1, "age": 1}), 5, "scan", "memory", 1_000),
        (json!({"tags": 6}), json!(null), 0, "tags", "memory", 200),
        (json!({"any": 42}), json!(null), 0, "any", "memory", 10),
        (json!({}), json!(null), 3, "insertionOrder", "natural", 3),
        (json!({}), json!({"id": -1}), 3, "scan", "index", 3),
        (json!({"age": {"$gte": 3}}), json!({"age": 1}), 2, "scan", "memory", 1_000),
        (json!({"$or": [{"id": 1}, {"id": 2}]}), json!({"any": 1}), 0, "scan", "memory", 1_000),
    ] {
        let plan = plan(&store, tx, filter.clone(), sort.clone(), limit);
        let name = plan.get("index").unwrap_or(&plan["access"]);
        assert_eq!(name, access, "{filter} {sort}: {plan}");
        assert_eq!(plan["sort"], sorted, "{filter} {sort}: {plan}");
        assert!(plan["rowsExamined"].as_u64().unwrap() <= at_most, "{filter} {sort}: {plan}");
    }
}

#[test]
fn a_partial_index_is_used_only_where_the_filter_implies_its_own() {
    let store = store();
    let tx = &mut store.begin();
    let only_partial = |filter: Value| {
        let store = Store::with_bucket(&json!({
            "key": "id", "schema": {"id": {}},
            "indexes": [{"fields": ["n"], "filter": {"kind": "a", "x": {"$gt": 5}}}],
        }));
        let records: Vec<Value> =
            (0..50).map(|n| json!({"id": n, "n": n, "kind": "a", "x": n})).collect();
        store.insert_all(&records);
        plan(&store, &mut store.begin(), filter, json!(null), 0)["access"].clone()
    };
    assert_eq!(only_partial(json!({"n": 9, "kind": "a", "x": {"$gt": 5}})), "index");
    assert_eq!(only_partial(json!({"n": 9, "kind": "a", "x": 9})), "index");
    assert_eq!(only_partial(json!({"n": 9, "kind": "a", "x": {"$gte": 6}})), "index");
    assert_eq!(only_partial(json!({"n": 9, "kind": "a", "x": {"$gte": 5}})), "scan");
    assert_eq!(only_partial(json!({"n": 9, "kind": {"$in": ["a", "b"]}, "x": 9})), "scan");
    assert_eq!(only_partial(json!({"n": 9})), "scan");
    let plan = plan(&store, tx, json!({"city": "Oslo", "age": 9}), json!(null), 0);
    assert_eq!(plan["access"], "index");
}

#[test]
fn the_plan_says_what_narrows_it() {
    let store = store();
    let tx = &mut store.begin();
    let plan = plan(
        &store,
        tx,
        json!({"city": "Oslo", "age": {"$gt": 80, "$lte": 85}, "any": {"$size": 1}}),
        json!(null),
        0,
    );
    let bounds = json!([{"field": "city", "condition": "Oslo"},
                        {"field": "age", "condition": {"$gt": 80, "$lte": 85}}]);
    assert_eq!(plan["bounds"], bounds);
    let plan = self::plan(&store, tx, json!({"any": {"$lt": 2}}), json!(null), 0);
    assert_eq!(plan["bounds"], json!([{"field": "any", "condition": {"$lt": 2}, "arrays": true}]));
    assert_eq!(plan["rowsReturned"], 20);
}

#[test]
fn an_equality_where_arrays_may_be_gives_no_order_to_the_next_part() {
    let store = Store::with_bucket(&json!({
        "key": "id", "schema": {"id": {}}, "indexes": [{"fields": ["a", "b"], "name": "a_b"}],
    }));
    let records: Vec<Value> = (0..60)
        .map(|n| json!({"id": n, "a": if n % 3 == 0 { json!([1, 2]) } else { json!(n % 3) }, "b": 60 - n}))
        .collect();
    store.insert_all(&records);
    let tx = &mut store.begin();
    let query = Query::new("b").filter_json(&json!({"a": 1})).unwrap();
    let query = query.sort_json(&json!("b")).unwrap().hint(Hint::Index("a_b".to_owned())).limit(40);
    let plan = explain(&store.records, tx, &query).unwrap();
    assert_eq!((&plan["index"], &plan["sort"]), (&json!("a_b"), &json!("memory")));
    let sorted = values(&rows(&store.records, tx, &query).unwrap(), "b");
    assert_eq!(sorted.len(), 40);
    assert!(sorted.is_sorted_by_key(|value| value.as_i64()));
}
