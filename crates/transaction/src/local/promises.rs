//! What a commit promises, one promise per test, over bytes in memory.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tandem_base::{Code, Environment, Error, Result};
use tandem_storage::{Direction, Durability, KeyRange, MemoryStorage, Storage};

use super::LocalCoordinator;
use super::stages::RESERVE;
use crate::commit::{Change, Commit};
use crate::coordination::{CommitOptions, CommitRequest, Coordination, Receipt, Work};
use crate::derive::{CommitListener, CommitState, ConflictCause, Derive, Derived, Stamp};
use crate::guard::GuardCheck;
use crate::isolation::Isolation;
use crate::keyspace;
use crate::limits::TransactionLimits;
use crate::read_set::ReadSet;
use crate::view::{Read, View};
use crate::write_set::WriteSet;

/// Rows are bytes, and nothing follows from them.
struct Plain;

impl Derive for Plain {
    fn derive(&self, state: &dyn CommitState, writes: &WriteSet, _: Stamp) -> Result<Derived> {
        let mut derived = Derived::default();
        for (key, write) in writes.rows_in_order() {
            let (bucket, before) = (Arc::from("rows"), state.get(key)?);
            let (key, after) = (key.clone(), write.after.clone());
            derived.writes.push((key.clone(), after.clone()));
            derived.changes.push(Change { bucket, key, before, after });
        }
        derived.record_changes = derived.changes.len();
        Ok(derived)
    }

    fn conflict(&self, cause: ConflictCause, _: &[u8]) -> Error {
        Error::new(Code::Conflict, format!("{cause:?}"))
    }
}

struct Nobody;

impl CommitListener for Nobody {
    fn committed(&self, _: &[Arc<Commit>], _: u64) {}
}

fn open(storage: &Arc<MemoryStorage>) -> LocalCoordinator {
    open_within(storage, TransactionLimits::default())
}

fn open_within(storage: &Arc<MemoryStorage>, limits: TransactionLimits) -> LocalCoordinator {
    open_deriving(storage, Arc::new(Plain), limits)
}

fn open_deriving(
    storage: &Arc<MemoryStorage>,
    derive: Arc<dyn Derive>,
    limits: TransactionLimits,
) -> LocalCoordinator {
    LocalCoordinator::open(
        storage.clone(),
        derive,
        Arc::new(Nobody),
        Environment::simulated(1).0,
        limits,
        Durability::Sync,
    )
    .unwrap()
}

fn store() -> (Arc<MemoryStorage>, LocalCoordinator) {
    let storage = Arc::new(MemoryStorage::new());
    let coordinator = open(&storage);
    (storage, coordinator)
}

fn key(n: u8) -> Bytes {
    Bytes::copy_from_slice(&[keyspace::ROW, 0, 0, 0, 1, n])
}

fn value(text: &'static str) -> Option<Bytes> {
    Some(Bytes::from_static(text.as_bytes()))
}

/// The whole of a transaction that began at a revision.
struct Tx {
    isolation: Isolation,
    begin: u64,
    reads: ReadSet,
    writes: WriteSet,
    options: CommitOptions,
}

fn tx(isolation: Isolation, begin: u64) -> Tx {
    let (reads, writes) = (ReadSet::new(100), WriteSet::default());
    Tx { isolation, begin, reads, writes, options: CommitOptions::default() }
}

/// A transaction that has just begun and lets the last writer win.
fn fresh(coordinator: &LocalCoordinator) -> Tx {
    tx(Isolation::ReadCommitted, coordinator.view().unwrap().revision())
}

impl Tx {
    fn put(mut self, n: u8, after: Option<Bytes>) -> Self {
        self.writes.write_row(&key(n), value("some").as_ref(), self.begin, after, None, None);
        self
    }

    fn commit(self, coordinator: &LocalCoordinator) -> Result<Receipt> {
        let Self { isolation, begin, reads, writes, options } = self;
        let work = Work::Transaction { id: 99, isolation, begin, reads, writes };
        coordinator.commit(CommitRequest { work, options })
    }
}

fn put(coordinator: &LocalCoordinator, n: u8, text: &'static str) -> u64 {
    fresh(coordinator).put(n, value(text)).commit(coordinator).unwrap().revision
}

