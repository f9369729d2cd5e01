//! What a store tells about itself: every figure moves with what it counts,
//! and with nothing else.

#![allow(clippy::unwrap_used, reason = "in tests, a failed step fails the test")]

use std::time::Duration;

use serde_json::json;
use tandem::{BucketConfig, Code, Isolation, Store, StoreStatistics};
use tandem_base::{Environment, SimulatedClock};

fn store() -> (Store, std::sync::Arc<SimulatedClock>) {
    let (environment, clock) = Environment::simulated(1);
    let store =
        Store::builder().memory().environment(environment).background(false).open().unwrap();
    store.define_bucket("counters", BucketConfig::new("id")).unwrap();
    store.bucket("counters").insert(json!({ "id": 1, "n": 0 })).unwrap();
    (store, clock)
}

fn look(store: &Store) -> StoreStatistics {
    store.statistics().unwrap()
}

#[test]
fn a_transaction_counts_from_its_begin_to_its_end_however_it_ends() {
    let (store, clock) = store();
    let before = look(&store);
    assert_eq!(before.oldest_transaction, None);
    let ends: [fn(tandem::Transaction); 3] =
        [|tx| assert!(tx.commit().is_ok()), |tx| tx.rollback(), drop];
    for end in ends {
        let tx = store.begin().unwrap();
        clock.advance(Duration::from_secs(2));
        assert_eq!(look(&store).oldest_transaction, Some(Duration::from_secs(2)));
        end(tx);
    }
    let after = look(&store);
    assert_eq!(after.oldest_transaction, None);
    let (before, after) = (before.timings.transaction_time, after.timings.transaction_time);
    assert_eq!(after.count() - before.count(), 3);
    assert_eq!(after.sum() - before.sum(), 6_000_000_000);
}

#[test]
fn a_conflict_that_is_run_again_counts_as_a_retry() {
    let (store, _) = store();
    let retries = |store: &Store| look(store).commits.retries;
    let before = retries(&store);
    let mut meddled = false;
    store
        .transaction(|tx| {
            let counters = tx.bucket("counters");
            let n = counters.get(1)?.unwrap().get("n").unwrap().as_u64().unwrap();
            if !std::mem::replace(&mut meddled, true) {
                store.bucket("counters").update(1, json!({ "n": 10 }))?;
            }
            counters.update(1, json!({ "n": n + 1 })).map(drop)
        })
        .unwrap();
    assert_eq!(retries(&store) - before, 1);
    assert_eq!(store.bucket("counters").get(1).unwrap().unwrap().get("n").unwrap(), json!(11));
}

#[test]
fn commits_count_with_their_group_and_their_write_refused_ones_without() {
    let (store, _) = store();
    let before = look(&store);
    store.bucket("counters").update(1, json!({ "n": 1 })).unwrap();
    let after = look(&store);
    let (earlier, later) = (&before.timings, &after.timings);
    assert_eq!(later.commit_time.count() - earlier.commit_time.count(), 1);
    assert_eq!(later.sync_time.count() - earlier.sync_time.count(), 1);
    assert_eq!(later.write_time.count() - earlier.write_time.count(), 1);
    assert_eq!(later.group_size.sum() - earlier.group_size.sum(), 1);

    let tx = store.begin_with(&tandem::TransactionOptions::new().isolation(Isolation::Snapshot));
    let tx = tx.unwrap();
    tx.bucket("counters").update(1, json!({ "n": 2 })).unwrap();
    store.bucket("counters").update(1, json!({ "n": 3 })).unwrap();
    let before = look(&store);
    assert_eq!(tx.commit().unwrap_err().code(), Code::Conflict);
    let after = look(&store);
    assert_eq!(after.commits.write_conflicts - before.commits.write_conflicts, 1);
    assert_eq!(after.timings.commit_time.count() - before.timings.commit_time.count(), 1);
    assert_eq!(after.timings.sync_time, before.timings.sync_time);
    assert_eq!(after.timings.group_size, before.timings.group_size);
}

#[test]
fn an_index_is_a_build_until_it_is_ready() {
    let (store, _) = store();
    assert_eq!(look(&store).index_builds, 0);
    store.create_index_in_background("counters", "n").unwrap();
    assert_eq!(look(&store).index_builds, 1);
    store.maintain().unwrap();
    assert_eq!(look(&store).index_builds, 0);
}
