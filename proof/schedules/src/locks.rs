//! The lock manager, and what a transaction sees after it waited.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tandem_base::sync::thread;
use tandem_base::{Code, Environment, SimulatedClock};
use tandem_transaction::{CommitOptions, Isolation, LockManager};

use crate::pipeline::Announced;
use crate::store::{Fault, add_one, assert_clean, begin, commit_one, newest, open, row};

/// The clock stands still, so nobody is rescued by a time limit.
const WAIT: Duration = Duration::from_secs(5);

/// Four lockers and a writer that passes by: one owner at a time, and nobody
/// waits for ever (that would be a deadlock of the schedule).
pub fn mutual_exclusion() {
    let locks = Arc::new(LockManager::new(8, 8));
    let clock = Arc::new(SimulatedClock::new(0));
    let (inside, entered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut threads: Vec<_> = (1..=4)
        .map(|owner| {
            let (locks, clock) = (locks.clone(), clock.clone());
            let (inside, entered) = (inside.clone(), entered.clone());
            thread::spawn(move || {
                locks.lock(&*clock, owner, &row(0), WAIT).unwrap();
                assert!(!inside.swap(true, Ordering::SeqCst), "two own the lock");
                thread::yield_now();
                entered.fetch_add(1, Ordering::SeqCst);
                inside.store(false, Ordering::SeqCst);
                locks.release_all(owner);
            })
        })
        .collect();
    threads.push(thread::spawn(move || {
        locks.pass_by(&*clock, 5, &row(0), WAIT).unwrap();
        assert!(locks.waiters() == 0 || !locks.is_empty());
    }));
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(entered.load(Ordering::SeqCst), 4);
}

/// Three transactions lock in a circle: whoever closes it is told so, and the
/// others get through.
pub fn deadlock() {
    let locks = Arc::new(LockManager::new(8, 8));
    let clock = Arc::new(SimulatedClock::new(0));
    let threads: Vec<_> = (0..3u8)
        .map(|place| {
            let (locks, clock) = (locks.clone(), clock.clone());
            thread::spawn(move || {
                let owner = u64::from(place) + 1;
                let both = [row(place), row((place + 1) % 3)];
                let result =
                    both.iter().try_for_each(|key| locks.lock(&*clock, owner, key, WAIT).map(drop));
                if let Err(error) = &result {
                    assert_eq!(error.code(), Code::Deadlock);
                }
                locks.release_all(owner);
                result.is_ok()
            })
        })
        .collect();
    let passed = threads.into_iter().map(|t| t.join().unwrap());
    assert!(passed.filter(|passed| *passed).count() >= 2, "one victim is enough");
    assert!(locks.is_empty() && locks.waiters() == 0);
}

/// Locked read-modify-write under read committed, next to commits that have no
/// lock to wait for: no update is lost.
pub fn locked_updates() {
    updates(true);
}

/// The same without the locks, which loses updates: the proof that
/// [`locked_updates`] can fail.
pub fn unlocked_updates() {
    updates(false);
}

fn updates(locked: bool) {
    let store = open(Fault::None, 0, Arc::new(Announced::default()), Environment::simulated(1).0);
    let mut threads: Vec<_> = (0..3)
        .map(|_| {
            let store = store.clone();
            thread::spawn(move || {
                let mut transaction = begin(&store, Isolation::ReadCommitted);
                add_one(&mut transaction, &row(0), locked).unwrap();
                transaction.commit(CommitOptions::default()).unwrap();
            })
        })
        .collect();
    let other = store.clone();
    threads.push(thread::spawn(move || {
        commit_one(&other, 1, Isolation::ReadCommitted).unwrap();
    }));
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(newest(&store, 0), (4, 3), "a locked update was lost");
    assert_clean(&store);
}
