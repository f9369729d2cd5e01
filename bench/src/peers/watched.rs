//! An engine under observation: what reaches storage, and how long it takes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tandem_storage::{
    Bytes, Direction, Durability, Entries, KeyRange, Snapshot, Storage, WriteBatch,
};

type Outcome<T> = tandem_base::Result<T>;

/// What has passed through a [`watched`] engine so far.
#[derive(Default)]
pub struct Watch {
    counters: Mutex<Counters>,
    keep: AtomicU64,
    batches: Mutex<Vec<WriteBatch>>,
}

/// Calls and the nanoseconds spent in them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counters {
    pub reads: u64,
    pub read_nanoseconds: u64,
    pub writes: u64,
    pub write_nanoseconds: u64,
    pub syncs: u64,
    pub sync_nanoseconds: u64,
    pub operations: u64,
    pub bytes: u64,
}

impl Watch {
    /// As of now.
    pub fn counters(&self) -> Counters {
        *self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps copies of the next `count` batches that are not empty.
    pub fn keep_batches(&self, count: usize) {
        self.keep.store(count as u64, Ordering::Relaxed);
    }

    pub fn take_batches(&self) -> Vec<WriteBatch> {
        std::mem::take(&mut self.batches.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn change(&self, change: impl FnOnce(&mut Counters)) {
        change(&mut self.counters.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn read<T>(&self, read: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = read();
        let elapsed = start.elapsed().as_nanos() as u64;
        self.change(|counters| {
            counters.reads += 1;
            counters.read_nanoseconds += elapsed;
        });
        result
    }

    fn keep(&self, batch: &WriteBatch) {
        if batch.is_empty() {
            return;
        }
        let wanted = |left: u64| left.checked_sub(1);
        if self.keep.fetch_update(Ordering::Relaxed, Ordering::Relaxed, wanted).is_ok() {
            let mut batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
            batches.push(batch.clone());
        }
    }
}

impl std::ops::Sub for Counters {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            reads: self.reads - earlier.reads,
            read_nanoseconds: self.read_nanoseconds - earlier.read_nanoseconds,
            writes: self.writes - earlier.writes,
            write_nanoseconds: self.write_nanoseconds - earlier.write_nanoseconds,
            syncs: self.syncs - earlier.syncs,
            sync_nanoseconds: self.sync_nanoseconds - earlier.sync_nanoseconds,
            operations: self.operations - earlier.operations,
            bytes: self.bytes - earlier.bytes,
        }
    }
}

impl std::ops::AddAssign for Counters {
    fn add_assign(&mut self, other: Self) {
        self.reads += other.reads;
        self.read_nanoseconds += other.read_nanoseconds;
        self.writes += other.writes;
        self.write_nanoseconds += other.write_nanoseconds;
        self.syncs += other.syncs;
        self.sync_nanoseconds += other.sync_nanoseconds;
        self.operations += other.operations;
        self.bytes += other.bytes;
    }
}

/// Bytes of keys and values in a batch.
pub fn bytes_of(batch: &WriteBatch) -> usize {
    let operations = batch.operations().iter();
    operations.map(|one| one.key().len() + one.value().map_or(0, Bytes::len)).sum()
}

/// The same engine, observed.
pub fn watched(inner: Arc<dyn Storage>) -> (Arc<dyn Storage>, Arc<Watch>) {
    let watch = Arc::new(Watch::default());
    (Arc::new(Watched { inner, watch: watch.clone() }), watch)
}

struct Watched {
    inner: Arc<dyn Storage>,
    watch: Arc<Watch>,
}

impl Storage for Watched {
    fn get(&self, key: &[u8]) -> Outcome<Option<Bytes>> {
        self.watch.read(|| self.inner.get(key))
    }

    fn snapshot(&self) -> Outcome<Arc<dyn Snapshot>> {
        let inner = self.inner.snapshot()?;
        Ok(Arc::new(WatchedSnapshot { inner, watch: self.watch.clone() }))
    }

    fn write(&self, batch: WriteBatch, durability: Durability) -> Outcome<()> {
        self.watch.keep(&batch);
        let (operations, bytes) = (batch.len() as u64, bytes_of(&batch) as u64);
        let start = Instant::now();
        let result = self.inner.write(batch, durability);
        let elapsed = start.elapsed().as_nanos() as u64;
        self.watch.change(|counters| {
            // An empty batch is a sync.
            let (calls, nanoseconds) = match operations {
                0 => (&mut counters.syncs, &mut counters.sync_nanoseconds),
                _ => (&mut counters.writes, &mut counters.write_nanoseconds),
            };
            *calls += 1;
            *nanoseconds += elapsed;
            counters.operations += operations;
            counters.bytes += bytes;
        });
        result
    }

    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn approximate_size(&self) -> Outcome<u64> {
        self.inner.approximate_size()
    }
}

struct WatchedSnapshot {
    inner: Arc<dyn Snapshot>,
    watch: Arc<Watch>,
}

impl Snapshot for WatchedSnapshot {
    fn get(&self, key: &[u8]) -> Outcome<Option<Bytes>> {
        self.watch.read(|| self.inner.get(key))
    }

    /// Each step of the scan counts as a read.
    fn scan(&self, range: &KeyRange, direction: Direction) -> Entries<'_> {
        let mut entries = self.watch.read(|| self.inner.scan(range, direction));
        Box::new(std::iter::from_fn(move || self.watch.read(|| entries.next())))
    }
}
