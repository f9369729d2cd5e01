//! A server without a listener.
//!
//! It serves byte streams that somebody else has accepted and upgraded, through
//! the same code as sockets from the network: `http::serve_socket` and all
//! behind it. A simulation hands in its own streams, and decides with
//! [`StoreCalls`] when each store call runs.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tandem::Store;
use tandem_base::Result;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::config::{Config, apply_definitions};
use crate::http;
use crate::shared::Shared;
use crate::workers::{StoreCalls, Workers};

/// A server of streams that somebody else has accepted and upgraded. Dropping it
/// tells its connections to close.
pub struct SocketServer {
    shared: Arc<Shared>,
}

/// What the clients of a server occupy now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Occupied {
    /// Open connections.
    pub connections: usize,
    /// Open subscriptions.
    pub subscriptions: usize,
    /// Transactions held open by connections.
    pub transactions: usize,
}

impl SocketServer {
    /// Serves `store`, on the present tokio runtime, with store calls run by `calls`; creates what the config
    /// defines.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` when a bucket or query of the config differs from the
    /// one that exists; what the store answers.
    pub fn start(config: Config, store: &Store, calls: Arc<dyn StoreCalls>) -> Result<Self> {
        apply_definitions(store, &config.store)?;
        let workers = Workers::new(Some(calls));
        let shared = Shared::start(config, store.clone(), workers)?;
        shared.keep_up();
        Ok(Self { shared })
    }

    /// Serves one WebSocket, whose handshake is over, to its end.
    pub fn serve<S>(&self, address: IpAddr, socket: S) -> impl Future<Output = ()> + Send + use<S>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        http::serve_socket(self.shared.clone(), address, socket)
    }

    /// What its clients occupy now.
    #[must_use]
    pub fn occupied(&self) -> Occupied {
        Occupied {
            connections: self.shared.connections.len(),
            subscriptions: self.shared.subscriptions.value(),
            transactions: self.shared.open_transactions.value(),
        }
    }

    /// Asks every connection to end: at once without a `grace`; with one,
    /// clients are told, and served until [`close`](Self::close).
    pub fn stop(&self, grace: Duration) {
        self.shared.shutdown.request(grace);
    }

    /// Ends the grace.
    pub fn close(&self) {
        self.shared.shutdown.close();
    }
}

impl Drop for SocketServer {
    fn drop(&mut self) {
        self.shared.shutdown.close();
    }
}

impl std::fmt::Debug for SocketServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SocketServer").field("occupied", &self.occupied()).finish()
    }
}
