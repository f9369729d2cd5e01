use std::panic::resume_unwind;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A point that a caller passes on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Point {
    /// The engine reads a key.
    Get,
    /// The engine steps through a range.
    Scan,
    /// The engine takes a snapshot.
    Snapshot,
    /// Before a batch is written.
    Write,
    /// The batch is written, and not synced.
    Sync,
    /// The batch is as durable as asked; nobody knows it yet.
    Written,
    /// The newest view is asked for.
    View,
    /// Before a commit is handed to the coordination.
    Commit,
    /// After it has been made, or refused.
    Committed,
    /// A view is moved forward after a wait for a lock.
    Refresh,
    /// A first result is asked for.
    Replay,
}

impl Point {
    /// Whether nobody can know what is stored when the caller dies here.
    #[must_use]
    pub fn poisons(self) -> bool {
        matches!(self, Self::Write | Self::Sync | Self::Written | Self::Snapshot)
    }
}

/// What happens to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strike {
    /// Its thread unwinds.
    Panic,
    /// It sleeps until [`Gate::release`].
    Park,
}

/// The payload of a [`Strike::Panic`].
#[derive(Debug)]
pub struct Struck {
    /// Where.
    pub point: Point,
}

/// Where callers are stopped. Counts from the moment it is [armed](Self::arm).
#[derive(Debug, Default)]
pub struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    passes: u64,
    armed: Option<Armed>,
    struck: Option<Point>,
    parked: bool,
    finished: bool,
}

#[derive(Clone, Copy, Debug)]
struct Armed {
    nth: u64,
    /// Only passes of this point count.
    only: Option<Point>,
    strike: Strike,
}

impl Gate {
    /// Strikes at the `nth` pass from now, 1 being the next; never if 0.
    pub fn arm(&self, nth: u64, strike: Strike) {
        self.set(Armed { nth, only: None, strike });
    }

    /// Strikes at the `nth` pass of `point` from now, 1 being the next.
    pub fn arm_at(&self, point: Point, nth: u64, strike: Strike) {
        self.set(Armed { nth, only: Some(point), strike });
    }

    fn set(&self, armed: Armed) {
        let parked = self.state().parked;
        *self.state() = State { armed: Some(armed), parked, ..State::default() };
    }

    /// Where it struck since it was armed.
    #[must_use]
    pub fn struck(&self) -> Option<Point> {
        self.state().struck
    }

    /// How many points were passed since it was armed.
    #[must_use]
    pub fn passes(&self) -> u64 {
        self.state().passes
    }

    /// One caller passes `point`.
    pub fn pass(&self, point: Point) {
        let mut state = self.state();
        let Some(armed) = state.armed else { return };
        // The newest view is in memory, and is taken under a lock of the registry:
        // nobody waits there, but one can die there.
        let waits = point != Point::View || armed.strike == Strike::Panic;
        if !waits || armed.only.is_some_and(|only| only != point) || state.struck.is_some() {
            return;
        }
        state.passes += 1;
        if state.passes != armed.nth {
            return;
        }
        state.struck = Some(point);
        match armed.strike {
            Strike::Panic => {
                drop(state);
                // Without the hook: nobody has to read of thousands of them.
                resume_unwind(Box::new(Struck { point }));
            }
            Strike::Park => {
                state.parked = true;
                self.changed.notify_all();
                while state.parked {
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// Waits until the caller sleeps, or has [come to its end](Self::finish);
    /// whether it sleeps.
    pub fn wait_until_parked(&self) -> bool {
        let mut state = self.state();
        while !state.parked && !state.finished {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.parked
    }

    /// The caller will not pass any more.
    pub fn finish(&self) {
        self.state().finished = true;
        self.changed.notify_all();
    }

    /// The sleeping caller goes on.
    pub fn release(&self) {
        self.state().parked = false;
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
