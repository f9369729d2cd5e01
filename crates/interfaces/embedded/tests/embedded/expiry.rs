//! Time limits of transactions and records, by the simulated clock.

#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::time::Duration;

use crate::support::{assert_clean, code};
use serde_json::json;
use tandem::{BucketConfig, Code, Environment, SimulatedClock, Store, TransactionOptions};

fn timed() -> (Store, std::sync::Arc<SimulatedClock>) {
    let (environment, clock) = Environment::simulated(7);
    let store =
        Store::builder().memory().background(false).environment(environment).open().unwrap();
    store.define_bucket("things", BucketConfig::new("id")).unwrap();
    store.bucket("things").insert(json!({ "id": 1 })).unwrap();
    (store, clock)
}

#[test]
fn g9_an_idle_transaction_expires_and_loses_its_locks() {
    let (store, clock) = timed();
    let tx = store.begin().unwrap();
    tx.lock("things", 1, None).unwrap();
    tx.bucket("things").insert(json!({ "id": 2 })).unwrap();
    clock.advance(Duration::from_secs(10));
    // Nobody uses it any more; maintenance ends it.
    assert_eq!(store.maintain().unwrap().expired_transactions, 1);
    let statistics = store.statistics().unwrap();
    assert_eq!((statistics.open_transactions, statistics.commits.expired), (0, 1));
    let other = store.begin().unwrap();
    other.lock("things", 1, Some(Duration::ZERO)).unwrap();
    let error = tx.bucket("things").get(1).unwrap_err();
    assert_eq!(error.code(), Code::TransactionExpired);
    assert_eq!(code(tx.commit()), Code::TransactionExpired);
    assert_eq!(store.bucket("things").get(2).unwrap(), None);
    assert_eq!(store.statistics().unwrap().commits.expired, 1, "counted once");
}

#[test]
fn a_transaction_that_is_let_go_after_its_time_has_expired() {
    let (store, clock) = timed();
    let expired = || store.statistics().unwrap().commits.expired;
    store.begin().unwrap().rollback();
    drop(store.begin().unwrap());
    assert_eq!(expired(), 0);
    let (rolled_back, dropped) = (store.begin().unwrap(), store.begin().unwrap());
    clock.advance(Duration::from_secs(100));
    rolled_back.rollback();
    assert_eq!(expired(), 1);
    drop(dropped);
    assert_eq!(expired(), 2);
    assert_eq!(store.maintain().unwrap().expired_transactions, 0, "nothing is left");
}

#[test]
fn use_keeps_a_transaction_open_up_to_its_total_time() {
    let (store, clock) = timed();
    let tx = store.begin_with(&TransactionOptions::new().timeout(Duration::from_secs(20))).unwrap();
    for _ in 0..3 {
        clock.advance(Duration::from_secs(6));
        tx.bucket("things").get(1).unwrap();
    }
    assert_eq!(tx.remaining_time(), Some(Duration::from_secs(2)));
    clock.advance(Duration::from_secs(2));
    assert_eq!(code(tx.bucket("things").get(1)), Code::TransactionExpired);
    assert!(!tx.is_open());
}

#[test]
fn records_are_deleted_when_their_time_is_over() {
    let (store, clock) = timed();
    let config = BucketConfig::new("id").ttl(Duration::from_secs(60)).index("user");
    store.define_bucket("sessions", config).unwrap();
    let sessions = store.bucket("sessions");
    sessions.insert(json!({ "id": 1, "user": "a" })).unwrap();
    clock.advance(Duration::from_secs(59));
    sessions.insert(json!({ "id": 2, "user": "a" })).unwrap();
    assert_eq!(store.maintain().unwrap().expired_records, 0);
    clock.advance(Duration::from_secs(1));
    let mut changes = store.subscribe(tandem::SubscribeOptions::new()).unwrap();
    assert_eq!(store.maintain().unwrap().expired_records, 1);
    assert_eq!(sessions.count(json!({ "user": "a" })).unwrap(), 1);
    assert!(changes.try_next().unwrap().is_some(), "an expiry is a commit like any other");
    assert_clean(&store);
}
