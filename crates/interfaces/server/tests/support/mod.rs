//! A server in this process and a client for it.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tandem::{Environment, Store};
use tandem_server::{
    Config, Heartbeat, RunningServer, Server, ServerOptions, SocketServer, StoreCall, StoreCalls,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// Long enough for a loaded machine, short enough to notice a hang.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Options of a server that nobody has to answer pings of: clients of tests do not,
/// however long a test takes.
pub fn listening(mut config: Config) -> ServerOptions {
    let long = Duration::from_secs(3_600);
    config.heartbeat = Heartbeat { interval: long, timeout: long };
    ServerOptions::new(config).listen("127.0.0.1:0")
}

/// Starts a server over a store in memory.
pub async fn serve(config: Config) -> RunningServer {
    Server::start(listening(config)).await.expect("the server starts")
}

/// A server over a store in memory with the config file's content.
pub async fn serve_json(mut config: Value) -> RunningServer {
    config["store"]["data"] = Value::Null;
    serve(Config::from_json(&config).expect("the config is valid")).await
}

/// An address that nobody else is given and that leads nowhere, until a server is
/// told to listen there: it stays reserved while it goes and comes.
pub fn reserved_address() -> (TcpSocket, String) {
    let socket = TcpSocket::new_v4().expect("a socket");
    // Bound and not listening, it lets others listen who say the same, as servers do.
    socket.set_reuseaddr(true).expect("a socket takes options");
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a port");
    let address = socket.local_addr().expect("it is bound").to_string();
    (socket, address)
}

/// A server with one bucket `items`, keyed by `id`, any fields.
pub async fn serve_items() -> RunningServer {
    serve_json(json!({ "store": { "buckets": { "items": items() } } })).await
}

/// The config of a bucket keyed by `id`.
pub fn items() -> Value {
    json!({ "key": "id", "schema": { "id": {} } })
}

/// Runs store calls on threads of the runtime, whose paused clock stands still
/// meanwhile.
struct OnThreads;

impl StoreCalls for OnThreads {
    fn run(&self, call: StoreCall) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move { tokio::task::spawn_blocking(call).await.expect("no panic") })
    }
}

/// A server of pipes, for tests that move its clock: the runtime's, which is paused.
/// The store's own stands still.
pub fn serve_pipes(mut config: Value) -> (SocketServer, Store) {
    config["store"]["data"] = Value::Null;
    let config = Config::from_json(&config).expect("the config is valid");
    let builder = Store::builder().memory().background(false);
    let store = builder.environment(Environment::simulated(1).0).open().expect("a store");
    let server = SocketServer::start(config, &store, Arc::new(OnThreads)).expect("a server");
    (server, store)
}

/// Lets others go on until this holds. A paused clock does not move meanwhile.
pub async fn until(mut holds: impl FnMut() -> bool) {
    #[expect(clippy::disallowed_methods, reason = "a bound on a test, by a clock that runs")]
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < PATIENCE, "it does not come to that");
        tokio::task::yield_now().await;
    }
}

/// One WebSocket with its requests numbered.
pub struct Client<S = MaybeTlsStream<TcpStream>> {
    pub socket: WebSocketStream<S>,
    next_id: u64,
    /// Pushes that came while an answer was waited for.
    pushes: VecDeque<Value>,
}

impl Client<DuplexStream> {
    /// Connects through a pipe in this process, which a paused clock waits for, and
    /// takes the welcome.
    pub async fn piped(server: &SocketServer) -> Self {
        let (near, far) = tokio::io::duplex(64 << 10);
        tokio::spawn(server.serve(IpAddr::V4(Ipv4Addr::LOCALHOST), far));
        let socket = WebSocketStream::from_raw_socket(near, Role::Client, None).await;
        let mut client = Self { socket, next_id: 1, pushes: VecDeque::new() };
        let welcome = client.frame().await;
        assert_eq!(welcome["type"], "welcome", "{welcome}");
        client
    }
}

impl Client {
    /// Connects and takes the welcome.
    pub async fn connect(server: &RunningServer) -> Self {
        let mut client = Self::connect_silently(server).await;
        let welcome = client.frame().await;
        assert_eq!(welcome["type"], "welcome", "{welcome}");
        client
    }

