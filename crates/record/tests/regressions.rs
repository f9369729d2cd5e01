//! Counterexamples that were found by reading, each kept as the smallest
//! interleaving that showed it.

#![allow(clippy::unwrap_used, reason = "in tests, a failed step fails the test")]

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::{Bench, fields};
use tandem_base::{Clock, Code};
use tandem_record::{BuildStep, IndexState, Records};
use tandem_transaction::{CommitOptions, Isolation, Transaction};

fn plain() -> Bench {
    let bench = Bench::new();
    bench.define("t", json!({ "key": "id", "schema": { "id": { "type": "number" } } }));
    bench
}

/// `parents`, and `t` whose `parent` refers to it.
fn family(on_delete: &str) -> Bench {
    let bench = Bench::new();
    bench.define("parents", json!({ "key": "id", "schema": { "id": { "type": "number" } } }));
    let parent = json!({ "type": "number", "ref": "parents", "onDelete": on_delete });
    bench.define(
        "t",
        json!({ "key": "id", "schema": {
            "id": { "type": "number" }, "parent": parent,
        } }),
    );
    for id in 1..=2 {
        bench.insert("parents", json!({ "id": id })).unwrap();
    }
    bench
}

fn commit(mut tx: Transaction) -> tandem_base::Result<()> {
    tx.commit(CommitOptions::default()).map(drop)
}

/// No record of `t` refers to a missing parent.
fn assert_no_dangling(bench: &Bench, ids: &[u64]) {
    for id in ids {
        if let Some(record) = bench.get("t", json!(id))
            && !record["parent"].is_null()
        {
            assert!(bench.get("parents", record["parent"].clone()).is_some(), "{record}");
        }
    }
}

#[test]
fn g3_an_index_defined_after_an_update_of_other_fields_has_the_updated_record() {
    let bench = plain();
    bench.insert("t", json!({ "id": 1, "g": 7 })).unwrap();
    let mut tx = bench.begin(Isolation::Serializable);
    let changes = fields(json!({ "a": 1 }));
    bench.records.update(&mut tx, "t", &json!(1), &changes, None).unwrap();
    bench.records.create_index(&mut tx, "t", &json!("g"), IndexState::Ready).unwrap();
    commit(tx).unwrap();
    bench.check_clean();
}

#[test]
fn a_reference_stays_guarded_when_a_lock_wait_moves_the_view() {
    for isolation in Isolation::ALL {
        let bench = family("restrict");
        bench.insert("t", json!({ "id": 1 })).unwrap();
        let mut holder = bench.begin(Isolation::Serializable);
        bench.records.lock(&mut holder, "t", &json!(1), None).unwrap();
        let mut tx = bench.begin(isolation);
        bench.records.insert(&mut tx, "t", fields(json!({ "id": 9, "parent": 2 }))).unwrap();
        let committed = std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let changes = fields(json!({ "x": 1 }));
                bench.records.update(&mut tx, "t", &json!(1), &changes, None).unwrap();
                tx.commit(CommitOptions::default())
            });
            while bench.coordination.locks().waiters() == 0 {
                std::thread::yield_now();
            }
            bench.run(|records, tx| records.delete(tx, "parents", &json!(2), None)).unwrap();
            holder.rollback();
            waiter.join().unwrap()
        });
        assert_eq!(committed.unwrap_err().code(), Code::Conflict, "{isolation}");
        assert_no_dangling(&bench, &[9]);
    }
}

#[test]
fn read_committed_does_not_bring_a_reference_back_whose_target_is_gone() {
    let bench = family("restrict");
    bench.insert("t", json!({ "id": 1, "parent": 1 })).unwrap();
    let mut tx = bench.begin(Isolation::ReadCommitted);
    let changes = fields(json!({ "x": 1 }));
    bench.records.update(&mut tx, "t", &json!(1), &changes, None).unwrap();
    bench
        .run(|records, tx| {
            let moved = fields(json!({ "parent": 2 }));
            records.update(tx, "t", &json!(1), &moved, None)?;
            records.delete(tx, "parents", &json!(1), None)
        })
        .unwrap();
    assert_eq!(commit(tx).unwrap_err().code(), Code::Conflict);
    assert_no_dangling(&bench, &[1]);
}

