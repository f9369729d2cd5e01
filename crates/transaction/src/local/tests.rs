//! One group on its way to the disk while the next is decided.

use std::sync::{Arc, Condvar, Mutex};

use bytes::Bytes;
use tandem_base::{Code, Environment, Error, Result};
use tandem_storage::{Durability, MemoryStorage, Snapshot, Storage, WriteBatch};

use super::LocalCoordinator;
use super::pipeline::Stages;
use super::stages::{Decision, Group};
use crate::commit::{Change, Commit};
use crate::coordination::{CommitOptions, CommitRequest, Coordination, Receipt, Work};
use crate::derive::{CommitListener, CommitState, ConflictCause, Derive, Derived, Stamp};
use crate::isolation::Isolation;
use crate::keyspace;
use crate::limits::TransactionLimits;
use crate::read_set::ReadSet;
use crate::view::Read;
use crate::write_set::WriteSet;

/// A store in memory whose writes wait until they are told how to end.
struct Gated {
    storage: MemoryStorage,
    gate: Mutex<Gate>,
    changed: Condvar,
}

#[derive(Default)]
struct Gate {
    entered: u64,
    passes: u64,
    fails: bool,
}

impl Gated {
    fn closed() -> Arc<Self> {
        let (storage, gate) = (MemoryStorage::new(), Mutex::default());
        Arc::new(Self { storage, gate, changed: Condvar::new() })
    }

    fn wait_until_entered(&self) {
        let mut gate = self.gate.lock().unwrap();
        while gate.entered == 0 {
            gate = self.changed.wait(gate).unwrap();
        }
    }

    fn open(&self, fails: bool) {
        *self.gate.lock().unwrap() = Gate { entered: 0, passes: u64::MAX, fails };
        self.changed.notify_all();
    }
}

impl Storage for Gated {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.storage.get(key)
    }

    fn snapshot(&self) -> Result<Arc<dyn Snapshot>> {
        self.storage.snapshot()
    }

    fn write(&self, batch: WriteBatch, durability: Durability) -> Result<()> {
        let mut gate = self.gate.lock().unwrap();
        gate.entered += 1;
        self.changed.notify_all();
        while gate.passes == 0 {
            gate = self.changed.wait(gate).unwrap();
        }
        gate.passes -= 1;
        if gate.fails {
            return Err(Error::new(Code::StorageError, "on purpose"));
        }
        drop(gate);
        self.storage.write(batch, durability)
    }

    fn name(&self) -> &'static str {
        "gated"
    }

    fn approximate_size(&self) -> Result<u64> {
        self.storage.approximate_size()
    }
}

/// Rows are numbers, and a commit adds one to each row that it writes.
struct Adding;

impl Derive for Adding {
    fn derive(&self, state: &dyn CommitState, writes: &WriteSet, _: Stamp) -> Result<Derived> {
        let mut derived = Derived::default();
        for (key, _) in writes.rows() {
            let before = state.get(key)?;
            let after = Bytes::from(vec![before.as_ref().map_or(0, |old| old[0]) + 1]);
            let (bucket, key) = (Arc::from("rows"), key.clone());
            derived.writes.push((key.clone(), Some(after.clone())));
            derived.changes.push(Change { bucket, key, before, after: Some(after) });
        }
        Ok(derived)
    }

    fn conflict(&self, _: ConflictCause, _: &[u8]) -> Error {
        Error::new(Code::Conflict, "conflict")
    }
}

/// The revisions that were announced.
#[derive(Default)]
struct Announced(Mutex<Vec<u64>>);

impl CommitListener for Announced {
    fn committed(&self, commits: &[Arc<Commit>], _: u64) {
        self.0.lock().unwrap().extend(commits.iter().map(|commit| commit.revision));
    }
}

fn coordinator(storage: Arc<Gated>, announced: Arc<Announced>) -> LocalCoordinator {
    let (environment, limits) = (Environment::simulated(1).0, TransactionLimits::default());
    LocalCoordinator::open(
        storage,
        Arc::new(Adding),
        announced,
        environment,
        limits,
        Durability::Sync,
    )
    .unwrap()
}

fn row() -> Bytes {
    Bytes::from_static(&[keyspace::ROW, 0, 0, 0, 1, 7])
}

/// Writes the one row, last writer wins.
fn add() -> CommitRequest {
    let mut writes = WriteSet::default();
    writes.write_row(&row(), None, 0, Some(Bytes::new()), None, None);
    let isolation = Isolation::ReadCommitted;
    CommitRequest {
        work: Work::Transaction { id: 1, isolation, begin: 0, reads: ReadSet::new(1), writes },
        options: CommitOptions::default(),
    }
}

