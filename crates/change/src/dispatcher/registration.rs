use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use tandem_base::sync::Mutex;
use tandem_base::sync::atomic::{AtomicBool, Ordering};

use crate::dispatcher::state::{State, lock};
use crate::event::EventNotice;
use crate::topic::TopicPattern;

pub(super) type Callback = Box<dyn Fn(&EventNotice) + Send + Sync>;

/// One callback and what it wants.
pub(super) struct Registration {
    pub(super) pattern: TopicPattern,
    /// It gets the events after this revision.
    pub(super) since: u64,
    active: AtomicBool,
    callback: Callback,
}

impl Registration {
    pub(super) fn new(pattern: TopicPattern, since: u64, callback: Callback) -> Self {
        Self { pattern, since, active: AtomicBool::new(true), callback }
    }

    pub(super) fn is_active(&self) -> bool {
        self.active.load(Ordering::Acquire)
    }

    /// Calls back, unless it was unregistered. Returns whether it panicked; a
    /// callback that did is not called again.
    pub(super) fn call(&self, notice: &EventNotice) -> bool {
        if !self.is_active() {
            return false;
        }
        let panicked = catch_unwind(AssertUnwindSafe(|| (self.callback)(notice))).is_err();
        if panicked {
            self.active.store(false, Ordering::Release);
        }
        panicked
    }
}

/// Keeps a callback registered until dropped. A call that is under way on the
/// dispatcher's thread may still finish afterwards; no further one begins.
#[must_use = "dropping the guard unregisters the callback"]
pub struct EventGuard {
    state: Weak<Mutex<State>>,
    registration: Arc<Registration>,
}

impl EventGuard {
    pub(super) fn new(state: &Arc<Mutex<State>>, registration: Arc<Registration>) -> Self {
        Self { state: Arc::downgrade(state), registration }
    }

    /// The callback gets every event after this revision.
    #[must_use]
    pub fn since(&self) -> u64 {
        self.registration.since
    }

    /// Whether the callback is still called: not after a panic in it.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.registration.is_active()
    }
}

impl Drop for EventGuard {
    fn drop(&mut self) {
        self.registration.active.store(false, Ordering::Release);
        if let Some(state) = self.state.upgrade() {
            let removed = lock(&state).take_inactive();
            // With no lock held: dropping a callback may run anything.
            drop(removed);
        }
    }
}

impl std::fmt::Debug for EventGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventGuard")
            .field("pattern", &self.registration.pattern.to_string())
            .field("since", &self.since())
            .finish_non_exhaustive()
    }
}
