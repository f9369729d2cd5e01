//! A disk that does not answer stalls nobody who does not need it.

mod support;

use std::sync::{Arc, Condvar, Mutex};

use serde_json::{Value, json};
use support::{Client, items};
use tandem::Store;
use tandem_base::Result;
use tandem_server::{Config, Server, ServerOptions};
use tandem_storage::{Bytes, Durability, MemoryStorage, Snapshot, Storage, WriteBatch};

/// Memory whose writes wait while the gate is closed.
struct Gated {
    inner: MemoryStorage,
    gate: Arc<Gate>,
}

#[derive(Default)]
struct Gate {
    closed: Mutex<bool>,
    changed: Condvar,
    waiting: Mutex<usize>,
}

impl Gate {
    fn set_closed(&self, closed: bool) {
        *self.closed.lock().expect("no panic") = closed;
        self.changed.notify_all();
    }

    fn pass(&self) {
        let mut closed = self.closed.lock().expect("no panic");
        while *closed {
            *self.waiting.lock().expect("no panic") += 1;
            closed = self.changed.wait(closed).expect("no panic");
            *self.waiting.lock().expect("no panic") -= 1;
        }
    }

    fn waiting(&self) -> usize {
        *self.waiting.lock().expect("no panic")
    }
}

impl Storage for Gated {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.inner.get(key)
    }

    fn snapshot(&self) -> Result<Arc<dyn Snapshot>> {
        self.inner.snapshot()
    }

    fn write(&self, batch: WriteBatch, durability: Durability) -> Result<()> {
        self.gate.pass();
        self.inner.write(batch, durability)
    }

    fn name(&self) -> &'static str {
        "gated"
    }

    fn approximate_size(&self) -> Result<u64> {
        self.inner.approximate_size()
    }
}

#[tokio::test]
async fn reads_go_on_while_every_write_waits_for_the_disk() {
    let gate = Arc::new(Gate::default());
    let engine = Gated { inner: MemoryStorage::new(), gate: gate.clone() };
    let store = Store::builder().storage(Arc::new(engine)).open().expect("a store");
    let config = json!({ "store": { "buckets": { "items": items() } } });
    let config = Config::from_json(&config).expect("valid");
    let options = ServerOptions::new(config).listen("127.0.0.1:0").store(store);
    let server = Server::start(options).await.expect("the server starts");

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
