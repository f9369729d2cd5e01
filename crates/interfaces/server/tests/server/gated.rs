//! A disk that does not answer while a gate is closed.

use std::sync::{Arc, Condvar, Mutex};

use tandem_base::Result;
use tandem_storage::{
    Bytes, Direction, Durability, Entries, KeyRange, MemoryStorage, Snapshot, Storage, WriteBatch,
};

/// Memory whose writes, or reads by key, wait while their gate is closed.
pub struct Gated {
    inner: MemoryStorage,
    gate: Arc<Gate>,
    reads: Arc<Gate>,
}

impl Gated {
    pub fn new(gate: Arc<Gate>, reads: Arc<Gate>) -> Self {
        Self { inner: MemoryStorage::new(), gate, reads }
    }
}

/// A state of it: one that may wait.
struct GatedSnapshot {
    inner: Arc<dyn Snapshot>,
    reads: Arc<Gate>,
}

impl Snapshot for GatedSnapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.reads.pass();
        self.inner.get(key)
    }

    fn scan(&self, range: &KeyRange, direction: Direction) -> Entries<'_> {
        self.inner.scan(range, direction)
    }
}

#[derive(Default)]
pub struct Gate {
    closed: Mutex<bool>,
    changed: Condvar,
    waiting: Mutex<usize>,
}

impl Gate {
    pub fn set_closed(&self, closed: bool) {
        *self.closed.lock().expect("no panic") = closed;
        self.changed.notify_all();
    }

    fn pass(&self) {
        let mut closed = self.closed.lock().expect("no panic");
        while *closed {
            *self.waiting.lock().expect("no panic") += 1;
            closed = self.changed.wait(closed).expect("no panic");
            *self.waiting.lock().expect("no panic") -= 1;
        }
    }

    pub fn waiting(&self) -> usize {
        *self.waiting.lock().expect("no panic")
    }
}

impl Storage for Gated {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.inner.get(key)
    }

    fn snapshot(&self) -> Result<Arc<dyn Snapshot>> {
        let inner = self.inner.snapshot()?;
        Ok(Arc::new(GatedSnapshot { inner, reads: self.reads.clone() }))
    }

    fn write(&self, batch: WriteBatch, durability: Durability) -> Result<()> {
        self.gate.pass();
        self.inner.write(batch, durability)
    }

    fn name(&self) -> &'static str {
        "gated"
    }

    fn approximate_size(&self) -> Result<u64> {
        self.inner.approximate_size()
    }
}
