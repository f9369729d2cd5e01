//! Where nondeterminism enters: one [`Clock`], one source of [`Random`]
//! bytes, one way to start [`Threads`].
//!
//! Everything below the interfaces takes an [`Environment`] instead of asking
//! the operating system, and `clippy.toml` forbids the direct calls. A test
//! that supplies a [`SimulatedClock`] and a [`SeededRandom`] therefore decides
//! every timestamp, every generated identifier and every timeout of a run.

mod clock;
mod random;
mod threads;

use std::sync::Arc;

pub use clock::{Clock, SimulatedClock, SystemClock};
pub use random::{Random, SeededRandom, SystemRandom};
pub use threads::{SystemThreads, Task, Threads};

/// The outside world as a store sees it. Cheap to clone.
#[derive(Clone)]
pub struct Environment {
    /// Wall clock and monotonic time.
    pub clock: Arc<dyn Clock>,
    /// Random bytes: generated keys, jitter of retries.
    pub random: Arc<dyn Random>,
    /// Background threads: maintenance, event dispatch.
    pub threads: Arc<dyn Threads>,
}

impl Environment {
    /// The real clock, the operating system's randomness, real threads.
    #[must_use]
    pub fn system() -> Self {
        Self {
            clock: Arc::new(SystemClock::new()),
            random: Arc::new(SystemRandom),
            threads: Arc::new(SystemThreads),
        }
    }

    /// A clock that only moves when told to and randomness from `seed`, with
    /// real threads. The clock is handed back so that a test can move it.
    #[must_use]
    pub fn simulated(seed: u64) -> (Self, Arc<SimulatedClock>) {
        let clock = Arc::new(SimulatedClock::new(1_700_000_000_000));
        let environment = Self {
            clock: clock.clone(),
            random: Arc::new(SeededRandom::new(seed)),
            threads: Arc::new(SystemThreads),
        };
        (environment, clock)
    }
}

impl Default for Environment {
    fn default() -> Self {
        Self::system()
    }
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Environment")
    }
}
