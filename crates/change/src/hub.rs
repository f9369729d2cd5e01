//! Where the committer meets its followers.
//!
//! The commit section calls [`committed`](CommitListener::committed) on the
//! committing thread, so everything here is short: append to the ring under one
//! lock, wake the sleepers, call the registered callbacks. Followers never hold
//! that lock while they filter or encode, and nothing that a follower does is
//! waited for.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tandem_base::sync::{Condvar, Mutex, MutexGuard};

use tandem_base::Environment;
use tandem_transaction::{Commit, CommitListener};

use crate::options::ChangeLogOptions;
use crate::ring::Ring;

/// How long a timed wait sleeps at most before it looks at the clock again; a
/// simulated clock has no way to wake it.
pub(crate) const SLICE: Duration = Duration::from_millis(10);

/// Called with the newest published revision.
pub type PublishCallback = Arc<dyn Fn(u64) + Send + Sync>;

/// The newest commits of a store, and who waits for the next one.
///
/// Give it to the coordinator as its listener before anything is committed. It
/// must be told of every commit, in revision order; a coordinator that shares
/// its storage with others tells it of theirs too.
pub struct ChangeHub {
    environment: Environment,
    state: Mutex<State>,
    published: Condvar,
    callbacks: Arc<Mutex<Callbacks>>,
}

struct State {
    ring: Ring,
    first: Option<u64>,
    logged_bytes: u64,
    closed: bool,
}

#[derive(Default)]
struct Callbacks {
    next_id: u64,
    by_id: BTreeMap<u64, PublishCallback>,
}

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    Published,
    Closed,
    TimedOut,
}

impl ChangeHub {
    /// A hub whose memory is bounded by `ring_bytes` and `ring_commits`.
    #[must_use]
    pub fn new(environment: Environment, options: &ChangeLogOptions) -> Self {
        let ring = Ring::new(options.ring_bytes, options.ring_commits);
        Self {
            environment,
            state: Mutex::new(State { ring, first: None, logged_bytes: 0, closed: false }),
            published: Condvar::new(),
            callbacks: Arc::default(),
        }
    }

    /// The newest revision that it was told of; 0 until the first commit since
    /// the store was opened.
    #[must_use]
    pub fn newest(&self) -> u64 {
        self.state().ring.newest()
    }

    /// Bytes of commits held in memory.
    #[must_use]
    pub fn ring_bytes(&self) -> usize {
        self.state().ring.bytes()
    }

    /// Calls `callback` with the newest revision after each group of commits
    /// and once when the hub is closed, until the handle is dropped (a call
    /// that is under way then may still finish).
    ///
    /// It runs on the committing thread: it may set a flag or wake a task, and
    /// nothing else; register one per server, not one per subscription. A panic in it is contained and unregisters it. To miss
    /// nothing, register first and pull afterwards.
    pub fn on_publish(&self, callback: PublishCallback) -> PublishHandle {
        let mut callbacks = lock(&self.callbacks);
        let id = callbacks.next_id;
        callbacks.next_id += 1;
        callbacks.by_id.insert(id, callback);
        PublishHandle { callbacks: self.callbacks.clone(), id }
    }

    /// Says that no commit will follow: followers get what there is, then
    /// `CLOSED`. Closing again does nothing.
    pub fn close(&self) {
        let newest = {
            let mut state = self.state();
            if std::mem::replace(&mut state.closed, true) {
                return;
            }
            state.ring.newest()
        };
        self.wake(newest);
    }

    /// Whether [`close`](Self::close) was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// See [`Ring::after`].
    pub(crate) fn after(&self, position: u64, max: usize) -> Option<Vec<Arc<Commit>>> {
        self.state().ring.after(position, max)
    }

    /// See [`Ring::has_few_after`].
    pub(crate) fn has_few_after(&self, position: u64, commits: usize, bytes: usize) -> bool {
        self.state().ring.has_few_after(position, commits, bytes)
    }

    /// The first revision that it was told of, and the log bytes of all since.
    pub(crate) fn logged(&self) -> (Option<u64>, u64) {
        let state = self.state();
        (state.first, state.logged_bytes)
    }

    /// Sleeps until a commit after `position` is known, the hub is closed, or
    /// the monotonic clock shows `deadline`.
    pub(crate) fn wait_beyond(&self, position: u64, deadline: Option<Duration>) -> Woken {
        let mut state = self.state();
        loop {
            if state.ring.newest() > position {
                return Woken::Published;
            }
            if state.closed {
                return Woken::Closed;
            }
            state = match deadline {
                None => self.published.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let now = self.environment.clock.monotonic();
                    if now >= deadline {
                        return Woken::TimedOut;
                    }
                    let slice = SLICE.min(deadline - now);
                    let woken = self.published.wait_timeout(state, slice);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
    }

    fn wake(&self, newest: u64) {
        self.published.notify_all();
        let callbacks: Vec<_> = {
            let callbacks = lock(&self.callbacks);
            callbacks.by_id.iter().map(|(id, callback)| (*id, callback.clone())).collect()
        };
        for (id, callback) in callbacks {
            // A panic here would otherwise be taken for one of the commit.
            if catch_unwind(AssertUnwindSafe(|| callback(newest))).is_err() {
                let removed = lock(&self.callbacks).by_id.remove(&id);
                drop(removed);
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl CommitListener for ChangeHub {
    fn committed(&self, commits: &[Arc<Commit>], log_bytes: u64) {
        let Some(last) = commits.last() else { return };
        let mut evicted = Vec::new();
        {
            let mut state = self.state();
            state.logged_bytes += log_bytes;
            for commit in commits {
                debug_assert!(commit.revision > state.ring.newest(), "commits come in order");
                state.first.get_or_insert(commit.revision);
                state.ring.push(commit.clone(), &mut evicted);
            }
        }
        drop(evicted);
        self.wake(last.revision);
    }
}

impl std::fmt::Debug for ChangeHub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChangeHub").field("newest", &self.newest()).finish_non_exhaustive()
    }
}

/// Keeps a callback of [`ChangeHub::on_publish`] registered until dropped.
#[must_use = "dropping the handle unregisters the callback"]
pub struct PublishHandle {
    callbacks: Arc<Mutex<Callbacks>>,
    id: u64,
}

impl Drop for PublishHandle {
    fn drop(&mut self) {
        let removed = lock(&self.callbacks).by_id.remove(&self.id);
        drop(removed);
    }
}

impl std::fmt::Debug for PublishHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PublishHandle").field("id", &self.id).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
