//! Running a transaction again after a conflict.
//!
//! Under optimistic concurrency a conflict is ordinary: nothing happened, and
//! the same work on the newer state usually succeeds. Waiting a little first,
//! longer each time and by a random amount, keeps those who collided from
//! colliding again. Attempts are bounded, so a caller always gets an answer.

use std::time::Duration;

use tandem_base::{Code, Environment, Error, Result};

/// How often, and after which waits, a conflicting transaction is run again.
///
/// The wait before attempt *n* + 1 is a random part of `first_wait` × 2ⁿ⁻¹, at
/// most `longest_wait`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all; at least one is made.
    pub attempts: u32,
    /// The bound on the wait after the first conflict.
    pub first_wait: Duration,
    /// The bound on every wait.
    pub longest_wait: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 32,
            first_wait: Duration::from_micros(200),
            longest_wait: Duration::from_millis(50),
        }
    }
}

impl RetryPolicy {
    /// One attempt: every conflict is the caller's.
    #[must_use]
    pub fn never() -> Self {
        Self { attempts: 1, ..Self::default() }
    }

    /// Waits as after a first attempt that met a conflict; what is allowed from then on.
    pub(crate) fn after_one(&self, environment: &Environment) -> Self {
        self.wait(environment, 1);
        Self {
            attempts: self.attempts.saturating_sub(1),
            first_wait: self.first_wait.saturating_mul(2),
            longest_wait: self.longest_wait,
        }
    }

    /// Runs `attempt` until it succeeds, fails for good, or was made as often
    /// as allowed; then its last answer is returned. Calls `retry` before every
    /// further attempt.
    pub(crate) fn run<T>(
        &self,
        environment: &Environment,
        retry: impl Fn(),
        attempt: impl FnMut() -> Result<T>,
    ) -> Result<T> {
        self.run_finding(environment, retry, |error| Some(error), attempt)
    }

    /// As [`run`](Self::run), for other errors. `failure` finds the store's
    /// error in them.
    pub(crate) fn run_finding<T, E>(
        &self,
        environment: &Environment,
        retry: impl Fn(),
        failure: impl Fn(&E) -> Option<&Error>,
        mut attempt: impl FnMut() -> Result<T, E>,
    ) -> Result<T, E> {
        let mut made = 1;
        loop {
            let result = attempt();
            let again = match &result {
                Ok(_) => false,
                Err(error) => made < self.attempts && failure(error).is_some_and(worth_another),
            };
            if !again {
                return result;
            }
            retry();
            self.wait(environment, made);
            made += 1;
        }
    }

    fn wait(&self, environment: &Environment, attempts_made: u32) {
        let bound = self.bound(attempts_made);
        let nanos = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX).max(1);
        let wait = Duration::from_nanos(environment.random.next_u64() % nanos);
        environment.threads.sleep(wait);
    }

    fn bound(&self, attempts_made: u32) -> Duration {
        let doublings = attempts_made.saturating_sub(1).min(20);
        self.first_wait.saturating_mul(1 << doublings).min(self.longest_wait)
    }
}

/// Whether the same work on the newer state may succeed at once. A lock
/// timeout or an expired transaction has used up its time already and goes to
/// the caller, who knows whether there is more.
pub(crate) fn worth_another(error: &Error) -> bool {
    error.retryable()
        && matches!(error.code(), Code::Conflict | Code::Deadlock | Code::TransactionAborted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(policy: RetryPolicy, errors: Vec<Error>) -> (u32, Result<()>) {
        let (environment, _) = Environment::simulated(1);
        let mut errors = errors.into_iter();
        let mut made = 0;
        let result = policy.run(
            &environment,
            || {},
            || {
                made += 1;
                errors.next().map_or(Ok(()), Err)
            },
        );
        (made, result)
    }

    fn conflict() -> Error {
        Error::new(Code::Conflict, "again")
    }

    #[test]
    fn what_is_left_after_one_attempt_goes_on_where_that_ended() {
        let (environment, _) = Environment::simulated(1);
        let policy = RetryPolicy { attempts: 4, ..RetryPolicy::default() };
        let begun = environment.clock.monotonic();
        let rest = policy.after_one(&environment);
        assert!(environment.clock.monotonic() - begun <= policy.bound(1));
        for made in 1..12 {
            assert_eq!(rest.bound(made), policy.bound(made + 1));
        }
        let conflicts = || (0..9).map(|_| conflict()).collect();
        assert_eq!((run(policy, conflicts()).0, run(rest, conflicts()).0), (4, 3));
    }

    #[test]
    fn conflicts_and_deadlocks_are_run_again() {
        let errors = vec![conflict(), Error::new(Code::Deadlock, "again")];
        let (made, result) = run(RetryPolicy::default(), errors);
        assert_eq!((made, result.is_ok()), (3, true));
    }

    #[test]
    fn what_no_repetition_cures_is_answered_at_once() {
        for error in [
            Error::validation("no"),
            conflict().with_retryable(false),
            Error::new(Code::LockTimeout, "no"),
        ] {
            let (made, result) = run(RetryPolicy::default(), vec![error]);
            assert_eq!((made, result.is_err()), (1, true));
        }
    }

    #[test]
    fn attempts_are_bounded() {
        let policy = RetryPolicy { attempts: 3, ..RetryPolicy::default() };
        let (made, result) = run(policy, vec![conflict(); 9]);
        assert_eq!(made, 3);
        assert_eq!(result.unwrap_err().code(), Code::Conflict);
        assert_eq!(run(RetryPolicy::never(), vec![conflict()]).0, 1);
    }

    #[test]
    fn waits_double_up_to_the_longest() {
        let policy = RetryPolicy::default();
        assert_eq!(policy.bound(1), Duration::from_micros(200));
        assert_eq!(policy.bound(2), Duration::from_micros(400));
        assert_eq!(policy.bound(31), Duration::from_millis(50));
    }
}