/// Keeps a transaction open at the newest revision, so that what is committed
/// from now on is remembered.
fn remember(coordinator: &LocalCoordinator) -> u64 {
    let (clock, limits) = (&*coordinator.environment().clock, coordinator.limits());
    let view = || coordinator.view().unwrap();
    let day = Duration::from_secs(86_400);
    coordinator.registry().begin(clock, limits, day, day, view).unwrap().1.revision()
}

#[test]
fn g4_a_point_that_was_read_and_changed_fails_only_a_serializable_commit() {
    for isolation in Isolation::ALL {
        let (_, coordinator) = store();
        let begin = remember(&coordinator);
        put(&coordinator, 1, "new");
        let mut late = tx(isolation, begin).put(2, value("x"));
        late.reads.add_point(&key(1));
        let result = late.commit(&coordinator);
        assert_eq!(result.is_err(), isolation == Isolation::Serializable, "{isolation:?}");
    }
}

#[test]
fn g4_a_phantom_in_a_range_that_was_read_fails_only_a_serializable_commit() {
    for isolation in Isolation::ALL {
        let (_, coordinator) = store();
        let begin = remember(&coordinator);
        put(&coordinator, 5, "phantom");
        let mut late = tx(isolation, begin).put(20, value("x"));
        late.reads.add_range(KeyRange::new(key(3).to_vec(), key(9).to_vec()));
        let result = late.commit(&coordinator);
        assert_eq!(result.is_err(), isolation == Isolation::Serializable, "{isolation:?}");
    }
}

#[test]
fn g4_the_first_committer_wins_from_snapshot_on() {
    for isolation in Isolation::ALL {
        let (_, coordinator) = store();
        let begin = remember(&coordinator);
        put(&coordinator, 1, "first");
        let result = tx(isolation, begin).put(1, value("second")).commit(&coordinator);
        assert_eq!(result.is_err(), isolation >= Isolation::Snapshot, "{isolation:?}");
    }
}

#[test]
fn g5_a_guard_is_checked_at_every_level() {
    for isolation in Isolation::ALL {
        let (_, coordinator) = store();
        put(&coordinator, 7, "target");
        let begin = remember(&coordinator);
        fresh(&coordinator).put(7, None).commit(&coordinator).unwrap();
        for check in [GuardCheck::Unchanged, GuardCheck::Exists] {
            let mut late = tx(isolation, begin).put(2, value("x"));
            let violation = || Error::new(Code::Conflict, "guarded");
            late.writes.add_guard(check, KeyRange::point(&key(7)), begin, violation);
            assert_eq!(late.commit(&coordinator).unwrap_err().message(), "guarded");
        }
        assert_eq!(coordinator.view().unwrap().get(&key(2)).unwrap(), None);
    }
}

#[test]
fn g2_revisions_go_on_after_reopening() {
    let (storage, coordinator) = store();
    assert_eq!([put(&coordinator, 1, "a"), put(&coordinator, 2, "b")], [1, 2]);
    drop(coordinator);
    let coordinator = open(&storage);
    assert_eq!(coordinator.view().unwrap().revision(), 2);
    assert_eq!(put(&coordinator, 3, "c"), 3);
}

#[test]
fn g1_g7_a_commit_is_one_entry_of_the_log_with_all_its_changes() {
    let (storage, coordinator) = store();
    let two = || fresh(&coordinator).put(1, value("a")).put(2, value("b"));
    for revision in 1..=3 {
        assert_eq!(two().commit(&coordinator).unwrap().revision, revision);
        let entry = storage.get(&keyspace::log_key(revision)).unwrap().unwrap();
        assert_eq!(Commit::decode(revision, entry).unwrap().changes.len(), 2);
    }
    let log = KeyRange::new(keyspace::log_key(0).to_vec(), keyspace::log_key(u64::MAX).to_vec());
    assert_eq!(storage.snapshot().unwrap().scan(&log, Direction::Forward).count(), 3);
}

