//! `store.transaction(|tx| …)`: committed, rolled back, run again.

#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::cell::Cell;

use crate::support::{accounts, balance, memory};
use serde_json::json;
use tandem::{Abort, BucketConfig, Code, Error, Isolation, RetryPolicy, Store, TransactionOptions};

/// Adds to a balance that was read, from "another connection".
fn interfere(store: &Store) {
    let accounts = store.bucket("accounts");
    accounts.update(1, json!({ "balance": balance(store, 1) + 1 })).unwrap();
}

#[test]
fn a_conflicting_closure_is_run_again_on_the_newer_state() {
    let store = accounts();
    let runs = Cell::new(0);
    let seen = store
        .transaction(|tx| {
            runs.set(runs.get() + 1);
            let accounts = tx.bucket("accounts");
            let read = accounts.require(1)?.get("balance").and_then(|b| b.as_i64()).unwrap();
            if runs.get() <= 2 {
                interfere(&store);
            }
            accounts.update(1, json!({ "balance": read + 10 }))?;
            Ok(read)
        })
        .unwrap();
    assert_eq!((runs.get(), seen), (3, 102));
    assert_eq!(balance(&store, 1), 112);
    let commits = store.statistics().unwrap().commits;
    assert_eq!(commits.read_conflicts + commits.write_conflicts, 2);
}

#[test]
fn attempts_are_bounded_and_the_last_conflict_is_answered() {
    let store = accounts();
    let runs = Cell::new(0);
    let policy = RetryPolicy { attempts: 4, ..RetryPolicy::default() };
    let error = store
        .transaction_with(&TransactionOptions::new().retry(policy), |tx| {
            runs.set(runs.get() + 1);
            tx.bucket("accounts").require(1)?;
            interfere(&store);
            tx.bucket("accounts").update(1, json!({ "balance": 0 }))
        })
        .unwrap_err();
    assert_eq!((runs.get(), error.code()), (4, Code::Conflict));
    assert_eq!(balance(&store, 1), 104);
}

#[test]
fn an_error_rolls_everything_back_and_is_not_run_again() {
    let store = accounts();
    let runs = Cell::new(0);
    let error = store
        .transaction::<()>(|tx| {
            runs.set(runs.get() + 1);
            tx.bucket("accounts").update(1, json!({ "balance": 0 }))?;
            Err(Error::validation("changed my mind"))
        })
        .unwrap_err();
    assert_eq!((runs.get(), error.message()), (1, "changed my mind"));
    assert_eq!(balance(&store, 1), 100);
}

#[test]
fn an_error_of_the_application_comes_back_as_it_was() {
    let store = accounts();
    let result: Result<(), Abort<&str>> = store.try_transaction(|tx| {
        tx.bucket("accounts").update(1, json!({ "balance": 0 }))?;
        Err(Abort::Application("no"))
    });
    assert!(matches!(result, Err(Abort::Application("no"))));
    assert_eq!(balance(&store, 1), 100);
    let result: Result<(), Abort<&str>> = store.try_transaction(|tx| {
        tx.bucket("nothing").get(1)?;
        Ok(())
    });
    assert!(matches!(result, Err(Abort::Store(error)) if error.code() == Code::BucketNotDefined));
}

#[test]
fn a_conflict_that_the_closure_swallows_is_no_success() {
    let store = accounts();
    let runs = Cell::new(0);
    store
        .transaction_with(&TransactionOptions::new().isolation(Isolation::Snapshot), |tx| {
            runs.set(runs.get() + 1);
            let accounts = tx.bucket("accounts");
            accounts.require(2)?;
            if runs.get() == 1 {
                interfere(&store);
                // The locked record has changed since the begin: a conflict.
                let conflict = tx.lock("accounts", 1, None).unwrap_err();
                assert_eq!(conflict.code(), Code::Conflict);
                return Ok(());
            }
            accounts.update(1, json!({ "balance": 5 })).map(|_| ())
        })
        .unwrap();
    assert_eq!((runs.get(), balance(&store, 1)), (2, 5));
}

#[test]
fn single_writes_are_run_again_too() {
    let store = memory();
    store.define_bucket("counters", BucketConfig::new("id")).unwrap();
    let (threads, rounds) = (4, 25);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let store = &store;
            scope.spawn(move || {
                for round in 0..rounds {
                    let field = format!("t{thread}r{round}");
                    store.bucket("counters").upsert(json!({ "id": 1, field: true })).unwrap();
                }
            });
        }
    });
    let counter = store.bucket("counters").require(1).unwrap();
    assert_eq!(counter.version(), threads * rounds);
    assert_eq!(counter.to_json().as_object().unwrap().len() as u64, threads * rounds + 4);
}
