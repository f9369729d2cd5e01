//! Events: what was committed, in order, and nothing else.

#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{accounts, code, demo};
use serde_json::{Value, json};
use tandem::{ChangeKind, Code, Event, EventGuard, Store};

const SOON: Duration = Duration::from_secs(60);

/// Collects what a topic delivers.
fn listen(store: &Store, topic: &str) -> (Arc<Mutex<Vec<Event>>>, EventGuard) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let collect = heard.clone();
    let guard = store.on(topic, move |event| collect.lock().unwrap().push(event.clone())).unwrap();
    (heard, guard)
}

fn topics(heard: &Mutex<Vec<Event>>) -> Vec<String> {
    heard.lock().unwrap().iter().map(|event| event.topic.clone()).collect()
}

#[test]
fn g7_a_commit_sends_its_net_changes_in_order_of_first_write() {
    let store = demo();
    let (heard, _guard) = listen(&store, "bucket.*.*");
    store
        .transaction(|tx| {
            let (users, orders) = (tx.bucket("users"), tx.bucket("logs"));
            let alice = users.insert(json!({ "name": "Alice" }))?;
            orders.insert(json!({ "action": "Widget" }))?;
            orders.insert(json!({ "action": "Gadget" }))?;
            users.update(alice.get("id").unwrap(), json!({ "name": "Alicia" }))?;
            Ok(())
        })
        .unwrap();
    store.settle_events(SOON).unwrap();
    assert_eq!(
        topics(&heard),
        ["bucket.users.inserted", "bucket.logs.inserted", "bucket.logs.inserted"]
    );
    let heard = heard.lock().unwrap();
    assert!(heard.iter().all(|event| event.revision == store.revision().unwrap()));
    let alice = heard[0].after.as_ref().unwrap();
    assert_eq!(alice.get("name"), Some(json!("Alicia")));
    assert_eq!(alice, &store.bucket("users").require(&heard[0].key).unwrap());
}

#[test]
fn g7_nothing_is_sent_of_what_was_rolled_back() {
    let store = accounts();
    let (heard, _guard) = listen(&store, "bucket.accounts.*");
    let tx = store.begin().unwrap();
    tx.bucket("accounts").delete(1).unwrap();
    tx.rollback();
    let tx = store.begin().unwrap();
    tx.savepoint("s").unwrap();
    tx.bucket("accounts").delete(1).unwrap();
    tx.rollback_to("s").unwrap();
    tx.bucket("accounts").update(2, json!({ "balance": 0 })).unwrap();
    tx.commit().unwrap();
    store.settle_events(SOON).unwrap();
    assert_eq!(topics(&heard), ["bucket.accounts.updated"]);
    let heard = heard.lock().unwrap();
    let balance = |record: &Option<tandem::Record>| record.as_ref().unwrap().get("balance");
    assert_eq!((heard[0].key.clone(), heard[0].kind), (json!(2), ChangeKind::Updated));
    assert_eq!(
        (balance(&heard[0].before), balance(&heard[0].after)),
        (Some(json!(100)), Some(json!(0)))
    );
}

#[test]
fn topics_select_by_bucket_and_kind() {
    let store = accounts();
    let (deleted, _one) = listen(&store, "bucket.accounts.deleted");
    let (other, _two) = listen(&store, "bucket.other.*");
    let (any, guard) = listen(&store, "bucket.*.updated");
    let accounts = store.bucket("accounts");
    accounts.update(1, json!({ "balance": 1 })).unwrap();
    accounts.delete(1).unwrap();
    store.settle_events(SOON).unwrap();
    drop(guard);
    accounts.update(2, json!({ "balance": 1 })).unwrap();
    store.settle_events(SOON).unwrap();
    assert_eq!(topics(&deleted), ["bucket.accounts.deleted"]);
    assert_eq!(topics(&any), ["bucket.accounts.updated"], "not after the guard was dropped");
    assert!(topics(&other).is_empty());
    assert_eq!(code(store.on("accounts.deleted", |_| {}).map(|_| ())), Code::ValidationError);
}

#[test]
fn a_callback_may_use_the_store() {
    let store = demo();
    let inner = store.clone();
    let guard = store
        .on("bucket.users.inserted", move |event| {
            let user: Value = event.key.clone();
            inner.bucket("logs").insert(json!({ "action": "created", "userId": user })).unwrap();
        })
        .unwrap();
    store.bucket("users").insert(json!({ "name": "Alice" })).unwrap();
    store.settle_events(SOON).unwrap();
    assert_eq!(store.bucket("logs").count(json!({})).unwrap(), 1);
    drop(guard);
}
