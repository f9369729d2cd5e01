//! Stopping: the listener closes, clients may be told and given a time of
//! grace, then every socket is closed with 1000 and its open transactions roll
//! back.

use std::time::Duration;

use tokio::sync::watch;

/// Where the server is on its way to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It serves.
    Running,
    /// No new connections; clients have been told, and are still served.
    Grace(Duration),
    /// Every connection ends.
    Closing,
}

/// The server's side: moves everybody to the next phase.
#[derive(Debug)]
pub(crate) struct Shutdown {
    phase: watch::Sender<Phase>,
}

/// A connection's side.
#[derive(Clone, Debug)]
pub(crate) struct ShutdownSignal {
    phase: watch::Receiver<Phase>,
}

impl Shutdown {
    pub(crate) fn new() -> Self {
        Self { phase: watch::Sender::new(Phase::Running) }
    }

    pub(crate) fn signal(&self) -> ShutdownSignal {
        let mut phase = self.phase.subscribe();
        if *phase.borrow() != Phase::Running {
            // Who comes late still hears of it.
            phase.mark_changed();
        }
        ShutdownSignal { phase }
    }

    /// Asks for the end. Only the first call decides about the grace.
    pub(crate) fn request(&self, grace: Duration) {
        self.phase.send_if_modified(|phase| {
            let first = *phase == Phase::Running;
            if first {
                *phase = if grace.is_zero() { Phase::Closing } else { Phase::Grace(grace) };
            }
            first
        });
    }

    /// Ends the grace.
    pub(crate) fn close(&self) {
        self.phase.send_replace(Phase::Closing);
    }

    pub(crate) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }
}

impl ShutdownSignal {
    /// Waits until the server stops. Safe to cancel.
    pub(crate) async fn requested(&mut self) {
        while *self.phase.borrow_and_update() == Phase::Running {
            if self.phase.changed().await.is_err() {
                return;
            }
        }
    }

    /// Waits for the next phase. Safe to cancel: a phase not yet seen is seen
    /// by the next call.
    pub(crate) async fn changed(&mut self) -> Phase {
        if self.phase.changed().await.is_err() {
            return Phase::Closing;
        }
        *self.phase.borrow_and_update()
    }
}