#[test]
fn g9_a_first_result_is_replayed_also_after_reopening() {
    let named = |coordinator: &LocalCoordinator| {
        let mut named = fresh(coordinator).put(1, value("a"));
        named.options.idempotency = Some((Bytes::from_static(b"name"), Bytes::new()));
        named
    };
    let (storage, coordinator) = store();
    assert_eq!(named(&coordinator).commit(&coordinator).unwrap().revision, 1);
    put(&coordinator, 2, "b");
    assert_eq!(named(&coordinator).commit(&coordinator).unwrap().revision, 1);
    drop(coordinator);
    let coordinator = open(&storage);
    let again = named(&coordinator).commit(&coordinator).unwrap();
    assert!(again.replayed.is_some());
    assert_eq!((again.revision, coordinator.view().unwrap().revision()), (1, 2));
}

#[test]
fn g4_a_cached_row_follows_its_updates_and_its_delete() {
    let (_, coordinator) = store();
    put(&coordinator, 1, "a");
    let read = || coordinator.view().unwrap().get(&key(1)).unwrap();
    assert_eq!((read(), read()), (value("a"), value("a")));
    put(&coordinator, 1, "b");
    assert_eq!(read(), value("b"));
    fresh(&coordinator).put(1, None).commit(&coordinator).unwrap();
    assert_eq!(read(), None);
}

#[test]
fn g4_a_range_that_was_read_follows_what_is_written_in_it() {
    let (_, coordinator) = store();
    put(&coordinator, 1, "a");
    let range = KeyRange::prefix(&key(1)[..5]);
    let read = |direction| {
        let view = coordinator.view().unwrap();
        let entries = view.scan_cached(&range, direction);
        entries.map(|entry| entry.unwrap().0).collect::<Vec<_>>()
    };
    for direction in [Direction::Forward, Direction::Reverse] {
        fresh(&coordinator).put(1, value("a")).put(2, None).commit(&coordinator).unwrap();
        assert_eq!((read(direction), read(direction)), (vec![key(1)], vec![key(1)]));
        put(&coordinator, 2, "b");
        assert_eq!(read(direction).len(), 2);
        fresh(&coordinator).put(1, None).commit(&coordinator).unwrap();
        assert_eq!(read(direction), vec![key(2)]);
    }
}

#[test]
fn g9_a_record_locked_by_another_is_not_written_past_the_lock() {
    let limits = TransactionLimits { lock_wait: Duration::ZERO, ..TransactionLimits::default() };
    let coordinator = open_within(&Arc::new(MemoryStorage::new()), limits);
    let clock = &*coordinator.environment().clock;
    coordinator.locks().lock(clock, 1, &key(1), Duration::ZERO).unwrap();
    let refused = fresh(&coordinator).put(1, value("x")).commit(&coordinator);
    assert_eq!(refused.unwrap_err().code(), Code::LockTimeout);
    coordinator.locks().release_all(1);
    assert_eq!(put(&coordinator, 1, "x"), 1);
}

#[test]
fn g4_a_view_is_renewed_only_if_nothing_that_was_read_or_written_has_changed() {
    let (storage, coordinator) = store();
    let begin = remember(&coordinator);
    put(&coordinator, 1, "a");
    put(&coordinator, 2, "b");
    let renewed = |coordinator: &LocalCoordinator, from, read: Option<u8>, written: Option<u8>| {
        let mut reads = ReadSet::new(9);
        if let Some(n) = read {
            reads.add_point(&key(n));
        }
        let written = written.map(key);
        let renewed = coordinator.refresh(None, from, &reads, &mut written.iter()).unwrap();
        renewed.map(|view| view.revision())
    };
    assert_eq!(renewed(&coordinator, begin, None, None), Some(2));
    assert_eq!(renewed(&coordinator, begin, Some(3), Some(4)), Some(2));
    assert_eq!(renewed(&coordinator, begin, Some(1), None), None);
    assert_eq!(renewed(&coordinator, begin, None, Some(2)), None);
    assert_eq!(renewed(&coordinator, 1, Some(1), Some(1)), Some(2), "changed before");
    assert_eq!(renewed(&coordinator, 1, None, Some(2)), None);
    // What was committed before the store was opened is not remembered.
    let reopened = open(&storage);
    assert_eq!(renewed(&reopened, 1, Some(9), Some(9)), None);
    assert_eq!(renewed(&reopened, 2, Some(9), Some(9)), Some(2));
}

