//! Subscriptions: every commit once, in order, from any revision.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a failure here is a failed test"
)]

mod support;

use std::time::Duration;

use serde_json::json;
use support::{accounts, code, define_demo};
use tandem::{
    ChangeKind, ChangeLogOptions, Code, Commit, Environment, Notice, Store, SubscribeOptions,
    Subscription,
};

/// The commits that are there now.
fn commits(subscription: &mut Subscription) -> Vec<Commit> {
    let mut found = Vec::new();
    while let Some(notice) = subscription.try_next().unwrap() {
        if let Notice::Commit(commit) = notice {
            found.push(commit);
        }
    }
    found
}

#[test]
fn g7_a_subscription_gets_each_commit_whole_and_in_order() {
    let store = accounts();
    let mut changes = store.subscribe(SubscribeOptions::new()).unwrap();
    store
        .transaction(|tx| {
            let accounts = tx.bucket("accounts");
            accounts.update(2, json!({ "balance": 1 }))?;
            accounts.insert(json!({ "id": 3 }))?;
            accounts.delete(1)
        })
        .unwrap();
    store.bucket("accounts").delete(3).unwrap();
    let found = commits(&mut changes);
    assert_eq!(found.len(), 2);
    let seen: Vec<_> = found[0].changes.iter().map(|c| (c.key.as_i64().unwrap(), c.kind)).collect();
    assert_eq!(
        seen,
        [(2, ChangeKind::Updated), (3, ChangeKind::Inserted), (1, ChangeKind::Deleted)]
    );
    assert!(found[0].revision < found[1].revision);
    assert_eq!(found[1].changes[0].to_json()["type"], "delete");
}

#[test]
fn g8_a_subscription_resumes_where_it_was_after_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    define_demo(&store);
    let mut changes = store.subscribe(SubscribeOptions::new().bucket("users")).unwrap();
    let insert = |store: &Store, name: &str| {
        store.bucket("users").insert(json!({ "name": name })).unwrap();
    };
    insert(&store, "one");
    assert_eq!(commits(&mut changes).len(), 1);
    let position = changes.revision();
    insert(&store, "two");
    store.bucket("logs").insert(json!({ "action": "x" })).unwrap();
    insert(&store, "three");
    drop((store, changes));

    let store = Store::open(directory.path()).unwrap();
    insert(&store, "four");
    let options = SubscribeOptions::new().bucket("users").from(position);
    let mut changes = store.subscribe(options).unwrap();
    let names: Vec<_> = commits(&mut changes)
        .iter()
        .map(|commit| commit.changes[0].after.as_ref().unwrap().get("name").unwrap())
        .collect();
    assert_eq!(names, ["two", "three", "four"]);
    assert_eq!(changes.revision(), store.revision().unwrap());
}

#[test]
fn a_filter_selects_records_that_match_before_or_after() {
    let store = accounts();
    let options = SubscribeOptions::new().filter(json!({ "balance": { "$gte": 100 } }));
    let mut changes = store.subscribe(options).unwrap();
    let accounts = store.bucket("accounts");
    accounts.update(1, json!({ "balance": 50 })).unwrap();
    accounts.update(1, json!({ "balance": 60 })).unwrap();
    accounts.update(1, json!({ "balance": 150 })).unwrap();
    let balances: Vec<_> = commits(&mut changes)
        .iter()
        .map(|commit| commit.changes[0].after.as_ref().unwrap().get("balance").unwrap())
        .collect();
    assert_eq!(balances, [50, 150]);
    let bad = SubscribeOptions::new().filter(json!({ "a": { "$bad": 1 } }));
    assert_eq!(code(store.subscribe(bad)), Code::ValidationError);
}

#[test]
fn g8_a_position_that_has_aged_out_must_resync() {
    let (environment, clock) = Environment::simulated(1);
    let store = Store::builder()
        .memory()
        .background(false)
        .environment(environment)
        .change_log(ChangeLogOptions {
            max_age_ms: 1_000,
            ring_commits: 1,
            ..ChangeLogOptions::default()
        })
        .open()
        .unwrap();
    define_demo(&store);
    let mut behind = store.subscribe(SubscribeOptions::new().from(0)).unwrap();
    clock.advance(Duration::from_secs(10));
    store.bucket("users").insert(json!({ "name": "late" })).unwrap();
    assert_eq!(store.maintain().unwrap().trimmed_commits, 3);
    let Some(Notice::Resync { oldest_revision }) = behind.try_next().unwrap() else {
        panic!("a resync");
    };
    assert_eq!(oldest_revision, 3);
    let error = store.subscribe(SubscribeOptions::new().from(1)).unwrap_err();
    assert_eq!(error.code(), Code::ResyncRequired);
    assert_eq!(error.detail("oldestRevision"), Some(&json!(3)));
    let mut fresh = store.subscribe(SubscribeOptions::new().from(oldest_revision)).unwrap();
    assert_eq!(commits(&mut fresh).len(), 1);
}

#[test]
fn dropping_a_bucket_is_told() {
    let store = accounts();
    let mut changes = store.subscribe(SubscribeOptions::new().bucket("accounts")).unwrap();
    store.drop_bucket("accounts").unwrap();
    let notice = changes.try_next().unwrap();
    assert!(matches!(notice, Some(Notice::BucketDropped { bucket, .. }) if &*bucket == "accounts"));
}

#[test]
fn closing_the_store_ends_the_iteration() {
    let store = accounts();
    let changes = store.subscribe(SubscribeOptions::new().from(0)).unwrap();
    let reader = std::thread::spawn(move || {
        changes.filter(|notice| matches!(notice, Ok(Notice::Commit(_)))).count()
    });
    store.bucket("accounts").delete(1).unwrap();
    store.close();
    assert_eq!(reader.join().unwrap(), 2, "the first insert and the delete");
}
