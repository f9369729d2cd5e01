//! From begin to the end of a transaction: what is answered when, and what is
//! left behind.
#![allow(clippy::unwrap_used, reason = "in tests, a failed step fails the test")]

mod support;

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use bytes::Bytes;
use support::{Store, commit, get, key, ms, put};
use tandem_base::{Code, Error};
use tandem_storage::{Direction, Durability, KeyRange};
use tandem_transaction::{
    CommitOptions, Coordination, Errand, Errands, IndexDelta, Isolation, Read, Transaction,
    TransactionLimits, TransactionOptions,
};

#[test]
fn a_transaction_is_what_it_was_begun_as() {
    let store = Store::new();
    for isolation in Isolation::ALL {
        for read_only in [false, true] {
            let options =
                TransactionOptions { isolation, read_only, ..TransactionOptions::default() };
            let tx = store.begin_with(&options);
            assert_eq!((tx.isolation(), tx.is_read_only()), (isolation, read_only));
            assert!(tx.is_open() && tx.id() > 0);
            let other = store.begin_with(&options);
            assert_ne!(tx.id(), other.id());
        }
    }
    assert_eq!(store.coordination.statistics().snapshot().begun, 12);
}

#[test]
fn a_single_read_is_registered_nowhere_and_sees_the_newest_state() {
    let store = Store::new();
    store.put(&[(1, Some("a"))]);
    let mut read = Transaction::read(store.coordination.clone()).unwrap();
    assert_eq!((read.id(), store.open_transactions()), (0, 0));
    assert_eq!(read.remaining_time(), None);
    assert!(read.is_open() && read.is_read_only());
    assert_eq!(get(&mut read, 1).unwrap().as_deref(), Some("a"));
    assert_eq!(put(&mut read, 1, None).unwrap_err().code(), Code::ReadOnly);
}

#[test]
fn a_read_at_hand_answers_what_is_in_memory_or_says_that_it_fell_short() {
    let store = Store::new();
    let long = "x".repeat((64 << 10) + 1);
    store.put(&[(1, Some("a")), (2, Some(&long)), (3, Some(&long[1..]))]);
    let at_hand = || Transaction::read_at_hand(store.coordination.clone()).unwrap();
    let mut read = at_hand();
    assert_eq!((read.id(), read.view().revision()), (0, 1));
    assert_eq!(get(&mut read, 1).unwrap().as_deref(), Some("a"));
    assert_eq!(get(&mut read, 3).unwrap().as_deref(), Some(&long[1..]));
    assert!(!read.fell_short());
    assert!(get(&mut read, 2).is_err() && read.fell_short(), "that much takes its time");
    assert!(get(&mut read, 1).is_ok() && read.fell_short(), "once is enough");
    let read = at_hand();
    assert!(read.scan(&KeyRange::all(), Direction::Forward).next().unwrap().is_err());
    assert!(read.fell_short(), "nobody knows where a range lies");
    let mut read = Transaction::read(store.coordination.clone()).unwrap();
    assert!(get(&mut read, 2).is_ok() && !read.fell_short());
}

#[test]
fn g9_whatever_ends_a_transaction_leaves_no_lock_and_no_registration() {
    type End = fn(&mut Transaction);
    let ends: [(End, Code); 4] = [
        (|tx| drop(commit(tx).unwrap()), Code::TransactionNotFound),
        (|tx| tx.rollback(), Code::TransactionNotFound),
        (|tx| tx.abort(), Code::TransactionAborted),
        (
            |tx| {
                let failed = tx.write_statement(|_| Err::<(), _>(Error::new(Code::Deadlock, "")));
                assert!(failed.is_err());
            },
            Code::TransactionAborted,
        ),
    ];
    for (end, answer) in ends {
        let store = Store::new();
        let mut tx = store.begin(Isolation::Serializable);
        put(&mut tx, 1, Some("a")).unwrap();
        tx.read_statement(|tx| tx.lock(&key(1), None)).unwrap();
        assert_eq!(store.open_transactions(), 1);
        assert!(!store.coordination.locks().is_empty());
        end(&mut tx);
        assert!(!tx.is_open() && tx.writes().is_empty());
        assert_eq!(store.open_transactions(), 0);
        assert!(store.coordination.locks().is_empty());
        for refused in [
            get(&mut tx, 1).map(drop),
            put(&mut tx, 1, None),
            tx.savepoint("s"),
            tx.rollback_to("s"),
            tx.release_savepoint("s"),
            commit(&mut tx).map(drop),
        ] {
            assert_eq!(refused.unwrap_err().code(), answer);
        }
        tx.rollback();
        assert_eq!(get(&mut tx, 1).unwrap_err().code(), Code::TransactionNotFound);
    }
}