#[test]
fn g4_a_transaction_is_moved_to_the_view_that_it_is_given() {
    let (_, coordinator) = store();
    remember(&coordinator);
    let oldest = || coordinator.registry().oldest_revision();
    put(&coordinator, 1, "a");
    let reads = ReadSet::new(1);
    let refresh = |advance| {
        coordinator.refresh(advance, 0, &reads, &mut std::iter::empty()).unwrap().unwrap()
    };
    assert_eq!((refresh(None).revision(), oldest()), (1, Some(0)));
    assert_eq!((refresh(Some(1)).revision(), oldest()), (1, Some(1)));
}

#[test]
fn g2_a_damaged_counter_is_told_when_the_store_is_opened() {
    for counter in [keyspace::LAST_REVISION, keyspace::SCHEMA_REVISION, keyspace::RESERVED_REVISION]
    {
        let (storage, coordinator) = store();
        put(&coordinator, 1, "a");
        drop(coordinator);
        let mut batch = tandem_storage::WriteBatch::new();
        batch.put(counter.to_vec(), vec![0; 7]);
        storage.write(batch, Durability::Sync).unwrap();
        let opened = LocalCoordinator::open(
            storage.clone(),
            Arc::new(Plain),
            Arc::new(Nobody),
            Environment::simulated(1).0,
            TransactionLimits::default(),
            Durability::Sync,
        );
        assert_eq!(opened.err().map(|error| error.code()), Some(Code::Corrupted));
    }
}

#[test]
fn g2_g8_revisions_that_buffered_commits_may_have_had_are_not_used_again() {
    let (storage, coordinator) = store();
    let buffered = |coordinator: &LocalCoordinator| {
        let mut one = fresh(coordinator).put(1, value("a"));
        one.options.durability = Some(Durability::Buffered);
        one.commit(coordinator).unwrap().revision
    };
    let reserved = || {
        let stored = storage.get(keyspace::RESERVED_REVISION).unwrap();
        stored.map(|bytes| u64::from_be_bytes(bytes[..].try_into().unwrap()))
    };
    put(&coordinator, 1, "synced");
    assert_eq!(reserved(), None, "a synced commit needs no reserve");
    assert_eq!(buffered(&coordinator), 2);
    let until = reserved().expect("stored with the first buffered commit");
    assert_eq!(until, 2 + RESERVE);
    for _ in 0..3 {
        buffered(&coordinator);
    }
    assert_eq!(reserved(), Some(until), "as long as there is some left");
    drop(coordinator);
    let coordinator = open(&storage);
    assert_eq!(coordinator.view().unwrap().revision(), 5);
    assert_eq!(put(&coordinator, 1, "b"), until + 1);
    assert_eq!(put(&coordinator, 1, "c"), until + 2, "each by one again");
    assert_eq!(buffered(&coordinator), until + 3);
    let next = until + 3 + RESERVE;
    assert_eq!(reserved(), Some(next));
    while buffered(&coordinator) < next {}
    assert_eq!(reserved(), Some(next), "the last one is within the reserve");
    assert_eq!(buffered(&coordinator), next + 1);
    assert_eq!(reserved(), Some(next + 1 + RESERVE));
    let timings = coordinator.statistics().timings();
    assert_eq!((timings.sync_time.count(), timings.write_time.count()), (4, RESERVE + 4));
}

/// What nobody can notice may be lost and done again; what takes a revision is a
/// commit like any other.
#[test]
fn g2_background_work_is_as_durable_as_the_store_once_it_takes_a_revision() {
    for (with_change, synced) in [(false, 0), (true, 1)] {
        let (_, coordinator) = store();
        let durability = Some(Durability::Buffered);
        let buffered = || CommitOptions { durability, idempotency: None };
        // Reserves revisions, so that nothing else has to be synced for that.
        let mut first = fresh(&coordinator).put(9, value("a"));
        first.options = buffered();
        first.commit(&coordinator).unwrap();
        let work = Work::Maintenance(Box::new(move |_, _| {
            let (bucket, key, after) = (Arc::from("rows"), key(1), value("a"));
            let change = Change { bucket, key: key.clone(), before: None, after: after.clone() };
            let changes = if with_change { vec![change] } else { Vec::new() };
            Ok(Derived { writes: vec![(key, after)], changes, record_changes: 0 })
        }));
        let options = buffered();
        let receipt = coordinator.commit(CommitRequest { work, options }).unwrap();
        assert_eq!(receipt.revision, 1 + synced);
        assert_eq!(coordinator.view().unwrap().get(&key(1)).unwrap(), value("a"));
        let timings = coordinator.statistics().timings();
        let written = (timings.sync_time.count(), timings.write_time.count());
        assert_eq!(written, (1 + synced, 2));
    }
}

