//! What cases are written with.

use std::sync::Arc;
use std::time::Duration;

use tandem_base::{Environment, Random, SeededRandom};
use tandem_storage::{
    Bytes, Direction, Durability, Entry, KeyRange, Snapshot, Storage, WriteBatch,
};

use super::{EngineFactory, Failure, Home};

pub(super) type Result<T, E = Failure> = std::result::Result<T, E>;

/// A home and the empty store in it.
pub(super) fn open(factory: &dyn EngineFactory) -> Result<(Box<dyn Home>, Arc<dyn Storage>)> {
    let mut home = factory.home()?;
    let storage = home.open()?;
    Ok((home, storage))
}

/// A batch of puts.
pub(super) fn puts<K: AsRef<[u8]>, V: AsRef<[u8]>>(
    entries: impl IntoIterator<Item = (K, V)>,
) -> WriteBatch {
    let mut batch = WriteBatch::new();
    for (key, value) in entries {
        batch.put(Bytes::copy_from_slice(key.as_ref()), Bytes::copy_from_slice(value.as_ref()));
    }
    batch
}

/// A batch of deletes.
pub(super) fn deletes<K: AsRef<[u8]>>(keys: impl IntoIterator<Item = K>) -> WriteBatch {
    let mut batch = WriteBatch::new();
    for key in keys {
        batch.delete(Bytes::copy_from_slice(key.as_ref()));
    }
    batch
}

/// Writes one entry without a sync.
pub(super) fn put(storage: &dyn Storage, key: &str, value: &str) -> Result<()> {
    Ok(storage.write(puts([(key, value)]), Durability::Buffered)?)
}

/// All entries of a scan.
pub(super) fn scan(
    snapshot: &dyn Snapshot,
    range: &KeyRange,
    direction: Direction,
) -> Result<Vec<Entry>> {
    Ok(snapshot.scan(range, direction).collect::<tandem_base::Result<_>>()?)
}

/// The keys of a forward scan of a new snapshot.
pub(super) fn keys(storage: &dyn Storage, range: &KeyRange) -> Result<Vec<Bytes>> {
    let entries = scan(&*storage.snapshot()?, range, Direction::Forward)?;
    Ok(entries.into_iter().map(|(key, _)| key).collect())
}

/// Everything in the store.
pub(super) fn everything(storage: &dyn Storage) -> Result<Vec<Entry>> {
    scan(&*storage.snapshot()?, &KeyRange::all(), Direction::Forward)
}

/// How long `work` takes this time.
pub(super) fn time(work: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let clock = Environment::system().clock;
    let start = clock.monotonic();
    work()?;
    Ok(clock.monotonic() - start)
}

/// Random numbers that are the same in every run.
pub(super) struct Dice(SeededRandom);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(SeededRandom::new(seed))
    }

    /// A number below `end`.
    pub(super) fn below(&self, end: usize) -> usize {
        (self.0.next_u64() % end.max(1) as u64) as usize
    }

    /// `length` bytes.
    pub(super) fn bytes(&self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.0.next_u64() as u8).collect()
    }
}
