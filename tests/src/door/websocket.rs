use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tandem::{Isolation, Store};
use tandem_server::{Config, Heartbeat, RunningServer, Server, ServerOptions};
use tokio::runtime::Runtime;
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket as Socket, client};

use super::embedded::{define, lock_waiters, problems_of};
use super::{BUCKET, Connection, Door, World};
use crate::answer::{Answer, ChangeSeen, FILLERS_FROM};
use crate::patience::{self, PATIENCE};
use crate::script::Action;

/// A server in this process and one socket per connection.
pub struct WebSocket;

impl Door for WebSocket {
    fn name(&self) -> &'static str {
        "websocket"
    }

    fn open(&self, bucket: &Value) -> Box<dyn World> {
        let store = Store::builder().memory().background(false).open().expect("memory opens");
        define(&store, bucket);
        // Nobody here answers pings, however long a script takes.
        let long = Duration::from_secs(3_600);
        let heartbeat = Heartbeat { interval: long, timeout: long };
        let config = Config { heartbeat, ..Config::default() };
        let options = ServerOptions::new(config).listen("127.0.0.1:0").store(store.clone());
        let server = runtime().block_on(Server::start(options)).expect("a server starts");
        Box::new(Served { store, server })
    }
}

/// All servers of the process share one runtime.
fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(2).enable_all().build().expect("a runtime starts")
    })
}

struct Served {
    store: Store,
    server: RunningServer,
}

impl World for Served {
    fn connect(&mut self, level: Isolation) -> Box<dyn Connection> {
        Box::new(Client::connect(self.server.address(), level))
    }

    fn lock_waiters(&mut self) -> usize {
        lock_waiters(&self.store)
    }

    fn problems(&mut self) -> Vec<String> {
        // The sockets are closed; the server notices in its own time.
        patience::until(|| {
            self.store.statistics().map_or(true, |statistics| statistics.open_transactions == 0)
        });
        problems_of(&self.store)
    }
}

/// One socket, which holds at most one transaction open.
struct Client {
    socket: Socket<TcpStream>,
    level: Isolation,
    transaction: Option<Value>,
    next_id: u64,
    /// Changes that have arrived and were not asked for yet.
    pushed: Vec<Vec<ChangeSeen>>,
}

