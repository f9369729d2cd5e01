//! How a client reaches the store: the library, or a WebSocket.
//!
//! The calls are few and take and give JSON, so that both doors do the same.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Map, Value, json};
use tandem::{
    CommitOptions, Error, Isolation, Record, Result, Store, Transaction, TransactionOptions,
};
use tokio_tungstenite::tungstenite::{Error as SocketError, Message, WebSocket, client};

/// The bucket of all lists and registers.
pub const BUCKET: &str = "things";

/// Longer than any answer takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why a call gave nothing.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The error's code, or `GONE` when nothing was heard.
    pub code: String,
    /// What it said.
    pub message: String,
}

impl Failure {
    /// Whether a commit that failed so certainly did not happen.
    #[must_use]
    pub fn is_certain(&self) -> bool {
        !matches!(
            self.code.as_str(),
            "STORE_FAILED" | "STORAGE_ERROR" | "INTERNAL_ERROR" | "CLOSED" | "TIMEOUT" | "GONE"
        )
    }

    /// Whether the store, or the way to it, is no longer there.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self.code.as_str(), "STORE_FAILED" | "CLOSED" | "GONE")
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { code: error.code().as_str().to_owned(), message: error.to_string() }
    }
}

/// One client's way to the store, with one open transaction at most.
pub trait Client {
    /// Begins a transaction.
    ///
    /// # Errors
    /// As the store answers; so do all calls.
    fn begin(&mut self, level: Isolation, read_only: bool) -> Result<(), Failure>;
    /// The record of that key.
    fn get(&mut self, key: u64) -> Result<Option<Value>, Failure>;
    /// The records that match.
    fn find(&mut self, filter: Value) -> Result<Vec<Value>, Failure>;
    /// Locks a record that exists or not, and reads it.
    fn lock(&mut self, key: u64) -> Result<Option<Value>, Failure>;
    /// Inserts a record.
    fn insert(&mut self, record: Value) -> Result<(), Failure>;
    /// Changes a record.
    fn update(&mut self, key: u64, changes: Value, version: Option<u64>) -> Result<(), Failure>;
    /// Changes a record or inserts it.
    fn upsert(&mut self, record: Value) -> Result<(), Failure>;
    /// Opens a savepoint.
    fn savepoint(&mut self, name: &str) -> Result<(), Failure>;
    /// Undoes what came after it.
    fn rollback_to(&mut self, name: &str) -> Result<(), Failure>;
    /// Commits; the revision, if the commit wrote.
    fn commit(&mut self, name: &str) -> Result<u64, Failure>;
    /// Rolls back.
    fn rollback(&mut self);
    /// Goes away without a word.
    fn vanish(&mut self);
    /// Asks for a commit and goes away without hearing the answer. Whether that
    /// can be done here.
    fn commit_and_vanish(&mut self, name: &str) -> bool;
}

/// The library.
pub struct Embedded {
    // Dropped before the store.
    transaction: Option<Transaction>,
    store: Store,
}

impl Embedded {
    /// A client of that store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { transaction: None, store }
    }

    fn open(&self) -> Result<&Transaction, Failure> {
        self.transaction.as_ref().ok_or_else(|| Failure {
            code: "TRANSACTION_NOT_FOUND".to_owned(),
            message: "no transaction is open".to_owned(),
        })
    }
}

impl Client for Embedded {
    fn begin(&mut self, level: Isolation, read_only: bool) -> Result<(), Failure> {
        let options = TransactionOptions::new().isolation(level);
        let options = if read_only { options.read_only() } else { options };
        self.transaction = Some(self.store.begin_with(&options)?);
        Ok(())
    }

    fn get(&mut self, key: u64) -> Result<Option<Value>, Failure> {
        Ok(self.open()?.bucket(BUCKET).get(key)?.map(|record| record.to_json()))
    }

    fn find(&mut self, filter: Value) -> Result<Vec<Value>, Failure> {
        let found = self.open()?.bucket(BUCKET).find(filter).records()?;
        Ok(found.iter().map(Record::to_json).collect())
    }

    fn lock(&mut self, key: u64) -> Result<Option<Value>, Failure> {
        let wait = Some(Duration::from_millis(500));
        Ok(self.open()?.lock(BUCKET, key, wait)?.map(|record| record.to_json()))
    }

    fn insert(&mut self, record: Value) -> Result<(), Failure> {
        self.open()?.bucket(BUCKET).insert(record)?;
        Ok(())
    }

    fn update(&mut self, key: u64, changes: Value, version: Option<u64>) -> Result<(), Failure> {
        let bucket = self.open()?.bucket(BUCKET);
        match version {
            Some(version) => bucket.update_if(key, changes, version)?,
            None => bucket.update(key, changes)?,
        };
        Ok(())
    }

    fn upsert(&mut self, record: Value) -> Result<(), Failure> {
        self.open()?.bucket(BUCKET).upsert(record)?;
        Ok(())
    }

    fn savepoint(&mut self, name: &str) -> Result<(), Failure> {
        Ok(self.open()?.savepoint(name)?)
    }

    fn rollback_to(&mut self, name: &str) -> Result<(), Failure> {
        Ok(self.open()?.rollback_to(name)?)
    }

    fn commit(&mut self, name: &str) -> Result<u64, Failure> {
        let options = CommitOptions::new().idempotency_key(name);
        let receipt = self.open()?.finish(options)?;
        self.transaction = None;
        Ok(receipt.revision)
    }

    fn rollback(&mut self) {
        if let Some(transaction) = self.transaction.take() {
            transaction.rollback();
        }
    }

