//! However a transaction ends without a commit, nothing of it stays.

#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::support::{accounts, assert_clean, balance};
use serde_json::json;
use tandem::{Code, CommitOptions, Store, Transaction};

fn write_into(tx: &Transaction) {
    let accounts = tx.bucket("accounts");
    accounts.update(1, json!({ "balance": 0, "owner": "eve" })).unwrap();
    accounts.delete(2).unwrap();
    accounts.insert(json!({ "id": 3, "owner": "eve", "email": "e@x" })).unwrap();
    tx.lock("accounts", 1, None).unwrap();
}

fn assert_untouched(store: &Store) {
    assert_eq!((balance(store, 1), balance(store, 2)), (100, 100));
    let accounts = store.bucket("accounts");
    assert_eq!(accounts.count(json!({})).unwrap(), 2);
    assert_eq!(accounts.count(json!({ "owner": "eve" })).unwrap(), 0);
    assert_eq!(store.revision().unwrap(), 2, "definition and first insert");
    assert_eq!(store.statistics().unwrap().open_transactions, 0);
    // Nobody holds the lock any more.
    let tx = store.begin().unwrap();
    tx.lock("accounts", 1, Some(Duration::ZERO)).unwrap();
    drop(tx);
    assert_clean(store);
}

#[test]
fn g9_dropping_a_transaction_rolls_it_back() {
    let store = accounts();
    let tx = store.begin().unwrap();
    write_into(&tx);
    drop(tx);
    assert_untouched(&store);
}

#[test]
fn g9_rolling_back_frees_everything_at_once() {
    let store = accounts();
    let tx = store.begin().unwrap();
    write_into(&tx);
    tx.rollback();
    assert_untouched(&store);
}

#[test]
fn g9_a_panic_in_the_closure_rolls_back() {
    let store = accounts();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        store.transaction::<()>(|tx| {
            write_into(tx);
            panic!("in the middle");
        })
    }));
    assert!(panicked.is_err());
    assert_untouched(&store);
}

#[test]
fn g9_a_failed_statement_is_undone_whole_and_the_rest_commits() {
    let store = accounts();
    let tx = store.begin().unwrap();
    let accounts = tx.bucket("accounts");
    accounts.update(1, json!({ "balance": 70 })).unwrap();
    let error = accounts
        .insert_many([json!({ "id": 3 }), json!({ "id": 4 }), json!({ "id": 1 })])
        .unwrap_err();
    assert_eq!(error.code(), Code::AlreadyExists);
    assert!(error.message().starts_with("data[2]: "), "{error}");
    assert_eq!(accounts.count(json!({})).unwrap(), 2);
    assert_eq!(tx.commit().unwrap().changes, 1);
    assert_eq!(balance(&store, 1), 70);
    assert_eq!(store.bucket("accounts").get(3).unwrap(), None);
    assert_clean(&store);
}

#[test]
fn after_a_failed_commit_only_rollback_is_answered() {
    let store = accounts();
    let tx = store.begin().unwrap();
    tx.bucket("accounts").update(1, json!({ "balance": 1 })).unwrap();
    store.bucket("accounts").update(1, json!({ "balance": 2 })).unwrap();
    let first = tx.finish(CommitOptions::new()).unwrap_err();
    assert_eq!(first.code(), Code::Conflict);
    for answer in [
        tx.bucket("accounts").get(1).map(|_| ()),
        tx.savepoint("s"),
        tx.finish(CommitOptions::new()).map(|_| ()),
    ] {
        let error = answer.unwrap_err();
        assert_eq!(error.code(), Code::TransactionAborted);
        assert!(error.retryable());
    }
    tx.cancel();
    assert_eq!(tx.savepoint("s").unwrap_err().code(), Code::TransactionNotFound);
    assert_eq!(balance(&store, 1), 2);
}

#[test]
fn a_read_only_transaction_refuses_writes_and_stays_usable() {
    let store = accounts();
    let tx = store.begin_with(&tandem::TransactionOptions::new().read_only()).unwrap();
    let accounts = tx.bucket("accounts");
    assert_eq!(accounts.delete(1).unwrap_err().code(), Code::ReadOnly);
    assert_eq!(accounts.count(json!({})).unwrap(), 2);
    tx.commit().unwrap();
}
