//! A server in this process, and a network between it and its clients that can
//! be cut.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tandem_client::{Client, Options};
use tandem_server::{Config, RunningServer, Server, ServerOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;

/// Long enough for a loaded machine, short enough to notice a hang.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The config of a server with the bucket `items`, keyed by `id`, and a query
/// over it.
pub fn config() -> Value {
    json!({ "store": {
        "data": null,
        "buckets": { "items": { "key": "id", "schema": { "id": {} } } },
        "queries": { "all": { "bucket": "items", "fields": ["id", "n"] } },
    } })
}

/// Starts a server.
pub async fn serve(config: Value) -> RunningServer {
    let config = Config::from_json(&config).expect("a valid config");
    Server::start(ServerOptions::new(config).listen("127.0.0.1:0")).await.expect("it starts")
}

/// Starts a server over a store.
pub async fn serve_store(store: tandem::Store) -> RunningServer {
    let config = Config::from_json(&config()).expect("a valid config");
    let options = ServerOptions::new(config).listen("127.0.0.1:0").store(store);
    Server::start(options).await.expect("it starts")
}

/// Options with short waits.
pub fn quick() -> Options {
    Options {
        first_wait: Duration::from_millis(2),
        longest_wait: Duration::from_millis(50),
        ..Options::default()
    }
}

/// A client of a server, without a network that can be cut.
pub async fn client_of(server: &RunningServer) -> Client {
    in_time(Client::connect(&format!("ws://{}/", server.address()))).await.expect("connected")
}

/// The end of `work`.
pub async fn in_time<T>(work: impl Future<Output = T>) -> T {
    timeout(PATIENCE, work).await.expect("no end in time")
}

/// What a network does with what it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    Fine,
    /// What clients send is lost.
    LosesRequests,
    /// What the server sends is lost.
    LosesAnswers,
    /// Both are lost, and nobody is told.
    Silent,
}

/// A port that leads to a server, whichever that is at the time.
pub struct Network {
    address: SocketAddr,
    target: Arc<Mutex<Option<SocketAddr>>>,
    weather: watch::Sender<Weather>,
    /// Counts the cuts; each ends what is connected.
    cuts: watch::Sender<u64>,
    passed: watch::Sender<Passed>,
}

/// The pieces that a network was given so far.
#[derive(Clone, Copy, Debug, Default)]
struct Passed {
    carried: u64,
    lost: u64,
}

impl Network {
    pub async fn to(server: &RunningServer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let network = Self {
            address: listener.local_addr().expect("bound"),
            target: Arc::new(Mutex::new(Some(server.address()))),
            weather: watch::channel(Weather::Fine).0,
            cuts: watch::channel(0).0,
            passed: watch::channel(Passed::default()).0,
        };
        let (target, weather, cuts) =
            (network.target.clone(), network.weather.clone(), network.cuts.clone());
        let passed = network.passed.clone();
        tokio::spawn(async move {
            while let Ok((inner, _)) = listener.accept().await {
                let target = *target.lock().expect("not poisoned");
                let mut cut = cuts.subscribe();
                cut.mark_unchanged();
                let Some(target) = target else { continue };
                let (up, down) = (weather.subscribe(), weather.subscribe());
                let passed = passed.clone();
                tokio::spawn(async move {
                    let Ok(outer) = TcpStream::connect(target).await else { return };
                    let (from_client, to_client) = inner.into_split();
                    let (from_server, to_server) = outer.into_split();
                    tokio::select! {
                        () = carry(from_client, to_server, up, Weather::LosesRequests, &passed) => {}
                        () = carry(from_server, to_client, down, Weather::LosesAnswers, &passed) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        network
    }

    pub fn url(&self) -> String {
        format!("ws://{}/", self.address)
    }

    pub async fn client(&self) -> Client {
        self.client_with(quick()).await
    }

    pub async fn client_with(&self, options: Options) -> Client {
        in_time(Client::connect_with(&self.url(), options)).await.expect("connected")
    }

    /// Leads elsewhere from now on, or nowhere.
    pub fn leads_to(&self, server: Option<&RunningServer>) {
        *self.target.lock().expect("not poisoned") = server.map(RunningServer::address);
    }

    pub fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }

    /// Waits until something is lost.
    pub async fn loses(&self) {
        let lost = self.passed.borrow().lost;
        self.has_passed(|passed| passed.lost > lost).await;
    }

    /// Waits until so many more pieces have been carried.
    pub async fn carries(&self, pieces: u64) {
        let carried = self.passed.borrow().carried + pieces;
        self.has_passed(|passed| passed.carried >= carried).await;
    }

    async fn has_passed(&self, enough: impl Fn(&Passed) -> bool) {
        let mut passed = self.passed.subscribe();
        in_time(passed.wait_for(enough)).await.expect("the network is there");
    }

    /// Ends every connection.
    pub fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    weather: watch::Receiver<Weather>,
    loses: Weather,
    passed: &watch::Sender<Passed>,
) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = match from.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(count) => count,
        };
        let now = *weather.borrow();
        if now == loses || now == Weather::Silent {
            passed.send_modify(|passed| passed.lost += 1);
            continue;
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
        passed.send_modify(|passed| passed.carried += 1);
    }
}

/// Waits until the server, asked through `client`, says this of itself.
pub async fn until(client: &Client, pointer: &str, value: Value) {
    in_time(async {
        loop {
            let stats = client.server_stats().await.expect("answered");
            if stats.pointer(pointer) == Some(&value) {
                return;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
}