#[test]
fn g9_a_dropped_transaction_is_rolled_back() {
    let store = Store::new();
    let mut tx = store.begin(Isolation::Serializable);
    tx.read_statement(|tx| tx.lock(&key(1), None)).unwrap();
    put(&mut tx, 1, Some("a")).unwrap();
    drop(tx);
    assert_eq!(store.open_transactions(), 0);
    assert!(store.coordination.locks().is_empty());
    assert_eq!(get(&mut store.begin(Isolation::Snapshot), 1).unwrap(), None);
}

#[test]
fn g9_a_failed_statement_undoes_itself_and_a_conflict_ends_the_transaction() {
    let store = Store::new();
    let mut tx = store.begin(Isolation::Serializable);
    put(&mut tx, 1, Some("kept")).unwrap();
    let failed = tx.write_statement(|tx| {
        tx.write(&key(2), None, Some(Bytes::new()), None, IndexDelta::default(), None);
        Err::<(), _>(Error::new(Code::ValidationError, "half-way"))
    });
    assert!(failed.is_err() && tx.is_open());
    assert!(tx.own_write(&key(1)).is_some() && tx.own_write(&key(2)).is_none());
    let conflict = tx.read_statement(|_| Err::<(), _>(Error::new(Code::Conflict, "")));
    assert!(conflict.is_err() && !tx.is_open());
    assert_eq!(get(&mut tx, 1).unwrap_err().code(), Code::TransactionAborted);
}

#[test]
fn g9_time_ends_a_transaction_that_is_open_or_unused_for_too_long() {
    let limits = TransactionLimits { total_time: ms(100), idle_time: ms(40), ..Default::default() };
    let store = Store::with_limits(limits);
    let mut tx = store.begin(Isolation::Serializable);
    put(&mut tx, 1, Some("a")).unwrap();
    for spent in [30, 60, 90] {
        store.clock.advance(ms(30));
        assert_eq!(tx.remaining_time(), Some(ms(100 - spent)));
        get(&mut tx, 1).unwrap();
    }
    store.clock.advance(ms(10));
    assert_eq!(tx.remaining_time(), Some(Duration::ZERO));
    assert_eq!(get(&mut tx, 1).unwrap_err().code(), Code::TransactionExpired);
    assert!(!tx.is_open() && tx.writes().is_empty());
    assert_eq!(store.open_transactions(), 0);
    assert_eq!(store.coordination.statistics().snapshot().expired, 1);
    assert_eq!(commit(&mut tx).unwrap_err().code(), Code::TransactionExpired);
    assert_eq!(store.coordination.statistics().snapshot().expired, 1, "it expires once");

    let mut unused = store.begin(Isolation::Serializable);
    store.clock.advance(ms(39));
    // A statement that lasts does not count as idle.
    unused
        .read_statement(|_| {
            store.clock.advance(ms(39));
            Ok(())
        })
        .unwrap();
    assert!(unused.is_open());
    for id in store.coordination.registry().expire(ms(100 + 39 + 39 + 40)) {
        assert_eq!(id, unused.id());
    }
    assert!(!unused.is_open(), "whoever looks for it");
    assert_eq!(commit(&mut unused).unwrap_err().code(), Code::TransactionExpired);
}