#[test]
fn a_commit_is_counted_by_what_became_of_it() {
    let (_, coordinator) = store();
    let begin = remember(&coordinator);
    put(&coordinator, 1, "a");
    tx(Isolation::Snapshot, begin).put(1, value("b")).commit(&coordinator).unwrap_err();
    let mut read = tx(Isolation::Serializable, begin).put(2, value("b"));
    read.reads.add_point(&key(1));
    read.commit(&coordinator).unwrap_err();
    let mut guarded = fresh(&coordinator).put(2, value("b"));
    let violation = || Error::new(Code::Conflict, "guarded");
    guarded.writes.add_guard(GuardCheck::Unchanged, KeyRange::point(&key(1)), begin, violation);
    guarded.commit(&coordinator).unwrap_err();
    let counted = coordinator.statistics().snapshot();
    assert_eq!((counted.commits, counted.groups), (1, 1));
    let refused = (counted.write_conflicts, counted.read_conflicts, counted.constraint_conflicts);
    assert_eq!((refused, counted.too_old), ((1, 1, 1), 0));
}

/// Refuses whatever is to be committed.
struct Refusing(Error);

impl Derive for Refusing {
    fn derive(&self, _: &dyn CommitState, _: &WriteSet, _: Stamp) -> Result<Derived> {
        Err(self.0.clone())
    }

    fn conflict(&self, cause: ConflictCause, key: &[u8]) -> Error {
        Plain.conflict(cause, key)
    }
}

#[test]
fn a_refusal_counts_as_a_conflict_of_constraints_if_running_again_may_help() {
    let taken = Error::new(Code::Conflict, "another has taken it");
    let refusals = [
        (taken.clone(), 1),
        (taken.with_retryable(false), 0),
        (Error::new(Code::Deadlock, "run again for another reason"), 0),
        (Error::new(Code::AlreadyExists, "it was there before"), 0),
    ];
    for (refusal, counted) in refusals {
        let limits = TransactionLimits::default();
        let storage = Arc::new(MemoryStorage::new());
        let coordinator = open_deriving(&storage, Arc::new(Refusing(refusal.clone())), limits);
        let refused = fresh(&coordinator).put(1, value("a")).commit(&coordinator).unwrap_err();
        assert_eq!(refused.message(), refusal.message());
        let counters = coordinator.statistics().snapshot();
        assert_eq!((counters.constraint_conflicts, counters.commits), (counted, 0), "{refusal}");
        assert_eq!(coordinator.view().unwrap().revision(), 0);
    }
}

#[test]
fn g4_a_transaction_whose_begin_is_forgotten_is_told_that_it_is_too_old() {
    let (storage, coordinator) = store();
    put(&coordinator, 1, "a");
    put(&coordinator, 1, "b");
    drop(coordinator);
    let coordinator = open(&storage);
    let error = tx(Isolation::Snapshot, 1).put(2, value("x")).commit(&coordinator).unwrap_err();
    assert_eq!(error.code(), Code::TransactionExpired);
    assert_eq!(error.detail("beginRevision").and_then(|at| at.as_u64()), Some(1));
    assert_eq!(error.detail("oldestRevision").and_then(|at| at.as_u64()), Some(2));
    assert_eq!(coordinator.statistics().snapshot().too_old, 1);
    tx(Isolation::Snapshot, 2).put(2, value("x")).commit(&coordinator).unwrap();
    // A guard may be older than the view.
    let mut guarded = fresh(&coordinator).put(3, value("x"));
    let violation = || Error::new(Code::Conflict, "guarded");
    guarded.writes.add_guard(GuardCheck::Unchanged, KeyRange::point(&key(9)), 1, violation);
    assert_eq!(guarded.commit(&coordinator).unwrap_err().code(), Code::TransactionExpired);
}

