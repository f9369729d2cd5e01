//! The one task that owns the socket.
//!
//! ```text
//!   requests ──┐                             ┌── answers
//!   interests ─┼──> Driver ──> writer ──> socket ──> Driver ──> events
//!   close ─────┘      │                                │
//!                     └── connects again when it ends ─┘
//! ```
//!
//! Reading never waits for writing: a server that waits for its client to read
//! does not read either. What is written goes through a small queue to a task
//! of its own.

mod call;
mod drained;
mod driver;
mod interest;
mod socket;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Semaphore, mpsc, watch};

pub(crate) use call::{Call, Reply};
pub(crate) use drained::Drained;
pub(crate) use interest::{Interest, Subject};

use crate::error::Result;
use crate::options::Options;

/// Whether there is a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Requests are sent at once.
    Connected,
    /// The connection was lost; the client tries to connect again.
    Connecting,
    /// There will be no other: the client was closed, or the server refused it
    /// for good (close code 1003 or 4003).
    Closed,
}

/// What the driver is told.
pub(crate) enum Command {
    Call(Call),
    /// Under this number, which nobody else has.
    Follow(u64, Interest),
}

/// The driver, as clients hold it.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) options: Options,
    /// Bounds the commands, which the channel does not.
    pub(crate) room: Arc<Semaphore>,
    /// Tells the driver that a subscription has room again, or is gone.
    pub(crate) drained: Arc<Drained>,
    last_interest: AtomicU64,
    commands: mpsc::UnboundedSender<Command>,
    closing: watch::Sender<bool>,
    status: watch::Receiver<Status>,
}

impl Link {
    pub(crate) async fn open(url: &str, options: Options) -> Result<Self> {
        let socket = socket::connect(url, &options).await.map_err(|failed| failed.error)?;
        let (commands, receiver) = mpsc::unbounded_channel();
        let (closing, close) = watch::channel(false);
        let (status_sender, status) = watch::channel(Status::Connected);
        let drained = Arc::new(Drained::default());
        let driver = driver::Driver::new(
            url.to_owned(),
            options.clone(),
            receiver,
            close,
            status_sender,
            drained.clone(),
        );
        tokio::spawn(driver.run(socket));
        let room = Arc::new(Semaphore::new(options.in_flight.max(1)));
        let last_interest = AtomicU64::new(0);
        Ok(Self { options, room, drained, last_interest, commands, closing, status })
    }

    /// A number for a subscription.
    pub(crate) fn next_interest(&self) -> u64 {
        self.last_interest.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Hands a command over; after the end it is dropped, which its reply
    /// channel notices.
    pub(crate) fn send(&self, command: Command) {
        let _ended = self.commands.send(command);
    }

    pub(crate) fn status(&self) -> Status {
        *self.status.borrow()
    }

    pub(crate) async fn status_change(&self, than: Status) -> Status {
        let mut status = self.status.clone();
        let changed = status.wait_for(|now| *now != than).await.map(|now| *now);
        changed.unwrap_or(Status::Closed)
    }

    pub(crate) async fn close(&self) {
        self.closing.send_replace(true);
        let mut status = self.status.clone();
        let _ended = status.wait_for(|now| *now == Status::Closed).await;
    }
}
