//! The pessimistic strategy: record locks held to a transaction's end.
//!
//! A lock is exclusive among lockers and writers; readers never wait. A
//! *locker* queues for the record and gets it in arrival order. A *writer* that
//! did not lock waits until the record is free and goes on without taking the
//! lock: the commit decides as it always does.
//!
//! Deadlocks are found when a wait would close a circle: each waiting
//! transaction waits for one key, each key has one owner, so following
//! owner → key → owner either ends or comes back to the one that asks, which
//! is then refused and has to roll back.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::PoisonError;
use std::time::Duration;
use tandem_base::sync::{Condvar, Mutex, MutexGuard};

use bytes::Bytes;
use tandem_base::{Clock, Code, Error, Result};

use crate::registry::TransactionId;

/// How long a wait sleeps at most before it looks at the clock again; a
/// simulated clock has no way to wake it.
const SLICE: Duration = Duration::from_millis(10);

/// Record locks of one store.
#[derive(Debug)]
pub struct LockManager {
    state: Mutex<State>,
    released: Condvar,
    max_waiters: usize,
    max_held: usize,
}

#[derive(Debug, Default)]
struct State {
    locks: HashMap<Bytes, Lock>,
    held: HashMap<TransactionId, HashSet<Bytes>>,
    waiting: HashMap<TransactionId, Bytes>,
}

#[derive(Debug)]
struct Lock {
    owner: TransactionId,
    queue: VecDeque<TransactionId>,
}

/// What a wait was for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Own,
    PassBy,
}

impl LockManager {
    /// A manager with bounds on waiting transactions and on locks that one
    /// transaction holds.
    #[must_use]
    pub fn new(max_waiters: usize, max_held: usize) -> Self {
        Self { state: Mutex::default(), released: Condvar::new(), max_waiters, max_held }
    }

    /// Locks `key` for `owner` until [`release_all`](Self::release_all).
    /// Returns whether it had to wait. Locking again is free.
    ///
    /// # Errors
    /// `LOCK_TIMEOUT` after `wait`, `DEADLOCK` when the wait would never end,
    /// `LIMIT_EXCEEDED` for too many waiters or locks.
    pub fn lock(
        &self,
        clock: &dyn Clock,
        owner: TransactionId,
        key: &Bytes,
        wait: Duration,
    ) -> Result<bool> {
        let mut state = self.guard();
        if state.held.get(&owner).is_some_and(|held| held.contains(key)) {
            return Ok(false);
        }
        let held = state.held.get(&owner).map_or(0, HashSet::len);
        if held >= self.max_held {
            return Err(Error::limit("locksPerTransaction", self.max_held as u64, held as u64));
        }
        let waited = if state.locks.contains_key(key) {
            self.wait_for(state, clock, owner, key, wait, Purpose::Own)?;
            true
        } else {
            state.locks.insert(key.clone(), Lock { owner, queue: VecDeque::new() });
            state.held.entry(owner).or_default().insert(key.clone());
            false
        };
        Ok(waited)
    }

    /// Waits until nobody but `owner` holds `key`. Returns whether it waited.
    ///
    /// # Errors
    /// As [`lock`](Self::lock).
    pub fn pass_by(
        &self,
        clock: &dyn Clock,
        owner: TransactionId,
        key: &Bytes,
        wait: Duration,
    ) -> Result<bool> {
        let state = self.guard();
        if state.locks.get(key).is_none_or(|lock| lock.owner == owner) {
            return Ok(false);
        }
        self.wait_for(state, clock, owner, key, wait, Purpose::PassBy)?;
        Ok(true)
    }

