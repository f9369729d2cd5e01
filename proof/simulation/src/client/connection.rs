use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

use crate::network::End;
use crate::websocket::{self, Incoming};
use crate::world::World;

/// How long a client waits for an answer before it gives the connection up.
const PATIENCE: Duration = Duration::from_secs(6);

/// Why a request has no result.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The server says no.
    Refused(Refusal),
    /// The connection is gone: nobody knows whether the request was carried
    /// out.
    Lost,
}

/// An error answer.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: String,
    pub(crate) frame: Value,
}

impl Refusal {
    /// Whether the outcome of a commit is open after it, or the same request
    /// may succeed later.
    pub(crate) fn passes(&self) -> bool {
        matches!(self.code.as_str(), "STORE_FAILED" | "STORAGE_ERROR" | "LOCK_TIMEOUT")
    }
}

/// Codes that a client which makes no mistakes may meet.
const EXPECTED: [&str; 14] = [
    "CONFLICT",
    "ALREADY_EXISTS",
    "NOT_FOUND",
    "TRANSACTION_EXPIRED",
    "TRANSACTION_NOT_FOUND",
    "TRANSACTION_ABORTED",
    "STORE_FAILED",
    "STORAGE_ERROR",
    "LOCK_TIMEOUT",
    "DEADLOCK",
    "RESYNC_REQUIRED",
    "LIMIT_EXCEEDED",
    "BUCKET_NOT_DEFINED",
    "QUERY_NOT_DEFINED",
];

/// One WebSocket, as a client holds it.
pub(crate) struct Connection {
    world: Rc<World>,
    client: u64,
    socket: End,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    pushes: VecDeque<Value>,
    last_id: u64,
    heard: Instant,
}

impl Connection {
    /// Connects and waits for the welcome.
    pub(crate) async fn open(world: &Rc<World>, client: u64, slow: bool) -> Option<Self> {
        let socket = world.dial(slow)?;
        let mut connection = Self {
            world: world.clone(),
            client,
            socket,
            incoming: Vec::new(),
            outgoing: Vec::new(),
            heard: Instant::now(),
            pushes: VecDeque::new(),
            last_id: 0,
        };
        let welcome = timeout(PATIENCE, connection.frame()).await.ok()?.ok()?;
        if welcome["type"] != "welcome" {
            world.core.violation(format!("the first frame is {welcome}"));
        }
        Some(connection)
    }

    /// Sends a request and waits for its answer.
    pub(crate) async fn request(&mut self, kind: &str, fields: Value) -> Result<Value, Failure> {
        let until = Instant::now() + PATIENCE;
        let sent = timeout_at(until, self.send(kind, fields)).await;
        let id = sent.map_err(|_| Failure::Lost)??;
        timeout_at(until, self.answer(id)).await.map_err(|_| Failure::Lost)?
    }

    /// Sends a request and does not wait; returns its id.
    pub(crate) async fn send(&mut self, kind: &str, fields: Value) -> Result<u64, Failure> {
        self.last_id += 1;
        let mut frame = Map::new();
        frame.insert("id".into(), self.last_id.into());
        frame.insert("type".into(), kind.into());
        if let Value::Object(fields) = fields {
            frame.extend(fields);
        }
        self.write(&Value::Object(frame)).await?;
        Ok(self.last_id)
    }

    /// The answer to `id`, which must be the next one.
    pub(crate) async fn answer(&mut self, id: u64) -> Result<Value, Failure> {
        loop {
            let mut frame = self.frame().await?;
            match frame["type"].as_str() {
                Some("push") => self.pushes.push_back(frame),
                Some("result" | "error") if frame["id"].as_u64() != Some(id) => {
                    self.world.core.violation(format!("the answer to {id} is {frame}"));
                    return Err(Failure::Lost);
                }
                Some("result") => return Ok(frame["data"].take()),
                Some("error") => return Err(Failure::Refused(self.refusal(frame))),
                _ => {}
            }
        }
    }

    fn refusal(&self, frame: Value) -> Refusal {
        let code = frame["code"].as_str().unwrap_or("none").to_owned();
        let known = EXPECTED.contains(&code.as_str());
        // Without injected read errors, no read fails while there is power.
        let plausible = code != "STORAGE_ERROR" || self.world.plan.weather.read_errors;
        if !known || !plausible {
            self.world.core.violation(format!("client {}: answered {frame}", self.client));
        }
        Refusal { code, frame }
    }

    /// The next push, if one comes in time.
    pub(crate) async fn push(&mut self, wait: Duration) -> Result<Option<Value>, Failure> {
        let until = Instant::now() + wait;
        loop {
            if let Some(push) = self.pushes.pop_front() {
                return Ok(Some(push));
            }
            match timeout_at(until, self.frame()).await {
                Err(_) => return Ok(None),
                Ok(Err(failure)) => return Err(failure),
                Ok(Ok(frame)) if frame["type"] == "push" => return Ok(Some(frame)),
                Ok(Ok(_)) => {}
            }
        }
    }

    /// Reads what comes for a while.
    pub(crate) async fn listen(&mut self, time: Duration) -> Result<(), Failure> {
        let until = Instant::now() + time;
        while let Ok(frame) = timeout_at(until, self.frame()).await {
            let frame = frame?;
            if frame["type"] == "push" {
                self.pushes.push_back(frame);
            }
        }
        Ok(())
    }

    /// When the server was last heard of.
    pub(crate) fn heard(&self) -> Instant {
        self.heard
    }

    /// The next frame that is no heartbeat. Safe to cancel.
    async fn frame(&mut self) -> Result<Value, Failure> {
        loop {
            let frame = match websocket::take(&mut self.incoming) {
                Ok(Some(Incoming::Text(text))) => text,
                Ok(Some(Incoming::Close(code))) => {
                    self.world.core.event("closed", u64::from(code), b"");
                    return Err(Failure::Lost);
                }
                Ok(None) => {
                    let mut buffer = [0; 2_048];
                    match self.socket.read(&mut buffer).await {
                        Ok(count) if count > 0 => {
                            self.incoming.extend_from_slice(&buffer[..count]);
                            continue;
                        }
                        _ => return Err(Failure::Lost),
                    }
                }
                Err(text) => {
                    self.world.core.violation(text);
                    return Err(Failure::Lost);
                }
            };
            self.heard = Instant::now();
            self.world.core.event("to client", self.client, &frame);
            let Ok(frame) = serde_json::from_slice::<Value>(&frame) else {
                self.world.core.violation("a frame is no JSON");
                return Err(Failure::Lost);
            };
            if frame["type"] != "ping" {
                return Ok(frame);
            }
            self.write(&serde_json::json!({ "type": "pong", "timestamp": frame["timestamp"] }))
                .await?;
        }
    }

    async fn write(&mut self, frame: &Value) -> Result<(), Failure> {
        let text = frame.to_string();
        self.world.core.event("from client", self.client, text.as_bytes());
        self.outgoing.extend(websocket::text(&self.world.core.dice, text.as_bytes()));
        // Safe to cancel: what is not sent yet goes first the next time.
        while !self.outgoing.is_empty() {
            match self.socket.write(&self.outgoing).await {
                Ok(count) => drop(self.outgoing.drain(..count)),
                Err(_) => return Err(Failure::Lost),
            }
        }
        Ok(())
    }
}
