//! The pessimistic strategy: locked records are waited for.

use std::time::Duration;

use crate::support::{accounts, balance, code};
use serde_json::json;
use tandem::{Code, Isolation, Store, TransactionOptions};

fn until(done: impl Fn() -> bool) {
    while !done() {
        std::thread::yield_now();
    }
}

/// Waits until a transaction waits for a lock.
fn until_waiting(store: &Store) {
    until(|| store.statistics().expect("it is open").lock_waiters == 1);
}

#[test]
fn a_second_locker_waits_and_then_sees_the_first_ones_commit() {
    let store = accounts();
    for isolation in Isolation::ALL {
        let before = balance(&store, 1);
        let options = TransactionOptions::new().isolation(isolation);
        let first = store.begin_with(&options).unwrap();
        first.lock("accounts", 1, None).unwrap();
        std::thread::scope(|scope| {
            let (store, options) = (&store, &options);
            let second = scope.spawn(move || {
                let second = store.begin_with(options).unwrap();
                let account = second.lock("accounts", 1, None).unwrap().unwrap();
                let seen = account.get("balance").unwrap().as_i64().unwrap();
                second.bucket("accounts").update(1, json!({ "balance": seen + 1 })).unwrap();
                second.commit().unwrap();
                seen
            });
            until_waiting(store);
            first.bucket("accounts").update(1, json!({ "balance": before + 10 })).unwrap();
            first.commit().unwrap();
            assert_eq!(second.join().unwrap(), before + 10, "{isolation}");
        });
        assert_eq!(balance(&store, 1), before + 11);
    }
}

#[test]
fn a_writer_waits_for_the_lock_instead_of_failing() {
    let store = accounts();
    let holder = store.begin().unwrap();
    holder.lock("accounts", 1, None).unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            store.bucket("accounts").update(1, json!({ "owner": "late" })).unwrap().version()
        });
        until_waiting(&store);
        holder.bucket("accounts").update(1, json!({ "owner": "early" })).unwrap();
        holder.commit().unwrap();
        assert_eq!(writer.join().unwrap(), 3);
    });
    assert_eq!(store.bucket("accounts").require(1).unwrap().get("owner"), Some(json!("late")));
}

#[test]
fn readers_never_wait() {
    let store = accounts();
    let holder = store.begin().unwrap();
    holder.lock("accounts", 1, None).unwrap();
    assert_eq!(balance(&store, 1), 100);
    assert_eq!(store.bucket("accounts").all().records().unwrap().len(), 2);
}

#[test]
fn waiting_has_an_end() {
    let store = accounts();
    let holder = store.begin().unwrap();
    holder.lock("accounts", 1, None).unwrap();
    let other = store.begin().unwrap();
    let error = other.lock("accounts", 1, Some(Duration::from_millis(1))).unwrap_err();
    assert_eq!((error.code(), error.retryable()), (Code::LockTimeout, true));
    assert_eq!(other.lock("accounts", 2, None).unwrap().unwrap().get("id"), Some(json!(2)));
    assert_eq!(other.lock("accounts", 99, None).unwrap(), None, "an absent key can be locked");
}

#[test]
fn g9_a_deadlock_ends_one_of_the_two_and_the_closure_runs_it_again() {
    let store = accounts();
    std::thread::scope(|scope| {
        for (mine, other) in [(1, 2), (2, 1)] {
            let store = &store;
            scope.spawn(move || {
                let mut run = 0;
                store
                    .transaction(|tx| {
                        run += 1;
                        tx.lock("accounts", mine, None)?;
                        if run == 1 {
                            // Both hold one lock before either asks for the second.
                            tx.bucket("accounts").update(mine, json!({ "held": true }))?;
                            store.bucket("accounts").upsert(json!({ "id": 10 + mine }))?;
                            until(|| store.bucket("accounts").get(10 + other).unwrap().is_some());
                        }
                        tx.lock("accounts", other, None)?;
                        tx.bucket("accounts").update(other, json!({ "by": mine }))?;
                        Ok(())
                    })
                    .unwrap();
            });
        }
    });
    assert_eq!(store.statistics().unwrap().commits.deadlocks, 1);
    assert_eq!(store.bucket("accounts").require(1).unwrap().get("by"), Some(json!(2)));
    assert_eq!(store.bucket("accounts").require(2).unwrap().get("by"), Some(json!(1)));
}

#[test]
fn a_lock_after_reading_something_else_is_checked_under_snapshot() {
    let store = accounts();
    let options = TransactionOptions::new().isolation(Isolation::Snapshot);
    let tx = store.begin_with(&options).unwrap();
    tx.bucket("accounts").require(2).unwrap();
    store.bucket("accounts").update(1, json!({ "balance": 5 })).unwrap();
    assert_eq!(code(tx.lock("accounts", 1, None)), Code::Conflict);
    assert_eq!(code(tx.commit()), Code::TransactionAborted);
}