/// Commits once, and once more while the first is being written; then the
/// writes end. Meanwhile somebody asks for the newest view.
fn two_groups(fails: bool) -> (LocalCoordinator, Arc<Announced>, Vec<Result<Receipt>>, u64) {
    let (storage, announced) = (Gated::closed(), Arc::new(Announced::default()));
    let coordinator = coordinator(storage.clone(), announced.clone());
    let (results, seen) = std::thread::scope(|scope| {
        let first = scope.spawn(|| coordinator.commit(add()));
        storage.wait_until_entered();
        let second = scope.spawn(|| coordinator.commit(add()));
        while coordinator.sequencer().begun < 2 {
            std::thread::yield_now();
        }
        let refreshed = scope.spawn(|| {
            coordinator.refresh(None, 2, &ReadSet::new(1), &mut std::iter::empty()).unwrap()
        });
        // Long enough for a view that does not wait to be given away.
        for _ in 0..1_000 {
            if refreshed.is_finished() {
                break;
            }
            std::thread::yield_now();
        }
        // Looked at later: a failure here would leave the writers waiting.
        let early = coordinator.view().unwrap().revision();
        let under_way = coordinator.commits_under_way();
        storage.open(fails);
        let results = vec![first.join().unwrap(), second.join().unwrap()];
        let seen = refreshed.join().unwrap().map_or(0, |view| view.revision());
        assert_eq!(early, 0, "nothing is published early");
        assert_eq!((under_way, coordinator.commits_under_way()), (2, 0));
        (results, seen)
    });
    (coordinator, announced, results, seen)
}

#[test]
fn a_group_is_decided_on_top_of_the_one_that_is_being_written() {
    let (coordinator, announced, results, seen) = two_groups(false);
    let revisions: Vec<_> = results.into_iter().map(|result| result.unwrap().revision).collect();
    assert_eq!(revisions, [1, 2]);
    assert_eq!(coordinator.view().unwrap().get(&row()).unwrap().unwrap()[0], 2, "both added one");
    assert_eq!(*announced.0.lock().unwrap(), [1, 2]);
    assert_eq!(seen, 2, "a refreshed view has every commit that was under way");
    assert!(coordinator.sequencer().head.is_none(), "what is published is let go of");
}

#[test]
fn g2_a_group_that_was_decided_on_top_of_a_failed_one_fails_too() {
    let (coordinator, announced, results, _) = two_groups(true);
    for result in results {
        assert_eq!(result.unwrap_err().code(), Code::StoreFailed);
    }
    assert_eq!(coordinator.view().unwrap().revision(), 0);
    assert!(announced.0.lock().unwrap().is_empty());
    assert_eq!(coordinator.commit(add()).unwrap_err().code(), Code::StoreFailed);
}

#[test]
fn g2_a_first_result_that_was_lost_with_its_group_is_not_replayed() {
    let storage = Gated::closed();
    storage.open(true);
    let coordinator = coordinator(storage, Arc::default());
    let named = || {
        let idempotency = Some((Bytes::from_static(b"k"), Bytes::new()));
        let options = CommitOptions { idempotency, ..CommitOptions::default() };
        CommitRequest { options, ..add() }
    };
    let mut group = Group::default();
    coordinator.decide(&mut group, vec![named(), named()]);
    coordinator.seal(&mut group);
    for decision in coordinator.write(group) {
        let (Decision::Done(result), _) = decision else { panic!("nothing is locked") };
        assert_eq!(result.unwrap_err().code(), Code::StoreFailed);
    }
}

#[test]
fn g7_members_of_one_group_have_revisions_of_their_own() {
    let storage = Gated::closed();
    storage.open(false);
    let coordinator = coordinator(storage, Arc::default());
    let mut group = Group::default();
    coordinator.decide(&mut group, vec![add(), add(), add()]);
    coordinator.seal(&mut group);
    let revision = |decision| match decision {
        (Decision::Done(result), _) => result.unwrap().revision,
        (Decision::Locked(..), _) => panic!("nothing is locked"),
    };
    let revisions: Vec<_> = coordinator.write(group).into_iter().map(revision).collect();
    assert_eq!(revisions, [1, 2, 3]);
}

#[test]
fn g2_a_group_decided_on_a_failed_one_is_not_written_when_the_disk_recovers() {
    let storage = Gated::closed();
    storage.open(true);
    let coordinator = coordinator(storage.clone(), Arc::default());
    let (mut first, mut second) = (Group::default(), Group::default());
    coordinator.decide(&mut first, vec![add()]);
    coordinator.seal(&mut first);
    coordinator.decide(&mut second, vec![add()]);
    coordinator.seal(&mut second);
    coordinator.write(first);
    storage.open(false);
    for decision in coordinator.write(second) {
        let (Decision::Done(result), _) = decision else { panic!("nothing is locked") };
        assert_eq!(result.unwrap_err().code(), Code::StoreFailed);
    }
    assert_eq!(storage.get(&row()).unwrap(), None, "nothing of it is there");
}
