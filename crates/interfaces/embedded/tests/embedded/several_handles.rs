//! One transaction, several bucket handles and several threads.

use crate::support::{accounts, assert_clean, demo};
use serde_json::json;
use tandem::{Bucket, Record, Store, Subscription, Transaction, TypedBucket};

#[test]
fn handles_of_one_transaction_see_each_others_writes() {
    let store = demo();
    let tx = store.begin().unwrap();
    let (users, again, logs) = (tx.bucket("users"), tx.bucket("users"), tx.bucket("logs"));
    let alice = users.insert(json!({ "name": "Alice" })).unwrap();
    logs.insert(json!({ "action": "created", "userId": alice.get("id") })).unwrap();
    assert_eq!(again.find_one(json!({ "name": "Alice" })).unwrap(), Some(alice));
    assert_eq!(store.bucket("users").count(json!({})).unwrap(), 0, "not yet committed");
    drop((users, again, logs));
    assert_eq!(tx.commit().unwrap().changes, 2);
    assert_clean(&store);
}

#[test]
fn threads_can_share_a_transaction() {
    let store = accounts();
    let tx = store.begin().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let tx = &tx;
            scope.spawn(move || {
                for n in 0..10 {
                    tx.bucket("accounts").insert(json!({ "id": 100 + 10 * thread + n })).unwrap();
                }
            });
        }
    });
    assert_eq!(tx.commit().unwrap().changes, 40);
    assert_eq!(store.bucket("accounts").count(json!({})).unwrap(), 42);
    assert_clean(&store);
}

#[test]
fn two_transactions_do_not_see_each_other() {
    let store = accounts();
    let (one, two) = (store.begin().unwrap(), store.begin().unwrap());
    one.bucket("accounts").update(1, json!({ "balance": 1 })).unwrap();
    let seen = two.bucket("accounts").require(1).unwrap();
    assert_eq!(seen.get("balance"), Some(json!(100)));
    assert_ne!(one.id(), two.id());
}

#[test]
fn handles_can_be_sent_and_shared() {
    fn sendable<T: Send + Sync>() {}
    sendable::<Store>();
    sendable::<Transaction>();
    sendable::<Bucket<'_>>();
    sendable::<TypedBucket<'_, String>>();
    sendable::<Record>();
    fn movable<T: Send>() {}
    movable::<Subscription>();
    movable::<tandem::Rows<'_>>();
}
