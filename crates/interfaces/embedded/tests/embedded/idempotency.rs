//! A commit under a name happens once, also across a restart.

use crate::support::{self, define_demo};
use serde_json::json;
use tandem::{BatchOptions, CommitOptions, Operation, Store};

#[test]
fn a_batch_repeated_after_reopening_answers_the_first_result() {
    let directory = tempfile::tempdir().unwrap();
    let operations = [
        Operation::insert("users", json!({ "name": "Alice" })),
        Operation::find("users", json!({ "name": "Alice" })),
        Operation::count("users", None),
        Operation::delete("users", "nobody"),
    ];
    let options = BatchOptions::new().idempotency_key("request 1");
    let first = {
        let store = Store::open(directory.path()).unwrap();
        define_demo(&store);
        store.batch(&operations, &options).unwrap()
    };
    assert!(!first.replayed);
    let store = Store::open(directory.path()).unwrap();
    let again = store.batch(&operations, &options).unwrap();
    assert!(again.replayed);
    assert_eq!(again.revision, first.revision);
    for (again, first) in again.results.iter().zip(&first.results) {
        assert_eq!(again.to_json(), first.to_json());
    }
    assert_eq!(again.results[1].records(), first.results[1].records());
    assert_eq!(store.bucket("users").count(json!({})).unwrap(), 1);
    let other =
        store.batch(&operations, &BatchOptions::new().idempotency_key("request 2")).unwrap();
    assert!(!other.replayed);
    assert_eq!(other.results[2].as_count(), Some(2));
}

#[test]
fn a_transaction_repeated_under_its_name_changes_nothing() {
    let store = support::demo();
    let commit = || {
        let tx = store.begin().unwrap();
        tx.bucket("users").insert(json!({ "name": "Alice" })).unwrap();
        tx.commit_with(CommitOptions::new().idempotency_key("once")).unwrap()
    };
    let (first, again) = (commit(), commit());
    assert_eq!((first.replayed, again.replayed), (false, true));
    assert_eq!((first.revision, first.changes), (again.revision, again.changes));
    assert_eq!(store.bucket("users").count(json!({})).unwrap(), 1);
}

#[test]
fn concurrent_repetitions_commit_once() {
    let store = support::demo();
    let operations = [Operation::insert("users", json!({ "name": "Alice" }))];
    let answers: Vec<_> = std::thread::scope(|scope| {
        let run = || store.batch(&operations, &BatchOptions::new().idempotency_key("k")).unwrap();
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(answers.iter().filter(|answer| !answer.replayed).count(), 1);
    let first = answers[0].results[0].to_json();
    assert!(answers.iter().all(|answer| answer.results[0].to_json() == first));
    assert_eq!(store.bucket("users").count(json!({})).unwrap(), 1);
}
