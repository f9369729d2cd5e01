//! What every part of a run shares: the dice, the trace, the history of
//! commits, the cables, and the first thing that went wrong.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tandem_base::Clock;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::dice::Dice;
use crate::history::History;
use crate::network::Cable;
use crate::tally::Tally;
use crate::trace::Trace;

/// See the [module](self).
pub struct Core {
    /// Drawn from by everything but the initial plan.
    pub dice: Dice,
    started: Instant,
    trace: Mutex<Trace>,
    history: Mutex<History>,
    tally: Mutex<Tally>,
    violation: Mutex<Option<String>>,
    violated: Notify,
    cables: Mutex<Vec<Cable>>,
    powerless: AtomicBool,
    power_cut: Notify,
}

/// Simulated time begins on 14 November 2023.
const EPOCH_MS: u64 = 1_700_000_000_000;

impl Core {
    pub(crate) fn new(seed: u64, print: bool) -> Arc<Self> {
        Arc::new(Self {
            dice: Dice::new(seed),
            started: Instant::now(),
            trace: Mutex::new(Trace::new(print)),
            history: Mutex::default(),
            tally: Mutex::default(),
            violation: Mutex::default(),
            violated: Notify::new(),
            cables: Mutex::default(),
            powerless: AtomicBool::new(false),
            power_cut: Notify::new(),
        })
    }

    /// Simulated milliseconds since the start of the run.
    pub fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Notes that something happened.
    pub fn event(&self, kind: &str, number: u64, bytes: &[u8]) {
        lock(&self.trace).event(self.elapsed_ms(), kind, number, bytes);
    }

    pub(crate) fn trace(&self) -> MutexGuard<'_, Trace> {
        lock(&self.trace)
    }

    pub(crate) fn history(&self) -> MutexGuard<'_, History> {
        lock(&self.history)
    }

    pub(crate) fn tally(&self) -> MutexGuard<'_, Tally> {
        lock(&self.tally)
    }

    /// An invariant does not hold. The first such report ends the run.
    pub fn violation(&self, text: impl Into<String>) {
        let text = text.into();
        self.event("violation", 0, text.as_bytes());
        lock(&self.violation).get_or_insert(text);
        self.violated.notify_one();
    }

    /// Reports the error of a check.
    pub fn check(&self, outcome: Result<(), String>) {
        if let Err(text) = outcome {
            self.violation(text);
        }
    }

    pub(crate) fn first_violation(&self) -> Option<String> {
        lock(&self.violation).clone()
    }

    pub(crate) async fn violated(&self) {
        self.violated.notified().await;
    }

    pub(crate) fn plug(&self, cable: Cable) {
        let mut cables = lock(&self.cables);
        cables.retain(Cable::is_whole);
        cables.push(cable);
    }

    /// The cables that are whole now.
    pub(crate) fn cables(&self) -> Vec<Cable> {
        lock(&self.cables).iter().filter(|cable| cable.is_whole()).cloned().collect()
    }

    /// The server's machine loses power: nothing more leaves it.
    pub(crate) fn cut_power(&self) {
        if self.powerless.swap(true, Ordering::Relaxed) {
            return;
        }
        self.event("power cut", 0, b"");
        for cable in self.cables() {
            cable.break_off();
        }
        self.power_cut.notify_one();
    }

    pub(crate) fn restore_power(&self) {
        self.powerless.store(false, Ordering::Relaxed);
    }

    pub(crate) fn is_powerless(&self) -> bool {
        self.powerless.load(Ordering::Relaxed)
    }

    pub(crate) async fn power_cut(&self) {
        while !self.is_powerless() {
            self.power_cut.notified().await;
        }
    }
}

impl Clock for Core {
    fn now_ms(&self) -> u64 {
        EPOCH_MS + self.elapsed_ms()
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
