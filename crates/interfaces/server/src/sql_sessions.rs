//! The SQL sessions that requests take turns with.
//!
//! A session is an SQLite of its own with a table for each bucket: some 300 KiB of ten,
//! and more with what it has compiled. So there is none per socket. A request takes
//! one that is idle, or makes one, and gives it back; [`KEPT_SESSIONS`] are kept,
//! and no more than `sql.maxSessions` are in use at once: the next request waits in
//! line, without a thread.
//!
//! A session that is given back holds no transaction: a statement runs in one of
//! its own, or in one of the socket. One that was interrupted, or whose statement
//! panicked, is dropped instead.
//!
//! ```text
//! request ──room──> blocking thread: take ──> statement ──> give back
//!    └── its client is gone ──> interrupt ──────^
//! ```

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tandem::Store;
use tandem_base::{Code, Error, Result};
use tandem_sql::{Interrupt, Session, SessionOptions};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::SqlLimits;
use crate::limits::Gauge;

/// Idle sessions that are kept.
const KEPT_SESSIONS: usize = 8;

/// Memory of all of SQLite in this process.
const HEAP_BYTES: u32 = 512 << 20;

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct SqlSessions {
    options: SessionOptions,
    room: Arc<Semaphore>,
    idle: Mutex<Vec<Session>>,
    busy: Gauge,
}

/// How many sessions there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OpenSessions {
    /// They run a statement.
    pub(crate) busy: usize,
    /// They are kept for the next.
    pub(crate) idle: usize,
}

impl SqlSessions {
    pub(crate) fn new(limits: SqlLimits) -> Self {
        let options = SessionOptions {
            max_rows: limits.max_rows,
            max_result_bytes: limits.max_result_bytes,
            statement_time: Some(limits.statement_time),
            ..SessionOptions::default()
        };
        // One row can be of any size before anybody could count it.
        if let Err(error) = tandem_sql::bound_memory(HEAP_BYTES) {
            tracing::warn!(%error, "SQL has no bound on its memory");
        }
        let room = Arc::new(Semaphore::new(limits.max_sessions.min(Semaphore::MAX_PERMITS)));
        Self { options, room, idle: Mutex::default(), busy: Gauge::default() }
    }

    /// How many there are now.
    pub(crate) fn open(&self) -> OpenSessions {
        OpenSessions { busy: self.busy.value(), idle: lock(&self.idle).len() }
    }

    /// Waits until there may be one more in use. Safe to cancel.
    pub(crate) async fn room(&self) -> Option<OwnedSemaphorePermit> {
        self.room.clone().acquire_owned().await.ok()
    }

    /// Runs `work` with a session, on the present thread.
    ///
    /// # Errors
    /// What `work` answers; `TIMEOUT` when it is not wanted any more.
    pub(crate) fn with<T>(
        &self,
        store: &Store,
        wanted: &Wanted,
        work: impl FnOnce(&Session) -> Result<T>,
    ) -> Result<T> {
        let idle = lock(&self.idle).pop();
        let busy = self.busy.hold();
        let session = match idle {
            Some(session) => session,
            None => Session::with_options(store, self.options.clone())?,
        };
        wanted.begin(session.interrupt())?;
        let answer = work(&session);
        drop(busy);
        if wanted.end() {
            let mut idle = lock(&self.idle);
            if idle.len() < KEPT_SESSIONS {
                idle.push(session);
            }
        }
        answer
    }
}

/// Whether somebody still waits for what a statement answers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted(Arc<Mutex<State>>);

#[derive(Debug, Default)]
enum State {
    #[default]
    Before,
    Running(Interrupt),
    Over,
    Unwanted,
}

impl Wanted {
    /// Nobody does any more.
    pub(crate) fn stop(&self) {
        let mut state = lock(&self.0);
        match mem::replace(&mut *state, State::Unwanted) {
            State::Running(interrupt) => interrupt.stop(),
            State::Over => *state = State::Over,
            State::Before | State::Unwanted => {}
        }
    }

    fn begin(&self, interrupt: &Interrupt) -> Result<()> {
        let mut state = lock(&self.0);
        if matches!(*state, State::Unwanted) {
            return Err(Error::new(Code::Timeout, "The statement was interrupted"));
        }
        *state = State::Running(interrupt.clone());
        Ok(())
    }

    /// Whether the session was not interrupted, and will not be.
    fn end(&self) -> bool {
        let mut state = lock(&self.0);
        matches!(mem::replace(&mut *state, State::Over), State::Running(_))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
