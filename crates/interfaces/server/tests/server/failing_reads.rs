//! A read of storage that fails behind a subscription: the client hears of it,
//! or gets the result later, and never waits for ever without knowing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use crate::support::{Client, items, listening};
use serde_json::{Value, json};
use tandem::{ChangeLogOptions, Store};
use tandem_base::{Code, Error, Result};
use tandem_server::{Config, RunningServer, Server};
use tandem_storage::{
    Bytes, Direction, Durability, Entries, KeyRange, MemoryStorage, Snapshot, Storage, WriteBatch,
};
use tokio::time::timeout;

/// First bytes of the keys of the change log and of rows.
const LOG: u8 = 0x04;
const ROW: u8 = 0x10;

/// Memory where scans of one key space fail while it is named.
struct Flaky {
    inner: MemoryStorage,
    failing: Arc<AtomicU8>,
}

struct FlakySnapshot {
    inner: Arc<dyn Snapshot>,
    failing: Arc<AtomicU8>,
}

impl Storage for Flaky {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.inner.get(key)
    }

    fn snapshot(&self) -> Result<Arc<dyn Snapshot>> {
        let (inner, failing) = (self.inner.snapshot()?, self.failing.clone());
        Ok(Arc::new(FlakySnapshot { inner, failing }))
    }

    fn write(&self, batch: WriteBatch, durability: Durability) -> Result<()> {
        self.inner.write(batch, durability)
    }

    fn name(&self) -> &'static str {
        "flaky"
    }

    fn approximate_size(&self) -> Result<u64> {
        self.inner.approximate_size()
    }
}

impl Snapshot for FlakySnapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.inner.get(key)
    }

    fn scan(&self, range: &KeyRange, direction: Direction) -> Entries<'_> {
        if range.start.first() == Some(&self.failing.load(Ordering::SeqCst)) {
            let failed = Err(Error::new(Code::StorageError, "on purpose"));
            return Box::new(std::iter::once(failed));
        }
        self.inner.scan(range, direction)
    }
}

async fn serve(limits: Value) -> (RunningServer, Client, Arc<AtomicU8>) {
    let failing = Arc::new(AtomicU8::new(0));
    let engine = Flaky { inner: MemoryStorage::new(), failing: failing.clone() };
    let change_log = ChangeLogOptions { ring_commits: 1, ..ChangeLogOptions::default() };
    let store = Store::builder()
        .storage(Arc::new(engine))
        .change_log(change_log)
        .background(false)
        .open()
        .expect("a store");
    let mut config = json!({ "store": { "buckets": { "items": items() },
                                        "queries": { "all": { "bucket": "items" } } } });
    config["connectionLimits"] = limits;
    let config = Config::from_json(&config).expect("valid");
    let options = listening(config).store(store);
    let server = Server::start(options).await.expect("the server starts");
    let client = Client::connect(&server).await;
    (server, client, failing)
}

async fn insert(client: &mut Client, id: u64) {
    client.ok("store.insert", json!({ "bucket": "items", "data": { "id": id } })).await;
}

/// The subscription ended, and its client was told nothing.
#[tokio::test]
async fn g8_a_changes_subscription_whose_log_cannot_be_read_says_resync() {
    let (_server, mut client, failing) = serve(json!({})).await;
    for id in 0..5 {
        insert(&mut client, id).await;
    }
    failing.store(LOG, Ordering::SeqCst);
    client.ok("store.subscribeChanges", json!({ "bucket": "items", "from": 0 })).await;
    // What is due is pushed before the next answer.
    client.ok("store.get", json!({ "bucket": "items", "key": 1 })).await;
    assert_eq!(client.kept_pushes(), 1);
    let push = client.push().await;
    assert_eq!((&push["channel"], &push["data"]["event"]), (&json!("changes"), &json!("resync")));
    failing.store(0, Ordering::SeqCst);
    client.ok("store.subscribeChanges", json!({ "bucket": "items", "from": 0 })).await;
    assert!(client.push().await["data"]["changes"].is_array());
}

/// The result stayed stale until the next commit, however long that took.
#[tokio::test]
async fn a_watched_query_that_failed_is_evaluated_again_without_another_commit() {
    // Without room for its result, it is evaluated for every commit.
    let (server, mut client, failing) = serve(json!({ "maxLiveResultBytes": 1 })).await;
    client.ok("store.subscribe", json!({ "query": "all" })).await;
    let queries_run = || server.subscription_statistics().queries_run;
    let before = queries_run();
    failing.store(ROW, Ordering::SeqCst);
    server.store().bucket("items").insert(json!({ "id": 1 })).expect("inserted");
    // The commit is noted after the first answer at the latest, and the second comes
    // after the push was tried.
    client.ok("store.buckets", json!({})).await;
    client.ok("store.buckets", json!({})).await;
    assert!(queries_run() > before, "it was tried");
    assert_eq!(client.kept_pushes(), 0);
    failing.store(0, Ordering::SeqCst);
    let push = timeout(Duration::from_secs(30), client.push()).await.expect("pushed");
    assert_eq!(push["data"][0]["id"], 1);
}
