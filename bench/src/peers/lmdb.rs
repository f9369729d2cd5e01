//! LMDB through heed: copy-on-write B+ trees in a memory map, one writer at a time.
//!
//! A durable commit writes its pages, syncs, and writes the page that makes them
//! valid through a descriptor that syncs by itself (`O_DSYNC`), which the slower
//! disk of `slow_disk` does not see. With `MDB_NOSYNC` the operating system has
//! every commit, so that it survives the process; after a power cut the file may be
//! corrupt.

use std::ops::{Bound, Range};
use std::path::{Path, PathBuf};

use heed::types::Bytes;
use heed::{Database, Env, EnvFlags, EnvOpenOptions, RoTxn, RwTxn, WithoutTls};

use super::by_hand::{Each, KeyValue, Reading, Space, Writing};
use crate::peer::Result;

/// Of addresses, not of memory or disk; the file cannot grow beyond it.
const MAP_BYTES: usize = 16 << 30;

/// Each reading thread takes one.
const READERS: u32 = 1_024;

pub struct Lmdb {
    env: Env<WithoutTls>,
    spaces: Spaces,
    directory: PathBuf,
    durable: bool,
}

type Spaces = [Database<Bytes, Bytes>; 4];

impl Lmdb {
    pub fn open(directory: &Path, durable: bool) -> Result<Self> {
        let env = open(directory, durable)?;
        let mut transaction = env.write_txn()?;
        let mut create = |name| env.create_database(&mut transaction, Some(name));
        let [rows, emails, cities, balances] = Space::NAMES.map(&mut create);
        let spaces = [rows?, emails?, cities?, balances?];
        transaction.commit()?;
        Ok(Self { env, spaces, directory: directory.to_owned(), durable })
    }
}

#[expect(unsafe_code, reason = "a memory map; the argument is below")]
fn open(directory: &Path, durable: bool) -> Result<Env<WithoutTls>> {
    let mut options = EnvOpenOptions::new().read_txn_without_tls();
    options.map_size(MAP_BYTES).max_dbs(4).max_readers(READERS);
    if !durable {
        // SAFETY: what a power cut leaves is never opened.
        unsafe { options.flags(EnvFlags::NO_SYNC) };
    }
    // SAFETY: the directory is new and this process's own, so nobody else writes to
    // the file that is mapped.
    Ok(unsafe { options.open(directory)? })
}

impl KeyValue for Lmdb {
    fn durability(&self) -> &str {
        if self.durable { "power cut: fdatasync, O_DSYNC" } else { "process kill: NOSYNC" }
    }

    fn directory(&self) -> Option<&Path> {
        Some(&self.directory)
    }

    fn read(&self, work: &mut dyn FnMut(&dyn Reading) -> Result<()>) -> Result<()> {
        work(&Snapshot { transaction: self.env.read_txn()?, spaces: &self.spaces })
    }

    fn write(&self, work: &mut dyn FnMut(&mut dyn Writing) -> Result<()>) -> Result<u64> {
        let mut open = Open { transaction: self.env.write_txn()?, spaces: &self.spaces };
        work(&mut open)?;
        open.transaction.commit()?;
        Ok(0)
    }
}

struct Snapshot<'a> {
    transaction: RoTxn<'a, WithoutTls>,
    spaces: &'a Spaces,
}

impl Reading for Snapshot<'_> {
    fn get(&self, space: Space, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<()> {
        if let Some(value) = self.spaces[space as usize].get(&self.transaction, key)? {
            found(value);
        }
        Ok(())
    }

    fn scan(&self, space: Space, range: Range<&[u8]>, each: &mut Each<'_>) -> Result<()> {
        // An empty key is none to LMDB.
        let first = range.start;
        let start = if first.is_empty() { Bound::Unbounded } else { Bound::Included(first) };
        let bounds = (start, Bound::Excluded(range.end));
        for entry in self.spaces[space as usize].range(&self.transaction, &bounds)? {
            let (key, value) = entry?;
            if !each(key, value)? {
                break;
            }
        }
        Ok(())
    }
}

struct Open<'a> {
    transaction: RwTxn<'a>,
    spaces: &'a Spaces,
}

impl Writing for Open<'_> {
    fn get(&mut self, space: Space, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<()> {
        if let Some(value) = self.spaces[space as usize].get(&self.transaction, key)? {
            found(value);
        }
        Ok(())
    }

    fn put(&mut self, space: Space, key: &[u8], value: &[u8]) -> Result<()> {
        Ok(self.spaces[space as usize].put(&mut self.transaction, key, value)?)
    }

    fn delete(&mut self, space: Space, key: &[u8]) -> Result<()> {
        self.spaces[space as usize].delete(&mut self.transaction, key)?;
        Ok(())
    }
}
