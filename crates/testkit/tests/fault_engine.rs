//! The fault engine fails where it is told to, and what survives is what its
//! model says.
#![expect(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use tandem_base::{Code, Result};
use tandem_storage::{Bytes, Direction, Durability, Entry, KeyRange, Storage, WriteBatch};
use tandem_testkit::fault::{Fate, FaultStorage, Point, Times};

fn batch(entries: &[(&'static str, &'static str)]) -> WriteBatch {
    let mut batch = WriteBatch::new();
    for (key, value) in entries {
        batch.put(*key, *value);
    }
    batch
}

fn put(store: &FaultStorage, key: &'static str, durability: Durability) -> Result<()> {
    store.write(batch(&[(key, "1"), ("last", key)]), durability)
}

fn contents(store: &FaultStorage) -> Vec<Entry> {
    let snapshot = store.snapshot().unwrap();
    snapshot.scan(&KeyRange::all(), Direction::Forward).collect::<Result<_>>().unwrap()
}

fn keys(store: &FaultStorage) -> Vec<Bytes> {
    contents(store).into_iter().map(|(key, _)| key).collect()
}

#[test]
fn a_failed_write_keeps_nothing_and_poisons() {
    let store = FaultStorage::new();
    store.fail(Point::Write, 2, Times::Once);
    put(&store, "a", Durability::Sync).unwrap();
    let first = put(&store, "b", Durability::Sync).expect_err("the second write fails");
    assert_eq!(first.code(), Code::StoreFailed);
    let later = put(&store, "c", Durability::Buffered).expect_err("poisoned");
    assert_eq!((later.code(), later.message()), (first.code(), first.message()));
    assert_eq!(keys(&store), ["a", "last"], "reads go on");
    assert_eq!(store.count(Point::Write), 2, "a refusal passes no point");
    assert_eq!(keys(&store.restart(1)), ["a", "last"]);
    put(&store.restart(1), "d", Durability::Sync).expect("a restarted store takes writes");
}

#[test]
fn after_a_failed_sync_the_batch_may_be_there_or_not_but_never_in_part() {
    let store = FaultStorage::new();
    put(&store, "a", Durability::Sync).unwrap();
    put(&store, "b", Durability::Buffered).unwrap();
    store.fail(Point::Sync, 1, Times::Once);
    let error = put(&store, "c", Durability::Sync).expect_err("the sync fails");
    assert_eq!(error.code(), Code::StoreFailed);
    assert_eq!(store.get(b"c").unwrap(), None, "nobody was told that it is there");
    assert!(put(&store, "d", Durability::Buffered).is_err(), "poisoned");

    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..50 {
        for found in [store.restart(seed), store.cut(Fate::KeepPrefix, seed)] {
            seen.insert(format!("{:?}", contents(&found)));
        }
    }
    let expected = ["a", "b", "c"].map(|last| {
        let all = [("a", "1"), ("b", "1"), ("c", "1"), ("last", last)];
        let kept = all.iter().filter(|(key, _)| *key <= last || *key == "last");
        format!("{:?}", kept.map(|(k, v)| (Bytes::from(*k), Bytes::from(*v))).collect::<Vec<_>>())
    });
    assert_eq!(seen, expected.into_iter().collect());
}

#[test]
fn a_power_cut_keeps_what_was_synced_and_a_prefix_of_the_rest() {
    let store = FaultStorage::new();
    put(&store, "a", Durability::Buffered).unwrap();
    put(&store, "b", Durability::Sync).unwrap();
    for key in ["c", "d", "e"] {
        put(&store, key, Durability::Buffered).unwrap();
    }
    assert_eq!(store.unsynced_batches(), 3);
    assert_eq!(keys(&store.cut(Fate::LoseUnsynced, 0)), ["a", "b", "last"]);
    assert_eq!(keys(&store.cut(Fate::KeepAll, 0)).len(), 6);
    let lengths: std::collections::BTreeSet<_> =
        (0..100).map(|seed| keys(&store.cut(Fate::KeepPrefix, seed)).len()).collect();
    assert_eq!(lengths.into_iter().collect::<Vec<_>>(), [3, 4, 5, 6]);
    let torn = contents(&store.cut(Fate::TornBatch, 7));
    let last = torn.iter().find(|(key, _)| key == "last").map(|(_, value)| value.clone());
    let newest = torn.iter().rev().nth(1).map(|(key, _)| key.clone());
    assert_ne!(last, newest, "half a batch is there: {torn:?}");
}

