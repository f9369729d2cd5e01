//! A filter that says no more than the ranges of an index is not checked again on the
//! rows that its entries lead to. Whatever says more is.

#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod support;

use serde_json::{Value, json};
use support::{Store, commit, fields, ids, naive};
use tandem_query::{Hint, Query, count, rows};
use tandem_record::filter::Filter;
use tandem_transaction::{Isolation, Transaction};

fn store() -> Store {
    let store = Store::keeping(0).and_bucket(&json!({
        "key": "id",
        "schema": {
            "id": {}, "text": {"type": "string"}, "number": {"type": "number"},
            "yes": {"type": "boolean"}, "free": {}, "deep": {}, "tags": {},
        },
        "indexes": [
            "text", "number", "yes", "free", {"fields": ["deep.x"]},
            {"fields": ["tags"], "multi": true}, {"fields": ["text", "-number"]},
            {"fields": ["number"], "filter": {"yes": true}, "name": "partial"},
        ],
    }));
    let texts = [json!(null), json!(""), json!("a"), json!("a\u{0}"), json!("ab"), json!("b")];
    let numbers = [
        json!(null),
        json!(-1),
        json!(0),
        json!(-0.0),
        json!(1),
        json!(1.0),
        json!(1.5),
        json!(9_007_199_254_740_992_i64),
        json!(9_007_199_254_740_993_i64),
        json!(9_007_199_254_740_992.0),
        json!(u64::MAX),
    ];
    let anything = [
        json!(null),
        json!(1),
        json!("a"),
        json!([1, "a"]),
        json!([0, 9]),
        json!([]),
        json!({"x": 1}),
        json!([{"x": 1}, {"x": [1, 5]}]),
        json!(true),
    ];
    let mut records = Vec::new();
    for (at, number) in numbers.iter().enumerate() {
        for text in &texts {
            let any = &anything[records.len() % anything.len()];
            records.push(json!({
                "id": records.len(), "text": text, "number": number, "yes": at % 2 == 0,
                "free": any, "deep": any, "tags": any,
            }));
        }
    }
    records.push(json!({"id": 1_000}));
    store.insert_all(&records);
    store
}

fn filters() -> Vec<Value> {
    let mut filters = vec![
        json!({"text": "a", "number": 1}),
        json!({"text": "a", "number": {"$gte": 1}}),
        json!({"text": "a", "free": 1}),
        json!({"text": "a", "$or": [{"number": 1}, {"number": 0}]}),
        json!({"$or": [{"text": "a"}]}),
        json!({"$or": [{"text": "a"}, {"number": 1}]}),
        json!({"text": "a", "$nor": [{"number": 1}]}),
        json!({"text": "a", "$expr": {"$eq": ["$number", 1]}}),
        json!({"number": {"$gte": 0, "$lt": "b"}}),
        json!({"$and": [{"number": {"$gte": 0}}, {"number": {"$lt": 2}}]}),
        json!({"$and": [{"number": {"$gte": 0}}, {"number": {"$gte": 1}}]}),
        json!({"$and": [{"number": 1}, {"number": {"$lt": 1}}]}),
        json!({"number": 1, "yes": true}),
        json!({"number": {"$gt": 0}, "yes": true}),
        json!({"text": {"$regex": "^a$"}}),
        json!({"text": {"$all": ["a", "b"]}}),
        json!({"text": {"$startsWith": "a"}}),
        json!({"deep.x": 1}),
        json!({"deep.x": {"$gt": 1, "$lt": 5}}),
        json!({"yes": true}),
        json!({"yes": {"$ne": true}}),
    ];
    for path in ["text", "number", "free", "tags"] {
        for value in [json!(null), json!(1), json!(1.0), json!("a"), json!([]), json!([1, "a"])] {
            filters.push(json!({ path: value }));
            filters.push(json!({ path: {"$in": [value]} }));
            filters.push(json!({ path: {"$in": [value, "b", 0]} }));
        }
        for range in [
            json!({"$gt": 1}),
            json!({"$gte": 1, "$lt": 2}),
            json!({"$gt": 2, "$lt": 8}),
            json!({"$gte": -0.0, "$lte": 9_007_199_254_740_992_i64}),
            json!({"$gt": 9_007_199_254_740_992_i64}),
            json!({"$gt": "", "$lt": "ab"}),
            json!({"$lte": "a"}),
        ] {
            filters.push(json!({ path: range }));
        }
    }
    filters
}

fn check_all(store: &Store, tx: &mut Transaction, when: &str) {
    // Under read committed, a statement moves to what is committed now.
    count(&store.records, tx, "b", None).unwrap();
    for json in filters() {
        let filter = Filter::parse(&json).unwrap();
        let mut expected = ids(&naive(store, tx, Some(&filter), &[]));
        let plain = Query::new("b").filter_json(&json).unwrap();
        let hints =
            ["text", "number", "yes", "free", "deep.x", "deep_x", "tags", "text_number", "partial"];
        for hint in hints.map(|name| Hint::Index(name.to_owned())) {
            let query = Query { hint: Some(hint), ..plain.clone() };
            let mut found = ids(&rows(&store.records, tx, &query).unwrap());
            let sorted = |ids: &mut Vec<Value>| ids.sort_by_key(Value::to_string);
            sorted(&mut found);
            sorted(&mut expected);
            assert_eq!(found, expected, "{when}: {json} by {:?}", query.hint);
        }
        let counted = count(&store.records, tx, "b", Some(&filter)).unwrap();
        assert_eq!(counted, expected.len() as u64, "{when}: {json}");
    }
}

#[test]
fn g3_a_filter_is_left_unchecked_only_where_the_index_proves_it() {
    let store = store();
    let isolations = [Isolation::ReadCommitted, Isolation::Snapshot, Isolation::Serializable];
    for isolation in isolations {
        let tx = &mut store.begin_at(isolation);
        check_all(&store, tx, "committed");
        for (id, changes) in [
            (9, json!({"text": "b", "number": 1, "yes": true})),
            (10, json!({"text": "a", "number": null, "free": [1, 7]})),
            (26, json!({"number": 1.5, "tags": ["a", "a"]})),
        ] {
            store.records.update(tx, "b", &json!(id), &fields(&changes), None).unwrap();
        }
        store.records.delete(tx, "b", &json!(27), None).unwrap();
        let own = json!({"id": 2_000, "text": "a", "number": 1, "yes": true, "free": "a"});
        store.records.insert(tx, "b", fields(&own)).unwrap();
        check_all(&store, tx, "own writes");
        // Others change the same records, and under read committed it is seen.
        let mut other = store.begin();
        for (id, changes) in [(9, json!({"text": "a"})), (28, json!({"text": "a", "number": 1}))] {
            store.records.update(&mut other, "b", &json!(id), &fields(&changes), None).unwrap();
        }
        commit(other);
        check_all(&store, tx, "changed by others");
        tx.rollback();
    }
}