impl Client {
    fn connect(address: SocketAddr, level: Isolation) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_nodelay(true).expect("a socket takes options");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket takes options");
        let (socket, _) = client(format!("ws://{address}/"), stream).expect("the server greets");
        Self { socket, level, transaction: None, next_id: 1, pushed: Vec::new() }
    }

    fn send(&mut self, kind: &str, fields: Value) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        let mut frame = fields.as_object().cloned().unwrap_or_else(Map::new);
        frame.retain(|_, value| !value.is_null());
        frame.insert("id".to_owned(), json!(id));
        frame.insert("type".to_owned(), json!(kind));
        let text = Value::Object(frame).to_string();
        self.socket.send(Message::text(text)).expect("the server reads");
        id
    }

    /// Sends a request and waits for its answer: its `data`, or its error.
    fn ask(&mut self, kind: &str, fields: Value) -> Result<Value, Answer> {
        let id = self.send(kind, fields);
        loop {
            let mut frame = self.receive();
            if frame["id"] != json!(id) {
                continue;
            }
            return match frame["type"].as_str() {
                Some("result") => Ok(frame["data"].take()),
                _ => {
                    let text = |field: &str| frame[field].as_str().unwrap_or_default().to_owned();
                    Err(Answer::Failed { code: text("code"), message: text("message") })
                }
            };
        }
    }

    /// The next frame; changes are put aside.
    fn receive(&mut self) -> Value {
        loop {
            let message = match self.socket.read() {
                // A socket with a time limit says so when the machine was suspended.
                Err(Error::Io(error)) if error.kind() == ErrorKind::Interrupted => continue,
                read => read.expect("the server answers"),
            };
            let Message::Text(text) = message else { continue };
            let frame: Value = serde_json::from_str(&text).expect("frames are JSON");
            if let Some(changes) = frame["data"]["changes"].as_array().filter(|_| is_push(&frame)) {
                self.pushed.push(changes.iter().map(ChangeSeen::from_json).collect());
            }
            return frame;
        }
    }

    /// What was pushed so far. Pushes arrive in their own time, so a filler is
    /// inserted and waited for: what came before it is complete.
    fn changes(&mut self) -> Result<Answer, Answer> {
        let filler = json!({"id": FILLERS_FROM.unsigned_abs() + self.next_id});
        self.ask("store.insert", json!({"bucket": BUCKET, "data": filler}))?;
        let is_filler = |change: &ChangeSeen| change.key == filler["id"];
        while !self.pushed.last().is_some_and(|changes| changes.iter().any(is_filler)) {
            self.receive();
        }
        self.pushed.pop();
        Ok(Answer::Commits(std::mem::take(&mut self.pushed)))
    }

    /// A request on the bucket, inside the transaction if one is open.
    fn ask_bucket(&mut self, kind: &str, mut fields: Value) -> Result<Value, Answer> {
        fields["bucket"] = json!(BUCKET);
        fields["transaction"] = json!(self.transaction);
        self.ask(kind, fields)
    }

    /// A request about the open transaction.
    fn ask_transaction(&mut self, kind: &str, mut fields: Value) -> Result<Value, Answer> {
        fields["transaction"] = json!(self.transaction);
        self.ask(kind, fields)
    }

    fn try_take(&mut self, action: &Action) -> Result<Answer, Answer> {
        Ok(match action {
            Action::Begin { read_only } => {
                let fields = json!({"isolation": self.level.as_str(), "readOnly": read_only});
                self.transaction = Some(self.ask("store.begin", fields)?["transaction"].take());
                Answer::Done
            }
            Action::Commit { idempotency_key, and_disconnect } => {
                let fields = json!({"idempotencyKey": idempotency_key});
                if *and_disconnect {
                    let transaction = json!(self.transaction);
                    let fields = json!({
                        "idempotencyKey": idempotency_key, "transaction": transaction,
                    });
                    self.send("store.commit", fields);
                    return Ok(Answer::Done);
                }
                // After a failure the handle stays, and answers only rollback.
                self.ask_transaction("store.commit", fields)?;
                self.transaction = None;
                Answer::Done
            }
            Action::Rollback => {
                self.ask_transaction("store.rollback", json!({}))?;
                self.transaction = None;
                Answer::Done
            }
            Action::Savepoint(name) => {
                done(self.ask_transaction("store.savepoint", json!({"name": name}))?)
            }
            Action::RollbackTo(name) => {
                done(self.ask_transaction("store.rollbackTo", json!({"name": name}))?)
            }
            Action::Release(name) => {
                done(self.ask_transaction("store.release", json!({"name": name}))?)
            }
            Action::Lock { key, wait_ms } => {
                record(self.ask_bucket("store.lock", json!({"key": key, "waitMs": wait_ms}))?)
            }
            Action::Get(key) => record(self.ask_bucket("store.get", json!({"key": key}))?),
            Action::All => records(self.ask_bucket("store.all", json!({}))?),
            Action::Where(filter) => {
                records(self.ask_bucket("store.where", json!({"filter": filter}))?)
            }
            Action::FindOne(filter) => {
                record(self.ask_bucket("store.findOne", json!({"filter": filter}))?)
            }
            Action::Count(filter) => {
                number(self.ask_bucket("store.count", json!({"filter": filter}))?)
            }
            Action::Sum { field, filter } => {
                let fields = json!({"field": field, "filter": filter});
                number(self.ask_bucket("store.sum", fields)?)
            }
            Action::Insert(rows) => match &rows[..] {
                [row] => record(self.ask_bucket("store.insert", json!({"data": row}))?),
                _ => records(self.ask_bucket("store.insertMany", json!({"data": rows}))?),
            },
            Action::Upsert(data) => record(self.ask_bucket("store.upsert", json!({"data": data}))?),
            Action::Replace { key, data } => {
                record(self.ask_bucket("store.replace", json!({"key": key, "data": data}))?)
            }
            Action::Update { key, changes, expected_version } => {
                let fields =
                    json!({"key": key, "data": changes, "expectedVersion": expected_version});
                record(self.ask_bucket("store.update", fields)?)
            }
            Action::Delete { key, expected_version } => {
                let fields = json!({"key": key, "expectedVersion": expected_version});
                done(self.ask_bucket("store.delete", fields)?)
            }
            Action::UpdateMany { filter, changes } => {
                let fields = json!({"filter": filter, "data": changes});
                number(self.ask_bucket("store.updateMany", fields)?)
            }
            Action::DeleteMany(filter) => {
                number(self.ask_bucket("store.deleteMany", json!({"filter": filter}))?)
            }
            Action::Watch { from_start } => {
                let from = from_start.then_some(0);
                done(self.ask("store.subscribeChanges", json!({"bucket": BUCKET, "from": from}))?)
            }
            Action::Changes => self.changes()?,
            other => Answer::failed("NOT A STEP OF THIS DOOR", format!("{other:?}")),
        })
    }
}

impl Connection for Client {
    fn take(&mut self, action: &Action) -> Answer {
        self.try_take(action).unwrap_or_else(|failure| failure)
    }

    fn index_for(&mut self, filter: &Value, counts: bool) -> Option<String> {
        let kind = if counts { "store.count" } else { "store.where" };
        let request = json!({"type": kind, "bucket": BUCKET, "filter": filter});
        let plan = self.ask("store.explain", json!({"request": request})).ok()?;
        plan["index"].as_str().map(str::to_owned)
    }
}

fn is_push(frame: &Value) -> bool {
    frame["type"] == "push" && frame["channel"] == "changes"
}

fn done(_: Value) -> Answer {
    Answer::Done
}

fn record(found: Value) -> Answer {
    if found.is_null() { Answer::Nothing } else { Answer::Record(found) }
}

fn records(found: Value) -> Answer {
    match found {
        Value::Array(found) => Answer::Records(found),
        other => Answer::failed("NOT RECORDS", other.to_string()),
    }
}

fn number(found: Value) -> Answer {
    found.as_u64().map_or_else(|| Answer::failed("NOT A NUMBER", found.to_string()), Answer::Number)
}
