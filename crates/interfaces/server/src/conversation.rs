//! A client in the same process, without a socket: frames go in as text and
//! come out as text, through the same stages as those of a WebSocket.
//!
//! For programs that carry frames over a transport of their own, and for tests
//! that want to say millions of things to a server.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use tandem::Store;
use tandem_base::Result;

use crate::config::{Config, apply_definitions};
use crate::frame::{self, Outgoing};
use crate::outbox::Next;
use crate::peer::Peer;
use crate::rpc;
use crate::shared::Shared;
use crate::workers::Workers;

/// One client's session with a server over `store`. Needs a tokio runtime.
/// Dropped without [`end`](Self::end), it rolls back what is open, too.
pub struct Conversation {
    shared: Arc<Shared>,
    peer: Peer,
}

impl Conversation {
    /// A server for this one client. Creates what the config defines, in this
    /// call.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` when a bucket or query of the config differs from the
    /// one that exists; `CLOSED`, `STORAGE_ERROR`.
    pub fn begin(config: Config, store: &Store) -> Result<Self> {
        apply_definitions(store, &config.store)?;
        let shared = Shared::start(config, store.clone(), Workers::new(None))?;
        let peer = Peer::administrator(shared.clone(), LOCAL);
        Ok(Self { shared, peer })
    }

    /// Says one text message and hears the frames that answer it, the pushes
    /// that it caused included.
    pub async fn say(&mut self, text: &[u8]) -> Vec<Vec<u8>> {
        let outbox = self.peer.outbox().clone();
        let mut heard = Vec::new();
        let work = self.peer.handle(frame::parse(text));
        tokio::pin!(work);
        // Listening all the while: a full outbox waits for its reader.
        loop {
            tokio::select! {
                biased;
                () = &mut work => break,
                next = outbox.next() => if let Next::Frames(frames) = next {
                    heard.extend(frames.into_iter().map(Outgoing::into_text));
                },
            }
        }
        while let Some(Next::Frames(frames)) = outbox.next_at_once() {
            heard.extend(frames.into_iter().map(Outgoing::into_text));
        }
        heard
    }

    /// Says one message to the administrator's door, which answers one frame.
    pub async fn post(&self, text: &[u8]) -> Vec<u8> {
        rpc::respond(self.shared.clone(), LOCAL, text).await
    }

    /// Ends the session: everything open is rolled back.
    pub async fn end(mut self) {
        self.peer.leave().await;
    }
}

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
