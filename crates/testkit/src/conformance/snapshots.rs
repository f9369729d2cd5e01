//! Isolation of snapshots from later writes.

use tandem_storage::{Direction, Durability, KeyRange};

use super::failure::{ensure, ensure_eq};
use super::support::{deletes, everything, open, put, puts, scan};
use super::{EngineFactory, Outcome};

pub(super) fn a_snapshot_does_not_see_later_puts(factory: &dyn EngineFactory) -> Outcome {
    let (_home, storage) = open(factory)?;
    put(&*storage, "b", "old")?;
    let before = storage.snapshot()?;
    storage.write(puts([("a", "new"), ("b", "new"), ("c", "new")]), Durability::Buffered)?;
    ensure_eq!(before.get(b"b")?.as_deref(), Some(&b"old"[..]), "the value of then");
    ensure_eq!(before.get(b"a")?, None, "a key that was not there");
    for direction in [Direction::Forward, Direction::Reverse] {
        let found = scan(&*before, &KeyRange::all(), direction)?;
        ensure_eq!(found, [("b".into(), "old".into())], "the entries of then, {direction:?}");
    }
    ensure_eq!(everything(&*storage)?.len(), 3, "a later snapshot sees the batch");
    Ok(())
}

pub(super) fn a_snapshot_does_not_see_later_deletes(factory: &dyn EngineFactory) -> Outcome {
    let (_home, storage) = open(factory)?;
    storage.write(puts([("a", "1"), ("b", "2"), ("c", "3")]), Durability::Buffered)?;
    let before = storage.snapshot()?;
    storage.write(deletes(["a", "b", "c"]), Durability::Buffered)?;
    let after = storage.snapshot()?;
    put(&*storage, "b", "again")?;
    ensure_eq!(scan(&*before, &KeyRange::all(), Direction::Forward)?.len(), 3, "before deleting");
    ensure_eq!(before.get(b"b")?.as_deref(), Some(&b"2"[..]), "the value before deleting");
    ensure_eq!(scan(&*after, &KeyRange::all(), Direction::Reverse)?, [], "after deleting");
    ensure_eq!(after.get(b"b")?, None, "a deleted key");
    ensure_eq!(storage.get(b"b")?.as_deref(), Some(&b"again"[..]), "a key written again");
    Ok(())
}

pub(super) fn a_snapshot_outlives_many_overwrites(factory: &dyn EngineFactory) -> Outcome {
    let (_home, storage) = open(factory)?;
    let keys: Vec<_> = (0..50u32).map(u32::to_be_bytes).collect();
    let mut held = Vec::new();
    for round in 0..100u32 {
        let value = [round.to_be_bytes(); 64].concat();
        storage.write(puts(keys.iter().map(|key| (key, &value))), Durability::Buffered)?;
        if round % 10 == 0 {
            held.push((value, storage.snapshot()?));
        }
    }
    for (value, snapshot) in &held {
        let entries = scan(&**snapshot, &KeyRange::all(), Direction::Forward)?;
        ensure_eq!(entries.len(), keys.len(), "entries of an old snapshot");
        ensure!(entries.iter().all(|(_, found)| found == value), "an old snapshot has its values");
        ensure_eq!(snapshot.get(&keys[7])?.as_deref(), Some(&value[..]), "a point of it");
    }
    Ok(())
}

pub(super) fn a_running_scan_does_not_see_later_writes(factory: &dyn EngineFactory) -> Outcome {
    let (_home, storage) = open(factory)?;
    let key = |number: u32| format!("{number:04}");
    storage.write(puts((0..500).map(|number| (key(number), "old"))), Durability::Buffered)?;
    let snapshot = storage.snapshot()?;
    for direction in [Direction::Forward, Direction::Reverse] {
        let mut seen = 0;
        for entry in snapshot.scan(&KeyRange::all(), direction) {
            let (found, value) = entry?;
            ensure_eq!(value, "old", "the value of {found:?} when the snapshot was taken");
            if seen % 50 == 0 {
                storage.write(
                    puts((0..500).step_by(3).map(|number| (key(number), "new"))),
                    Durability::Buffered,
                )?;
                storage.write(deletes((1..500).step_by(3).map(key)), Durability::Buffered)?;
                put(&*storage, "0100 between", "new")?;
            }
            seen += 1;
        }
        ensure_eq!(seen, 500, "entries of a scan during writes, {direction:?}");
    }
    Ok(())
}

pub(super) fn the_newest_value_is_that_of_a_new_snapshot(factory: &dyn EngineFactory) -> Outcome {
    let (_home, storage) = open(factory)?;
    ensure_eq!(storage.get(b"k")?, None, "an absent key");
    for value in ["1", "", "3"] {
        put(&*storage, "k", value)?;
        ensure_eq!(storage.get(b"k")?.as_deref(), Some(value.as_bytes()), "the newest value");
        let snapshot = storage.snapshot()?;
        ensure_eq!(snapshot.get(b"k")?.as_deref(), Some(value.as_bytes()), "a new snapshot");
    }
    storage.write(deletes(["k"]), Durability::Buffered)?;
    ensure_eq!(storage.get(b"k")?, None, "a deleted key");
    Ok(())
}
