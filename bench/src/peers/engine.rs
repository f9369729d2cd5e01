//! Tandem's disk engine, driven directly through the storage trait.
//!
//! It stands between the raw file and Tandem: no transactions, no records, no
//! derivation, only one [`WriteBatch`] per transfer. The batches are given: four
//! plain puts, or the very batches that Tandem's commit section made out of
//! such transfers, so that the difference to Tandem's own line is what happens
//! above storage. Many clients gather their batches into one, as a group commit
//! does.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tandem::layers::transaction::keyspace::CUTS;
use tandem_storage::{DiskOptions, DiskStorage, Durability, Operation, Storage, WriteBatch};

use super::gathering::Gathering;
use crate::data::Transfer;
use crate::peer::{Client, Peer, Result};
use crate::random::Random;

pub struct Engine {
    shared: Arc<Shared>,
    directory: PathBuf,
}

struct Shared {
    storage: DiskStorage,
    durability: Durability,
    batches: Vec<WriteBatch>,
    next: AtomicUsize,
    gathering: Gathering<WriteBatch>,
}

impl Engine {
    /// Applies `batches` one after the other, and then from the start again.
    pub fn open(
        directory: &Path,
        durability: Durability,
        batches: Vec<WriteBatch>,
    ) -> Result<Self> {
        let path = directory.join("engine");
        let storage = DiskStorage::open_cut(path, &DiskOptions::default(), CUTS)?;
        let shared = Shared {
            storage,
            durability,
            batches,
            next: AtomicUsize::new(0),
            gathering: Gathering::new(),
        };
        Ok(Self { shared: Arc::new(shared), directory: directory.to_owned() })
    }
}

/// Batches of four puts with `bytes` of keys and values in each.
pub fn four_puts(count: usize, bytes: usize) -> Vec<WriteBatch> {
    let mut random = Random::new(4);
    let value = vec![0xA5; (bytes / 4).saturating_sub(16)];
    (0..count)
        .map(|_| {
            let mut batch = WriteBatch::new();
            for _ in 0..4 {
                let key = [random.next().to_be_bytes(), random.next().to_be_bytes()].concat();
                batch.put(key, value.clone());
            }
            batch
        })
        .collect()
}

impl Peer for Engine {
    fn durability(&self) -> &str {
        match self.shared.durability {
            Durability::Sync => "power cut: fdatasync",
            Durability::Buffered => "process kill",
        }
    }

    fn directory(&self) -> Option<&Path> {
        Some(&self.directory)
    }

    fn connect(&self) -> Result<Box<dyn Client>> {
        Ok(Box::new(EngineClient { shared: self.shared.clone() }))
    }
}

struct EngineClient {
    shared: Arc<Shared>,
}

impl Client for EngineClient {
    fn transfer(&mut self, _transfer: &Transfer) -> Result<u64> {
        let Shared { storage, durability, batches, next, gathering } = &*self.shared;
        let number = next.fetch_add(1, Ordering::Relaxed) % batches.len();
        // A clone is one allocation and a count per key and value.
        gathering.submit(batches[number].clone(), |batches| {
            Ok(storage.write(merge(batches), *durability)?)
        })?;
        Ok(0)
    }
}

fn merge(mut batches: Vec<WriteBatch>) -> WriteBatch {
    if batches.len() == 1
        && let Some(only) = batches.pop()
    {
        return only;
    }
    let mut merged = WriteBatch::new();
    for operation in batches.into_iter().flat_map(WriteBatch::into_operations) {
        match operation {
            Operation::Put { key, value } => merged.put(key, value),
            Operation::Delete { key } => merged.delete(key),
        }
    }
    merged
}
