//! Random operations, compared with a sorted map from the standard library.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use tandem_storage::{Bytes, Direction, Durability, KeyRange, Snapshot, WriteBatch};

use super::failure::{ensure, ensure_eq};
use super::support::{Dice, Result, everything, open, scan};
use super::{EngineFactory, Outcome};

type Model = BTreeMap<Bytes, Bytes>;

pub(super) fn random_operations_agree_with_a_sorted_map(factory: &dyn EngineFactory) -> Outcome {
    for seed in 0..4 {
        play(factory, &Dice::new(seed), 400)
            .map_err(|failure| super::Failure::new(format!("with seed {seed}: {failure}")))?;
    }
    Ok(())
}

fn play(factory: &dyn EngineFactory, dice: &Dice, steps: usize) -> Outcome {
    let (mut home, mut storage) = open(factory)?;
    let mut model = Model::new();
    let mut held: Vec<(Model, Arc<dyn Snapshot>)> = Vec::new();
    for _ in 0..steps {
        match dice.below(20) {
            0..10 => {
                let batch = random_batch(dice);
                apply(&mut model, &batch);
                let sync = dice.below(10) == 0;
                let durability = if sync { Durability::Sync } else { Durability::Buffered };
                storage.write(batch, durability)?;
            }
            10..13 => {
                let key = random_key(dice);
                ensure_eq!(storage.get(&key)?, model.get(&key).cloned(), "the value of {key:?}");
            }
            13..17 => compare(dice, &model, &*storage.snapshot()?)?,
            17 => held.push((model.clone(), storage.snapshot()?)),
            18 => {
                for (then, snapshot) in held.drain(..) {
                    compare(dice, &then, &*snapshot)?;
                }
            }
            _ if factory.persistent() => {
                held.clear();
                drop(storage);
                storage = home.open()?;
            }
            _ => {}
        }
    }
    let found = everything(&*storage)?;
    ensure!(found.into_iter().eq(model), "everything at the end");
    Ok(())
}

/// Keys of few letters and lengths, so that they often meet.
fn random_key(dice: &Dice) -> Bytes {
    const LETTERS: [u8; 5] = [0x00, 0x01, b'a', 0xFE, 0xFF];
    (0..=dice.below(3)).map(|_| LETTERS[dice.below(LETTERS.len())]).collect()
}

fn random_batch(dice: &Dice) -> WriteBatch {
    let mut batch = WriteBatch::new();
    for _ in 0..dice.below(12) {
        let key = random_key(dice);
        if dice.below(3) == 0 {
            batch.delete(key);
        } else {
            batch.put(key, dice.bytes(dice.below(40)));
        }
    }
    batch
}

fn apply(model: &mut Model, batch: &WriteBatch) {
    for operation in batch.operations() {
        match operation.value() {
            Some(value) => _ = model.insert(operation.key().clone(), value.clone()),
            None => _ = model.remove(operation.key()),
        }
    }
}

fn compare(dice: &Dice, model: &Model, snapshot: &dyn Snapshot) -> Result<()> {
    let end = (dice.below(4) > 0).then(|| random_key(dice));
    let range = KeyRange { start: random_key(dice), end };
    let mut expected = expected(model, &range);
    let found = scan(snapshot, &range, Direction::Forward)?;
    ensure_eq!(found, expected, "entries of {range:?}");
    expected.reverse();
    let taken = dice.below(expected.len() + 1);
    let found: Vec<_> = snapshot
        .scan(&range, Direction::Reverse)
        .take(taken)
        .collect::<tandem_base::Result<_>>()?;
    ensure_eq!(found, expected[..taken], "the last {taken} entries of {range:?}");
    Ok(())
}

fn expected(model: &Model, range: &KeyRange) -> Vec<(Bytes, Bytes)> {
    if range.is_empty() {
        return Vec::new(); // The standard map panics here.
    }
    let end = range.end.clone().map_or(Bound::Unbounded, Bound::Excluded);
    model
        .range((Bound::Included(range.start.clone()), end))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}
