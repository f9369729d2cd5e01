//! Stopping, and what is there after starting again.

use std::time::Duration;

use crate::support::{self, Client, items, listening, serve_items};
use serde_json::{Value, json};
use tandem_server::{Config, RunningServer, Server, ServerOptions};

async fn serve_directory(directory: &std::path::Path, durability: &str) -> RunningServer {
    let config = json!({ "store": { "data": directory, "durability": durability,
        "buckets": { "items": { "key": "id", "schema": { "id": {}, "n": {} }, "indexes": ["n"] } } } });
    let config = Config::from_json(&config).expect("valid");
    let options = listening(config);
    Server::start(options).await.expect("the server starts")
}

#[tokio::test]
async fn without_grace_clients_are_closed_with_1000_at_once() {
    // Nobody else is given the address when it is free.
    let (_reserved, address) = support::reserved_address();
    let options = ServerOptions::new(Config::memory()).listen(address.clone());
    let server = Server::start(options).await.expect("the server starts");
    let mut clients = vec![Client::connect(&server).await, Client::connect(&server).await];
    let stopping = tokio::spawn(server.shutdown(Duration::ZERO));
    for client in &mut clients {
        assert_eq!(client.closed().await, (1000, "server_shutdown".to_owned()));
    }
    stopping.await.unwrap().expect("stopped");
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn with_grace_clients_are_told_and_served_until_they_leave() {
    let server = serve_items().await;
    let mut client = Client::connect(&server).await;
    let stopping = tokio::spawn(server.shutdown(Duration::from_secs(600)));
    let notice = client.frame().await;
    assert_eq!(notice, json!({ "type": "system", "event": "shutdown", "gracePeriodMs": 600_000 }));
    client.ok("store.insert", json!({ "bucket": "items", "data": { "id": 1 } })).await;
    drop(client);
    // Ends early, because all have left.
    let stopped = tokio::time::timeout(support::PATIENCE, stopping).await.expect("in time");
    stopped.unwrap().expect("stopped");
}

#[tokio::test]
async fn grace_ends() {
    let server = serve_items().await;
    let mut client = Client::connect(&server).await;
    let stopping = tokio::spawn(server.shutdown(Duration::from_millis(50)));
    assert_eq!(client.closed().await, (1000, "server_shutdown".to_owned()));
    stopping.await.unwrap().expect("stopped");
}

#[tokio::test]
async fn g2_everything_is_there_after_a_restart_definitions_included() {
    for durability in ["sync", "buffered"] {
        let directory = tempfile::tempdir().expect("a directory");
        let server = serve_directory(directory.path(), durability).await;
        let mut client = Client::connect(&server).await;
        let define = json!({ "name": "more", "config": items() });
        client.ok("store.defineBucket", define).await;
        let config = json!({ "bucket": "items", "filter": { "n": 1 } });
        client.ok("store.defineQuery", json!({ "name": "ones", "config": config })).await;
        let data: Value = (0..100).map(|id| json!({ "id": id, "n": id % 10 })).collect();
        client.ok("store.insertMany", json!({ "bucket": "items", "data": data })).await;
        client.ok("store.delete", json!({ "bucket": "items", "key": 1 })).await;
        let revision = client.ok("store.begin", json!({})).await["revision"].clone();
        server.shutdown(Duration::ZERO).await.expect("stopped");

        let server = serve_directory(directory.path(), durability).await;
        let mut client = Client::connect(&server).await;
        assert_eq!(client.ok("store.begin", json!({})).await["revision"], revision);
        let buckets = client.ok("store.buckets", json!({})).await;
        assert_eq!(buckets["names"], json!(["items", "more"]));
        let ones = client.ok("store.subscribe", json!({ "query": "ones" })).await;
        assert_eq!(ones["data"].as_array().map(Vec::len), Some(9), "{durability}");
        let report = client.ok("store.check", json!({})).await;
        assert_eq!((&report["missing"], &report["dangling"]), (&json!(0), &json!(0)));
        assert_eq!(report["rows"], 99);
        server.shutdown(Duration::ZERO).await.expect("stopped");
    }
}

#[tokio::test]
async fn g9_open_transactions_roll_back_when_the_server_stops() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = serve_directory(directory.path(), "sync").await;
    let mut client = Client::connect(&server).await;
    let tx = client.ok("store.begin", json!({})).await["transaction"].clone();
    let fields = json!({ "bucket": "items", "data": { "id": 1 }, "transaction": tx });
    client.ok("store.insert", fields).await;
    server.shutdown(Duration::ZERO).await.expect("stopped");
    let server = serve_directory(directory.path(), "sync").await;
    let mut client = Client::connect(&server).await;
    assert_eq!(client.ok("store.count", json!({ "bucket": "items" })).await, 0);
}