#[test]
fn a_target_may_be_deleted_by_the_transaction_that_referred_to_it_first() {
    for (on_delete, left) in [("cascade", false), ("set_null", true)] {
        let bench = family(on_delete);
        let mut tx = bench.begin(Isolation::Serializable);
        bench.records.insert(&mut tx, "t", fields(json!({ "id": 1, "parent": 1 }))).unwrap();
        bench.records.delete(&mut tx, "parents", &json!(1), None).unwrap();
        commit(tx).unwrap();
        assert_eq!(bench.get("t", json!(1)).is_some(), left, "{on_delete}");
        assert_no_dangling(&bench, &[1]);
        bench.check_clean();
    }
}

#[test]
fn g4_an_index_that_others_do_not_maintain_yet_serves_no_reads() {
    for isolation in Isolation::ALL {
        let bench = plain();
        bench.insert("t", json!({ "id": 1, "g": 1 })).unwrap();
        let mut tx = bench.begin(isolation);
        bench.records.create_index(&mut tx, "t", &json!("g"), IndexState::Ready).unwrap();
        let catalog = bench.records.catalog(&tx).unwrap();
        let index = catalog.bucket("t").unwrap().index("g").unwrap().clone();
        assert!(!index.is_ready(), "{isolation}");
        commit(tx).unwrap();
        let tx = bench.begin(isolation);
        let catalog = bench.records.catalog(&tx).unwrap();
        assert!(catalog.bucket("t").unwrap().index("g").unwrap().is_ready());
    }
}

#[test]
fn g4_an_index_that_appears_after_an_own_write_serves_no_reads_that_would_miss_it() {
    let bench = plain();
    let mut tx = bench.begin(Isolation::ReadCommitted);
    bench.records.insert(&mut tx, "t", fields(json!({ "id": 1, "g": 1 }))).unwrap();
    bench.run(|records, tx| records.create_index(tx, "t", &json!("g"), IndexState::Ready)).unwrap();
    bench.records.count(&mut tx, "t").unwrap();
    let catalog = bench.records.catalog(&tx).unwrap();
    assert!(!catalog.bucket("t").unwrap().index("g").unwrap().is_ready());
    commit(tx).unwrap();
    bench.check_clean();
}

#[test]
fn a_reference_holds_while_the_index_for_it_is_being_built() {
    let bench = Bench::new();
    bench.define("parents", json!({ "key": "id", "schema": { "id": { "type": "number" } } }));
    bench.define("t", json!({ "key": "id", "schema": { "id": { "type": "number" } } }));
    bench.insert("parents", json!({ "id": 1 })).unwrap();
    bench.insert("t", json!({ "id": 1, "parent": 1 })).unwrap();
    let updates = json!({ "addFields": { "parent": {
        "type": "number", "ref": "parents", "onDelete": "restrict",
    } } });
    bench
        .run(|records, tx| records.update_bucket(tx, "t", &updates, IndexState::Building))
        .unwrap();
    let refused = bench.insert("t", json!({ "id": 2, "parent": 7 })).unwrap_err();
    assert_eq!(refused.code(), Code::ReferenceViolation);
    let refused =
        bench.run(|records, tx| records.delete(tx, "parents", &json!(1), None)).unwrap_err();
    assert_eq!(refused.code(), Code::ReferenceViolation);
}

#[test]
fn g9_a_build_that_meets_a_record_that_cannot_be_indexed_fails_and_leaves_nothing() {
    let bench = plain();
    bench.insert("t", json!({ "id": 1, "a": [1], "b": [2] })).unwrap();
    let config = json!({ "name": "ab", "fields": ["a", "b"], "multi": true });
    bench.run(|records, tx| records.create_index(tx, "t", &config, IndexState::Building)).unwrap();
    let view = bench.coordination.view().unwrap();
    let (_, index) = bench.records.unfinished_builds(&*view).unwrap().remove(0);
    let step = bench.records.build_step(&*bench.coordination, index, 10).unwrap();
    assert!(matches!(step, BuildStep::Failed(_)), "{step:?}");
    let view = bench.coordination.view().unwrap();
    assert!(bench.records.unfinished_builds(&*view).unwrap().is_empty());
}

