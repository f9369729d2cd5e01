//! What this proof has found, one test each.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use serde_json::json;
use tandem::{BatchOptions, Code, CommitOptions, Operation};
use tandem_base::{Clock, SystemClock};
use tandem_proof_cancellation::sockets::{Stand, on_a_runtime};
use tandem_proof_cancellation::{Point, Stage, Strike};
use tandem_transaction::Coordination;

/// The write set had been handed over, so the transaction looked like one that
/// had written nothing, and committing that succeeded.
#[test]
fn g1_a_transaction_whose_commit_broke_off_cannot_be_committed_again() {
    let stage = Stage::new(false);
    let tx = stage.store().begin().unwrap();
    tx.bucket("accounts").insert(json!({ "id": 4, "owner": "dan" })).unwrap();
    stage.gate.arm_at(Point::Commit, 1, Strike::Panic);
    let broke_off = catch_unwind(AssertUnwindSafe(|| tx.finish(CommitOptions::new())));
    assert!(broke_off.is_err());
    for options in [CommitOptions::new(), CommitOptions::new().idempotency_key("k")] {
        assert_eq!(tx.finish(options).unwrap_err().code(), Code::TransactionAborted);
    }
    assert!(!tx.is_open());
    drop(tx);
    stage.is_clean().unwrap();
    assert_eq!(stage.store().bucket("accounts").get(4).unwrap(), None);
}

/// A panic while a first result was read counted as one of the commit section,
/// which poisons the store: nothing had been written.
#[test]
fn g9_a_panic_while_a_first_result_is_read_fails_that_commit_only() {
    let stage = Stage::new(false);
    let tx = stage.store().begin().unwrap();
    tx.bucket("journal").insert(json!({ "id": "j" })).unwrap();
    // The first read of the commit section.
    stage.gate.arm_at(Point::Get, 1, Strike::Panic);
    let error = tx.commit_with(CommitOptions::new().idempotency_key("k")).unwrap_err();
    assert_eq!(error.code(), Code::InternalError);
    assert!(!stage.is_poisoned());
    let again = [Operation::insert("journal", json!({ "id": "j" }))];
    let options = BatchOptions::new().idempotency_key("k");
    assert!(!stage.store().batch(&again, &options).unwrap().replayed);
    stage.is_clean().unwrap();
}

/// The commit that failed stays among the recent ones, so a locker was told
/// `CONFLICT`, which says that running again helps: it did so for ever.
#[test]
fn g9_a_record_of_a_failed_write_answers_a_locker_that_the_store_has_failed() {
    let stage = Stage::new(false);
    let store = stage.store();
    stage.gate.arm_at(Point::Sync, 1, Strike::Panic);
    let failed = store.bucket("accounts").update(1, json!({ "balance": 0 })).unwrap_err();
    assert_eq!(failed.code(), Code::StoreFailed);
    let locked = store.transaction(|tx| {
        tx.bucket("accounts").require(1)?;
        tx.lock("accounts", 1, Some(Duration::ZERO))
    });
    assert_eq!(locked.unwrap_err().code(), Code::StoreFailed);
    // What nobody wrote can be locked, and read.
    assert!(
        store.transaction(|tx| tx.lock("accounts", 2, Some(Duration::ZERO))).unwrap().is_some()
    );
    assert_eq!(store.bucket("accounts").require(1).unwrap().get("balance"), Some(json!(100)));
}

/// The task that writes went on without its connection, and the client waited on
/// an open socket for ever.
#[test]
fn g9_a_connection_whose_future_is_dropped_closes_its_stream() {
    on_a_runtime(async {
        let stand = Stand::new();
        let (mut served, mut client) = stand.connect(1 << 16);
        stand.settle(&mut served, &mut client).await;
        assert_eq!(client.frames()[0]["type"], "welcome");
        served.drop_future();
        stand.settle(&mut served, &mut client).await;
        assert!(client.ended);
    });
}

/// A panic below one round of maintenance ended the thread: transactions that
/// nobody uses any more kept their locks for ever.
#[test]
fn g9_a_panic_in_maintenance_does_not_keep_abandoned_transactions_open() {
    let stage = Stage::with_maintenance();
    stage.gate.arm_at(Point::Get, 1, Strike::Panic);
    while stage.gate.struck().is_none() {
        std::thread::yield_now();
    }
    let abandoned = stage.store().begin().unwrap();
    stage.clock.advance(Duration::from_secs(31));
    let (real, patience) = (SystemClock::new(), Duration::from_secs(60));
    while !stage.local.registry().is_empty() {
        assert!(real.monotonic() < patience, "nobody ends it");
        std::thread::yield_now();
    }
    assert!(!abandoned.is_open());
}
