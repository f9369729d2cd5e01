//! fjall, the library beneath Tandem's disk engine, with its own optimistic
//! transactions: what Tandem would be without everything that it adds.
//!
//! A keyspace for each space, cache, write buffers and journal of the sizes that
//! Tandem's disk engine has. Transactions are serializable; a commit is validated
//! and written, and synced, under one lock, and run again if it met a conflict.

use std::ops::Range;
use std::path::{Path, PathBuf};

use fjall::{
    Keyspace, KeyspaceCreateOptions, OptimisticTxDatabase, OptimisticTxKeyspace, OptimisticWriteTx,
    PersistMode, Readable,
};
use tandem_storage::DiskOptions;

use super::by_hand::{Each, KeyValue, Reading, Space, Writing};
use crate::peer::Result;

pub struct Fjall {
    database: OptimisticTxDatabase,
    spaces: Vec<OptimisticTxKeyspace>,
    directory: PathBuf,
    mode: PersistMode,
}

impl Fjall {
    pub fn open(directory: &Path, durable: bool) -> Result<Self> {
        Self::with(directory, durable, &DiskOptions::default())
    }

    /// With these sizes.
    pub fn with(directory: &Path, durable: bool, sizes: &DiskOptions) -> Result<Self> {
        let database = OptimisticTxDatabase::builder(directory.join("fjall"))
            .cache_size(sizes.cache_bytes)
            .max_journaling_size(sizes.journal_bytes)
            .worker_threads(2)
            .open()?;
        let options =
            || KeyspaceCreateOptions::default().max_memtable_size(sizes.write_buffer_bytes);
        let spaces = Space::NAMES.map(|name| database.keyspace(name, options));
        let spaces = spaces.into_iter().collect::<fjall::Result<_>>()?;
        let mode = if durable { PersistMode::SyncData } else { PersistMode::Buffer };
        Ok(Self { database, spaces, directory: directory.to_owned(), mode })
    }

    fn keyspace(&self, space: Space) -> &Keyspace {
        self.spaces[space as usize].inner()
    }
}

impl KeyValue for Fjall {
    fn durability(&self) -> &str {
        match self.mode {
            PersistMode::Buffer => "process kill",
            _ => "power cut: fdatasync",
        }
    }

    fn directory(&self) -> Option<&Path> {
        Some(&self.directory)
    }

    fn read(&self, work: &mut dyn FnMut(&dyn Reading) -> Result<()>) -> Result<()> {
        work(&Snapshot { snapshot: self.database.read_tx(), store: self })
    }

    fn write(&self, work: &mut dyn FnMut(&mut dyn Writing) -> Result<()>) -> Result<u64> {
        let mut retries = 0;
        loop {
            let transaction = self.database.write_tx()?.durability(Some(self.mode));
            let mut open = Open { transaction, store: self };
            work(&mut open)?;
            if open.transaction.commit()?.is_ok() {
                return Ok(retries);
            }
            retries += 1;
        }
    }
}

struct Snapshot<'a> {
    snapshot: fjall::Snapshot,
    store: &'a Fjall,
}

impl Reading for Snapshot<'_> {
    fn get(&self, space: Space, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<()> {
        if let Some(value) = self.snapshot.get(self.store.keyspace(space), key)? {
            found(&value);
        }
        Ok(())
    }

    fn scan(&self, space: Space, range: Range<&[u8]>, each: &mut Each<'_>) -> Result<()> {
        for entry in self.snapshot.range(self.store.keyspace(space), range) {
            let (key, value) = entry.into_inner()?;
            if !each(&key, &value)? {
                break;
            }
        }
        Ok(())
    }
}

struct Open<'a> {
    transaction: OptimisticWriteTx,
    store: &'a Fjall,
}

impl Writing for Open<'_> {
    fn get(&mut self, space: Space, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<()> {
        if let Some(value) = self.transaction.get(self.store.keyspace(space), key)? {
            found(&value);
        }
        Ok(())
    }

    fn put(&mut self, space: Space, key: &[u8], value: &[u8]) -> Result<()> {
        self.transaction.insert(self.store.keyspace(space), key, value);
        Ok(())
    }

    fn delete(&mut self, space: Space, key: &[u8]) -> Result<()> {
        self.transaction.remove(self.store.keyspace(space), key);
        Ok(())
    }
}
