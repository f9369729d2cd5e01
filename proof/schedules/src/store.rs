//! The store under exploration: rows are numbers, the engine is memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tandem_base::sync::{Condvar, Mutex, thread};
use tandem_base::{Code, Environment, Error, Result};
use tandem_storage::{Durability, MemoryStorage, Snapshot, Storage, WriteBatch};
use tandem_transaction::{
    Change, CommitListener, CommitOptions, CommitState, ConflictCause, Coordination, Derive,
    Derived, Errand, Errands, IndexDelta, Isolation, LocalCoordinator, Read, Receipt, Stamp,
    Transaction, TransactionLimits, TransactionOptions, WriteSet, keyspace,
};

/// What goes wrong, and at which call.
#[derive(Clone, Copy)]
pub enum Fault {
    None,
    Error(Call),
    Panic(Call),
}

/// The n-th of a kind.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Write(u64),
    Sync(u64),
}

/// Memory, with a place where others may run before a write or a sync takes effect. The
/// switch points are the explored locks of [`MemoryStorage`] itself.
pub struct Engine {
    memory: MemoryStorage,
    writes: AtomicU64,
    syncs: AtomicU64,
    fault: Fault,
}

impl Storage for Engine {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.memory.get(key)
    }

    fn snapshot(&self) -> Result<Arc<dyn Snapshot>> {
        self.memory.snapshot()
    }

    fn write(&self, batch: WriteBatch, durability: Durability) -> Result<()> {
        let next = |count: &AtomicU64| count.fetch_add(1, Ordering::SeqCst) + 1;
        let call = match durability {
            Durability::Buffered => Call::Write(next(&self.writes)),
            Durability::Sync => Call::Sync(next(&self.syncs)),
        };
        // The disk takes its time.
        for _ in 0..3 {
            tandem_base::sync::thread::yield_now();
        }
        match self.fault {
            Fault::Error(at) if call == at => Err(Error::new(Code::StorageError, "on purpose")),
            Fault::Panic(at) if call == at => std::panic::resume_unwind(Box::new("on purpose")),
            _ => self.memory.write(batch, durability),
        }
    }

    fn name(&self) -> &'static str {
        "explored"
    }

    fn approximate_size(&self) -> Result<u64> {
        self.memory.approximate_size()
    }
}

/// A row that no commit can write: deriving it panics.
pub const POISONOUS: u8 = 99;

/// A row after a commit is what the transaction wrote.
struct Plain;

impl Derive for Plain {
    fn derive(&self, state: &dyn CommitState, writes: &WriteSet, _: Stamp) -> Result<Derived> {
        let mut derived = Derived::default();
        for (key, write) in writes.rows_in_order() {
            if key[5] == POISONOUS {
                std::panic::resume_unwind(Box::new("on purpose"));
            }
            let (before, after) = (state.get(key)?, write.after.clone());
            derived.writes.push((key.clone(), after.clone()));
            let (bucket, key) = (Arc::from("rows"), key.clone());
            derived.changes.push(Change { bucket, key, before, after });
            derived.record_changes += 1;
        }
        Ok(derived)
    }

    fn conflict(&self, _: ConflictCause, _: &[u8]) -> Error {
        Error::new(Code::Conflict, "conflict")
    }
}

/// Opens a store whose commits are durable. `cache` bytes of rows and as many of ranges
/// are kept at hand.
pub fn open(
    fault: Fault,
    cache: usize,
    listener: Arc<dyn CommitListener>,
    environment: Environment,
) -> Arc<LocalCoordinator> {
    open_as(Durability::Sync, fault, cache, listener, environment)
}

