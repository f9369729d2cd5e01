//! Groups on their way to the disk while the next is decided.

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tandem_base::{Code, Environment, Error, Result, SimulatedClock, SystemThreads, Threads};
use tandem_storage::{
    Direction, Durability, KeyRange, MemoryStorage, Snapshot, Storage, WriteBatch,
};

use super::LocalCoordinator;
use super::pipeline::Stages;
use super::stages::{Decision, Group, Spent};
use crate::commit::{Change, Commit};
use crate::coordination::{CommitOptions, CommitRequest, Coordination, Receipt, Work};
use crate::derive::{CommitListener, CommitState, ConflictCause, Derive, Derived, Stamp};
use crate::errand::{Answer, Errand, Errands};
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
    fails: Option<Fails>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fails {
    Writes,
    Syncs,
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

    fn close(&self) {
        *self.gate.lock().unwrap() = Gate::default();
    }

    fn open(&self, fails: Option<Fails>) {
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
        let fails = match durability {
            Durability::Buffered => Fails::Writes,
            Durability::Sync => Fails::Syncs,
        };
        if gate.fails == Some(fails) {
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

fn try_open(storage: Arc<Gated>, announced: Arc<Announced>) -> Result<LocalCoordinator> {
    open_in(Environment::simulated(1).0, storage, announced)
}

fn open_in(
    environment: Environment,
    storage: Arc<Gated>,
    announced: Arc<Announced>,
) -> Result<LocalCoordinator> {
    let limits = TransactionLimits::default();
    LocalCoordinator::open(
        storage,
        Arc::new(Adding),
        announced,
        environment,
        limits,
        Durability::Sync,
    )
}

/// A store on a disk that waits as soon as it is open.
fn coordinator(storage: Arc<Gated>, announced: Arc<Announced>) -> LocalCoordinator {
    storage.open(None);
    let coordinator = try_open(storage.clone(), announced).unwrap();
    storage.close();
    coordinator
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
fn two_groups(
    fails: Option<Fails>,
) -> (LocalCoordinator, Arc<Announced>, Vec<Result<Receipt>>, u64) {
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
    let (coordinator, announced, results, seen) = two_groups(None);
    let revisions: Vec<_> = results.into_iter().map(|result| result.unwrap().revision).collect();
    assert_eq!(revisions, [1, 2]);
    assert_eq!(coordinator.view().unwrap().get(&row()).unwrap().unwrap()[0], 2, "both added one");
    assert_eq!(*announced.0.lock().unwrap(), [1, 2]);
    assert_eq!(seen, 2, "a refreshed view has every commit that was under way");
    assert!(coordinator.sequencer().unpublished.is_empty(), "what is published is let go of");
}

#[test]
fn g2_a_group_that_was_decided_on_top_of_a_failed_one_fails_too() {
    for fails in [Fails::Writes, Fails::Syncs] {
        let (coordinator, announced, results, _) = two_groups(Some(fails));
        for result in results {
            assert_eq!(result.unwrap_err().code(), Code::StoreFailed, "{fails:?}");
        }
        assert_eq!(coordinator.view().unwrap().revision(), 0);
        assert!(announced.0.lock().unwrap().is_empty());
        assert_eq!(coordinator.commit(add()).unwrap_err().code(), Code::StoreFailed);
    }
}

/// A store whose disk does not wait, until it is told otherwise.
fn store(fails: Option<Fails>) -> (Arc<Gated>, LocalCoordinator) {
    let storage = Gated::closed();
    let coordinator = coordinator(storage.clone(), Arc::default());
    storage.open(fails);
    // Open for the whole test, so that a transaction that began at 0 is never too old.
    let (clock, day) = (&*coordinator.environment().clock, Duration::from_secs(86_400));
    let view = || coordinator.view().unwrap();
    coordinator.registry().begin(clock, coordinator.limits(), day, day, view).unwrap();
    (storage, coordinator)
}

/// A group of these, decided on top of all before.
fn decided(coordinator: &LocalCoordinator, requests: Vec<CommitRequest>) -> Group {
    let mut group = Group::default();
    coordinator.decide(&mut group, requests);
    coordinator.seal(&mut group);
    group
}

/// The revisions of a group's commits, or why they failed.
fn answers(decisions: Vec<(Decision, Spent)>) -> Vec<std::result::Result<u64, Code>> {
    let answer = |(decision, _)| match decision {
        Decision::Done(result) => {
            result.map(|receipt: Receipt| receipt.revision).map_err(|error: Error| error.code())
        }
        Decision::Locked(..) => panic!("nothing is locked"),
    };
    decisions.into_iter().map(answer).collect()
}

fn sync(coordinator: &LocalCoordinator, groups: Vec<Group>) -> Vec<std::result::Result<u64, Code>> {
    coordinator.sync(groups).into_iter().flat_map(answers).collect()
}

fn write_and_sync(
    coordinator: &LocalCoordinator,
    mut group: Group,
) -> Vec<std::result::Result<u64, Code>> {
    coordinator.write(&mut group);
    sync(coordinator, vec![group])
}

/// To be answered with the first result under that name.
fn named() -> CommitRequest {
    let idempotency = Some((Bytes::from_static(b"k"), Bytes::new()));
    CommitRequest { options: CommitOptions { idempotency, ..CommitOptions::default() }, ..add() }
}

fn buffered() -> CommitRequest {
    let durability = Some(Durability::Buffered);
    CommitRequest { options: CommitOptions { durability, idempotency: None }, ..add() }
}

const LOST: std::result::Result<u64, Code> = Err(Code::StoreFailed);

#[test]
fn g2_a_first_result_that_was_lost_with_its_group_is_not_replayed() {
    for fails in [Fails::Writes, Fails::Syncs] {
        let (_, coordinator) = store(Some(fails));
        let group = decided(&coordinator, vec![named(), named()]);
        assert_eq!(write_and_sync(&coordinator, group), [LOST, LOST], "{fails:?}");
    }
    // Nor by a group that has nothing to write itself.
    let (_, coordinator) = store(Some(Fails::Syncs));
    let mut first = decided(&coordinator, vec![named()]);
    coordinator.write(&mut first);
    let mut second = decided(&coordinator, vec![named()]);
    coordinator.write(&mut second);
    assert_eq!(sync(&coordinator, vec![first]), [LOST]);
    assert_eq!(sync(&coordinator, vec![second]), [LOST]);
}

#[test]
fn g2_a_first_result_that_was_kept_stands_when_the_disk_fails_later() {
    let (storage, coordinator) = store(None);
    let group = decided(&coordinator, vec![named()]);
    assert_eq!(write_and_sync(&coordinator, group), [Ok(1)]);
    for fails in [Fails::Writes, Fails::Syncs] {
        storage.open(Some(fails));
        let group = decided(&coordinator, vec![named(), add()]);
        // After the first failure nothing is decided any more.
        let first = if coordinator.poison().is_some() { LOST } else { Ok(1) };
        assert_eq!(write_and_sync(&coordinator, group), [first, LOST], "{fails:?}");
    }
}

#[test]
fn g7_members_of_one_group_have_revisions_of_their_own() {
    let (_, coordinator) = store(None);
    let group = decided(&coordinator, vec![add(), add(), add()]);
    assert_eq!(write_and_sync(&coordinator, group), [Ok(1), Ok(2), Ok(3)]);
}

#[test]
fn g2_a_group_decided_on_a_failed_one_is_not_written_when_the_disk_recovers() {
    let (storage, coordinator) = store(Some(Fails::Writes));
    let first = decided(&coordinator, vec![add()]);
    let second = decided(&coordinator, vec![add()]);
    assert_eq!(write_and_sync(&coordinator, first), [LOST]);
    storage.open(None);
    assert_eq!(write_and_sync(&coordinator, second), [LOST]);
    assert_eq!(storage.get(&row()).unwrap(), None, "nothing of it is there");
}

#[test]
fn g2_what_is_written_is_not_published_before_it_is_synced() {
    let (storage, coordinator) = store(None);
    let mut groups = [1, 2].map(|_| decided(&coordinator, vec![add()]));
    for (at, group) in groups.iter_mut().enumerate() {
        coordinator.write(group);
        assert_eq!(storage.get(&row()).unwrap().unwrap()[0], at as u8 + 1, "the engine has it");
        assert_eq!(coordinator.view().unwrap().revision(), 0);
        assert_eq!(coordinator.view().unwrap().get(&row()).unwrap(), None);
    }
    let [first, second] = groups;
    assert_eq!(sync(&coordinator, vec![first]), [Ok(1)]);
    // By a scan, which the record cache does not answer.
    let published = || {
        let view = coordinator.view().unwrap();
        let mut rows = view.scan(&KeyRange::point(&row()), Direction::Forward);
        (view.revision(), rows.next().expect("there").unwrap().1[0])
    };
    assert_eq!(published(), (1, 1), "the state right after the first");
    assert_eq!(sync(&coordinator, vec![second]), [Ok(2)]);
    assert_eq!(published(), (2, 2));
}

/// A kill between a write and its sync leaves a commit that nobody was told of. Once the
/// store is open again everybody sees it, and a power cut must not take it back (seed
/// 1751 of the simulation).
#[test]
fn g2_what_is_found_is_synced_before_anybody_sees_it() {
    let storage = Gated::closed();
    storage.open(Some(Fails::Syncs));
    let refused = try_open(storage.clone(), Arc::default()).err().expect("it cannot be synced");
    assert_eq!(refused.code(), Code::StorageError);
    storage.open(Some(Fails::Writes));
    try_open(storage, Arc::default()).expect("nothing is written");
}

#[test]
fn g2_one_sync_is_for_all_that_is_written_and_only_if_somebody_asked_for_it() {
    let (_, coordinator) = store(None);
    let syncs = || coordinator.statistics().timings().sync_time.count();
    let [mut first, mut second] = [1, 2].map(|_| decided(&coordinator, vec![add()]));
    coordinator.write(&mut first);
    coordinator.write(&mut second);
    assert_eq!(sync(&coordinator, vec![first, second]), [Ok(1), Ok(2)]);
    assert_eq!(syncs(), 1);
    // The first buffered commit reserves revisions, which is synced.
    let reserving = decided(&coordinator, vec![buffered()]);
    assert_eq!(write_and_sync(&coordinator, reserving), [Ok(3)]);
    assert_eq!(syncs(), 2);
    let (relaxed, durable) = (vec![buffered()], vec![buffered(), add()]);
    let relaxed = decided(&coordinator, relaxed);
    assert_eq!(write_and_sync(&coordinator, relaxed), [Ok(4)]);
    assert_eq!(syncs(), 2);
    let durable = decided(&coordinator, durable);
    assert_eq!(write_and_sync(&coordinator, durable), [Ok(5), Ok(6)]);
    assert_eq!(syncs(), 3);
}

#[test]
fn a_group_is_brief_if_no_member_waits_for_the_disk() {
    let (_, coordinator) = store(None);
    let is_brief = |members| coordinator.is_brief(&decided(&coordinator, members));
    assert!(is_brief(vec![buffered(), buffered()]));
    assert!(!is_brief(vec![buffered(), add()]));
}

/// Does work that enters the storage, which takes so long.
fn taking<T: Send>(
    (storage, clock): (&Gated, &SimulatedClock),
    long: Duration,
    work: impl FnOnce() -> T + Send,
) -> T {
    storage.close();
    std::thread::scope(|scope| {
        let work = scope.spawn(work);
        storage.wait_until_entered();
        clock.advance(long);
        storage.open(None);
        work.join().unwrap()
    })
}

#[test]
fn each_write_and_each_sync_is_timed() {
    let (environment, clock) = Environment::simulated(1);
    let storage = Gated::closed();
    storage.open(None);
    let coordinator = open_in(environment, storage.clone(), Arc::default()).unwrap();
    let slow = (&*storage, &*clock);
    let mut group = decided(&coordinator, vec![add()]);
    taking(slow, Duration::from_millis(3), || coordinator.write(&mut group));
    let synced = taking(slow, Duration::from_millis(5), || sync(&coordinator, vec![group]));
    assert_eq!(synced, [Ok(1)]);
    let timings = coordinator.statistics().timings();
    let (write, sync) = (timings.write_time, timings.sync_time);
    assert_eq!((write.count(), write.sum()), (1, 3_000_000), "nanoseconds");
    assert_eq!((sync.count(), sync.sum()), (1, 5_000_000));
}

/// What was decided, and written, on top of a group whose sync failed is lost with it,
/// also if it needs no sync itself and although the engine has it.
#[test]
fn g2_a_group_written_ahead_of_a_sync_that_failed_is_not_published() {
    for ahead in [add as fn() -> CommitRequest, buffered] {
        let (storage, coordinator) = store(None);
        // Reserves revisions, so that nothing else has to be synced for that.
        let reserving = decided(&coordinator, vec![buffered()]);
        assert_eq!(write_and_sync(&coordinator, reserving), [Ok(1)]);
        let mut first = decided(&coordinator, vec![add()]);
        coordinator.write(&mut first);
        let mut second = decided(&coordinator, vec![ahead()]);
        coordinator.write(&mut second);
        storage.open(Some(Fails::Syncs));
        assert_eq!(sync(&coordinator, vec![first]), [LOST]);
        storage.open(None);
        assert_eq!(sync(&coordinator, vec![second]), [LOST]);
        assert_eq!(coordinator.view().unwrap().revision(), 1);
    }
}

/// Nobody is told that a commit failed which is there: what was written before the
/// write that failed is synced all the same.
#[test]
fn g2_a_write_that_fails_takes_nothing_with_it_that_was_written_before() {
    let (storage, coordinator) = store(None);
    let mut first = decided(&coordinator, vec![add()]);
    coordinator.write(&mut first);
    storage.open(Some(Fails::Writes));
    let mut second = decided(&coordinator, vec![add()]);
    coordinator.write(&mut second);
    assert_eq!(sync(&coordinator, vec![first]), [Ok(1)]);
    assert_eq!(sync(&coordinator, vec![second]), [LOST]);
    assert_eq!(coordinator.view().unwrap().revision(), 1);
    storage.open(None);
    let third = decided(&coordinator, vec![add()]);
    assert_eq!(write_and_sync(&coordinator, third), [LOST]);
}

/// Does errands on threads of their own, or refuses to.
struct Elsewhere {
    refuses: bool,
}

impl Errands for Elsewhere {
    fn run(&self, errand: Errand) {
        if !self.refuses {
            SystemThreads.spawn("errand", Box::new(|| errand.run())).unwrap();
        }
    }
}

type Answered = (Result<Receipt>, u64);

/// Commits without waiting: what comes of it, and which revision is visible then.
fn unattended(
    coordinator: &Arc<LocalCoordinator>,
    errands: &Arc<dyn Errands>,
) -> Receiver<Answered> {
    let (sender, answered) = channel();
    let store = coordinator.clone();
    let then = move |answer: Answer| {
        let _gone = sender.send((answer.result, store.view().unwrap().revision()));
    };
    let leads = coordinator.clone().commit_then(add(), errands, Box::new(then));
    if let Some(errand) = leads {
        errands.run(errand);
    }
    answered
}

#[test]
fn g2_a_commit_that_no_thread_waits_for_is_answered_when_it_is_durable_and_visible() {
    for (fails, refuses) in
        [(None, false), (None, true), (Some(Fails::Writes), false), (Some(Fails::Syncs), true)]
    {
        let (storage, coordinator) = store(None);
        storage.close();
        let coordinator = Arc::new(coordinator);
        let errands: Arc<dyn Errands> = Arc::new(Elsewhere { refuses });
        let first = unattended(&coordinator, &errands);
        storage.wait_until_entered();
        let more: Vec<_> = (0..6).map(|_| unattended(&coordinator, &errands)).collect();
        assert!(first.try_recv().is_err(), "it is not written");
        // One that nobody hears the answer of, and one that a thread waits for.
        drop(unattended(&coordinator, &errands));
        let (answers, waited) = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| coordinator.commit(add()));
            storage.open(fails);
            let answers = [first].into_iter().chain(more).map(|answer| answer.recv().unwrap());
            (answers.collect::<Vec<_>>(), waiting.join().unwrap())
        });
        for (at, (result, visible)) in answers.into_iter().enumerate() {
            match (fails, result) {
                (None, Ok(receipt)) => {
                    assert_eq!(receipt.revision, at as u64 + 1, "in the order of arrival");
                    assert!(visible >= receipt.revision);
                }
                (Some(_), Err(error)) => assert_eq!(error.code(), Code::StoreFailed),
                (fails, result) => panic!("{fails:?}: {result:?}"),
            }
        }
        assert_eq!(waited.is_ok(), fails.is_none());
        let committed = if fails.is_none() { 9 } else { 0 };
        assert_eq!(coordinator.view().unwrap().revision(), committed);
        assert_eq!(coordinator.commits_under_way(), 0);
    }
}

#[test]
fn g9_commits_that_no_thread_waits_for_and_others_lead_each_other() {
    let (storage, coordinator) = store(None);
    let coordinator = Arc::new(coordinator);
    let errands: Arc<dyn Errands> = Arc::new(Elsewhere { refuses: false });
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (coordinator, errands) = (&coordinator, &errands);
            scope.spawn(move || {
                for _ in 0..60 {
                    if thread % 2 == 0 {
                        coordinator.commit(add()).unwrap();
                    } else {
                        unattended(coordinator, errands).recv().unwrap().0.unwrap();
                    }
                }
            });
        }
    });
    assert_eq!(storage.get(&row()).unwrap().unwrap()[0], 240);
}

#[test]
fn g9_a_commit_that_no_thread_waits_for_waits_for_a_lock_like_others() {
    let (_, coordinator) = store(None);
    let coordinator = Arc::new(coordinator);
    let errands: Arc<dyn Errands> = Arc::new(Elsewhere { refuses: false });
    let clock = &*coordinator.environment().clock;
    coordinator.locks().lock(clock, 99, &row(), Duration::ZERO).unwrap();
    let answered = unattended(&coordinator, &errands);
    while coordinator.locks().waiters() == 0 {
        std::thread::yield_now();
    }
    assert_eq!(coordinator.view().unwrap().revision(), 0, "not past the lock");
    assert!(answered.try_recv().is_err());
    coordinator.locks().release_all(99);
    assert_eq!(answered.recv().unwrap().0.unwrap().revision, 1);
    assert_eq!(coordinator.locks().waiters(), 0);
}
