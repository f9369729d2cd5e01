//! Readers and writers at the same time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tandem_storage::{Direction, Durability, KeyRange, Storage};

use super::failure::{ensure, ensure_eq};
use super::support::{everything, open, puts, scan};
use super::{EngineFactory, Failure, Outcome};

/// One writer sets twenty keys to the same number in one batch, again and
/// again, in descending key order; readers must always find twenty equal
/// numbers, never smaller than the last they saw.
pub(super) fn g4_readers_never_see_half_a_batch(factory: &dyn EngineFactory) -> Outcome {
    const KEYS: u8 = 20;
    const ROUNDS: u64 = 1_500;
    let (_home, storage) = open(factory)?;
    let storage = &*storage;
    let write = |round: u64| {
        let batch = puts((0..KEYS).rev().map(|key| ([key], round.to_be_bytes())));
        storage.write(batch, Durability::Buffered)
    };
    write(0)?;
    let done = AtomicBool::new(false);
    let read_all = || {
        let mut last = 0;
        while !done.load(Ordering::Acquire) {
            last = read_once(storage, usize::from(KEYS), last)?;
        }
        Ok::<_, Failure>(())
    };
    thread::scope(|scope| {
        let readers = [scope.spawn(read_all), scope.spawn(read_all)];
        let written = (1..=ROUNDS).try_for_each(write);
        done.store(true, Ordering::Release);
        for reader in readers {
            reader.join().unwrap_or_else(|_| Err(Failure::new("a reader panicked")))?;
        }
        Ok::<_, Failure>(written?)
    })?;
    let found = everything(storage)?;
    ensure!(found.iter().all(|(_, value)| value[..] == ROUNDS.to_be_bytes()), "the last batch");
    Ok(())
}

fn read_once(storage: &dyn Storage, keys: usize, last: u64) -> Result<u64, Failure> {
    let number = |value: &[u8]| value.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    // Single reads: a later one must not be older than an earlier one, whatever
    // the order in which the engine applies a batch.
    let first = storage.get(&[0])?.map_or(0, |value| number(&value));
    let second = storage.get(&[keys as u8 - 1])?.map_or(0, |value| number(&value));
    ensure!(second >= first, "reads go forward: {first}, then {second}");
    let third = storage.get(&[0])?.map_or(0, |value| number(&value));
    ensure!(third >= second, "reads go forward: {second}, then {third}");

    let snapshot = storage.snapshot()?;
    let entries = scan(&*snapshot, &KeyRange::all(), Direction::Forward)?;
    ensure_eq!(entries.len(), keys, "keys of every batch");
    let value = entries[0].1.clone();
    ensure!(entries.iter().all(|(_, other)| *other == value), "one batch, one number: {entries:?}");
    ensure_eq!(snapshot.get(&[7])?, Some(value.clone()), "a point of the same snapshot");
    ensure!(number(&value) >= third.max(last), "snapshots go forward");
    Ok(number(&value))
}

pub(super) fn concurrent_writers_lose_nothing(factory: &dyn EngineFactory) -> Outcome {
    const WRITERS: u8 = 4;
    const EACH: u16 = 200;
    let (_home, storage) = open(factory)?;
    let storage = &*storage;
    thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                scope.spawn(move || {
                    (0..EACH).try_for_each(|number| {
                        let [high, low] = number.to_be_bytes();
                        let batch = puts([([writer, high, low], [1]), ([writer, 0xFF, 0], [low])]);
                        storage.write(batch, Durability::Buffered)
                    })
                })
            })
            .collect();
        for writer in writers {
            writer.join().map_err(|_| Failure::new("a writer panicked"))??;
        }
        Ok::<_, Failure>(())
    })?;
    let expected = usize::from(WRITERS) * (usize::from(EACH) + 1);
    ensure_eq!(everything(storage)?.len(), expected, "entries of all writers");
    Ok(())
}
