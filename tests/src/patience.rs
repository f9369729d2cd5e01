//! Waiting for what another thread brings about.

use std::time::{Duration, Instant};

/// How long anything may take before a test gives up; far beyond what a loaded
/// machine needs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks again and again, letting others run, until `done` or out of patience.
/// Returns whether it was done.
pub fn until(mut done: impl FnMut() -> bool) -> bool {
    #[expect(clippy::disallowed_methods, reason = "a bound on a test, not part of the store")]
    let begin = Instant::now();
    while !done() {
        if begin.elapsed() > PATIENCE {
            return false;
        }
        std::thread::yield_now();
    }
    true
}
