//! The two kinds of clients.
//!
//! Who means well uses `tandem-client`, as applications do ([`connect`]). Who
//! leaves without a word, does not read, or sends what no client should, has a
//! socket in its own hands: [`Client`].

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// An answer that takes longer than this never comes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Connects as applications do.
///
/// # Errors
/// When there is no server to connect to.
pub async fn connect(address: SocketAddr) -> tandem_client::Result<tandem_client::Client> {
    in_time(tandem_client::Client::connect(&format!("ws://{address}/"))).await
}

/// What `work` answers.
///
/// # Panics
/// When it takes a minute: a hang.
pub async fn in_time<T>(work: impl Future<Output = T>) -> T {
    timeout(PATIENCE, work).await.expect("an answer in time")
}

/// Whether the request failed because the socket was lost, which may happen.
#[must_use]
pub fn is_lost(error: &tandem_client::Error) -> bool {
    error.code() == tandem_client::CONNECTION_LOST
}

/// The socket is gone.
#[derive(Clone, Copy, Debug)]
pub struct Gone;

/// An error frame, or the end.
#[derive(Clone, Debug)]
pub enum Failure {
    Gone,
    Refused { code: String, frame: Value },
}

impl From<Gone> for Failure {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

impl Failure {
    #[must_use]
    pub fn is(&self, wanted: &str) -> bool {
        matches!(self, Self::Refused { code, .. } if code == wanted)
    }
}

/// A socket that is kept alive, and may be lost at any time.
#[derive(Debug)]
pub struct Client {
    pub socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    next_id: u64,
    pushes: VecDeque<Value>,
}

impl Client {
    /// Connects and takes the welcome.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn connect(address: SocketAddr) -> Result<Self, Gone> {
        let connecting = connect_async(format!("ws://{address}/"));
        let (socket, _) =
            timeout(PATIENCE, connecting).await.map_err(|_| Gone)?.map_err(|_| Gone)?;
        let mut client = Self { socket, next_id: 1, pushes: VecDeque::new() };
        client.frame().await?;
        Ok(client)
    }

    /// The next frame; pings are answered.
    ///
    /// # Errors
    /// [`Gone`].
    ///
    /// # Panics
    /// When none comes in a minute although the heartbeat is faster: a hang.
    pub async fn frame(&mut self) -> Result<Value, Gone> {
        loop {
            let message = timeout(PATIENCE, self.socket.next()).await.expect("a frame in time");
            match message {
                Some(Ok(Message::Text(text))) => {
                    let frame: Value = serde_json::from_str(&text).expect("frames are JSON");
                    if frame["type"] == "ping" {
                        let pong = json!({ "type": "pong", "timestamp": frame["timestamp"] });
                        self.send(&pong).await?;
                        continue;
                    }
                    return Ok(frame);
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(Gone),
                Some(Ok(_)) => {}
            }
        }
    }

    /// Sends a frame.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn send(&mut self, frame: &Value) -> Result<(), Gone> {
        self.socket.send(Message::text(frame.to_string())).await.map_err(|_| Gone)
    }

    /// Sends a request and does not wait.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn post(&mut self, kind: &str, mut fields: Value) -> Result<u64, Gone> {
        let id = self.next_id;
        self.next_id += 1;
        fields["id"] = id.into();
        fields["type"] = kind.into();
        self.send(&fields).await?;
        Ok(id)
    }

    /// A request's data.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn ask(&mut self, kind: &str, fields: Value) -> Result<Value, Failure> {
        let id = self.post(kind, fields).await?;
        loop {
            let mut frame = self.frame().await?;
            if frame["type"] == "push" {
                // What nobody takes is not kept for ever.
                if self.pushes.len() == 256 {
                    self.pushes.pop_front();
                }
                self.pushes.push_back(frame);
            } else if frame["id"] == id {
                if frame["type"] == "result" {
                    return Ok(frame["data"].take());
                }
                let code = frame["code"].as_str().unwrap_or_default().to_owned();
                return Err(Failure::Refused { code, frame });
            }
        }
    }

    /// The next push within `time`, if any.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn push(&mut self, time: Duration) -> Result<Option<Value>, Gone> {
        if let Some(push) = self.pushes.pop_front() {
            return Ok(Some(push));
        }
        match timeout(time, self.frame()).await {
            Ok(frame) => frame.map(Some),
            Err(_) => Ok(None),
        }
    }
}
