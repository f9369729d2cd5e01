use std::collections::BTreeMap;

use tandem_base::{Random, SeededRandom};
use tandem_storage::{Bytes, Operation, WriteBatch};

/// What a power cut does to the batches that no sync covered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Fate {
    /// All of them are lost.
    #[default]
    LoseUnsynced,
    /// The first so many of them are kept, from none to all.
    KeepPrefix,
    /// All of them are kept.
    KeepAll,
    /// Some are kept and of the next one only a part: **breaks the contract**,
    /// to prove that tests notice. Without a batch of at least two operations
    /// to tear, nothing is kept.
    TornBatch,
}

/// What the disk holds: the entries that a sync covered, and the batches on
/// their way, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Medium {
    durable: BTreeMap<Bytes, Bytes>,
    unsynced: Vec<WriteBatch>,
}

impl Medium {
    pub(super) fn append(&mut self, batch: WriteBatch) {
        self.unsynced.push(batch);
    }

    pub(super) fn sync(&mut self) {
        for batch in std::mem::take(&mut self.unsynced) {
            self.apply(batch.operations());
        }
    }

    pub(super) fn unsynced(&self) -> usize {
        self.unsynced.len()
    }

    /// What is found after the fate; all of it is durable then.
    pub(super) fn after(&self, fate: Fate, seed: u64) -> Self {
        let choose =
            |choices: usize| (SeededRandom::new(seed).next_u64() % choices.max(1) as u64) as usize;
        let count = self.unsynced.len();
        let (kept, torn) = match fate {
            Fate::LoseUnsynced => (0, None),
            Fate::KeepPrefix => (choose(count + 1), None),
            Fate::KeepAll => (count, None),
            Fate::TornBatch => {
                let tearable: Vec<_> =
                    (0..count).filter(|index| self.unsynced[*index].len() > 1).collect();
                match tearable.get(choose(tearable.len())) {
                    Some(index) => (*index, Some(&self.unsynced[*index])),
                    None => (0, None),
                }
            }
        };
        let mut found = Self { durable: self.durable.clone(), unsynced: Vec::new() };
        for batch in &self.unsynced[..kept] {
            found.apply(batch.operations());
        }
        if let Some(batch) = torn {
            found.apply(&batch.operations()[..batch.len() / 2]);
        }
        found
    }

    /// The durable entries as one batch.
    pub(super) fn contents(&self) -> WriteBatch {
        let mut batch = WriteBatch::new();
        for (key, value) in &self.durable {
            batch.put(key.clone(), value.clone());
        }
        batch
    }

    fn apply(&mut self, operations: &[Operation]) {
        for operation in operations {
            match operation.value() {
                Some(value) => _ = self.durable.insert(operation.key().clone(), value.clone()),
                None => _ = self.durable.remove(operation.key()),
            }
        }
    }
}
