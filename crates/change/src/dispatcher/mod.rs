//! Callbacks by topic, on one background thread.
//!
//! ```text
//! committer ──publish──> wake ┐
//!                             v
//!               dispatcher thread: a subscription like any other
//!                             │ commit by commit, change by change
//!                             v
//!               callbacks whose pattern matches, in order of registration
//! ```
//!
//! A callback never runs on a committing thread, so it may take its time and
//! may use the store, transactions included. All callbacks share the thread: a
//! slow one delays the others' events, never a commit. Because the dispatcher
//! is a subscription it has no queue: when it lags it reads the log, and when
//! it lags beyond the log, every callback concerned is told so
//! ([`EventNotice::Resync`]).

mod registration;
mod state;

use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tandem_base::sync::thread::{JoinHandle, ThreadId};
use tandem_base::sync::{Condvar, Mutex};

use tandem_base::{Code, Error, Result};
use tandem_transaction::{Commit, Coordination, Read};

pub use registration::EventGuard;
use registration::{Callback, Registration};
use state::{State, lock};

use crate::event::{Event, EventNotice};
use crate::hub::{ChangeHub, PublishHandle, SLICE};
use crate::selection::is_system;
use crate::subscription::{ChangeSubscription, Notice, SubscribeOptions};
use crate::topic::TopicPattern;

/// Runs callbacks for committed changes, all on one background thread, so that
/// they may take their time and use the store themselves.
///
/// The thread starts with the first registration. Dropping the dispatcher ends
/// it after the callback that is running.
pub struct EventDispatcher {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
    _publish: PublishHandle,
}

struct Shared {
    hub: Arc<ChangeHub>,
    coordination: Arc<dyn Coordination>,
    state: Arc<Mutex<State>>,
    changed: Condvar,
}

impl EventDispatcher {
    /// A dispatcher for the commits of `coordination`, whose listener is `hub`.
    #[must_use]
    pub fn new(hub: Arc<ChangeHub>, coordination: Arc<dyn Coordination>) -> Self {
        let shared = Arc::new(Shared {
            hub: hub.clone(),
            coordination,
            state: Arc::default(),
            changed: Condvar::new(),
        });
        let woken = Arc::downgrade(&shared);
        let publish = hub.on_publish(Arc::new(move |newest| {
            if let Some(shared) = woken.upgrade() {
                let mut state = lock(&shared.state);
                state.published = state.published.max(newest);
                if !state.registrations.is_empty() {
                    shared.changed.notify_all();
                }
            }
        }));
        Self { shared, thread: Mutex::new(None), _publish: publish }
    }

    /// Calls `callback` for every change that matches `pattern` and is
    /// committed from now on (exactly: after [`EventGuard::since`]), in
    /// revision order, the changes of a commit one after the other, until the
    /// guard is dropped. Changes of system buckets have no events.
    ///
    /// A panic in the callback is contained and removes it
    /// ([`EventGuard::is_active`], [`panicked`](Self::panicked)).
    ///
    /// # Errors
    /// `CLOSED` after the store was closed; `STORAGE_ERROR`; `INTERNAL_ERROR`
    /// when the thread cannot be started.
    pub fn on(
        &self,
        pattern: TopicPattern,
        callback: impl Fn(&EventNotice) + Send + Sync + 'static,
    ) -> Result<EventGuard> {
        self.register(pattern, Box::new(callback))
    }

    fn register(&self, pattern: TopicPattern, callback: Callback) -> Result<EventGuard> {
        let newest = self.shared.coordination.view()?.revision();
        let mut state = lock(&self.shared.state);
        if let Some(error) = &state.failure {
            return Err(error.clone());
        }
        if state.closed {
            return Err(closed());
        }
        if !state.started {
            self.start()?;
            state.started = true;
        }
        // A commit that is being dispatched has its callbacks already.
        let since = newest.max(state.dispatching);
        if state.registrations.is_empty() {
            state.position = state.position.max(since);
        }
        state.published = state.published.max(newest);
        let registration = Arc::new(Registration::new(pattern, since, callback));
        state.registrations.push(registration.clone());
        self.shared.changed.notify_all();
        Ok(EventGuard::new(&self.shared.state, registration))
    }

    fn start(&self) -> Result<()> {
        let shared = self.shared.clone();
        let threads = &self.shared.hub.environment().threads;
        let handle =
            threads.spawn("tandem-events", Box::new(move || shared.run())).map_err(|error| {
                Error::internal("The event thread could not be started")
                    .with("cause", error.to_string())
            })?;
        *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(handle);
        Ok(())
    }

