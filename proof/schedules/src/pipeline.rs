//! The pipeline of commits, publication, poison and the caches.

use std::sync::{Arc, Mutex};

use tandem_base::sync::thread;
use tandem_base::{Code, Environment};
use tandem_storage::{Direction, Durability, KeyRange};
use tandem_transaction::{Commit, CommitListener, Coordination, Isolation, LocalCoordinator, Read};

use crate::store::{
    Call, CommitOne, Fault, POISONOUS, assert_clean, begin, commit_one, commit_one_absent, newest,
    number, open, open_as, row,
};

/// The revisions that were announced. Its lock is never held over a switch.
#[derive(Default)]
pub struct Announced(Mutex<Vec<u64>>);

impl CommitListener for Announced {
    fn committed(&self, commits: &[Arc<Commit>], _: u64) {
        self.0.lock().unwrap().extend(commits.iter().map(|commit| commit.revision));
    }
}

impl Announced {
    fn revisions(&self) -> Vec<u64> {
        self.0.lock().unwrap().clone()
    }
}

fn store(fault: Fault, cache: usize) -> (Arc<LocalCoordinator>, Arc<Announced>) {
    let announced = Arc::new(Announced::default());
    (open(fault, cache, announced.clone(), Environment::simulated(1).0), announced)
}

/// Four committers, one of them twice: each acknowledged commit is visible at
/// once, every request is answered, revisions are contiguous, announced in
/// order, and nothing is lost.
pub fn committers() {
    let (store, announced) = store(Fault::None, 0);
    counting(
        &store,
        &announced,
        &[(2, commit_one), (1, commit_one), (1, commit_one), (1, commit_one)],
    );
}

/// The same, some of whom only wait for their answers.
pub fn absent_committers() {
    let (store, announced) = store(Fault::None, 0);
    let (one, absent): (CommitOne, CommitOne) = (commit_one, commit_one_absent);
    counting(&store, &announced, &[(2, absent), (1, one), (1, absent), (1, one)]);
}

/// The same by two, whose commits need not reach the disk: a leader waits awake.
pub fn brief_writes() {
    let announced = Arc::new(Announced::default());
    let environment = Environment::simulated(1).0;
    let store = open_as(Durability::Buffered, Fault::None, 0, announced.clone(), environment);
    counting(&store, &announced, &[(3, commit_one), (3, commit_one)]);
}

/// As many threads, each with so many increments of one row.
fn counting(store: &Arc<LocalCoordinator>, announced: &Announced, increments: &[(u8, CommitOne)]) {
    let threads: Vec<_> = increments
        .iter()
        .map(|(increments, commit)| {
            let (store, increments, commit) = (store.clone(), *increments, *commit);
            thread::spawn(move || {
                let mut done = Vec::new();
                for _ in 0..increments {
                    match commit(&store, 0, Isolation::Serializable) {
                        Ok(receipt) => {
                            let (revision, _) = newest(&store, 0);
                            assert!(revision >= receipt.revision, "acknowledged but not visible");
                            done.push(receipt.revision);
                        }
                        Err(error) => assert_eq!(error.code(), Code::Conflict),
                    }
                }
                done
            })
        })
        .collect();
    let mut revisions: Vec<u64> =
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    revisions.sort_unstable();
    let count = revisions.len() as u64;
    assert!(count > 0, "the first one cannot meet a conflict");
    assert_eq!(revisions, (1..=count).collect::<Vec<_>>());
    assert_eq!(announced.revisions(), revisions);
    assert_eq!(newest(store, 0), (count, u8::try_from(count).unwrap()));
    assert_clean(store);
}

/// The second write or sync fails, or panics: what came before stands, nothing later is
/// published, and everybody is told.
fn after_a_fault(fault: Fault, commits: [CommitOne; 4]) {
    let (store, announced) = store(fault, 0);
    let threads: Vec<_> = (0..4u8)
        .zip(commits)
        .map(|(name, commit)| {
            let store = store.clone();
            thread::spawn(move || match commit(&store, name, Isolation::ReadCommitted) {
                Ok(receipt) => Some((name, receipt.revision)),
                Err(error) => {
                    assert_eq!(error.code(), Code::StoreFailed);
                    None
                }
            })
        })
        .collect();
    let done: Vec<_> = threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect();
    let view = store.view().unwrap();
    assert_eq!(view.revision(), done.len() as u64, "what failed left a hole or was published");
    for name in 0..4 {
        let expected = u8::from(done.iter().any(|(acknowledged, _)| *acknowledged == name));
        assert_eq!(number(view.get(&row(name)).unwrap()), expected);
    }
    assert_eq!(announced.revisions(), (1..=done.len() as u64).collect::<Vec<_>>());
    // Two to a group and four committers, and their first sync is for one group: there is
    // a second write, and a second sync beside the one of opening the store.
    assert!(store.poison().is_some());
    let refused = commit_one(&store, 0, Isolation::ReadCommitted).unwrap_err();
    assert_eq!(refused.code(), Code::StoreFailed);
    assert_clean(&store);
}