#[test]
fn g9_a_transaction_may_ask_for_less_time_and_not_for_more() {
    let limits = TransactionLimits { total_time: ms(100), idle_time: ms(40), ..Default::default() };
    let store = Store::with_limits(limits);
    let with = |total, idle| {
        let (total_time, idle_time) = (Some(ms(total)), Some(ms(idle)));
        store.begin_with(&TransactionOptions { total_time, idle_time, ..Default::default() })
    };
    assert_eq!(with(50, 40).remaining_time(), Some(ms(50)));
    assert_eq!(with(500, 40).remaining_time(), Some(ms(100)));
    let (mut hasty, mut patient) = (with(100, 10), with(100, 400));
    store.clock.advance(ms(10));
    assert_eq!(get(&mut hasty, 1).unwrap_err().code(), Code::TransactionExpired);
    assert!(get(&mut patient, 1).is_ok());
    store.clock.advance(ms(40));
    assert_eq!(get(&mut patient, 1).unwrap_err().code(), Code::TransactionExpired);
}

#[test]
fn g10_the_bytes_of_a_transaction_and_its_savepoints_are_bounded_and_named() {
    let limits = TransactionLimits { savepoints: 2, ..TransactionLimits::default() };
    let store = Store::with_limits(limits);
    let mut tx = store.begin(Isolation::Serializable);
    put(&mut tx, 1, Some("a")).unwrap();
    let one_write = tx.writes().bytes();
    for _ in 0..2 {
        tx.savepoint("s").unwrap();
    }
    let refused = tx.savepoint("s").unwrap_err();
    assert_eq!(refused.detail("limit").and_then(|name| name.as_str()), Some("savepoints"));
    tx.release_savepoint("s").unwrap();
    tx.savepoint("s").unwrap();

    let limits = TransactionLimits { write_set_bytes: one_write, ..Default::default() };
    let store = Store::with_limits(limits);
    let mut tx = store.begin(Isolation::Serializable);
    put(&mut tx, 1, Some("a")).expect("as much as allowed");
    let refused = put(&mut tx, 2, Some("a")).unwrap_err();
    assert_eq!(refused.detail("limit").and_then(|name| name.as_str()), Some("transactionBytes"));
    assert!(tx.own_write(&key(1)).is_some() && tx.own_write(&key(2)).is_none());
    commit(&mut tx).unwrap();
}

#[test]
fn g7_a_savepoint_takes_back_what_followed_it() {
    let store = Store::new();
    let mut tx = store.begin(Isolation::Serializable);
    put(&mut tx, 1, Some("a")).unwrap();
    tx.savepoint("s").unwrap();
    put(&mut tx, 2, Some("b")).unwrap();
    tx.rollback_to("s").unwrap();
    tx.release_savepoint("s").unwrap();
    for gone in [tx.rollback_to("s"), tx.release_savepoint("s")] {
        assert_eq!(gone.unwrap_err().code(), Code::SavepointNotFound);
    }
    let receipt = commit(&mut tx).unwrap();
    assert_eq!((receipt.changes, receipt.commit.unwrap().changes.len()), (1, 1));
}

#[test]
fn a_commit_without_writes_takes_no_revision_unless_it_has_a_name() {
    let store = Store::new();
    store.put(&[(1, Some("a"))]);
    let mut tx = store.begin(Isolation::Serializable);
    get(&mut tx, 1).unwrap();
    let receipt = commit(&mut tx).unwrap();
    assert_eq!((receipt.revision, receipt.changes, receipt.commit.is_none()), (1, 0, true));
    assert!(!tx.is_open());
    let named = || {
        let idempotency = Some((Bytes::from_static(b"name"), Bytes::from_static(b"payload")));
        let options = CommitOptions { idempotency, ..CommitOptions::default() };
        store.begin(Isolation::Serializable).commit(options).unwrap()
    };
    assert_eq!((named().revision, named().revision), (2, 2));
    assert_eq!(named().replayed.as_deref(), Some(&b"payload"[..]));
    let replayed = store.coordination.replay(b"name").unwrap().unwrap();
    assert_eq!(replayed.revision, 2);
    assert!(store.coordination.replay(b"other").unwrap().is_none());
}

