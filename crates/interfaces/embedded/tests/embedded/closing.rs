//! Closing and reopening.

use crate::support::{accounts, code, define_demo};
use serde_json::json;
use tandem::{Code, Durability, Store, TransactionOptions};

#[test]
fn a_closed_store_answers_closed_everywhere() {
    let store = accounts();
    let tx = store.begin().unwrap();
    tx.savepoint("early").unwrap();
    let mut rows = store.bucket("accounts").all().iter().unwrap();
    let other = store.clone();
    store.close();
    store.close();
    assert!(other.is_closed());
    assert_eq!(code(other.bucket("accounts").get(1)), Code::Closed);
    assert_eq!(code(other.bucket("accounts").delete(1)), Code::Closed);
    assert_eq!(code(other.begin()), Code::Closed);
    assert_eq!(code(other.subscribe(Default::default())), Code::Closed);
    assert_eq!(code(other.on("bucket.*.*", |_| {})), Code::Closed);
    assert_eq!(code(other.maintain()), Code::Closed);
    assert_eq!(code(tx.bucket("accounts").get(1)), Code::Closed);
    assert_eq!(code(tx.savepoint("late")), Code::Closed);
    assert_eq!(code(tx.rollback_to("early")), Code::Closed);
    assert_eq!(code(tx.release("early")), Code::Closed);
    assert_eq!(code(tx.commit()), Code::Closed);
    assert!(rows.by_ref().take(2).all(|row| row.is_ok()), "what was read ahead");
    assert_eq!(code(rows.next().unwrap()), Code::Closed);
}

#[test]
fn g2_the_directory_is_free_as_soon_as_the_last_handle_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    for round in 0..10 {
        let store = Store::open(directory.path()).unwrap();
        if round == 0 {
            define_demo(&store);
        }
        let guard = store.on("bucket.*.*", |_| {}).unwrap();
        assert_eq!(store.bucket("users").count(json!({})).unwrap(), round);
        let options = TransactionOptions::new().durability(Durability::Buffered);
        store
            .transaction_with(&options, |tx| tx.bucket("users").insert(json!({ "name": "x" })))
            .unwrap();
        drop(guard);
    }
}

#[test]
fn a_store_needs_a_place() {
    assert_eq!(code(Store::builder().open()), Code::ValidationError);
}
