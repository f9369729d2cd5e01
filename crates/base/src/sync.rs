//! Locks, condition variables, atomics and threads of the code whose
//! interleavings are explored.
//!
//! Without the feature `shuttle`, and so in every build that is not a proof,
//! these *are* the standard library's types, but for [`Condvar`]. With it they are those of a
//! scheduler that runs one thread at a time and chooses, at each operation,
//! which goes on: `proof/schedules` runs thousands of such schedules. A timed
//! wait then never ends by its time, so a lost wake-up is a deadlock instead of
//! a short delay.

/// Whether a scheduler chooses who goes on. Then to look again and again whether
/// another thread is done is to make more schedules, not to wait less.
pub const EXPLORED: bool = cfg!(feature = "shuttle");

mod condvar;

pub use condvar::Condvar;

#[cfg(not(feature = "shuttle"))]
use std::sync::{Condvar as Sleepers, WaitTimeoutResult};
#[cfg(not(feature = "shuttle"))]
pub use std::{
    sync::{Mutex, MutexGuard, OnceLock, RwLock, atomic},
    thread,
};

#[cfg(feature = "shuttle")]
pub use explored::OnceLock;
#[cfg(feature = "shuttle")]
use shuttle::sync::{Condvar as Sleepers, WaitTimeoutResult};
#[cfg(feature = "shuttle")]
pub use shuttle::{
    sync::{Mutex, MutexGuard, RwLock, atomic},
    thread,
};

#[cfg(feature = "shuttle")]
mod explored {
    /// A cell that is set once; each use is a point where another thread may
    /// go on. The scheduler's library has none.
    #[derive(Debug, Default)]
    pub struct OnceLock<T> {
        value: std::sync::OnceLock<T>,
        turn: shuttle::sync::Mutex<()>,
    }

    impl<T> OnceLock<T> {
        /// An empty cell.
        #[must_use]
        pub fn new() -> Self {
            Self { value: std::sync::OnceLock::new(), turn: shuttle::sync::Mutex::new(()) }
        }

        /// The value, if it is set.
        pub fn get(&self) -> Option<&T> {
            drop(self.turn.lock());
            self.value.get()
        }

        /// The value, set by `init` if nobody was faster.
        pub fn get_or_init(&self, init: impl FnOnce() -> T) -> &T {
            let _turn = self.turn.lock();
            self.value.get_or_init(init)
        }
    }
}
