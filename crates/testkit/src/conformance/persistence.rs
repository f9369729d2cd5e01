//! What survives closing, killing and a power cut.

use tandem_storage::{Durability, WriteBatch};

use super::failure::{ensure, ensure_eq};
use super::support::{deletes, everything, open, put, puts};
use super::{EngineFactory, Outcome};

pub(super) fn g2_a_reopened_store_holds_what_was_written(factory: &dyn EngineFactory) -> Outcome {
    if !factory.persistent() {
        return Ok(());
    }
    let (mut home, mut storage) = open(factory)?;
    for round in 0..5u32 {
        for number in 0..20u32 {
            let durability = if number % 7 == 0 { Durability::Sync } else { Durability::Buffered };
            let key = format!("{:03}", round * 20 + number);
            storage.write(puts([(&key, &key)]), durability)?;
        }
        drop(storage);
        storage = home.open()?;
        let found = everything(&*storage)?;
        ensure_eq!(found.len(), (round as usize + 1) * 20, "entries after reopening");
        ensure!(found.iter().all(|(key, value)| key == value), "values after reopening");
    }
    Ok(())
}

pub(super) fn g2_a_killed_store_holds_buffered_writes(factory: &dyn EngineFactory) -> Outcome {
    if !factory.persistent() {
        return Ok(());
    }
    let (mut home, storage) = open(factory)?;
    storage.write(puts([("a", "1"), ("b", "1")]), Durability::Sync)?;
    storage.write(puts([("b", "2"), ("c", "2")]), Durability::Buffered)?;
    let expected = everything(&*storage)?;
    home.kill(storage)?;
    let storage = home.open()?;
    ensure_eq!(everything(&*storage)?, expected, "entries after a kill");
    Ok(())
}

pub(super) fn g2_a_sync_covers_earlier_buffered_writes(factory: &dyn EngineFactory) -> Outcome {
    let (mut home, storage) = open(factory)?;
    put(&*storage, "a", "buffered")?;
    put(&*storage, "b", "buffered")?;
    storage.write(puts([("c", "synced")]), Durability::Sync)?;
    let expected = everything(&*storage)?;
    if home.cut_power(storage)? {
        ensure_eq!(everything(&*home.open()?)?, expected, "entries after a power cut");
    }
    Ok(())
}

pub(super) fn g2_an_empty_sync_covers_earlier_buffered_writes(
    factory: &dyn EngineFactory,
) -> Outcome {
    let (mut home, storage) = open(factory)?;
    put(&*storage, "a", "buffered")?;
    storage.write(WriteBatch::new(), Durability::Sync)?;
    let expected = everything(&*storage)?;
    if home.cut_power(storage)? {
        ensure_eq!(everything(&*home.open()?)?, expected, "entries after a power cut");
    }
    Ok(())
}

pub(super) fn g1_a_power_cut_leaves_whole_batches(factory: &dyn EngineFactory) -> Outcome {
    let (mut home, mut storage) = open(factory)?;
    for round in 0..8u32 {
        let value = round.to_string();
        storage.write(puts([("a", &value), ("z", &value)]), Durability::Sync)?;
        for later in 1..=round {
            let value = format!("{round}.{later}");
            storage.write(puts([("a", &value), ("z", &value)]), Durability::Buffered)?;
        }
        if !home.cut_power(storage)? {
            return Ok(());
        }
        storage = home.open()?;
        let found = everything(&*storage)?;
        ensure_eq!(found.len(), 2, "entries after a power cut");
        ensure_eq!(found[0].1, found[1].1, "both entries are of one batch");
        ensure!(found[0].1.starts_with(value.as_bytes()), "a synced batch is there: {found:?}");
    }
    Ok(())
}

pub(super) fn deletes_survive_reopening(factory: &dyn EngineFactory) -> Outcome {
    if !factory.persistent() {
        return Ok(());
    }
    let (mut home, storage) = open(factory)?;
    storage.write(puts([("a", "1"), ("b", "1")]), Durability::Sync)?;
    drop(storage);
    let storage = home.open()?;
    storage.write(deletes(["a"]), Durability::Sync)?;
    drop(storage);
    let storage = home.open()?;
    ensure_eq!(everything(&*storage)?, [("b".into(), "1".into())], "what was not deleted");
    Ok(())
}