/// The crate's own tests reserve fewer revisions, so that they see the reserve used up.
#[test]
fn one_in_very_many_buffered_commits_is_synced() {
    let store = Store::new();
    for n in 0..200 {
        let mut tx = store.begin(Isolation::ReadCommitted);
        put(&mut tx, n, Some("a")).unwrap();
        let durability = Some(Durability::Buffered);
        tx.commit(CommitOptions { durability, ..CommitOptions::default() }).unwrap();
    }
    let timings = store.coordination.statistics().timings();
    assert_eq!((timings.sync_time.count(), timings.write_time.count()), (1, 200));
}

#[test]
fn g4_read_committed_moves_on_and_the_other_levels_stay() {
    for isolation in Isolation::ALL {
        let store = Store::new();
        let mut tx = store.begin(isolation);
        assert_eq!(get(&mut tx, 1).unwrap(), None);
        store.put(&[(1, Some("a"))]);
        let moves = isolation == Isolation::ReadCommitted;
        assert_eq!(get(&mut tx, 1).unwrap().is_some(), moves, "{isolation}");
        let oldest = store.coordination.registry().oldest_revision();
        assert_eq!((tx.view().revision(), oldest), (u64::from(moves), Some(u64::from(moves))));
        assert_eq!(tx.written_since(), u64::from(moves));
        // With a write pending the view moves on, and what it was built on is kept.
        put(&mut tx, 2, Some("b")).unwrap();
        store.put(&[(1, Some("c"))]);
        get(&mut tx, 1).unwrap();
        assert_eq!(tx.view().revision(), if moves { 2 } else { 0 });
        assert_eq!(tx.written_since(), u64::from(moves));
        assert_eq!(store.coordination.registry().oldest_revision(), Some(u64::from(moves)));
    }
}

#[test]
fn g4_a_guard_alone_keeps_what_it_saw_under_read_committed() {
    let store = Store::new();
    store.put(&[(7, Some("there"))]);
    let mut tx = store.begin(Isolation::ReadCommitted);
    tx.write_statement(|tx| {
        tx.guard_unchanged(KeyRange::point(&key(7)), || Error::new(Code::Conflict, "guarded"));
        tx.guard_exists(&key(7), || Error::new(Code::Conflict, "gone"));
        Ok(())
    })
    .unwrap();
    store.put(&[(7, Some("changed"))]);
    put(&mut tx, 1, Some("a")).unwrap();
    assert_eq!(store.coordination.registry().oldest_revision(), Some(1));
    assert_eq!(commit(&mut tx).unwrap_err().message(), "guarded");
}

#[test]
fn g4_what_a_transaction_refers_to_is_still_there_when_it_commits() {
    let store = Store::new();
    let refer = |meanwhile: Option<&str>| {
        store.put(&[(7, Some("there"))]);
        let mut tx = store.begin(Isolation::ReadCommitted);
        tx.guard_exists(&key(7), || Error::new(Code::Conflict, "gone"));
        put(&mut tx, 1, Some("a")).unwrap();
        store.put(&[(7, meanwhile)]);
        commit(&mut tx).err().map(|error| error.message().to_owned())
    };
    assert_eq!(refer(None).as_deref(), Some("gone"));
    assert_eq!(refer(Some("changed")), None, "it is there all the same");
}

#[test]
fn what_came_to_nothing_is_remembered_as_read() {
    let store = Store::new();
    let mut tx = store.begin(Isolation::Serializable);
    put(&mut tx, 1, Some("a")).unwrap();
    put(&mut tx, 1, None).unwrap();
    put(&mut tx, 2, Some("b")).unwrap();
    store.put(&[(1, Some("other"))]);
    assert_eq!(commit(&mut tx).unwrap_err().code(), Code::Conflict);
}