/// As [`open`], with another durability.
pub fn open_as(
    durability: Durability,
    fault: Fault,
    cache: usize,
    listener: Arc<dyn CommitListener>,
    environment: Environment,
) -> Arc<LocalCoordinator> {
    let limits = TransactionLimits {
        record_cache_bytes: cache,
        range_cache_bytes: cache,
        group_size: 2,
        ..TransactionLimits::default()
    };
    let (writes, syncs) = (AtomicU64::new(0), AtomicU64::new(0));
    let engine = Engine { memory: MemoryStorage::new(), writes, syncs, fault };
    Arc::new(
        LocalCoordinator::open(
            Arc::new(engine),
            Arc::new(Plain),
            listener,
            environment,
            limits,
            durability,
        )
        .expect("an empty store opens"),
    )
}

pub fn row(name: u8) -> Bytes {
    Bytes::from(vec![keyspace::ROW, 0, 0, 0, 1, name])
}

pub fn number(value: Option<Bytes>) -> u8 {
    value.map_or(0, |bytes| bytes[0])
}

pub fn begin(store: &Arc<LocalCoordinator>, isolation: Isolation) -> Transaction {
    let coordination: Arc<dyn Coordination> = store.clone();
    let options = TransactionOptions { isolation, ..TransactionOptions::default() };
    Transaction::begin(coordination, &options).expect("there is room")
}

/// Adds one to the row as the transaction sees it, `locked` before it is read.
pub fn add_one(transaction: &mut Transaction, key: &Bytes, locked: bool) -> Result<()> {
    transaction.write_statement(|transaction| {
        if locked {
            transaction.lock(key, None)?;
        }
        let current = transaction.get_untracked(key)?;
        let after = Bytes::from(vec![number(current.clone()) + 1]);
        transaction.write(key, current.as_ref(), Some(after), None, IndexDelta::default(), None);
        Ok(())
    })
}

/// A transaction that adds one, to be committed.
fn adding_one(
    store: &Arc<LocalCoordinator>,
    name: u8,
    isolation: Isolation,
) -> Result<Transaction> {
    let mut transaction = begin(store, isolation);
    add_one(&mut transaction, &row(name), false)?;
    Ok(transaction)
}

/// One transaction that adds one.
pub fn commit_one(
    store: &Arc<LocalCoordinator>,
    name: u8,
    isolation: Isolation,
) -> Result<Receipt> {
    adding_one(store, name, isolation)?.commit(CommitOptions::default())
}

/// A way to commit one transaction that adds one.
pub type CommitOne = fn(&Arc<LocalCoordinator>, u8, Isolation) -> Result<Receipt>;

/// A thread for each errand.
struct Elsewhere;

impl Errands for Elsewhere {
    fn run(&self, errand: Errand) {
        thread::spawn(move || errand.run());
    }
}

/// As [`commit_one`], by a caller that only waits for the answer: what the pipeline
/// wants of it meanwhile is done by others.
pub fn commit_one_absent(
    store: &Arc<LocalCoordinator>,
    name: u8,
    isolation: Isolation,
) -> Result<Receipt> {
    let transaction = adding_one(store, name, isolation)?;
    let errands: Arc<dyn Errands> = Arc::new(Elsewhere);
    let answer = Arc::new((Mutex::new(None), Condvar::new()));
    let tell = answer.clone();
    let then = move |ending| {
        *tell.0.lock().unwrap() = Some(ending);
        tell.1.notify_one();
    };
    if let Some(errand) = transaction.commit_then(CommitOptions::default(), &errands, then) {
        errands.run(errand);
    }
    let mut ending = answer.0.lock().unwrap();
    loop {
        match ending.take() {
            Some(ending) => return ending.finish(),
            None => ending = answer.1.wait(ending).unwrap(),
        }
    }
}

/// The row as of the newest published revision.
pub fn newest(store: &Arc<LocalCoordinator>, name: u8) -> (u64, u8) {
    let view = store.view().expect("a view");
    (view.revision(), number(view.get(&row(name)).expect("memory does not fail")))
}

/// Nothing is left of any transaction.
pub fn assert_clean(store: &Arc<LocalCoordinator>) {
    assert!(store.registry().is_empty(), "a transaction is left in the registry");
    assert!(store.locks().is_empty(), "a lock is left");
    assert!(store.locks().waiters() == 0, "somebody is left waiting");
}
