//! A condition variable that is told of things without a system call while nobody waits.
//!
//! The standard library's asks the kernel to wake sleepers at each notification, whether
//! there are any or not. A commit of a lone client sent five that nobody waited for, 3 %
//! of a relaxed transfer's time (`docs/benchmarks.md`, "What was won").

use std::sync::LockResult;
use std::time::Duration;

use super::atomic::{AtomicUsize, Ordering};
use super::{MutexGuard, Sleepers, WaitTimeoutResult};

/// As the standard library's, with one rule more: after what is waited for has changed, and
/// before the notification, its mutex is locked at least once. So whoever waits was counted
/// before, or sees the change.
#[derive(Debug, Default)]
pub struct Condvar {
    sleepers: Sleepers,
    /// Changed while the mutex is held, which orders it.
    waiting: AtomicUsize,
}

impl Condvar {
    /// One that nobody waits for.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Unlocks the mutex and sleeps until there is a notification, or for no reason at all.
    ///
    /// # Errors
    /// When the mutex is poisoned; the guard is in the error.
    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let woken = self.sleepers.wait(guard);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        woken
    }

    /// As [`wait`](Self::wait), for no longer than `timeout`.
    ///
    /// # Errors
    /// When the mutex is poisoned; the guard is in the error.
    pub fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let woken = self.sleepers.wait_timeout(guard, timeout);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        woken
    }

    /// Wakes one of those who wait.
    pub fn notify_one(&self) {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.sleepers.notify_one();
        }
    }

    /// Wakes all who wait.
    pub fn notify_all(&self) {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.sleepers.notify_all();
        }
    }
}

#[cfg(test)]
#[cfg(not(feature = "shuttle"))]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// What is waited for, and the tools to wait for it.
    #[derive(Default)]
    struct Cell {
        value: Mutex<u32>,
        changed: Condvar,
    }

    impl Cell {
        fn wait_for(&self, value: u32) {
            let mut present = self.value.lock().expect("no panic");
            while *present != value {
                present = self.changed.wait(present).expect("no panic");
            }
        }

        fn set(&self, value: u32, notify: fn(&Condvar)) {
            *self.value.lock().expect("no panic") = value;
            notify(&self.changed);
        }

        fn waiting(&self) -> usize {
            let _ordered = self.value.lock().expect("no panic");
            self.changed.waiting.load(Ordering::Relaxed)
        }

        fn until_so_many_wait(&self, threads: usize) {
            while self.waiting() < threads {
                std::thread::yield_now();
            }
        }
    }

    #[test]
    fn whoever_waits_is_woken_and_not_counted_any_more() {
        for (threads, notify) in
            [(1, Condvar::notify_one as fn(&Condvar)), (3, Condvar::notify_all)]
        {
            let cell = Cell::default();
            std::thread::scope(|scope| {
                for _ in 0..threads {
                    scope.spawn(|| cell.wait_for(1));
                }
                cell.until_so_many_wait(threads);
                cell.set(1, notify);
            });
            assert_eq!(cell.waiting(), 0);
        }
    }

    #[test]
    fn two_take_turns_and_no_notification_is_lost() {
        let cell = Cell::default();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for turn in 0..20_000 {
                    cell.wait_for(2 * turn);
                    cell.set(2 * turn + 1, Condvar::notify_all);
                }
            });
            for turn in 0..20_000 {
                cell.wait_for(2 * turn + 1);
                cell.set(2 * turn + 2, Condvar::notify_one);
            }
        });
        assert_eq!(cell.waiting(), 0);
    }

    #[test]
    fn a_timed_wait_ends_with_its_time_or_with_a_notification() {
        let cell = Cell::default();
        let value = cell.value.lock().expect("no panic");
        let waited = cell.changed.wait_timeout(value, Duration::from_millis(1));
        assert!(waited.expect("no panic").1.timed_out());
        assert_eq!(cell.waiting(), 0);
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| {
                let mut value = cell.value.lock().expect("no panic");
                while *value != 1 {
                    let waited = cell.changed.wait_timeout(value, Duration::MAX);
                    value = waited.expect("no panic").0;
                }
            });
            cell.until_so_many_wait(1);
            cell.set(1, Condvar::notify_all);
            waits.join().expect("woken");
        });
        assert_eq!(cell.waiting(), 0);
    }
}
