use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tandem_base::{Code, Error, Result};
use tokio::time::Instant;

use crate::config::RateLimit;

/// A sliding log of the requests of each address.
///
/// A request is allowed if fewer than `max_requests` were allowed in the last
/// `window`; refused ones do not count. Memory: one time per allowed request
/// of the window; addresses with an empty log are swept.
#[derive(Debug)]
pub(crate) struct RateLimiter {
    limit: RateLimit,
    logs: Mutex<Logs>,
}

#[derive(Debug)]
struct Logs {
    by_address: HashMap<IpAddr, VecDeque<Instant>>,
    swept: Instant,
}

impl RateLimiter {
    pub(crate) fn new(limit: RateLimit) -> Self {
        let logs = Logs { by_address: HashMap::new(), swept: Instant::now() };
        Self { limit, logs: Mutex::new(logs) }
    }

    /// Counts one request.
    ///
    /// # Errors
    /// `RATE_LIMITED` with `retryAfterMs`.
    pub(crate) fn admit(&self, address: IpAddr) -> Result<()> {
        let RateLimit { max_requests, window } = self.limit;
        let now = Instant::now();
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        if now.duration_since(logs.swept) >= window {
            logs.swept = now;
            logs.by_address.retain(|_, log| {
                log.back().is_some_and(|newest| now.duration_since(*newest) < window)
            });
        }
        let log = logs.by_address.entry(address).or_default();
        while log.front().is_some_and(|oldest| now.duration_since(*oldest) >= window) {
            log.pop_front();
        }
        match log.front() {
            Some(oldest) if log.len() >= max_requests => {
                let wait = (*oldest + window).duration_since(now);
                Err(rate_limited(wait))
            }
            _ => {
                log.push_back(now);
                Ok(())
            }
        }
    }
}

fn rate_limited(wait: Duration) -> Error {
    let retry_after_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1);
    let message = format!("Rate limit exceeded. Retry after {retry_after_ms}ms");
    Error::new(Code::RateLimited, message).with("retryAfterMs", retry_after_ms)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn refused_requests_do_not_count_and_the_window_slides() {
        let window = Duration::from_millis(1000);
        let limiter = RateLimiter::new(RateLimit { max_requests: 2, window });
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        limiter.admit(address).expect("first");
        tokio::time::advance(Duration::from_millis(400)).await;
        limiter.admit(address).expect("second");
        for _ in 0..5 {
            let refused = limiter.admit(address).expect_err("third");
            assert_eq!(refused.code(), Code::RateLimited);
            assert_eq!(refused.detail("retryAfterMs"), Some(&600.into()));
        }
        tokio::time::advance(Duration::from_millis(600)).await;
        limiter.admit(address).expect("the first has left the window");
        limiter.admit(address).expect_err("the second has not");
    }
}
