//! What one write does.

use tandem_base::Code;
use tandem_storage::{Durability, MAX_KEY_BYTES, WriteBatch};

use super::failure::{ensure, ensure_eq};
use super::support::{Dice, deletes, everything, open, put, puts};
use super::{EngineFactory, Outcome};

pub(super) fn g1_a_batch_is_visible_whole(factory: &dyn EngineFactory) -> Outcome {
    let (_home, storage) = open(factory)?;
    storage.write(puts([("a", "1"), ("b", "1")]), Durability::Sync)?;
    let mut batch = puts([("a", "2"), ("c", "2")]);
    batch.delete("b");
    storage.write(batch, Durability::Sync)?;
    let expected = [("a".into(), "2".into()), ("c".into(), "2".into())];
    ensure_eq!(everything(&*storage)?, expected, "puts and deletes of one batch");
    Ok(())
}

pub(super) fn the_last_operation_on_a_key_wins(factory: &dyn EngineFactory) -> Outcome {
    let (mut home, mut storage) = open(factory)?;
    put(&*storage, "deleted", "before")?;
    let mut batch = WriteBatch::new();
    batch.put("deleted", "1");
    batch.put("put", "1");
    batch.delete("put");
    batch.put("put", "2");
    batch.put("again", "9");
    batch.put("again", "8");
    batch.delete("deleted");
    storage.write(batch, Durability::Sync)?;
    let expected = [("again".into(), "8".into()), ("put".into(), "2".into())];
    ensure_eq!(everything(&*storage)?, expected, "the last operation on each key");
    if factory.persistent() {
        drop(storage);
        storage = home.open()?;
        ensure_eq!(everything(&*storage)?, expected, "the same after reopening");
    }
    Ok(())
}

pub(super) fn deleting_an_absent_key_does_nothing(factory: &dyn EngineFactory) -> Outcome {
    let (_home, storage) = open(factory)?;
    storage.write(deletes(["x"]), Durability::Buffered)?;
    put(&*storage, "y", "1")?;
    storage.write(deletes(["x", "xx", "z"]), Durability::Sync)?;
    ensure_eq!(everything(&*storage)?, [("y".into(), "1".into())], "what was not deleted");
    Ok(())
}

pub(super) fn an_empty_batch_is_accepted(factory: &dyn EngineFactory) -> Outcome {
    let (_home, storage) = open(factory)?;
    storage.write(WriteBatch::new(), Durability::Buffered)?;
    storage.write(WriteBatch::new(), Durability::Sync)?;
    put(&*storage, "a", "1")?;
    storage.write(WriteBatch::new(), Durability::Sync)?;
    ensure_eq!(everything(&*storage)?.len(), 1, "entries after empty batches");
    Ok(())
}

pub(super) fn large_values_come_back_unchanged(factory: &dyn EngineFactory) -> Outcome {
    let (mut home, mut storage) = open(factory)?;
    let dice = Dice::new(1);
    let sizes = [0, 1, 4_095, 4_096, 65_536, 1 << 20, 5 << 20];
    let values: Vec<_> = sizes.iter().map(|size| (size.to_string(), dice.bytes(*size))).collect();
    storage.write(puts(values.iter().map(|(key, value)| (key, value))), Durability::Sync)?;
    for reopened in [false, true] {
        for (key, value) in &values {
            let found = storage.get(key.as_bytes())?;
            ensure!(
                found.as_deref() == Some(&value[..]),
                "a value of {key} bytes is unchanged (reopened: {reopened})"
            );
        }
        if reopened || !factory.persistent() {
            break;
        }
        drop(storage);
        storage = home.open()?;
    }
    Ok(())
}

pub(super) fn large_batches_come_back_unchanged(factory: &dyn EngineFactory) -> Outcome {
    let (_home, storage) = open(factory)?;
    let entries: Vec<_> = (0..20_000u32)
        .map(|number| (number.wrapping_mul(2_654_435_761).to_be_bytes(), number.to_le_bytes()))
        .collect();
    storage.write(puts(entries.iter().copied()), Durability::Sync)?;
    let mut expected = entries;
    expected.sort_unstable();
    let found = everything(&*storage)?;
    ensure_eq!(found.len(), expected.len(), "entries of a large batch");
    let same = found
        .iter()
        .zip(&expected)
        .all(|(found, (key, value))| found.0[..] == key[..] && found.1[..] == value[..]);
    ensure!(same, "every entry of a large batch is unchanged");
    Ok(())
}

pub(super) fn g9_a_batch_with_a_bad_key_is_refused_whole(factory: &dyn EngineFactory) -> Outcome {
    let (_home, storage) = open(factory)?;
    for (length, code) in [(MAX_KEY_BYTES + 1, Code::LimitExceeded), (0, Code::ValidationError)] {
        let mut batch = puts([("a", "1")]);
        batch.put(vec![b'k'; length], "2");
        let refused = storage.write(batch, Durability::Sync).map_err(|error| error.code());
        ensure_eq!(refused, Err(code), "the answer to a key of {length} bytes");
        ensure_eq!(everything(&*storage)?, [], "nothing of the refused batch is there");
    }
    put(&*storage, "b", "1")?;
    ensure_eq!(everything(&*storage)?.len(), 1, "the engine goes on after a refusal");
    Ok(())
}
