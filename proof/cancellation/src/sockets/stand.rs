use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use serde_json::{Value, json};
use tandem_server::{Config, SocketServer, StoreCalls};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};
use tokio::task::yield_now;

use crate::sockets::calls::Queue;
use crate::sockets::wire::{text, whole_frames};
use crate::stage::Stage;

const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// How often the server's own tasks have their turn between two steps: more
/// often than any of them is woken by one.
const TURNS: usize = 6;

/// A server over a stage.
pub struct Stand {
    /// Its store.
    pub stage: Stage,
    /// Its store calls.
    pub queue: Arc<Queue>,
    /// Itself.
    pub server: SocketServer,
}

impl Stand {
    /// A server whose store calls wait in a queue. Needs a tokio runtime.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn new() -> Self {
        let queue = Arc::new(Queue::default());
        Self::with(queue.clone(), queue)
    }

    /// A server whose store calls are run by `calls`.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn with(queue: Arc<Queue>, calls: Arc<dyn StoreCalls>) -> Self {
        let stage = Stage::new(false);
        let server =
            SocketServer::start(Config::default(), &stage.store(), calls).expect("it starts");
        Self { stage, queue, server }
    }

    /// Another server over the same store, in the place of this one.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn succeeded(self) -> Self {
        let Self { stage, queue, server } = self;
        drop(server);
        let server = SocketServer::start(Config::default(), &stage.store(), queue.clone());
        Self { stage, queue, server: server.expect("it starts") }
    }

    /// A connection whose streams hold `room` bytes in each direction.
    #[must_use]
    pub fn connect(&self, room: usize) -> (Served, Client) {
        let (near, far) = duplex(room);
        let future = Box::pin(self.server.serve(ADDRESS, far));
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        (Served { future: Some(future), woken }, Client { stream: Some(near), ..Client::default() })
    }

    /// Lets everything go on until nothing is left to do. After each step `after`
    /// is told how many there have been, and may take away the connection or the
    /// client. Answers the number of steps.
    pub async fn run(
        &self,
        served: &mut Served,
        client: &mut Client,
        mut after: impl FnMut(u64, &mut Served, &mut Client),
    ) -> u64 {
        let mut steps = 0;
        after(steps, served, client);
        loop {
            let before = steps;
            if served.poll() {
                steps += 1;
                after(steps, served, client);
            }
            turns().await;
            if self.queue.run_one() {
                steps += 1;
                after(steps, served, client);
            }
            turns().await;
            if client.go_on() {
                steps += 1;
                after(steps, served, client);
            }
            turns().await;
            if steps == before && !served.is_woken() {
                return steps;
            }
        }
    }

    /// A client that follows every commit and a query, on a connection of its
    /// own that nobody takes away.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn watch(&self) -> Client {
        let (mut served, mut client) = self.connect(1 << 20);
        if let Some(future) = served.future.take() {
            tokio::spawn(future);
        }
        let ids = [
            client.post("store.subscribeChanges", &json!({ "buckets": ["accounts", "journal"] })),
            client.post("store.subscribe", &json!({ "query": "watched" })),
        ];
        self.settle(&mut served, &mut client).await;
        for id in ids {
            let answer = client.answer(id).expect("an answer");
            assert_eq!(answer["type"], "result", "{answer}");
        }
        client
    }

    /// Lets a client hear what was sent to it.
    pub async fn listen(&self, client: &mut Client) {
        let mut nobody = Served { future: None, woken: Arc::new(Woken(AtomicBool::new(false))) };
        self.settle(&mut nobody, client).await;
    }

    /// As [`run`](Self::run), with nobody going away.
    pub async fn settle(&self, served: &mut Served, client: &mut Client) {
        self.run(served, client, |_, _, _| {}).await;
    }
}

impl Default for Stand {
    fn default() -> Self {
        Self::new()
    }
}

