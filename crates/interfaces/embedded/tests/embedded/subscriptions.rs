//! Subscriptions: every commit once, in order, from any revision.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a failure here is a failed test"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use crate::support::{accounts, code, define_demo};
use serde_json::{Value, json};
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

/// What the initial portions and the commits so far come to, by key; and the
/// revision of the portions.
fn replay(subscription: &mut Subscription) -> (Option<u64>, BTreeMap<String, Value>) {
    let (mut records, mut of, mut over) = (BTreeMap::new(), None, false);
    while let Some(notice) = subscription.try_next().unwrap() {
        match notice {
            Notice::Initial { revision, changes, last } => {
                assert!(!over, "nothing comes after the last portion");
                assert!(of.is_none_or(|of| of == revision), "all are of one revision");
                (of, over) = (Some(revision), last);
                for change in changes {
                    assert_eq!((change.kind, &change.before), (ChangeKind::Inserted, &None));
                    let after = change.after.unwrap().to_json();
                    let twice = records.insert(format!("{}/{}", change.bucket, change.key), after);
                    assert_eq!(twice, None, "each record once");
                }
            }
            Notice::Commit(commit) => {
                assert!(over && Some(commit.revision) > of, "commits come afterwards");
                for change in commit.changes {
                    let key = format!("{}/{}", change.bucket, change.key);
                    let before = change.before.map(|record| record.to_json());
                    assert_eq!(records.get(&key), before.as_ref(), "no gap, no overlap");
                    match change.after {
                        Some(after) => records.insert(key, after.to_json()),
                        None => records.remove(&key),
                    };
                }
            }
            _ => {}
        }
    }
    (of, records)
}

fn everything(store: &Store, buckets: &[&str]) -> BTreeMap<String, Value> {
    let of = |bucket: &&str| {
        let records = store.bucket(*bucket).all().records().unwrap();
        let name = (*bucket).to_owned();
        records
            .into_iter()
            .map(move |record| (format!("{name}/{}", record.get("id").unwrap()), record.to_json()))
    };
    buckets.iter().flat_map(of).collect()
}

#[test]
fn g8_the_records_that_there_are_come_first_and_then_every_later_commit() {
    let store = accounts();
    store.define_bucket("notes", tandem::BucketConfig::new("id")).unwrap();
    // Several portions by count, and by bytes.
    store.bucket("notes").insert_many((0..700).map(|id| json!({ "id": id }))).unwrap();
    let long = "x".repeat(40_000);
    store
        .bucket("accounts")
        .insert_many((10..20).map(|id| json!({ "id": id, "email": format!("{id}"), "text": long })))
        .unwrap();
    let mut both = store.subscribe(SubscribeOptions::new().include_initial()).unwrap();
    let start = both.revision();
    // Commits in the middle of the handover: into what has been handed over
    // and into what has not.
    let mut portions = 0;
    let mut first = BTreeMap::new();
    for round in 0..4 {
        let Some(Notice::Initial { revision, changes, last }) = both.try_next().unwrap() else {
            panic!("portions come first");
        };
        assert_eq!((revision, last), (start, false));
        portions += 1;
        let bytes: usize =
            changes.iter().map(|c| c.after.as_ref().unwrap().to_string().len()).sum();
        assert!(changes.len() <= 256 && bytes < 400_000, "portions are bounded");
        for change in changes {
            let key = format!("{}/{}", change.bucket, change.key);
            first.insert(key, change.after.unwrap().to_json());
        }
        store
            .transaction(|tx| {
                tx.bucket("accounts").update(1, json!({ "balance": round }))?;
                tx.bucket("notes").delete(690 + round)?;
                tx.bucket("notes").insert(json!({ "id": 1_000 + round }))
            })
            .unwrap();
    }
    assert!(portions > 3 && both.revision() == start);
    let mut again = store.subscribe(SubscribeOptions::new().include_initial()).unwrap();
    let (of, records) = replay(&mut again);
    assert_eq!(of, Some(store.revision().unwrap()));
    assert_eq!(records, everything(&store, &["accounts", "notes"]));
    // The interrupted one, to its end.
    let mut seen_last = false;
    while let Some(notice) = both.try_next().unwrap() {
        match notice {
            Notice::Initial { changes, last, .. } => {
                assert!(!seen_last);
                seen_last = last;
                for change in changes {
                    let key = format!("{}/{}", change.bucket, change.key);
                    assert_eq!(first.insert(key, change.after.unwrap().to_json()), None);
                }
            }
            Notice::Commit(commit) => {
                assert!(seen_last);
                for change in commit.changes {
                    let key = format!("{}/{}", change.bucket, change.key);
                    let before = change.before.map(|record| record.to_json());
                    assert_eq!(first.get(&key), before.as_ref());
                    match change.after {
                        Some(after) => first.insert(key, after.to_json()),
                        None => first.remove(&key),
                    };
                }
            }
            _ => {}
        }
    }
    assert_eq!(first, everything(&store, &["accounts", "notes"]));
}

#[test]
fn initial_records_are_those_of_the_buckets_and_the_filter() {
    let store = accounts();
    store.define_bucket("notes", tandem::BucketConfig::new("id")).unwrap();
    store.bucket("notes").insert(json!({ "id": 1, "owner": "ada" })).unwrap();
    let options = SubscribeOptions::new().bucket("accounts").bucket("accounts");
    let options = options.filter(json!({ "owner": "ada" })).include_initial();
    let mut ada = store.subscribe(options).unwrap();
    store.bucket("accounts").update(2, json!({ "owner": "ada" })).unwrap();
    store.bucket("accounts").update(1, json!({ "owner": "eve" })).unwrap();
    let Some(Notice::Initial { changes, last, .. }) = ada.try_next().unwrap() else {
        panic!("the records come first");
    };
    assert!(last);
    assert_eq!(changes.iter().map(|c| c.key.clone()).collect::<Vec<_>>(), [json!(1)]);
    assert_eq!(commits(&mut ada).len(), 2);
    let wrong = SubscribeOptions::new().include_initial().from(0);
    assert_eq!(code(store.subscribe(wrong)), Code::ValidationError);
    let unknown = SubscribeOptions::new().include_initial().bucket("none");
    assert_eq!(code(store.subscribe(unknown)), Code::BucketNotDefined);
    // Of nothing there is one portion, empty and last.
    store.define_bucket("empty", tandem::BucketConfig::new("id")).unwrap();
    let empty = SubscribeOptions::new().include_initial().bucket("empty");
    let mut empty = store.subscribe(empty).unwrap();
    let first = empty.next().unwrap().unwrap();
    let revision = store.revision().unwrap();
    assert_eq!(first, Notice::Initial { revision, changes: vec![], last: true });
}

#[test]
fn a_bucket_that_is_dropped_and_defined_anew_in_one_transaction_was_dropped() {
    let store = accounts();
    let mut changes = store.subscribe(SubscribeOptions::new().bucket("accounts")).unwrap();
    let config = || tandem::BucketConfig::new("id");
    store
        .transaction(|tx| {
            tx.drop_bucket("accounts")?;
            tx.define_bucket("accounts", config())
        })
        .unwrap();
    let revision = store.revision().unwrap();
    let dropped = Notice::BucketDropped { bucket: "accounts".into(), revision };
    assert_eq!(changes.try_next().unwrap(), Some(dropped));
    // Another index is no other bucket.
    store.create_index("accounts", tandem::IndexConfig::on("id")).unwrap();
    store.bucket("accounts").insert(json!({ "id": 1 })).unwrap();
    assert!(matches!(changes.try_next().unwrap(), Some(Notice::Commit(_))));
}
