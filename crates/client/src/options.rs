use std::time::Duration;

use tandem_base::{Random, SystemRandom};

/// How a client connects, and what it bounds.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long one attempt to connect may take. 10 s.
    pub connect_timeout: Duration,
    /// The bound on the wait before the first attempt to connect again. 100 ms.
    pub first_wait: Duration,
    /// The bound on every such wait: they double up to here. 10 s.
    pub longest_wait: Duration,
    /// How long a request may wait to be sent while there is no connection.
    /// 30 s.
    pub request_wait: Duration,
    /// After so much silence the server is asked for a sign of life, and given
    /// up after as much again. 20 s.
    pub silence: Duration,
    /// Requests that are sent and not answered, or wait to be sent; the next
    /// one waits for room. 1024.
    pub in_flight: usize,
    /// Events that wait in one changes subscription. 256.
    pub buffered_events: usize,
    /// Bytes of the largest frame that the server may send. 256 MiB.
    pub max_frame_bytes: usize,
    /// How transaction closures are run again.
    pub retry: RetryPolicy,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            first_wait: Duration::from_millis(100),
            longest_wait: Duration::from_secs(10),
            request_wait: Duration::from_secs(30),
            silence: Duration::from_secs(20),
            in_flight: 1024,
            buffered_events: 256,
            max_frame_bytes: 256 << 20,
            retry: RetryPolicy::default(),
        }
    }
}

/// How often, and after which waits, a transaction closure is run again.
///
/// The wait before attempt *n* + 1 is a random part of `first_wait` × 2ⁿ⁻¹, at
/// most `longest_wait`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all; at least one is made. 16.
    pub attempts: u32,
    /// The bound on the wait after the first failure. 2 ms.
    pub first_wait: Duration,
    /// The bound on every wait. 1 s.
    pub longest_wait: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 16,
            first_wait: Duration::from_millis(2),
            longest_wait: Duration::from_secs(1),
        }
    }
}

impl RetryPolicy {
    /// One attempt: every conflict is the caller's.
    #[must_use]
    pub fn never() -> Self {
        Self { attempts: 1, ..Self::default() }
    }

    pub(crate) fn wait(&self, attempts_made: u32) -> Duration {
        growing(self.first_wait, self.longest_wait, attempts_made)
    }
}

/// A random part of `first` × 2ⁿ⁻¹, at most `longest`: those who failed together
/// do not come back together.
pub(crate) fn growing(first: Duration, longest: Duration, n: u32) -> Duration {
    let bound = first.saturating_mul(1 << n.saturating_sub(1).min(20)).min(longest);
    let nanos = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX).max(1);
    // The upper half, so that waits do grow.
    bound / 2 + Duration::from_nanos(SystemRandom.next_u64() % nanos) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_longest() {
        let (first, longest) = (Duration::from_millis(100), Duration::from_secs(10));
        for (n, least, most) in [(1, 50, 100), (2, 100, 200), (5, 800, 1600), (60, 5_000, 10_000)] {
            let wait = growing(first, longest, n).as_millis();
            assert!((least..=most).contains(&wait), "{n}: {wait}");
        }
    }
}