    /// Waits until every callback has returned for everything up to
    /// `revision`. Returns at once while nothing is registered.
    ///
    /// # Errors
    /// `TIMEOUT`; `CLOSED`, or why the dispatcher failed, when it will not get
    /// there; `INVALID_REQUEST` when called by a callback, which would wait for
    /// itself.
    pub fn settle(&self, revision: u64, timeout: Duration) -> Result<()> {
        if self.thread_id() == Some(tandem_base::sync::thread::current().id()) {
            let text = "A callback cannot wait for callbacks to finish";
            return Err(Error::new(Code::InvalidRequest, text));
        }
        let clock = &self.shared.hub.environment().clock;
        let deadline = clock.monotonic().saturating_add(timeout);
        let mut state = lock(&self.shared.state);
        loop {
            if let Some(error) = &state.failure {
                return Err(error.clone());
            }
            if state.registrations.is_empty() || state.position >= revision {
                return Ok(());
            }
            if state.closed {
                return Err(closed());
            }
            let now = clock.monotonic();
            if now >= deadline {
                return Err(Error::new(Code::Timeout, "Events were not dispatched in time")
                    .with("revision", revision)
                    .with("dispatched", state.position));
            }
            let slice = SLICE.min(deadline - now);
            let woken = self.shared.changed.wait_timeout(state, slice);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// [Settles](Self::settle) everything that is committed now.
    ///
    /// # Errors
    /// As [`settle`](Self::settle); `STORAGE_ERROR`.
    pub fn flush(&self, timeout: Duration) -> Result<()> {
        self.settle(self.shared.coordination.view()?.revision(), timeout)
    }

    /// How many callbacks were removed because they panicked.
    #[must_use]
    pub fn panicked(&self) -> u64 {
        lock(&self.shared.state).panicked
    }

    fn thread_id(&self) -> Option<ThreadId> {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        thread.as_ref().map(|handle| handle.thread().id())
    }
}

impl Drop for EventDispatcher {
    fn drop(&mut self) {
        lock(&self.shared.state).closed = true;
        self.shared.changed.notify_all();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // The last handle may be dropped by a callback: then the thread ends
        // by itself.
        if let Some(thread) = thread
            && thread.thread().id() != tandem_base::sync::thread::current().id()
        {
            // It contains panics of callbacks, so there is nothing to learn.
            let _ = thread.join();
        }
    }
}

impl std::fmt::Debug for EventDispatcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = lock(&self.shared.state);
        f.debug_struct("EventDispatcher")
            .field("callbacks", &state.registrations.len())
            .field("position", &state.position)
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// The thread: sleep until there is work, do it, again.
    fn run(&self) {
        let mut subscription = None;
        while let Some(start) = self.wait_for_work(&mut subscription) {
            let subscription = subscription.get_or_insert_with(|| self.subscribe(start));
            match self.drain(subscription) {
                Ok(()) => {}
                Err(error) if error.code() == Code::Closed => return self.close(None),
                Err(error) => {
                    for registration in self.registrations(None) {
                        self.call(&registration, &EventNotice::Failed(error.clone()));
                    }
                    return self.close(Some(error));
                }
            }
        }
    }

    /// The position to go on from; `None` when the dispatcher is to end.
    fn wait_for_work(&self, subscription: &mut Option<ChangeSubscription>) -> Option<u64> {
        let mut state = lock(&self.state);
        loop {
            if state.closed {
                return None;
            }
            if state.registrations.is_empty() {
                // Whoever registers next is not interested in what is between.
                *subscription = None;
            }
            if state.has_work() {
                return Some(state.position);
            }
            if self.hub.is_closed() {
                state.closed = true;
                self.changed.notify_all();
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn subscribe(&self, position: u64) -> ChangeSubscription {
        let (hub, coordination) = (self.hub.clone(), self.coordination.clone());
        ChangeSubscription::at(hub, coordination, SubscribeOptions::default(), position)
    }

    /// Dispatches until there is nothing left, or nobody to call.
    fn drain(&self, subscription: &mut ChangeSubscription) -> Result<()> {
        loop {
            let notice = subscription.try_next();
            match &notice {
                Ok(Some(Notice::Commit(commit))) => self.dispatch(commit),
                Ok(Some(Notice::Resync { oldest_revision })) => {
                    self.tell_resync(subscription.position(), *oldest_revision);
                    *subscription = self.subscribe(*oldest_revision);
                }
                Ok(Some(Notice::Progress { .. } | Notice::BucketDropped { .. }) | None)
                | Err(_) => {}
            }
            let mut state = lock(&self.state);
            state.position = state.position.max(subscription.position());
            self.changed.notify_all();
            if notice?.is_none() || state.closed || state.registrations.is_empty() {
                return Ok(());
            }
        }
    }

    fn dispatch(&self, commit: &Commit) {
        let registrations = self.registrations(Some(commit.revision));
        for change in commit.changes.iter().filter(|change| !is_system(&change.bucket)) {
            let event = Event::new(commit, change);
            let (bucket, kind) = (event.bucket().clone(), event.kind());
            let notice = EventNotice::Event(event);
            for registration in &registrations {
                if commit.revision > registration.since
                    && registration.pattern.matches(&bucket, kind)
                {
                    self.call(registration, &notice);
                }
            }
        }
    }

    fn tell_resync(&self, after: u64, resumed_from: u64) {
        let notice = EventNotice::Resync { after, resumed_from };
        for registration in self.registrations(Some(resumed_from)) {
            // Whoever registered later has lost nothing.
            if registration.since < resumed_from {
                self.call(&registration, &notice);
            }
        }
    }

    /// Who is to be called; who registers from now on is not, for `revision`.
    fn registrations(&self, revision: Option<u64>) -> Vec<Arc<Registration>> {
        let mut state = lock(&self.state);
        state.dispatching = revision.map_or(state.dispatching, |new| new.max(state.dispatching));
        state.registrations.clone()
    }

    fn call(&self, registration: &Registration, notice: &EventNotice) {
        if registration.call(notice) {
            let removed = {
                let mut state = lock(&self.state);
                state.panicked += 1;
                state.take_inactive()
            };
            drop(removed);
        }
    }

    fn close(&self, failure: Option<Error>) {
        let mut state = lock(&self.state);
        state.closed = true;
        state.failure = failure;
        self.changed.notify_all();
    }
}

fn closed() -> Error {
    Error::new(Code::Closed, "The store is closed; no event will follow")
}
