//! Seed 003: every read of a transaction shows its own pending writes.

#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

use crate::support::{accounts, assert_clean, demo, field};
use serde_json::{Value, json};
use tandem::{Bucket, Isolation, TransactionOptions};

/// One record through every kind of read.
fn everywhere(users: &Bucket<'_>, id: &Value, role: &str) -> [bool; 6] {
    let is_it = |record: &tandem::Record| record.get("id").as_ref() == Some(id);
    [
        users.get(id).unwrap().is_some_and(|user| user.get("role") == Some(json!(role))),
        users.all().records().unwrap().iter().any(is_it),
        users.find(json!({ "role": role })).records().unwrap().iter().any(is_it),
        users.find_one(json!({ "role": role })).unwrap().as_ref().is_some_and(is_it),
        users.count(json!({ "role": role })).unwrap() == 1,
        users.find(json!({ "role": role })).iter().unwrap().any(|user| is_it(&user.unwrap())),
    ]
}

#[test]
fn inserts_updates_and_deletes_show_in_every_read() {
    for isolation in Isolation::ALL {
        let store = demo();
        let tx = store.begin_with(&TransactionOptions::new().isolation(isolation)).unwrap();
        let users = tx.bucket("users");
        let alice = users.insert(json!({ "name": "Alice", "role": "admin" })).unwrap();
        let id = alice.get("id").unwrap();
        assert_eq!(everywhere(&users, &id, "admin"), [true; 6], "{isolation}");

        users.update(&id, json!({ "role": "superadmin" })).unwrap();
        assert_eq!(everywhere(&users, &id, "superadmin"), [true; 6], "{isolation}");
        assert_eq!(users.count(json!({ "role": "admin" })).unwrap(), 0);

        users.delete(&id).unwrap();
        assert_eq!(everywhere(&users, &id, "superadmin"), [false; 6], "{isolation}");
        assert_eq!(tx.commit().unwrap().changes, 0, "insert and delete are nothing");
    }
}

#[test]
fn the_buffer_table_of_the_seed() {
    let store = accounts();
    let tx = store.begin().unwrap();
    let accounts = tx.bucket("accounts");
    accounts.insert(json!({ "id": 3, "owner": "cyd" })).unwrap();
    accounts.update(1, json!({ "owner": "ann" })).unwrap();
    accounts.delete(2).unwrap();
    // Inserted: appended. Updated: in its old place. Deleted: gone.
    let all = accounts.all().records().unwrap();
    assert_eq!(field(&all, "owner"), [json!("ann"), json!("cyd")]);
    assert_eq!(accounts.get(2).unwrap(), None);
    // The index on the owner tells the same.
    for (owner, count) in [("ada", 0), ("ann", 1), ("bob", 0), ("cyd", 1)] {
        assert_eq!(accounts.count(json!({ "owner": owner })).unwrap(), count, "{owner}");
    }
    assert_eq!(
        field(&accounts.all().sort("-owner").records().unwrap(), "id"),
        [json!(3), json!(1)]
    );
    assert_eq!(field(&accounts.last(1).unwrap(), "id"), [json!(3)]);
    // Others see none of it.
    assert_eq!(
        field(&store.bucket("accounts").all().records().unwrap(), "owner"),
        [json!("ada"), json!("bob")]
    );
    drop(accounts);
    tx.commit().unwrap();
    assert_clean(&store);
}

#[test]
fn net_effects_are_committed_as_one_change_per_record() {
    let store = accounts();
    let tx = store.begin().unwrap();
    let accounts = tx.bucket("accounts");
    accounts.insert(json!({ "id": 3, "balance": 1 })).unwrap();
    accounts.update(3, json!({ "balance": 2 })).unwrap();
    accounts.update(1, json!({ "balance": 1 })).unwrap();
    accounts.update(1, json!({ "balance": 2 })).unwrap();
    accounts.delete(2).unwrap();
    accounts.insert(json!({ "id": 2, "balance": 3 })).unwrap();
    assert_eq!(tx.commit().unwrap().changes, 3);
    let versions: Vec<u64> =
        [1, 2, 3].map(|id| store.bucket("accounts").require(id).unwrap().version()).into();
    assert_eq!(versions, [2, 2, 1]);
    assert_clean(&store);
}