/// Two records have one value, and the build of a unique index has passed the
/// first of them. What takes the value from the second must not take its entry
/// from the first: the simulation found the index without it. What takes the value
/// from the first takes the entry, which would stand in the way of the second.
#[test]
fn g3_a_unique_build_keeps_the_entry_of_a_record_whose_twin_goes() {
    type Leave = fn(&Records, &mut Transaction, &Value) -> tandem_base::Result<()>;
    let ways: [Leave; 3] = [
        |records, tx, id| {
            let other = fields(json!({ "g": 8 }));
            records.update(tx, "t", id, &other, None).map(drop)
        },
        |records, tx, id| records.delete(tx, "t", id, None).map(drop),
        |records, tx, id| {
            records.delete(tx, "t", id, None)?;
            records.insert(tx, "t", fields(json!({ "id": id, "g": 9 }))).map(drop)
        },
    ];
    for (leave, gone) in ways.iter().flat_map(|leave| [(leave, 1), (leave, 2)]) {
        let bench = plain();
        for (id, g) in [(1, 7), (2, 7), (3, 3)] {
            bench.insert("t", json!({ "id": id, "g": g })).unwrap();
        }
        let config = json!({ "fields": ["g"], "unique": true });
        bench
            .run(|records, tx| records.create_index(tx, "t", &config, IndexState::Building))
            .unwrap();
        let view = bench.coordination.view().unwrap();
        let (_, index) = bench.records.unfinished_builds(&*view).unwrap().remove(0);
        let step = || bench.records.build_step(&*bench.coordination, index, 1).unwrap();
        assert!(matches!(step(), BuildStep::Building { rows: 1 }));
        bench.run(|records, tx| leave(records, tx, &json!(gone))).unwrap();
        while !matches!(step(), BuildStep::Done) {}
        bench.check_clean();
        let twin = bench.insert("t", json!({ "id": 4, "g": 7 })).unwrap_err();
        assert_eq!(twin.code(), Code::AlreadyExists);
    }
}

#[test]
fn a_transaction_that_only_read_is_not_refused_for_its_idempotency_key() {
    let bench = plain();
    let mut tx = bench.begin(Isolation::Serializable);
    assert!(bench.records.get(&mut tx, "t", &json!(1)).unwrap().is_none());
    bench.insert("t", json!({ "id": 1 })).unwrap();
    let idempotency = Some(("k".into(), "".into()));
    tx.commit(CommitOptions { idempotency, ..CommitOptions::default() }).unwrap();
}

#[test]
fn g4_a_serializable_reader_of_a_bucket_sees_that_it_was_dropped() {
    let bench = plain();
    bench.define("u", json!({ "key": "id", "schema": { "id": { "type": "number" } } }));
    // Each reads what the other removes or adds: one of them has to run again.
    let mut one = bench.begin(Isolation::Serializable);
    assert!(bench.records.get(&mut one, "u", &json!(1)).unwrap().is_none());
    bench.records.insert(&mut one, "t", fields(json!({ "id": 1 }))).unwrap();
    let mut two = bench.begin(Isolation::Serializable);
    assert!(bench.records.get(&mut two, "t", &json!(1)).unwrap().is_none());
    bench.records.drop_bucket(&mut two, "u").unwrap();
    let outcomes = [commit(two).is_ok(), commit(one).is_ok()];
    assert_eq!(outcomes, [true, false]);
}

#[test]
fn g10_what_was_rolled_back_to_a_savepoint_does_not_count() {
    let limits =
        tandem_transaction::TransactionLimits { write_set_bytes: 100_000, ..Default::default() };
    let bench = Bench::with_limits(limits);
    bench.define("t", json!({ "key": "id", "schema": { "id": { "type": "number" } } }));
    let mut tx = bench.begin(Isolation::Serializable);
    for _ in 0..100 {
        tx.savepoint("s").unwrap();
        let record = fields(json!({ "id": 1, "text": "x".repeat(10_000) }));
        bench.records.insert(&mut tx, "t", record).unwrap();
        tx.rollback_to("s").unwrap();
        tx.release_savepoint("s").unwrap();
    }
}