pub fn failing_write() {
    after_a_fault(Fault::Error(Call::Write(2)), [commit_one; 4]);
}

pub fn panicking_write() {
    after_a_fault(Fault::Panic(Call::Write(2)), [commit_one; 4]);
}

pub fn failing_sync() {
    after_a_fault(Fault::Error(Call::Sync(3)), [commit_one; 4]);
}

pub fn panicking_sync() {
    after_a_fault(Fault::Panic(Call::Sync(3)), [commit_one; 4]);
}

/// The same of callers that only wait for their answers.
pub fn absent_failing_sync() {
    after_a_fault(Fault::Error(Call::Sync(3)), [commit_one_absent; 4]);
}

pub fn absent_panicking_write() {
    after_a_fault(Fault::Panic(Call::Write(2)), [commit_one_absent; 4]);
}

/// One member's derive panics: it fails alone.
pub fn panicking_derive() {
    let (store, announced) = store(Fault::None, 0);
    let threads: Vec<_> = [0, POISONOUS, 1]
        .map(|name| {
            let store = store.clone();
            thread::spawn(move || (name, commit_one(&store, name, Isolation::Serializable)))
        })
        .into();
    for thread in threads {
        let (name, result) = thread.join().unwrap();
        assert_eq!(result.is_err(), name == POISONOUS);
    }
    assert_eq!(announced.revisions(), [1, 2]);
    assert!(store.poison().is_none());
    assert_clean(&store);
}

/// Readers through the cache while the row is written: the row counts its
/// commits, so a view's value is its revision.
pub fn cache() {
    let (store, _) = store(Fault::None, 1 << 20);
    let writer = {
        let store = store.clone();
        thread::spawn(move || {
            for _ in 0..3 {
                commit_one(&store, 0, Isolation::Serializable).unwrap();
            }
        })
    };
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let store = store.clone();
            thread::spawn(move || {
                let early = store.view().unwrap();
                for _ in 0..3 {
                    for view in [store.view().unwrap(), early.clone()] {
                        let value = number(view.get(&row(0)).unwrap());
                        assert_eq!(u64::from(value), view.revision(), "a value of another view");
                    }
                }
            })
        })
        .collect();
    writer.join().unwrap();
    readers.into_iter().for_each(|reader| reader.join().unwrap());
    assert_eq!(newest(&store, 0), (3, 3));
}

/// Readers of a range in both directions, and of its neighbourhood, while a row in it is
/// written: of each view they see the row as often written as its revision says.
pub fn ranges() {
    let (store, _) = store(Fault::None, 1 << 20);
    let writer = {
        let store = store.clone();
        thread::spawn(move || {
            for _ in 0..3 {
                commit_one(&store, 7, Isolation::Serializable).unwrap();
            }
        })
    };
    let readers: Vec<_> = [Direction::Forward, Direction::Reverse]
        .into_iter()
        .map(|direction| {
            let store = store.clone();
            thread::spawn(move || {
                let early = begin(&store, Isolation::Snapshot);
                for _ in 0..3 {
                    let late = begin(&store, Isolation::Snapshot);
                    for reader in [&late, &early] {
                        let range = KeyRange::prefix(&row(7)[..5]);
                        let found = reader.scan_untracked(&range, direction);
                        let rows: Vec<_> = found.map(|entry| entry.unwrap().value).collect();
                        let written = number(rows.first().cloned());
                        assert_eq!(u64::from(written), reader.view().revision(), "another view's");
                        if let Some(mut near) = reader.neighbours(&row(7)) {
                            assert_eq!(near.get(&row(7)), Some(rows.first().cloned()));
                        }
                    }
                }
            })
        })
        .collect();
    writer.join().unwrap();
    readers.into_iter().for_each(|reader| reader.join().unwrap());
    assert_eq!(newest(&store, 7), (3, 3));
}
