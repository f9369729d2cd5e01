//! Pings, pongs, and clients that are gone.

mod support;

use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use support::{Client, items, serve_pipes, until};
use tandem::Store;
use tandem_server::{Config, SocketServer, StoreCall, StoreCalls};
use tokio::io::DuplexStream;
use tokio::time::{advance, sleep};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

/// Runs store calls at once, so that the simulated clock stands still for them.
struct AtOnce;

impl StoreCalls for AtOnce {
    fn run(&self, call: StoreCall) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move { call() })
    }
}

/// A client that has asked for 30 answers of 100 kB over a pipe of 4 kB, and
/// has not read any. Pings come every 100 ms, pongs have 100 ms.
async fn asks_for_more_than_fits() -> (SocketServer, WebSocketStream<DuplexStream>) {
    let store = Store::builder().memory().background(false).open().expect("a store");
    let config = json!({
        "heartbeat": { "intervalMs": 100, "timeoutMs": 100 },
        "backpressure": { "maxBufferedBytes": 10_000 },
        "store": { "data": null, "buckets": { "items": items() } },
    });
    let config = Config::from_json(&config).expect("valid");
    let server = SocketServer::start(config, &store, Arc::new(AtOnce)).expect("a server");
    let data = json!({ "id": 1, "text": "x".repeat(100_000) });
    store.bucket("items").insert(data).expect("inserted");
    let (near, far) = tokio::io::duplex(4_096);
    tokio::spawn(server.serve(IpAddr::V4(Ipv4Addr::LOCALHOST), far));
    let mut client = WebSocketStream::from_raw_socket(near, Role::Client, None).await;
    for id in 0..30 {
        let get = json!({ "id": id, "type": "store.get", "bucket": "items", "key": 1 });
        client.send(Message::text(get.to_string())).await.expect("sent");
    }
    (server, client)
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_its_answers_slowly_stays_although_its_pong_cannot_come() {
    let (server, mut client) = asks_for_more_than_fits().await;
    let mut answers = 0;
    while answers < 30 {
        sleep(Duration::from_millis(50)).await;
        let Some(Ok(Message::Text(text))) = client.next().await else {
            panic!("closed after {answers} answers");
        };
        let frame: Value = serde_json::from_str(&text).expect("JSON");
        answers += u64::from(frame["type"] == "result");
    }
    assert_eq!(server.occupied().connections, 1);
}

#[tokio::test(start_paused = true)]
async fn g10_a_client_that_takes_nothing_is_closed_although_requests_wait() {
    let (server, client) = asks_for_more_than_fits().await;
    for _ in 0..100 {
        sleep(Duration::from_millis(100)).await;
        if server.occupied().connections == 0 {
            drop(client);
            return;
        }
    }
    panic!("it is never given up");
}

const INTERVAL: Duration = Duration::from_millis(20);

/// A server that pings every 20 ms and waits 30 ms for the pong, and its store.
fn impatient() -> (SocketServer, Store) {
    serve_pipes(json!({
        "heartbeat": { "intervalMs": 20, "timeoutMs": 30 },
        "store": { "buckets": { "items": items() } },
    }))
}

#[tokio::test(start_paused = true)]
async fn a_client_that_answers_its_pings_stays() {
    let (server, _store) = impatient();
    let mut client = Client::piped(&server).await;
    for _ in 0..5 {
        let ping = client.frame().await;
        assert_eq!(ping["type"], "ping");
        assert!(ping["timestamp"].as_u64().is_some_and(|ms| ms > 1_600_000_000_000));
        // Any pong in time counts; its timestamp is not trusted.
        client.send(&json!({ "type": "pong", "timestamp": -1.5 })).await;
    }
    client.ok("store.buckets", json!({})).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_is_closed_with_4001() {
    let (server, _store) = impatient();
    let mut client = Client::piped(&server).await;
    assert_eq!(client.frame().await["type"], "ping");
    // Requests are no pongs.
    client.post("store.buckets", json!({})).await;
    assert_eq!(client.closed().await, (4001, "heartbeat_timeout".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_pong_counts_while_a_request_waits() {
    let (server, store) = impatient();
    let (mut one, mut two) = (Client::piped(&server).await, Client::piped(&server).await);
    let tx = one.ok("store.begin", json!({})).await["transaction"].clone();
    let lock = |tx: &Value| json!({ "transaction": tx, "bucket": "items", "key": 1 });
    one.ok("store.lock", lock(&tx)).await;
    let other = two.ok("store.begin", json!({})).await["transaction"].clone();
    let id = two.post("store.lock", lock(&other)).await;
    until(|| store.statistics().expect("it is open").lock_waiters == 1).await;
    // The request in progress keeps neither the pings from coming nor the
    // pongs from being heard, for longer than they may take.
    for _ in 0..5 {
        advance(INTERVAL).await;
        for client in [&mut one, &mut two] {
            while client.frame().await["type"] != "ping" {}
            client.send(&json!({ "type": "pong", "timestamp": 0 })).await;
        }
    }
    one.ok("store.rollback", json!({ "transaction": tx })).await;
    assert_eq!(two.answer(id).await["type"], "result");
}