#[test]
fn own_entries_come_and_go_with_the_rows_they_follow_from() {
    let store = Store::new();
    let mut tx = store.begin(Isolation::Serializable);
    let entry = Bytes::from_static(b"\x20entry");
    let delta = |removes: &[&Bytes], puts: &[&Bytes]| IndexDelta {
        removes: removes.iter().copied().cloned().collect(),
        puts: puts.iter().map(|key| ((*key).clone(), Bytes::new())).collect(),
    };
    tx.write_statement(|tx| {
        tx.write(&key(1), None, Some(Bytes::new()), None, delta(&[], &[&entry]), None);
        assert_eq!(tx.get(&entry)?, Some(Bytes::new()));
        let other = Bytes::from_static(b"\x20other");
        tx.write(
            &key(1),
            Some(&Bytes::new()),
            Some(Bytes::new()),
            None,
            delta(&[&entry], &[&other]),
            None,
        );
        assert!(tx.is_own(&entry) && tx.get(&entry)?.is_none() && tx.get(&other)?.is_some());
        // The record comes to nothing, and so do its entries.
        tx.write(&key(1), Some(&Bytes::new()), None, None, delta(&[&other], &[]), None);
        assert!(!tx.is_own(&other) && !tx.is_own(&key(1)));
        Ok(())
    })
    .unwrap();
    assert!(tx.writes().is_empty());
}

#[test]
fn collisions_count_only_where_constraints_are_deferred() {
    let store = Store::new();
    let mut tx = store.begin(Isolation::Serializable);
    tx.note_collision();
    assert!(!tx.defers_constraints() && !tx.has_collisions());
    tx.defer_constraints();
    assert!(tx.defers_constraints() && !tx.has_collisions());
    tx.note_collision();
    assert!(tx.has_collisions());
    tx.defer_constraints();
    assert!(tx.has_collisions(), "asking again forgets nothing");
    let ordinals = (tx.allocate_ordinal(), tx.allocate_ordinal());
    assert!(ordinals.0 < ordinals.1);
}

#[test]
fn waits_for_locks_are_counted_by_how_they_end() {
    let store = Store::new();
    let lock = |tx: &mut Transaction, n, wait| tx.read_statement(|tx| tx.lock(&key(n), Some(wait)));
    let mut one = store.begin(Isolation::Serializable);
    let mut two = store.begin(Isolation::Serializable);
    lock(&mut one, 1, Duration::ZERO).unwrap();
    lock(&mut two, 2, Duration::ZERO).unwrap();
    assert_eq!(lock(&mut two, 1, Duration::ZERO).unwrap_err().code(), Code::LockTimeout);
    assert!(two.is_open(), "it may try again");
    let counted = || {
        let counted = store.coordination.statistics().snapshot();
        (counted.lock_waits, counted.lock_timeouts, counted.deadlocks)
    };
    assert_eq!(counted(), (0, 1, 0));
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| lock(&mut one, 2, ms(20_000)));
        while store.coordination.locks().waiters() == 0 {
            std::thread::yield_now();
        }
        assert_eq!(lock(&mut two, 1, ms(20_000)).unwrap_err().code(), Code::Deadlock);
        assert!(!two.is_open());
        waiter.join().unwrap().unwrap();
    });
    assert_eq!(counted(), (1, 1, 1));
}

#[test]
fn the_time_that_a_transaction_was_open_is_recorded_once_however_it_ends() {
    type End = fn(&mut Transaction);
    let ends: [End; 4] =
        [|tx| drop(commit(tx).unwrap()), |tx| tx.rollback(), |tx| tx.abort(), |_| ()];
    for end in ends {
        let store = Store::new();
        let mut tx = store.begin(Isolation::Serializable);
        put(&mut tx, 1, Some("a")).unwrap();
        store.clock.advance(ms(5));
        end(&mut tx);
        // Being over, it ends no second time.
        if !tx.is_open() {
            store.clock.advance(ms(5));
            tx.abort();
            tx.rollback();
        }
        drop(tx);
        let open = store.coordination.statistics().timings().transaction_time;
        assert_eq!((open.count(), open.sum()), (1, 5_000_000), "nanoseconds");
    }
}

/// Does errands at once.
struct AtOnce;