    /// The first of `keys` that a transaction other than `owner` holds.
    #[must_use]
    pub fn held_by_another<'a>(
        &self,
        owner: TransactionId,
        mut keys: impl Iterator<Item = &'a Bytes>,
    ) -> Option<Bytes> {
        let state = self.guard();
        if state.locks.is_empty() {
            return None;
        }
        keys.find(|key| state.locks.get(*key).is_some_and(|lock| lock.owner != owner)).cloned()
    }

    /// Whether no record is locked at all: the common case, checked first.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.guard().locks.is_empty()
    }

    /// How many transactions wait for a lock now.
    #[must_use]
    pub fn waiters(&self) -> usize {
        self.guard().waiting.len()
    }

    /// Releases every lock of `owner` and hands each to the next in its queue.
    pub fn release_all(&self, owner: TransactionId) {
        let mut state = self.guard();
        let Some(keys) = state.held.remove(&owner) else { return };
        for key in keys {
            state.hand_on(&key);
        }
        drop(state);
        self.released.notify_all();
    }

    fn wait_for(
        &self,
        mut state: MutexGuard<'_, State>,
        clock: &dyn Clock,
        owner: TransactionId,
        key: &Bytes,
        wait: Duration,
        purpose: Purpose,
    ) -> Result<()> {
        if state.would_deadlock(owner, key) {
            return Err(Error::new(
                Code::Deadlock,
                "Deadlock: this transaction and another wait for each other's locks",
            ));
        }
        if wait.is_zero() {
            return Err(timeout(wait));
        }
        if state.waiting.len() >= self.max_waiters {
            let actual = state.waiting.len() as u64;
            return Err(Error::limit("lockWaiters", self.max_waiters as u64, actual));
        }
        state.waiting.insert(owner, key.clone());
        if purpose == Purpose::Own
            && let Some(lock) = state.locks.get_mut(key)
        {
            lock.queue.push_back(owner);
        }
        let deadline = clock.monotonic().saturating_add(wait);
        loop {
            // A locker in the queue owns the record once it is handed on, so
            // only a writer passing by can find it free. A locker whose
            // transaction has expired may have lost it again already.
            let done = match purpose {
                Purpose::Own => !state.waiting.contains_key(&owner),
                Purpose::PassBy => !state.locks.contains_key(key),
            };
            if done {
                state.waiting.remove(&owner);
                return Ok(());
            }
            let now = clock.monotonic();
            if now >= deadline {
                state.waiting.remove(&owner);
                if let Some(lock) = state.locks.get_mut(key) {
                    lock.queue.retain(|waiter| *waiter != owner);
                }
                return Err(timeout(wait));
            }
            let slice = SLICE.min(deadline.saturating_sub(now));
            state =
                self.released.wait_timeout(state, slice).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn guard(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether `asking` would wait, through others, for itself.
    fn would_deadlock(&self, asking: TransactionId, key: &Bytes) -> bool {
        let mut key = key;
        let mut seen = HashSet::new();
        while let Some(lock) = self.locks.get(key) {
            if lock.owner == asking {
                return true;
            }
            if !seen.insert(lock.owner) {
                return false;
            }
            match self.waiting.get(&lock.owner) {
                Some(next) => key = next,
                None => return false,
            }
        }
        false
    }

    fn hand_on(&mut self, key: &Bytes) {
        let Some(lock) = self.locks.get_mut(key) else { return };
        if let Some(next) = lock.queue.pop_front() {
            lock.owner = next;
            self.held.entry(next).or_default().insert(key.clone());
            self.waiting.remove(&next);
        } else {
            self.locks.remove(key);
        }
    }
}

fn timeout(wait: Duration) -> Error {
    let waited = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    Error::new(Code::LockTimeout, "The record stayed locked by another transaction for too long")
        .with("waitedMs", waited)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tandem_base::SystemClock;

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    fn key(name: &'static str) -> Bytes {
        Bytes::from_static(name.as_bytes())
    }

    #[test]
    fn a_second_locker_waits_until_the_first_ends() {
        let locks = Arc::new(LockManager::new(8, 8));
        let clock = Arc::new(SystemClock::new());
        assert!(!locks.lock(&*clock, 1, &key("a"), LONG).unwrap());
        let second = std::thread::scope(|scope| {
            let waiter = scope.spawn(|| locks.lock(&*clock, 2, &key("a"), LONG));
            while locks.guard().waiting.is_empty() {
                std::thread::yield_now();
            }
            locks.release_all(1);
            waiter.join().unwrap()
        });
        assert!(second.unwrap(), "it waited");
        assert_eq!(locks.guard().locks[&key("a")].owner, 2);
        locks.release_all(2);
        assert!(locks.is_empty());
    }

    #[test]
    fn the_one_who_closes_a_circle_is_refused() {
        let locks = Arc::new(LockManager::new(8, 8));
        let clock = Arc::new(SystemClock::new());
        locks.lock(&*clock, 1, &key("a"), LONG).unwrap();
        locks.lock(&*clock, 2, &key("b"), LONG).unwrap();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| locks.lock(&*clock, 1, &key("b"), LONG));
            while locks.guard().waiting.is_empty() {
                std::thread::yield_now();
            }
            let refused = locks.lock(&*clock, 2, &key("a"), LONG).unwrap_err();
            assert_eq!(refused.code(), Code::Deadlock);
            assert!(refused.retryable());
            locks.release_all(2);
            waiter.join().unwrap().unwrap();
        });
    }

    #[test]
    fn a_wait_ends_with_a_timeout_and_leaves_no_trace() {
        let locks = LockManager::new(8, 8);
        let clock = SystemClock::new();
        locks.lock(&clock, 1, &key("a"), LONG).unwrap();
        let refused = locks.lock(&clock, 2, &key("a"), Duration::from_millis(15)).unwrap_err();
        assert_eq!(refused.code(), Code::LockTimeout);
        assert!(locks.guard().waiting.is_empty());
        locks.release_all(1);
        assert!(locks.is_empty());
    }

    #[test]
    fn g10_locks_and_waiters_are_bounded() {
        let locks = LockManager::new(0, 1);
        let clock = SystemClock::new();
        locks.lock(&clock, 1, &key("a"), LONG).unwrap();
        assert_eq!(locks.lock(&clock, 1, &key("b"), LONG).unwrap_err().code(), Code::LimitExceeded);
        assert_eq!(locks.lock(&clock, 2, &key("a"), LONG).unwrap_err().code(), Code::LimitExceeded);
    }

    /// Starts a wait and returns when it has begun.
    fn waits<'scope>(
        scope: &'scope std::thread::Scope<'scope, '_>,
        locks: &'scope LockManager,
        waiter: TransactionId,
        wait: impl FnOnce() -> Result<bool> + Send + 'scope,
    ) -> std::thread::ScopedJoinHandle<'scope, Result<bool>> {
        let handle = scope.spawn(wait);
        while !locks.guard().waiting.contains_key(&waiter) {
            std::thread::yield_now();
        }
        assert!(locks.waiters() > 0);
        handle
    }

    #[test]
    fn lockers_get_the_record_in_the_order_in_which_they_came() {
        let (locks, clock) = (&LockManager::new(8, 8), &SystemClock::new());
        locks.lock(clock, 1, &key("a"), LONG).unwrap();
        std::thread::scope(|scope| {
            let waiters: Vec<_> = (2..=4)
                .map(|id| waits(scope, locks, id, move || locks.lock(clock, id, &key("a"), LONG)))
                .collect();
            for (id, waiter) in (2..).zip(waiters) {
                locks.release_all(id - 1);
                assert!(waiter.join().unwrap().unwrap(), "it waited");
                assert_eq!(locks.guard().locks[&key("a")].owner, id);
            }
        });
        assert!(locks.waiters() == 0);
    }

    #[test]
    fn a_record_is_free_to_its_owner_and_to_nobody_else() {
        let (locks, clock) = (LockManager::new(8, 1), SystemClock::new());
        let held = |owner| locks.held_by_another(owner, [key("b"), key("a")].iter());
        assert!(locks.is_empty() && held(1).is_none());
        assert!(!locks.pass_by(&clock, 2, &key("a"), Duration::ZERO).unwrap(), "nobody has it");
        assert!(!locks.lock(&clock, 1, &key("a"), Duration::ZERO).unwrap());
        assert!(!locks.is_empty());
        assert!(!locks.lock(&clock, 1, &key("a"), Duration::ZERO).unwrap(), "again is free");
        assert!(!locks.pass_by(&clock, 1, &key("a"), Duration::ZERO).unwrap());
        assert_eq!((held(1), held(2)), (None, Some(key("a"))));
        for refused in [
            locks.lock(&clock, 2, &key("a"), Duration::ZERO),
            locks.pass_by(&clock, 2, &key("a"), Duration::ZERO),
        ] {
            assert_eq!(refused.unwrap_err().code(), Code::LockTimeout);
        }
        assert!(locks.waiters() == 0, "nobody waits who would not");
        locks.release_all(1);
        assert!(locks.is_empty() && held(2).is_none());
    }

    #[test]
    fn a_writer_waits_until_the_record_is_free_and_takes_no_lock() {
        let (locks, clock) = (&LockManager::new(8, 8), &SystemClock::new());
        locks.lock(clock, 1, &key("a"), LONG).unwrap();
        locks.lock(clock, 1, &key("b"), LONG).unwrap();
        std::thread::scope(|scope| {
            let writer = waits(scope, locks, 3, || locks.pass_by(clock, 3, &key("a"), LONG));
            let locker = waits(scope, locks, 2, || locks.lock(clock, 2, &key("a"), LONG));
            locks.release_all(1);
            assert!(locker.join().unwrap().unwrap());
            assert!(locks.guard().waiting.contains_key(&3), "the record has a new owner");
            assert!(!locks.guard().locks.contains_key(&key("b")), "all are released");
            locks.release_all(2);
            assert!(writer.join().unwrap().unwrap(), "it waited");
        });
        assert!(locks.is_empty() && locks.waiters() == 0);
    }

    #[test]
    fn a_circle_is_found_through_others_and_a_chain_is_not_a_circle() {
        let (locks, clock) = (&LockManager::new(8, 8), &SystemClock::new());
        let names = ["a", "b", "c"];
        for (owner, name) in (1..).zip(names) {
            locks.lock(clock, owner, &key(name), LONG).unwrap();
        }
        std::thread::scope(|scope| {
            // 1 waits for 2, and 2 for 3.
            let one = waits(scope, locks, 1, || locks.lock(clock, 1, &key("b"), LONG));
            let two = waits(scope, locks, 2, || locks.pass_by(clock, 2, &key("c"), LONG));
            for refused in
                [locks.lock(clock, 3, &key("a"), LONG), locks.pass_by(clock, 3, &key("a"), LONG)]
            {
                assert_eq!(refused.unwrap_err().code(), Code::Deadlock);
            }
            let four = waits(scope, locks, 4, || locks.lock(clock, 4, &key("a"), LONG));
            for owner in [3, 2, 1] {
                locks.release_all(owner);
            }
            for waiter in [one, two, four] {
                assert!(waiter.join().unwrap().unwrap());
            }
        });
    }

    #[test]
    fn a_wait_says_how_long_it_lasted_and_takes_its_place_in_the_queue_with_it() {
        let (locks, clock) = (&LockManager::new(8, 8), &tandem_base::SimulatedClock::new(0));
        locks.lock(clock, 1, &key("a"), LONG).unwrap();
        std::thread::scope(|scope| {
            let patient = waits(scope, locks, 2, || locks.lock(clock, 2, &key("a"), 2 * LONG));
            let hasty = waits(scope, locks, 3, || locks.lock(clock, 3, &key("a"), LONG));
            let next = waits(scope, locks, 4, || locks.lock(clock, 4, &key("a"), 2 * LONG));
            clock.advance(LONG);
            let refused = hasty.join().unwrap().unwrap_err();
            assert_eq!(refused.code(), Code::LockTimeout);
            assert_eq!(refused.detail("waitedMs").and_then(|ms| ms.as_u64()), Some(20_000));
            locks.release_all(1);
            assert!(patient.join().unwrap().unwrap(), "its time was not over");
            locks.release_all(2);
            assert!(next.join().unwrap().unwrap());
        });
    }

    #[test]
    fn g10_the_bounds_are_reached_and_named() {
        let (locks, clock) = (&LockManager::new(1, 2), &SystemClock::new());
        for name in ["a", "b"] {
            locks.lock(clock, 1, &key(name), LONG).unwrap();
        }
        let named = |refused: Result<bool>, limit: &str, actual: u64| {
            let refused = refused.unwrap_err();
            assert_eq!(refused.detail("limit").and_then(|name| name.as_str()), Some(limit));
            assert_eq!(refused.detail("actual").and_then(|actual| actual.as_u64()), Some(actual));
        };
        named(locks.lock(clock, 1, &key("c"), LONG), "locksPerTransaction", 2);
        std::thread::scope(|scope| {
            let waiter = waits(scope, locks, 2, || locks.lock(clock, 2, &key("a"), LONG));
            named(locks.lock(clock, 3, &key("a"), LONG), "lockWaiters", 1);
            named(locks.pass_by(clock, 3, &key("b"), LONG), "lockWaiters", 1);
            locks.release_all(1);
            waiter.join().unwrap().unwrap();
        });
    }
}
