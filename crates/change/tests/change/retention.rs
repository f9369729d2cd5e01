//! What is removed, and what is not.

use std::time::Duration;

use bytes::Bytes;
use tandem_base::Clock;
use tandem_change::{ChangeLogOptions, ChangeLogRetention, Trimmed, log};
use tandem_transaction::{CommitOptions, keyspace};

use crate::support::{Store, revisions};

const HOUR: Duration = Duration::from_secs(3_600);

/// Bounds so small that every walk takes many steps.
fn small_steps() -> ChangeLogOptions {
    ChangeLogOptions { step_entries: 7, ..ChangeLogOptions::default() }
}

fn oldest(store: &Store) -> u64 {
    log::oldest_revision(&*store.coordination.view().unwrap()).unwrap()
}

#[test]
fn entries_go_when_they_are_too_old_and_not_before() {
    let store = Store::new(small_steps());
    store.fill(20);
    store.clock.advance(HOUR / 2);
    store.fill(20);
    assert_eq!(store.trim(), Trimmed::default());
    store.clock.advance(HOUR / 2 + Duration::from_millis(1));
    assert_eq!(store.trim().log_entries, 20);
    assert_eq!(oldest(&store), 20);
    assert_eq!(store.count(keyspace::LOG), 20);
    assert_eq!(store.trim(), Trimmed::default());
}

#[test]
fn the_newest_entry_is_never_removed() {
    let store = Store::new(ChangeLogOptions { max_bytes: 0, ..small_steps() });
    store.fill(10);
    store.clock.advance(HOUR * 100);
    assert_eq!(store.trim().log_entries, 9);
    assert_eq!(oldest(&store), 9);
    assert_eq!(revisions(&mut store.subscribe_from(9)), [10]);
}

#[test]
fn g10_the_log_is_kept_below_its_size_limit() {
    let store = Store::new(ChangeLogOptions { max_bytes: 10_000, ..small_steps() });
    for round in 0..20 {
        store.commit(&[("users", &round.to_string(), Some(&"x".repeat(2_000)))]);
        store.trim();
        assert!(store.retention.log_bytes() <= 10_000);
    }
    let kept = store.count(keyspace::LOG);
    assert_eq!(kept as u64, store.revision() - oldest(&store));
    assert_eq!(kept, 4);
}

#[test]
fn g10_a_step_removes_a_bounded_number_of_entries() {
    let store = Store::new(small_steps());
    store.fill(20);
    store.clock.advance(HOUR * 2);
    store.fill(1);
    let now = store.clock.now_ms();
    let step = || store.retention.trim(&*store.coordination, now).unwrap();
    let steps = [step(), step(), step()];
    assert_eq!(steps.map(|step| (step.log_entries, step.more)), [(7, true), (7, true), (6, false)]);
    assert_eq!(store.count(keyspace::LOG), 1);
}

#[test]
fn the_log_of_earlier_openings_is_measured_in_bounded_steps() {
    let first = Store::new(ChangeLogOptions::default());
    first.fill(50);
    first.trim();
    let expected = first.retention.log_bytes();
    let storage = first.storage.clone();
    drop(first);

    let second = Store::open(storage, small_steps());
    assert_eq!(second.retention.log_bytes(), 0, "opening reads nothing");
    let trimmed = second.retention.trim(&*second.coordination, second.clock.now_ms()).unwrap();
    assert!(trimmed.more);
    assert!(second.retention.log_bytes() < expected);
    second.trim();
    assert_eq!(second.retention.log_bytes(), expected);
    second.fill(10);
    let grown = second.retention.log_bytes();
    assert!(grown > expected);

    // What was removed is not counted any more, whichever way it was counted.
    second.clock.advance(HOUR * 2);
    second.fill(1);
    let trimmed = second.trim();
    assert_eq!(trimmed.log_entries, 60);
    assert_eq!(trimmed.log_bytes, grown);
    let fresh = ChangeLogRetention::new(second.hub.clone(), ChangeLogOptions::default());
    assert!(fresh.log_bytes() > 0);
    assert!(second.retention.log_bytes() < 100);
}

#[test]
fn a_tombstone_goes_with_the_log_entry_of_its_deletion() {
    let store = Store::new(small_steps());
    store.fill(30);
    for n in 0..30 {
        store.commit(&[("users", &n.to_string(), None)]);
    }
    store.clock.advance(HOUR * 2);
    // One record comes back and goes again: its tombstone is new.
    store.commit(&[("users", "3", Some("again"))]);
    store.commit(&[("users", "3", None)]);
    assert_eq!(store.count(keyspace::TOMBSTONE), 30);
    let trimmed = store.trim();
    assert_eq!((trimmed.log_entries, trimmed.tombstones), (60, 29));
    assert_eq!(store.count(keyspace::TOMBSTONE), 1);
    store.clock.advance(HOUR * 2);
    store.fill(1);
    assert_eq!(store.trim().tombstones, 1);
}

/// The log is trimmed further between two steps of a walk over the tombstones:
/// those that the walk had passed by then are found by the next one.
#[test]
fn a_tombstone_passed_by_a_walk_before_its_time_is_found_by_a_later_one() {
    let store = Store::new(small_steps());
    store.fill(20);
    let delete = |keys: std::ops::Range<u32>| {
        for n in keys {
            store.commit(&[("users", &n.to_string(), None)]);
        }
    };
    delete(10..20);
    store.clock.advance(HOUR / 2);
    delete(0..5);
    store.clock.advance(HOUR / 2 + Duration::from_millis(1));
    let step = || store.retention.trim(&*store.coordination, store.clock.now_ms()).unwrap();
    // To the middle of a walk, behind tombstones that have to stay for now.
    while step().log_entries == 7 {}
    assert_eq!(step().tombstones, 5);
    assert_eq!(store.count(keyspace::TOMBSTONE), 5);
    store.clock.advance(HOUR / 2);
    store.fill(1);
    store.trim();
    store.clock.advance(HOUR / 2);
    store.trim();
    assert_eq!(store.count(keyspace::TOMBSTONE), 0);
}

#[test]
fn first_results_go_after_their_window() {
    let store = Store::new(small_steps());
    let named = |name: &'static str| CommitOptions {
        idempotency: Some((Bytes::from_static(name.as_bytes()), Bytes::from_static(b"kept"))),
        ..CommitOptions::default()
    };
    for name in ["a", "b", "c", "d", "e", "f", "g", "h", "i"] {
        store.commit_as(&[("users", name, Some("1"))], named(name));
    }
    store.clock.advance(HOUR * 23);
    store.commit_as(&[("users", "late", Some("1"))], named("late"));
    assert_eq!(store.trim().idempotency_rows, 0);
    assert!(store.coordination.replay(b"a").unwrap().is_some());
    store.clock.advance(HOUR * 2);
    assert_eq!(store.trim().idempotency_rows, 9);
    assert!(store.coordination.replay(b"a").unwrap().is_none());
    assert!(store.coordination.replay(b"late").unwrap().is_some());
}

#[test]
fn trimming_takes_no_revision_and_survives_a_restart() {
    let store = Store::new(small_steps());
    store.fill(5);
    store.clock.advance(HOUR * 2);
    store.fill(2);
    store.trim();
    assert_eq!((store.revision(), oldest(&store)), (7, 5));
    let reopened = Store::open(store.storage.clone(), small_steps());
    assert_eq!((reopened.revision(), oldest(&reopened)), (7, 5));
    assert_eq!(revisions(&mut reopened.subscribe_from(5)), [6, 7]);
}