async fn turns() {
    for _ in 0..TURNS {
        yield_now().await;
    }
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// The server's side of a connection.
pub struct Served {
    future: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    woken: Arc<Woken>,
}

impl Served {
    /// The future goes away where it stands.
    pub fn drop_future(&mut self) {
        self.future = None;
    }

    /// Whether it has come to its end, or was dropped.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.future.is_none()
    }

    fn is_woken(&self) -> bool {
        self.future.is_some() && self.woken.0.load(Ordering::SeqCst)
    }

    fn poll(&mut self) -> bool {
        if !self.is_woken() {
            return false;
        }
        self.woken.0.store(false, Ordering::SeqCst);
        let waker = Waker::from(self.woken.clone());
        let Some(future) = &mut self.future else { return false };
        if future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
            self.future = None;
        }
        true
    }
}

/// The client's side.
#[derive(Default)]
pub struct Client {
    stream: Option<DuplexStream>,
    /// Bytes that are still to be written.
    pub outgoing: Vec<u8>,
    /// Everything that it has read.
    pub heard: Vec<u8>,
    /// It reads so many bytes and then closes.
    pub reads_at_most: Option<usize>,
    /// The other end has closed.
    pub ended: bool,
    /// How many bytes it has written.
    pub written: usize,
    requests: u64,
}

impl Client {
    /// Adds a request to what is to be written; answers its id.
    ///
    /// # Panics
    /// If the fields are no object.
    pub fn post(&mut self, kind: &str, fields: &Value) -> u64 {
        self.requests += 1;
        let mut request = fields.clone();
        request["id"] = self.requests.into();
        request["type"] = kind.into();
        self.outgoing.extend(text(&request.to_string()));
        self.requests
    }

    /// Closes without a word.
    pub fn close(&mut self) {
        self.stream = None;
    }

    /// The frames that it has heard.
    ///
    /// # Panics
    /// If they are no JSON.
    #[must_use]
    pub fn frames(&self) -> Vec<Value> {
        let frames = whole_frames(&self.heard);
        frames.iter().map(|frame| serde_json::from_str(frame).expect("JSON")).collect()
    }

    /// How many frames it has heard.
    #[must_use]
    pub fn count_frames(&self) -> usize {
        whole_frames(&self.heard).len()
    }

    /// The answer to the request `id`, if it was heard.
    #[must_use]
    pub fn answer(&self, id: u64) -> Option<Value> {
        self.frames().into_iter().find(|frame| frame["id"] == id)
    }

    /// The data of the pushes on a channel.
    #[must_use]
    pub fn pushes(&self, channel: &str) -> Vec<Value> {
        let frames = self.frames().into_iter();
        frames.filter(|frame| frame["channel"] == channel).map(|f| f["data"].clone()).collect()
    }

    /// Writes and reads what it can without waiting; whether it did anything.
    fn go_on(&mut self) -> bool {
        let Some(stream) = &mut self.stream else { return false };
        let mut context = Context::from_waker(Waker::noop());
        let mut active = false;
        if !self.outgoing.is_empty()
            && let Poll::Ready(Ok(count)) =
                Pin::new(&mut *stream).poll_write(&mut context, &self.outgoing)
        {
            self.outgoing.drain(..count);
            self.written += count;
            active = true;
        }
        let room = self.reads_at_most.map_or(4096, |most| most - self.heard.len());
        if room == 0 {
            self.stream = None;
            return true;
        }
        let mut space = vec![0; room.min(4096)];
        let mut buffer = ReadBuf::new(&mut space);
        if !self.ended
            && let Poll::Ready(Ok(())) = Pin::new(stream).poll_read(&mut context, &mut buffer)
        {
            self.ended = buffer.filled().is_empty();
            self.heard.extend_from_slice(buffer.filled());
            active = true;
        }
        active
    }
}

/// Runs `work` on a runtime whose clock stands still.
///
/// # Panics
/// If there is no runtime.
pub fn on_a_runtime<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without threads and sockets can be built");
    let outcome = runtime.block_on(work);
    runtime.shutdown_timeout(Duration::ZERO);
    outcome
}
