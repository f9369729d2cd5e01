//! A disk that does not answer stalls nobody who does not need it.

use std::sync::Arc;

use crate::gated::{Gate, Gated};
use crate::support::{Client, items, listening};
use serde_json::{Value, json};
use tandem::Store;
use tandem_server::{Config, RunningServer, Server};

async fn serve(engine: Gated) -> RunningServer {
    let store = Store::builder().storage(Arc::new(engine)).open().expect("a store");
    let config = json!({ "store": { "buckets": { "items": items() } } });
    let config = Config::from_json(&config).expect("valid");
    let options = listening(config).store(store);
    Server::start(options).await.expect("the server starts")
}

#[tokio::test]
async fn reads_go_on_while_every_write_waits_for_the_disk() {
    let gate = Arc::new(Gate::default());
    let server = serve(Gated::new(gate.clone(), Arc::default())).await;

    let mut reader = Client::connect(&server).await;
    let first = json!({ "bucket": "items", "data": { "id": 0 } });
    reader.ok("store.insert", first).await;

    gate.set_closed(true);
    // More writers than there are threads for writes.
    let mut writers = Vec::new();
    for n in 1..=300 {
        let mut writer = Client::connect(&server).await;
        let data = json!({ "id": n });
        let id = writer.post("store.insert", json!({ "bucket": "items", "data": data })).await;
        writers.push((writer, id));
    }
    while gate.waiting() == 0 {
        tokio::task::yield_now().await;
    }
    for _ in 0..50 {
        let record = reader.ok("store.get", json!({ "bucket": "items", "key": 0 })).await;
        assert_eq!(record["id"], 0);
        assert_eq!(reader.ok("store.count", json!({ "bucket": "items" })).await, 1);
    }
    // Nor does it stall transactions that only read.
    let tx = reader.ok("store.begin", json!({ "readOnly": true })).await["transaction"].clone();
    let fields = json!({ "bucket": "items", "transaction": tx });
    assert_eq!(reader.ok("store.count", fields).await, 1);

    gate.set_closed(false);
    for (mut writer, id) in writers {
        assert_eq!(writer.answer(id).await["type"], Value::from("result"));
    }
    assert_eq!(reader.ok("store.count", json!({ "bucket": "items" })).await, 301);
}

/// The server has one thread for all sockets here: a read that waited on it
/// would be the last thing that happened.
#[tokio::test]
async fn what_is_in_memory_is_read_while_other_reads_wait_for_the_disk() {
    let reads = Arc::new(Gate::default());
    let server = serve(Gated::new(Arc::default(), reads.clone())).await;
    let mut reader = Client::connect(&server).await;
    reader.ok("store.insert", json!({ "bucket": "items", "data": { "id": 0 } })).await;
    let get = |key: i64| json!({ "bucket": "items", "key": key });
    // Read once, it is in memory.
    reader.ok("store.get", get(0)).await;

    reads.set_closed(true);
    let mut others = Vec::new();
    for key in 1..=300 {
        let mut other = Client::connect(&server).await;
        // Nobody has asked for it yet: only the disk knows that it is not there.
        let id = other.post("store.get", get(key)).await;
        others.push((other, id));
    }
    while reads.waiting() < 300 {
        tokio::task::yield_now().await;
    }
    for _ in 0..50 {
        assert_eq!(reader.ok("store.get", get(0)).await["id"], 0);
    }
    reads.set_closed(false);
    for (mut other, id) in others {
        assert_eq!(other.answer(id).await["data"], Value::Null);
    }
}