#[test]
fn g10_deleted_records_count_as_they_are_held() {
    let limits =
        tandem_transaction::TransactionLimits { write_set_bytes: 100_000, ..Default::default() };
    let bench = Bench::with_limits(limits);
    bench.define("t", json!({ "key": "id", "schema": { "id": { "type": "number" } } }));
    for id in 0..20 {
        bench.insert("t", json!({ "id": id, "text": "x".repeat(10_000) })).unwrap();
    }
    let mut tx = bench.begin(Isolation::Serializable);
    let refused = (0..20)
        .find_map(|id| bench.records.delete(&mut tx, "t", &json!(id), None).err())
        .expect("twice the limit is held");
    assert_eq!(refused.code(), Code::LimitExceeded);
}

#[test]
fn g9_a_lock_that_is_handed_to_an_expired_waiter_is_free_again() {
    let bench = &plain();
    let mut holder = bench.begin(Isolation::Serializable);
    bench.records.lock(&mut holder, "t", &json!(1), None).unwrap();
    let mut tx = bench.begin(Isolation::Serializable);
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let refused = bench.records.lock(&mut tx, "t", &json!(1), None).unwrap_err();
            (tx, refused)
        });
        while bench.coordination.locks().waiters() == 0 {
            std::thread::yield_now();
        }
        for id in bench.coordination.registry().expire(Duration::from_secs(1_000)) {
            bench.coordination.locks().release_all(id);
        }
        let (mut tx, refused) = waiter.join().unwrap();
        assert_eq!(refused.code(), Code::TransactionExpired);
        assert!(bench.coordination.locks().is_empty());
        assert_eq!(
            tx.commit(CommitOptions::default()).unwrap_err().code(),
            Code::TransactionExpired
        );
    });
}

#[test]
fn g9_a_transaction_that_waits_for_a_lock_is_not_idle() {
    let bench = &plain();
    let mut holder = bench.begin(Isolation::Serializable);
    bench.records.lock(&mut holder, "t", &json!(1), None).unwrap();
    let mut tx = bench.begin(Isolation::Serializable);
    std::thread::scope(|scope| {
        let wait = Some(Duration::from_secs(50));
        let waiter = scope.spawn(move || {
            let locked = bench.records.lock(&mut tx, "t", &json!(1), wait);
            (tx, locked)
        });
        while bench.coordination.locks().waiters() == 0 {
            std::thread::yield_now();
        }
        let idle = bench.coordination.limits().idle_time;
        bench.clock.advance(idle + Duration::from_secs(1));
        let expired = bench.coordination.registry().expire(bench.clock.monotonic());
        assert_eq!(expired, [holder.id()], "who holds the lock has done nothing for long");
        bench.coordination.locks().release_all(holder.id());
        let (mut tx, locked) = waiter.join().unwrap();
        locked.unwrap();
        tx.commit(CommitOptions::default()).unwrap();
    });
}

#[test]
fn a_delete_conflicts_with_a_reference_that_was_defined_meanwhile() {
    for isolation in Isolation::ALL {
        let bench = Bench::new();
        bench.define("parents", json!({ "key": "id", "schema": { "id": { "type": "number" } } }));
        bench.insert("parents", json!({ "id": 1 })).unwrap();
        let mut tx = bench.begin(isolation);
        bench.records.delete(&mut tx, "parents", &json!(1), None).unwrap();
        let parent = json!({ "type": "number", "ref": "parents" });
        let schema = json!({ "id": { "type": "number" }, "parent": parent });
        bench.define("t", json!({ "key": "id", "schema": schema }));
        bench.insert("t", json!({ "id": 1, "parent": 1 })).unwrap();
        assert_eq!(commit(tx).unwrap_err().code(), Code::Conflict, "{isolation}");
        assert_no_dangling(&bench, &[1]);
    }
}
