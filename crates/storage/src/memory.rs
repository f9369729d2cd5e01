//! A store that lives in memory and ends with the process.
//!
//! The data is one persistent (structure-sharing) ordered map: a B-tree whose
//! nodes are counted references, copied when somebody else still holds them.
//! A snapshot is therefore a copy of the root reference, O(1), and a write
//! copies only the path to each key that it touches:
//!
//! ```text
//!   before:  root ──► [a..m] [n..z]        snapshot ──► root
//!   write z: root' ─► [a..m] [n..z']       snapshot ──► root   (unchanged)
//!                      shared
//! ```
//!
//! A batch is applied to a private copy of the root, which then replaces the
//! current one. Readers wait for that exchange only, never for a batch, and
//! can never see half of one.
//!
//! It does not bound its size and keeps nothing over a restart; both
//! durabilities mean the same here.

use std::ops::Bound;
use std::sync::{Arc, PoisonError};
use tandem_base::sync::atomic::{AtomicU64, Ordering};
use tandem_base::sync::{Mutex, RwLock};

use bytes::Bytes;
use imbl::OrdMap;
use tandem_base::Result;

use crate::{Direction, Durability, Entries, KeyRange, Operation, Snapshot, Storage, WriteBatch};

type Map = OrdMap<Bytes, Bytes>;

/// The memory engine.
#[derive(Debug, Default)]
pub struct MemoryStorage {
    current: RwLock<Map>,
    /// Held by a writer from copying the root to replacing it.
    writing: Mutex<()>,
    /// Bytes of all keys and values.
    size: AtomicU64,
}

impl MemoryStorage {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A store that holds what the puts of `batch` say.
    #[must_use]
    pub fn holding(batch: WriteBatch) -> Self {
        let storage = Self::new();
        storage.apply(batch);
        storage
    }

    fn current(&self) -> Map {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn apply(&self, batch: WriteBatch) {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut map = self.current();
        let mut size = self.size.load(Ordering::Relaxed);
        for operation in batch.into_operations() {
            let key_bytes = operation.key().len();
            let (added, removed) = match operation {
                Operation::Put { key, value } => {
                    let added = key_bytes + value.len();
                    (added, map.insert(key, value))
                }
                Operation::Delete { key } => (0, map.remove(&key)),
            };
            size += added as u64;
            size -= removed.map_or(0, |value| key_bytes + value.len()) as u64;
        }
        self.size.store(size, Ordering::Relaxed);
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *current, map);
        drop(current);
        // Only now, with no lock held that a reader needs: freeing may be long.
        drop(old);
    }
}

impl Storage for MemoryStorage {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        Ok(self.current.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned())
    }

    fn snapshot(&self) -> Result<Arc<dyn Snapshot>> {
        Ok(Arc::new(MemorySnapshot { map: self.current() }))
    }

    fn write(&self, batch: WriteBatch, _durability: Durability) -> Result<()> {
        batch.check_limits()?;
        self.apply(batch);
        Ok(())
    }

    fn name(&self) -> &'static str {
        "memory"
    }

    fn approximate_size(&self) -> Result<u64> {
        Ok(self.size.load(Ordering::Relaxed))
    }
}

struct MemorySnapshot {
    map: Map,
}

impl Snapshot for MemorySnapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        Ok(self.map.get(key).cloned())
    }

    fn scan(&self, range: &KeyRange, direction: Direction) -> Entries<'_> {
        if range.is_empty() {
            return Box::new(std::iter::empty());
        }
        let end = range.end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let entries = self
            .map
            .range::<_, [u8]>((Bound::Included(&range.start[..]), end))
            .map(|(key, value)| Ok((key.clone(), value.clone())));
        match direction {
            Direction::Forward => Box::new(entries),
            Direction::Reverse => Box::new(entries.rev()),
        }
    }

    fn in_memory(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_is_that_of_all_keys_and_values() {
        let storage = MemoryStorage::new();
        let mut batch = WriteBatch::new();
        batch.put("key", "value");
        batch.put("key", "val");
        batch.put("other", "");
        batch.delete("absent");
        storage.write(batch, Durability::Buffered).unwrap();
        assert_eq!(storage.approximate_size().unwrap(), 3 + 3 + 5);
        let mut batch = WriteBatch::new();
        batch.delete("key");
        storage.write(batch, Durability::Buffered).unwrap();
        assert_eq!(storage.approximate_size().unwrap(), 5);
    }
}
