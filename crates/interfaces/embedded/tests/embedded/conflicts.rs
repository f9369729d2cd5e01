//! Seed 003's conflict table, at the level of its optimistic locking.

#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

use crate::support::{accounts, assert_clean, balance, code};
use serde_json::json;
use tandem::{Bucket, Code, Isolation, Result, Store, TransactionOptions};

type Work = fn(&Bucket<'_>) -> Result<()>;

/// Runs `mine` in a transaction, then `theirs` outside, then commits.
fn race(isolation: Isolation, mine: Work, theirs: Work) -> (Store, Result<()>) {
    let store = accounts();
    let tx = store.begin_with(&TransactionOptions::new().isolation(isolation)).unwrap();
    mine(&tx.bucket("accounts")).unwrap();
    theirs(&store.bucket("accounts")).unwrap();
    let result = tx.commit().map(|_| ());
    assert_clean(&store);
    (store, result)
}

const UPDATE_MINE: Work = |accounts| accounts.update(1, json!({ "balance": 1 })).map(|_| ());
const UPDATE_THEIRS: Work = |accounts| accounts.update(1, json!({ "balance": 2 })).map(|_| ());
const DELETE: Work = |accounts| accounts.delete(1).map(|_| ());
const INSERT: Work = |accounts| accounts.insert(json!({ "id": 3 })).map(|_| ());

#[test]
fn updated_by_another_between_read_and_commit_is_a_conflict() {
    for isolation in [Isolation::Snapshot, Isolation::Serializable] {
        for mine in [UPDATE_MINE, DELETE] {
            let (store, result) = race(isolation, mine, UPDATE_THEIRS);
            let error = result.unwrap_err();
            assert_eq!((error.code(), error.retryable()), (Code::Conflict, true));
            assert_eq!(error.detail("bucket"), Some(&json!("accounts")));
            assert_eq!(error.detail("key"), Some(&json!(1)));
            assert_eq!(balance(&store, 1), 2);
        }
    }
}

#[test]
fn read_committed_lets_the_last_writer_win() {
    let (store, result) = race(Isolation::ReadCommitted, UPDATE_MINE, UPDATE_THEIRS);
    result.unwrap();
    assert_eq!(balance(&store, 1), 1);
    assert_eq!(store.bucket("accounts").require(1).unwrap().version(), 3);
}

#[test]
fn updating_what_another_deleted_is_a_conflict_at_every_level() {
    for isolation in Isolation::ALL {
        let (store, result) = race(isolation, UPDATE_MINE, DELETE);
        assert_eq!(code(result), Code::Conflict, "{isolation}");
        assert_eq!(store.bucket("accounts").get(1).unwrap(), None, "never resurrected");
    }
}

#[test]
fn inserting_a_key_that_another_inserted_is_a_conflict_at_every_level() {
    for isolation in Isolation::ALL {
        let (store, result) = race(isolation, INSERT, INSERT);
        assert_eq!(code(result), Code::Conflict, "{isolation}");
        assert_eq!(store.bucket("accounts").require(3).unwrap().version(), 1);
    }
}

#[test]
fn g5_a_unique_value_that_another_took_is_a_conflict_at_every_level() {
    for isolation in Isolation::ALL {
        let (_, result) = race(
            isolation,
            |accounts| accounts.insert(json!({ "id": 3, "email": "c@x" })).map(|_| ()),
            |accounts| accounts.insert(json!({ "id": 4, "email": "c@x" })).map(|_| ()),
        );
        let error = result.unwrap_err();
        assert_eq!((error.code(), error.retryable()), (Code::Conflict, true), "{isolation}");
        assert_eq!(error.detail("index"), Some(&json!("email")));
    }
}

#[test]
fn only_serializable_forbids_write_skew() {
    for (isolation, both) in [
        (Isolation::ReadCommitted, true),
        (Isolation::Snapshot, true),
        (Isolation::Serializable, false),
    ] {
        let store = accounts();
        let options = TransactionOptions::new().isolation(isolation);
        let (one, two) = (store.begin_with(&options).unwrap(), store.begin_with(&options).unwrap());
        for tx in [&one, &two] {
            assert_eq!(tx.bucket("accounts").sum("balance", json!({})).unwrap(), json!(200));
        }
        one.bucket("accounts").update(1, json!({ "balance": -50 })).unwrap();
        two.bucket("accounts").update(2, json!({ "balance": -50 })).unwrap();
        one.commit().unwrap();
        assert_eq!(two.commit().is_ok(), both, "{isolation}");
    }
}