    /// Connects without reading anything.
    pub async fn connect_silently(server: &RunningServer) -> Self {
        let url = format!("ws://{}/", server.address());
        let (socket, _) = connect_async(url).await.expect("the server accepts");
        Self { socket, next_id: 1, pushes: VecDeque::new() }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub async fn send_text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.expect("sent");
    }

    pub async fn send(&mut self, frame: &Value) {
        self.send_text(&frame.to_string()).await;
    }

    /// The next message of any kind; `None` at the end.
    pub async fn message(&mut self) -> Option<Message> {
        let message = timeout(PATIENCE, self.socket.next()).await.expect("a message in time");
        message.and_then(Result::ok)
    }

    /// The next frame.
    pub async fn frame(&mut self) -> Value {
        match self.message().await {
            Some(Message::Text(text)) => serde_json::from_str(&text).expect("frames are JSON"),
            other => panic!("a frame was expected, not {other:?}"),
        }
    }

    /// The close code and reason; frames before it are passed over.
    pub async fn closed(&mut self) -> (u16, String) {
        loop {
            match self.message().await {
                Some(Message::Close(Some(frame))) => {
                    return (frame.code.into(), frame.reason.to_string());
                }
                Some(Message::Close(None)) | None => panic!("closed without a close frame"),
                Some(_) => {}
            }
        }
    }

    /// Sends a request without waiting for the answer; returns its id.
    pub async fn post(&mut self, kind: &str, fields: Value) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        let mut request = fields;
        request["id"] = id.into();
        request["type"] = kind.into();
        self.send(&request).await;
        id
    }

    /// Sends a request and returns its answer.
    pub async fn request(&mut self, kind: &str, fields: Value) -> Value {
        let id = self.post(kind, fields).await;
        self.answer(id).await
    }

    /// The answer to the request `id`; pushes before it are kept.
    pub async fn answer(&mut self, id: u64) -> Value {
        loop {
            let frame = self.frame().await;
            if frame["type"] == "push" {
                self.pushes.push_back(frame);
            } else if frame["type"] != "ping" {
                assert_eq!(frame["id"], id, "answers come in the order of requests: {frame}");
                return frame;
            }
        }
    }

    /// The data of a successful answer.
    pub async fn ok(&mut self, kind: &str, fields: Value) -> Value {
        let mut answer = self.request(kind, fields).await;
        assert_eq!(answer["type"], "result", "{kind}: {answer}");
        answer["data"].take()
    }

    /// The frame of a failed answer, whose code is checked.
    pub async fn err(&mut self, kind: &str, fields: Value, code: &str) -> Value {
        let answer = self.request(kind, fields).await;
        assert_eq!(answer["type"], "error", "{kind}: {answer}");
        assert_eq!(answer["code"], code, "{kind}: {answer}");
        assert!(answer["retryable"].is_boolean(), "every error says so: {answer}");
        answer
    }

    /// The next push.
    pub async fn push(&mut self) -> Value {
        if let Some(push) = self.pushes.pop_front() {
            return push;
        }
        let frame = self.frame().await;
        assert_eq!(frame["type"], "push", "{frame}");
        frame
    }

    /// Pushes that have arrived so far: after an answer, all that its request
    /// has to wait for.
    pub fn kept_pushes(&self) -> usize {
        self.pushes.len()
    }
}

/// A record without its times, which differ from run to run.
pub fn timeless(mut value: Value) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.remove("_createdAt");
                fields.remove("_updatedAt");
                fields.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    strip(&mut value);
    value
}

/// The whole HTTP answer to a plain `GET`.
pub async fn http_get(server: &RunningServer, path: &str) -> String {
    raw_http(server, &format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).await
}

/// Whatever the server answers to these bytes before it closes.
pub async fn raw_http(server: &RunningServer, request: &str) -> String {
    let mut socket = TcpStream::connect(server.address()).await.expect("the server accepts");
    socket.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    let read = timeout(PATIENCE, socket.read_to_string(&mut answer)).await;
    read.expect("the server closes in time").expect("text");
    answer
}

/// Status and body of the answer to an HTTP request.
pub async fn http(
    address: std::net::SocketAddr,
    method: &str,
    path: &str,
    body: &str,
) -> (u16, String) {
    let mut socket = TcpStream::connect(address).await.expect("the server accepts");
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    );
    socket.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    let read = timeout(PATIENCE, socket.read_to_string(&mut answer)).await;
    read.expect("the server closes in time").expect("text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.expect("a status"), body.to_owned())
}
