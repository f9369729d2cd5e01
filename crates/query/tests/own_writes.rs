//! Own writes are found through every index, at every level, also when others
//! commit to the same records meanwhile.

#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod support;

use serde_json::{Value, json};
use support::{Store, commit, fields, ids};
use tandem_query::{Query, explain, rows};
use tandem_transaction::{Isolation, Transaction};

fn store() -> Store {
    let store = Store::with_bucket(&json!({
        "key": "id", "schema": {"id": {}, "a": {"type": "number"}, "b": {"type": "number"}},
        "indexes": ["a", "b"],
    }));
    let records: Vec<Value> = (0..200).map(|n| json!({"id": n, "a": n, "b": n})).collect();
    store.insert_all(&records);
    store
}

fn found(store: &Store, tx: &mut Transaction, filter: Value) -> Vec<Value> {
    let query = Query::new("b").filter_json(&filter).unwrap();
    assert_eq!(explain(&store.records, tx, &query).unwrap()["access"], "index");
    ids(&rows(&store.records, tx, &query).unwrap())
}

#[test]
fn g4_old_and_new_values_agree_with_own_writes() {
    let store = store();
    for isolation in Isolation::ALL {
        let mut tx = store.begin_at(isolation);
        store.records.update(&mut tx, "b", &json!(3), &fields(&json!({"a": 1_000})), None).unwrap();
        store.records.delete(&mut tx, "b", &json!(4), None).unwrap();
        store.records.insert(&mut tx, "b", fields(&json!({"id": "new", "a": 5}))).unwrap();
        assert_eq!(found(&store, &mut tx, json!({"a": 3})), Vec::<Value>::new());
        assert_eq!(found(&store, &mut tx, json!({"a": 1_000})), vec![json!(3)]);
        assert_eq!(found(&store, &mut tx, json!({"a": 4})), Vec::<Value>::new());
        assert_eq!(found(&store, &mut tx, json!({"a": 5})), vec![json!(5), json!("new")]);
        let mut other = store.begin();
        assert_eq!(found(&store, &mut other, json!({"a": 3})), vec![json!(3)]);
        assert_eq!(found(&store, &mut other, json!({"a": 5})), vec![json!(5)]);
    }
}

#[test]
fn g4_read_committed_sees_its_own_row_by_its_own_values_when_others_change_it() {
    let store = store();
    let mut tx = store.begin_at(Isolation::ReadCommitted);
    store.records.update(&mut tx, "b", &json!(3), &fields(&json!({"b": 1_000})), None).unwrap();
    let mut other = store.begin();
    store.records.update(&mut other, "b", &json!(3), &fields(&json!({"a": 77})), None).unwrap();
    commit(other);
    assert_eq!(found(&store, &mut tx, json!({"a": 3})), vec![json!(3)], "its own image");
    assert_eq!(found(&store, &mut tx, json!({"a": 77})), vec![json!(77)], "not the other's");
    assert_eq!(found(&store, &mut tx, json!({"b": 1_000})), vec![json!(3)]);
    let range = json!({"a": {"$gte": 2, "$lt": 80}});
    let all = found(&store, &mut tx, range);
    assert_eq!(all.len(), 78);
    assert_eq!(all.iter().filter(|id| **id == json!(3)).count(), 1);
}

#[test]
fn g4_read_committed_sees_a_unique_value_that_another_record_has_taken_over() {
    let store = Store::with_bucket(&json!({
        "key": "id", "schema": {"id": {}, "email": {"type": "string", "unique": true}},
    }));
    let records: Vec<Value> =
        (0..200).map(|n| json!({"id": n, "email": format!("{n}@x")})).collect();
    store.insert_all(&records);
    let mut tx = store.begin_at(Isolation::ReadCommitted);
    let new_email = fields(&json!({"email": "new@x"}));
    store.records.update(&mut tx, "b", &json!(1), &new_email, None).unwrap();
    let mut other = store.begin();
    let freed = fields(&json!({"email": "other@x"}));
    store.records.update(&mut other, "b", &json!(1), &freed, None).unwrap();
    let taken = fields(&json!({"id": "thief", "email": "1@x"}));
    store.records.insert(&mut other, "b", taken).unwrap();
    commit(other);
    assert_eq!(found(&store, &mut tx, json!({"email": "1@x"})), vec![json!("thief")]);
    assert_eq!(found(&store, &mut tx, json!({"email": "new@x"})), vec![json!(1)]);
    assert_eq!(found(&store, &mut tx, json!({"email": "other@x"})), Vec::<Value>::new());
}