#[test]
fn a_kill_loses_nothing_that_was_buffered_and_syncs_nothing() {
    let store = FaultStorage::new();
    put(&store, "a", Durability::Buffered).unwrap();
    let restarted = store.restart(0);
    assert_eq!(keys(&restarted), ["a", "last"]);
    assert_eq!(keys(&restarted.cut(Fate::LoseUnsynced, 0)), [""; 0]);
}

#[test]
fn the_same_seed_leaves_the_same_store() {
    let store = FaultStorage::new();
    for key in ["a", "b", "c", "d"] {
        put(&store, key, Durability::Buffered).unwrap();
    }
    for fate in [Fate::KeepPrefix, Fate::TornBatch] {
        for seed in 0..20 {
            assert_eq!(contents(&store.cut(fate, seed)), contents(&store.cut(fate, seed)));
        }
    }
}

#[test]
fn a_frozen_engine_fails_every_call_and_its_last_batch_is_on_its_way() {
    for (point, unsynced) in [(Point::Write, 1), (Point::Sync, 1), (Point::Read, 0)] {
        let store = FaultStorage::new();
        put(&store, "a", Durability::Sync).unwrap();
        let snapshot = store.snapshot().unwrap();
        store.freeze_at(point, 1);
        if point == Point::Read {
            assert!(store.get(b"a").is_err());
        } else {
            assert!(put(&store, "b", Durability::Sync).is_err(), "{point:?}");
        }
        assert_eq!(store.get(b"a").expect_err("no power").code(), Code::StorageError);
        assert!(snapshot.get(b"a").is_err());
        assert!(store.snapshot().is_err());
        let error = put(&store, "c", Durability::Buffered).expect_err("no power");
        assert_eq!(error.code(), Code::StoreFailed);
        assert_eq!(store.unsynced_batches(), unsynced);
        assert_eq!(keys(&store.cut(Fate::LoseUnsynced, 0)), ["a", "last"]);
        assert_eq!(store.cut(Fate::KeepAll, 0).get(b"b").unwrap().is_some(), unsynced == 1);
    }
}

#[test]
fn a_read_fails_at_every_step_in_turn() {
    let store = FaultStorage::new();
    put(&store, "a", Durability::Sync).unwrap();
    let read = || -> Result<()> {
        store.get(b"a")?;
        let snapshot = store.snapshot()?;
        snapshot.get(b"a")?;
        snapshot.scan(&KeyRange::all(), Direction::Reverse).try_for_each(|entry| entry.map(drop))
    };
    read().unwrap();
    let total = store.count(Point::Read);
    assert_eq!(total, 5, "two gets, two entries, the end");
    for nth in 1..=total {
        store.fail(Point::Read, nth, Times::Once);
        assert_eq!(read().expect_err("a read fails").code(), Code::StorageError);
        read().expect("once only");
    }
    store.fail(Point::Read, 1, Times::Forever);
    assert!(read().is_err() && read().is_err());
    store.disarm();
    read().expect("disarmed");
    put(&store, "b", Durability::Sync).expect("a failed read poisons nothing");
}

#[test]
fn a_failed_step_ends_a_scan() {
    let store = FaultStorage::new();
    put(&store, "a", Durability::Sync).unwrap();
    store.fail(Point::Read, 2, Times::Once);
    let snapshot = store.snapshot().unwrap();
    let mut entries = snapshot.scan(&KeyRange::all(), Direction::Forward);
    assert!(entries.next().is_some_and(|entry| entry.is_ok()));
    assert!(entries.next().is_some_and(|entry| entry.is_err()));
    assert!(entries.next().is_none());
}
