use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::config;

/// When to ping a client, and when to give it up.
///
/// Any pong counts, by the server's clock; the timestamp in it is not trusted.
/// While the server itself does not read (it is busy with the client's earlier
/// requests), a pong cannot arrive, so that time is not held against the
/// client.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    interval: Duration,
    timeout: Duration,
    next_ping: Instant,
    give_up: Option<Instant>,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beat {
    /// Send a ping.
    Ping,
    /// No pong came in time.
    Dead,
}

impl Heartbeat {
    pub(crate) fn new(config: config::Heartbeat) -> Self {
        let next_ping = Instant::now() + config.interval;
        Self { interval: config.interval, timeout: config.timeout, next_ping, give_up: None }
    }

    /// A pong arrived.
    pub(crate) fn pong(&mut self) {
        self.give_up = None;
    }

    /// Reading was paused until now.
    pub(crate) fn reading_resumed(&mut self) {
        if self.give_up.is_some() {
            self.give_up = Some(Instant::now() + self.timeout);
        }
    }

    /// Waits for what is due next. Safe to cancel: the state changes only when
    /// it returns.
    pub(crate) async fn due(&mut self) -> Beat {
        if let Some(give_up) = self.give_up {
            sleep_until(give_up).await;
            return Beat::Dead;
        }
        sleep_until(self.next_ping).await;
        let now = Instant::now();
        self.next_ping = now + self.interval;
        self.give_up = Some(now + self.timeout);
        Beat::Ping
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heartbeat() -> Heartbeat {
        let (interval, timeout) = (Duration::from_millis(30), Duration::from_millis(10));
        Heartbeat::new(config::Heartbeat { interval, timeout })
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_answers_is_pinged_again() {
        let mut heartbeat = heartbeat();
        for _ in 0..3 {
            assert_eq!(heartbeat.due().await, Beat::Ping);
            heartbeat.pong();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_client_is_given_up_after_the_timeout() {
        let mut heartbeat = heartbeat();
        let start = Instant::now();
        assert_eq!(heartbeat.due().await, Beat::Ping);
        assert_eq!(heartbeat.due().await, Beat::Dead);
        assert_eq!(start.elapsed(), Duration::from_millis(40));
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_the_server_did_not_read_is_not_held_against_the_client() {
        let mut heartbeat = heartbeat();
        assert_eq!(heartbeat.due().await, Beat::Ping);
        tokio::time::advance(Duration::from_millis(50)).await;
        heartbeat.reading_resumed();
        let resumed = Instant::now();
        assert_eq!(heartbeat.due().await, Beat::Dead);
        assert_eq!(resumed.elapsed(), Duration::from_millis(10));
    }
}
