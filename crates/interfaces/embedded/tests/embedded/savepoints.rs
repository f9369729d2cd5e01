//! Savepoints: named, nested, and as good as if nothing had happened.

use crate::support::{accounts, assert_clean, balance, code};
use serde_json::json;
use tandem::{Code, Isolation, TransactionOptions};

#[test]
fn rolling_back_to_a_savepoint_keeps_what_was_before_and_the_savepoint() {
    let store = accounts();
    let tx = store.begin().unwrap();
    let accounts = tx.bucket("accounts");
    accounts.update(1, json!({ "balance": 1, "owner": "eve" })).unwrap();
    tx.savepoint("s").unwrap();
    for _ in 0..2 {
        accounts.update(1, json!({ "owner": "mallory" })).unwrap();
        accounts.delete(2).unwrap();
        accounts.insert(json!({ "id": 3, "owner": "mallory" })).unwrap();
        assert_eq!(accounts.count(json!({ "owner": "mallory" })).unwrap(), 2);
        tx.rollback_to("s").unwrap();
        assert_eq!(accounts.count(json!({ "owner": "mallory" })).unwrap(), 0);
        assert_eq!(accounts.count(json!({ "owner": "eve" })).unwrap(), 1);
        assert_eq!(accounts.count(json!({})).unwrap(), 2);
    }
    assert_eq!(tx.commit().unwrap().changes, 1);
    assert_eq!((balance(&store, 1), balance(&store, 2)), (1, 100));
    assert_clean(&store);
}

#[test]
fn savepoints_nest_and_inner_names_hide_outer_ones() {
    let store = accounts();
    let tx = store.begin().unwrap();
    let accounts = tx.bucket("accounts");
    let set = |value| accounts.update(1, json!({ "balance": value })).map(|_| ());
    tx.savepoint("s").unwrap();
    set(1).unwrap();
    tx.savepoint("s").unwrap();
    set(2).unwrap();
    tx.rollback_to("s").unwrap();
    tx.release("s").unwrap();
    assert_eq!(accounts.require(1).unwrap().get("balance"), Some(json!(1)));
    tx.rollback_to("s").unwrap();
    assert_eq!(accounts.require(1).unwrap().get("balance"), Some(json!(100)));
    tx.release("s").unwrap();
    assert_eq!(code(tx.rollback_to("s")), Code::SavepointNotFound);
    assert_eq!(code(tx.release("s")), Code::SavepointNotFound);
    assert_eq!(tx.commit().unwrap().changes, 0);
}

#[test]
fn what_was_rolled_back_leaves_no_conflict() {
    for isolation in Isolation::ALL {
        let store = accounts();
        let tx = store.begin_with(&TransactionOptions::new().isolation(isolation)).unwrap();
        tx.savepoint("s").unwrap();
        tx.bucket("accounts").update(1, json!({ "balance": 1 })).unwrap();
        tx.rollback_to("s").unwrap();
        tx.bucket("accounts").insert(json!({ "id": 9 })).unwrap();
        store.bucket("accounts").update(1, json!({ "balance": 2 })).unwrap();
        tx.commit().unwrap();
        assert_eq!(balance(&store, 1), 2);
    }
}

#[test]
fn a_freed_unique_value_can_be_used_after_a_rollback_to() {
    let store = accounts();
    let tx = store.begin().unwrap();
    let accounts = tx.bucket("accounts");
    tx.savepoint("s").unwrap();
    accounts.insert(json!({ "id": 3, "email": "new@x" })).unwrap();
    tx.rollback_to("s").unwrap();
    accounts.insert(json!({ "id": 4, "email": "new@x" })).unwrap();
    tx.commit().unwrap();
    assert_clean(&store);
}