#[test]
fn g5_a_guard_of_existence_holds_when_the_row_was_changed_or_is_written_here() {
    let (_, coordinator) = store();
    put(&coordinator, 7, "target");
    let begin = remember(&coordinator);
    put(&coordinator, 7, "changed");
    let guarded = || {
        let mut tx = fresh(&coordinator).put(2, value("x"));
        let violation = || Error::new(Code::Conflict, "guarded");
        tx.writes.add_guard(GuardCheck::Exists, KeyRange::point(&key(7)), begin, violation);
        tx
    };
    guarded().commit(&coordinator).unwrap();
    fresh(&coordinator).put(7, None).commit(&coordinator).unwrap();
    assert!(guarded().commit(&coordinator).is_err());
    guarded().put(7, value("own")).commit(&coordinator).unwrap();
}

#[test]
fn background_work_takes_a_revision_only_if_somebody_can_notice() {
    let (storage, coordinator) = store();
    put(&coordinator, 1, "a");
    let maintain = |key: Bytes, changes: bool| {
        let work = Work::Maintenance(Box::new(move |_, _| {
            let mut derived = Derived::default();
            derived.writes.push((key.clone(), value("x")));
            if changes {
                let (bucket, after) = (Arc::from("rows"), value("x"));
                derived.changes.push(Change { bucket, key, before: None, after });
            }
            Ok(derived)
        }));
        coordinator.commit(CommitRequest { work, options: CommitOptions::default() }).unwrap()
    };
    let garbage = Bytes::from_static(&[keyspace::GARBAGE, 1]);
    let silent = maintain(garbage.clone(), false);
    assert_eq!((silent.revision, silent.commit.is_none(), silent.changes), (1, true, 0));
    assert_eq!(storage.get(&garbage).unwrap(), value("x"), "it is done all the same");
    assert_eq!(maintain(key(5), true).revision, 2);
    let catalog = Bytes::from_static(&[keyspace::CATALOG, b'b', b'x']);
    let defined = maintain(catalog, false);
    assert_eq!((defined.revision, defined.commit.is_some()), (3, true));
    let view = coordinator.view().unwrap();
    assert_eq!((view.revision(), view.schema_revision()), (3, 3));
    drop(coordinator);
    let view = open(&storage).view().unwrap();
    assert_eq!((view.revision(), view.schema_revision()), (3, 3), "also after reopening");
}

#[test]
fn g4_what_is_kept_follows_background_work_that_takes_no_revision() {
    let (_, coordinator) = store();
    put(&coordinator, 1, "a");
    let entry = |n: u8| Bytes::copy_from_slice(&[keyspace::INDEX, 0, 0, 0, 1, n]);
    let counter = Bytes::from_static(&[keyspace::COUNTER, 1]);
    for n in 1..4 {
        let slow = coordinator.view().unwrap();
        let written = vec![(entry(n), value("x")), (counter.clone(), value("x"))];
        let work = Work::Maintenance(Box::new(move |_, _| {
            Ok(Derived { writes: written, ..Derived::default() })
        }));
        coordinator.commit(CommitRequest { work, options: CommitOptions::default() }).unwrap();
        let entries = |view: &View| {
            let range = KeyRange::prefix(&entry(0)[..5]);
            view.scan_cached(&range, Direction::Forward).count()
        };
        let before = usize::from(n) - 1;
        assert_eq!((entries(&slow), slow.get(&counter).unwrap().is_some()), (before, n > 1));
        let view = coordinator.view().unwrap();
        assert_eq!((view.revision(), slow.revision()), (1, 1));
        assert_eq!((entries(&view), view.get(&counter).unwrap()), (before + 1, value("x")));
        assert_eq!(entries(&slow), before);
    }
}

#[test]
fn g9_a_panic_in_the_derivation_fails_its_commit_alone() {
    let (_, coordinator) = store();
    let work = Work::Maintenance(Box::new(|_, _| panic!("on purpose")));
    let failed = coordinator.commit(CommitRequest { work, options: CommitOptions::default() });
    assert_eq!(failed.unwrap_err().code(), Code::InternalError);
    assert_eq!(put(&coordinator, 1, "a"), 1);
    assert!(coordinator.poison().is_none());
}