impl Errands for AtOnce {
    fn run(&self, errand: Errand) {
        errand.run();
    }
}

#[test]
fn the_time_of_a_commit_that_no_thread_waits_for_is_recorded_once_whoever_hears_of_it() {
    let errands: Arc<dyn Errands> = Arc::new(AtOnce);
    for heard in [true, false] {
        let store = Store::new();
        let commit_time = || {
            let timings = store.coordination.statistics().timings();
            (timings.commit_time.count(), timings.commit_time.sum())
        };
        let (sender, endings) = channel();
        let commit_then = |tx: Transaction| {
            let sender = sender.clone();
            let then = move |ending| sender.send(ending).unwrap();
            tx.commit_then(CommitOptions::default(), &errands, then)
        };
        let [nothing, mut over, mut first, mut refused] =
            [1; 4].map(|_| store.begin(Isolation::Snapshot));
        assert!(commit_then(nothing).is_none());
        over.rollback();
        assert!(commit_then(over).is_none());
        assert_eq!(commit_time(), (0, 0), "there was no commit");
        put(&mut first, 1, Some("a")).unwrap();
        put(&mut refused, 1, Some("b")).unwrap();
        let leads = commit_then(first).expect("the first leads");
        store.clock.advance(ms(3));
        assert!(commit_then(refused).is_none(), "the second goes with it");
        store.clock.advance(ms(5));
        leads.run();
        assert_eq!(commit_time(), (2, 13_000_000), "nanoseconds");
        store.clock.advance(ms(7));
        let endings = endings.try_iter();
        if heard {
            let ends: Vec<_> = endings.map(|ending| ending.finish().is_ok()).collect();
            assert_eq!(ends, [true, false, true, false]);
        } else {
            assert_eq!(endings.map(drop).count(), 4);
        }
        assert_eq!(commit_time(), (2, 13_000_000));
        assert_eq!(store.open_transactions(), 0);
    }
}

/// What `tx` sees and is told after it has waited for the lock on row 1, which
/// another has changed meanwhile, together with row 3, or not.
fn after_a_wait(isolation: Isolation, reads: bool, changed: &[u8]) -> Result<u64, Code> {
    let store = Store::new();
    store.put(&[(1, Some("a")), (3, Some("a"))]);
    let mut holder = store.begin(Isolation::Serializable);
    holder.read_statement(|tx| tx.lock(&key(1), None)).unwrap();
    let mut tx = store.begin(isolation);
    if reads {
        get(&mut tx, 3).unwrap();
    }
    std::thread::scope(|scope| {
        let waiter = scope.spawn(move || {
            tx.write_statement(|tx| tx.wait_for_lock(&key(1)))?;
            let seen = tx.view().revision();
            put(&mut tx, 2, Some("b"))?;
            commit(&mut tx)?;
            Ok(seen)
        });
        while store.coordination.locks().waiters() == 0 {
            std::thread::yield_now();
        }
        for n in changed {
            put(&mut holder, *n, Some("b")).unwrap();
        }
        commit(&mut holder).unwrap();
        waiter.join().unwrap().map_err(|error: Error| error.code())
    })
}

#[test]
fn g4_after_a_wait_the_newest_state_is_seen_unless_what_was_read_has_changed() {
    for isolation in Isolation::ALL {
        assert_eq!(after_a_wait(isolation, false, &[1]), Ok(2), "{isolation}");
        let of_one_state = isolation > Isolation::ReadCommitted;
        let changed = after_a_wait(isolation, true, &[1, 3]);
        assert_eq!(changed, if of_one_state { Err(Code::Conflict) } else { Ok(2) });
    }
    // Snapshot remembers nothing that it read, so having read is enough.
    assert_eq!(after_a_wait(Isolation::Snapshot, true, &[1]), Err(Code::Conflict));
    assert_eq!(after_a_wait(Isolation::Serializable, true, &[1]), Ok(2));
    // The row that was waited for is as it was, whatever else has changed.
    assert_eq!(after_a_wait(Isolation::Snapshot, true, &[3]), Ok(1));
}