    fn vanish(&mut self) {
        self.transaction = None;
    }

    fn commit_and_vanish(&mut self, _name: &str) -> bool {
        false
    }
}

/// A WebSocket.
pub struct Wire {
    address: SocketAddr,
    socket: WebSocket<TcpStream>,
    transaction: Value,
    last_id: u64,
}

impl Wire {
    /// Connects to a server.
    ///
    /// # Panics
    /// When it cannot be reached.
    #[must_use]
    pub fn connect(address: SocketAddr) -> Self {
        Self { address, socket: connected(address), transaction: Value::Null, last_id: 0 }
    }

    fn send(&mut self, kind: &str, mut fields: Value) -> Result<u64, Failure> {
        self.last_id += 1;
        fields["id"] = json!(self.last_id);
        fields["type"] = json!(kind);
        if let Some(fields) = fields.as_object_mut() {
            fields.retain(|_, value| !value.is_null());
        }
        let sent = self.socket.send(Message::text(fields.to_string()));
        sent.map(|()| self.last_id).map_err(|error| gone(&error.to_string()))
    }

    fn ask(&mut self, kind: &str, fields: Value) -> Result<Value, Failure> {
        let id = self.send(kind, fields)?;
        loop {
            let message = match self.socket.read() {
                // A socket with a time limit says so when the machine was suspended.
                Err(SocketError::Io(error)) if error.kind() == ErrorKind::Interrupted => continue,
                read => read.map_err(|error| gone(&error.to_string()))?,
            };
            let Message::Text(text) = message else { continue };
            let mut frame: Value =
                serde_json::from_str(&text).map_err(|error| gone(&error.to_string()))?;
            if frame["id"] != json!(id) {
                continue;
            }
            if frame["type"] == "result" {
                return Ok(frame["data"].take());
            }
            let text = |field: &str| frame[field].as_str().unwrap_or_default().to_owned();
            return Err(Failure { code: text("code"), message: text("message") });
        }
    }

    fn ask_bucket(&mut self, kind: &str, mut fields: Value) -> Result<Value, Failure> {
        fields["bucket"] = json!(BUCKET);
        fields["transaction"] = self.transaction.clone();
        self.ask(kind, fields)
    }

    fn ask_transaction(&mut self, kind: &str, mut fields: Value) -> Result<Value, Failure> {
        fields["transaction"] = self.transaction.clone();
        self.ask(kind, fields)
    }
}

fn connected(address: SocketAddr) -> WebSocket<TcpStream> {
    let stream = TcpStream::connect(address).expect("the server listens");
    stream.set_nodelay(true).expect("a socket takes options");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket takes options");
    client(format!("ws://{address}/"), stream).expect("the server greets").0
}

fn gone(message: &str) -> Failure {
    Failure { code: "GONE".to_owned(), message: message.to_owned() }
}

fn record(found: Value) -> Option<Value> {
    Some(found).filter(|found| !found.is_null())
}

impl Client for Wire {
    fn begin(&mut self, level: Isolation, read_only: bool) -> Result<(), Failure> {
        let fields = json!({ "isolation": level.as_str(), "readOnly": read_only });
        self.transaction = self.ask("store.begin", fields)?["transaction"].take();
        Ok(())
    }

    fn get(&mut self, key: u64) -> Result<Option<Value>, Failure> {
        self.ask_bucket("store.get", json!({ "key": key })).map(record)
    }

    fn find(&mut self, filter: Value) -> Result<Vec<Value>, Failure> {
        match self.ask_bucket("store.where", json!({ "filter": filter }))? {
            Value::Array(records) => Ok(records),
            other => Err(gone(&format!("no records: {other}"))),
        }
    }

    fn lock(&mut self, key: u64) -> Result<Option<Value>, Failure> {
        self.ask_bucket("store.lock", json!({ "key": key, "waitMs": 500 })).map(record)
    }

    fn insert(&mut self, record: Value) -> Result<(), Failure> {
        self.ask_bucket("store.insert", json!({ "data": record })).map(drop)
    }

    fn update(&mut self, key: u64, changes: Value, version: Option<u64>) -> Result<(), Failure> {
        let fields = json!({ "key": key, "data": changes, "expectedVersion": version });
        self.ask_bucket("store.update", fields).map(drop)
    }

    fn upsert(&mut self, record: Value) -> Result<(), Failure> {
        self.ask_bucket("store.upsert", json!({ "data": record })).map(drop)
    }

    fn savepoint(&mut self, name: &str) -> Result<(), Failure> {
        self.ask_transaction("store.savepoint", json!({ "name": name })).map(drop)
    }

    fn rollback_to(&mut self, name: &str) -> Result<(), Failure> {
        self.ask_transaction("store.rollbackTo", json!({ "name": name })).map(drop)
    }

    fn commit(&mut self, name: &str) -> Result<u64, Failure> {
        let receipt = self.ask_transaction("store.commit", json!({ "idempotencyKey": name }))?;
        self.transaction = Value::Null;
        Ok(receipt["revision"].as_u64().unwrap_or(0))
    }

    fn rollback(&mut self) {
        if !self.transaction.is_null() {
            let _already_over = self.ask_transaction("store.rollback", Value::Object(Map::new()));
            self.transaction = Value::Null;
        }
    }

    fn vanish(&mut self) {
        self.socket = connected(self.address);
        self.transaction = Value::Null;
    }

    fn commit_and_vanish(&mut self, name: &str) -> bool {
        let fields = json!({ "transaction": self.transaction, "idempotencyKey": name });
        let _maybe_sent = self.send("store.commit", fields);
        self.vanish();
        true
    }
}
