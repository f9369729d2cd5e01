//! What the server runs again by itself, and what a client may send again.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::gated::{Gate, Gated};
use crate::support::{Client, http_get, items, listening, serve_items, until};
use serde_json::{Value, json};
use tandem::{Environment, SimulatedClock, Store};
use tandem_server::{Config, RunningServer, Server};

/// A server on a directory, whose clock the test moves.
async fn serve_at(directory: &Path) -> (RunningServer, Store, Arc<SimulatedClock>) {
    let (environment, clock) = Environment::simulated(1);
    let builder = Store::builder().path(directory).background(false).environment(environment);
    let store = builder.open().expect("the store opens");
    let config = json!({ "store": { "buckets": { "items": items() } } });
    let config = Config::from_json(&config).expect("valid");
    let options = listening(config).store(store.clone());
    (Server::start(options).await.expect("the server starts"), store, clock)
}

async fn stop(server: RunningServer, store: Store) {
    server.shutdown(Duration::ZERO).await.expect("stopped");
    store.close();
}

fn batch(key: &str, id: u64) -> Value {
    let insert = json!({ "op": "insert", "bucket": "items", "data": { "id": id } });
    json!({ "idempotencyKey": key, "operations": [insert, { "op": "count", "bucket": "items" }] })
}

/// A transaction that inserts `id`, committed under `key`.
async fn commit(client: &mut Client, key: &str, id: u64) -> Value {
    let tx = client.ok("store.begin", json!({})).await["transaction"].clone();
    let insert = json!({ "transaction": tx, "bucket": "items", "data": { "id": id } });
    client.request("store.insert", insert).await;
    client.request("store.commit", json!({ "transaction": tx, "idempotencyKey": key })).await
}

async fn count(client: &mut Client) -> Value {
    client.ok("store.count", json!({ "bucket": "items" })).await
}

#[tokio::test]
async fn g1_a_key_answers_the_first_result_across_reconnects_and_restarts() {
    let directory = tempfile::tempdir().expect("a directory");
    let (server, store, _clock) = serve_at(directory.path()).await;
    let mut client = Client::connect(&server).await;
    let first_batch = client.ok("store.transaction", batch("batch", 1)).await;
    let first_commit = commit(&mut client, "commit", 2).await;
    assert_eq!(first_commit["data"]["committed"], true, "{first_commit}");
    drop(client);

    let mut again = Client::connect(&server).await;
    assert_eq!(again.ok("store.transaction", batch("batch", 1)).await, first_batch);
    // The record is there, so the repeated insert fails; the commit does not.
    assert_eq!(commit(&mut again, "commit", 2).await["data"], first_commit["data"]);
    stop(server, store).await;

    let (server, store, _clock) = serve_at(directory.path()).await;
    let mut later = Client::connect(&server).await;
    assert_eq!(later.ok("store.transaction", batch("batch", 1)).await, first_batch);
    assert_eq!(commit(&mut later, "commit", 2).await["data"], first_commit["data"]);
    assert_eq!(count(&mut later).await, 2);
    stop(server, store).await;
}

#[tokio::test]
async fn a_key_lives_for_24_hours_of_the_stores_clock_and_at_most_90_minutes_more() {
    let directory = tempfile::tempdir().expect("a directory");
    let (server, store, clock) = serve_at(directory.path()).await;
    let mut client = Client::connect(&server).await;
    let first = client.ok("store.transaction", batch("k", 1)).await;
    clock.advance(Duration::from_secs(24 * 60 * 60 - 10));
    store.maintain().expect("maintained");
    assert_eq!(client.ok("store.transaction", batch("k", 1)).await, first);
    // The walk over all keys comes 16 times in 24 hours.
    clock.advance(Duration::from_secs(91 * 60));
    store.maintain().expect("maintained");
    // Now it is a new batch, which finds the record there.
    client.err("store.transaction", batch("k", 1), "ALREADY_EXISTS").await;
    let second = client.ok("store.transaction", batch("k", 2)).await;
    assert_ne!(second["revision"], first["revision"]);
    assert_eq!(client.ok("store.transaction", batch("k", 2)).await, second);
    stop(server, store).await;
}

#[tokio::test]
async fn the_same_key_with_other_work_answers_the_first_and_does_nothing() {
    let server = serve_items().await;
    let mut client = Client::connect(&server).await;
    let first = client.ok("store.transaction", batch("k", 1)).await;
    assert_eq!(client.ok("store.transaction", batch("k", 2)).await, first);
    // A commit under the key of a batch is answered with the batch's revision.
    let committed = commit(&mut client, "k", 3).await;
    assert_eq!(committed["data"]["revision"], first["revision"], "{committed}");
    assert_eq!(count(&mut client).await, 1);
}

#[tokio::test]
async fn the_key_of_what_failed_is_free() {
    let server = serve_items().await;
    let mut client = Client::connect(&server).await;
    let mut other = Client::connect(&server).await;
    client.ok("store.insert", json!({ "bucket": "items", "data": { "id": 1 } })).await;
    client.err("store.transaction", batch("k", 1), "ALREADY_EXISTS").await;
    assert_eq!(client.ok("store.transaction", batch("k", 2)).await["results"][1]["data"], 2);

    let tx = client.ok("store.begin", json!({})).await["transaction"].clone();
    let update = json!({ "bucket": "items", "key": 1, "data": { "n": 1 }, "transaction": tx });
    client.ok("store.update", update).await;
    let meanwhile = json!({ "bucket": "items", "key": 1, "data": { "n": 2 } });
    other.ok("store.update", meanwhile).await;
    let named = json!({ "transaction": tx, "idempotencyKey": "c" });
    client.err("store.commit", named, "CONFLICT").await;
    assert_eq!(commit(&mut client, "c", 3).await["data"]["committed"], true);
    assert_eq!(count(&mut client).await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_repetitions_on_several_sockets_happen_once() {
    let server = Arc::new(serve_items().await);
    let mut client = Client::connect(&server).await;
    client.ok("store.insert", json!({ "bucket": "items", "data": { "id": "n" } })).await;
    for round in 0..100 {
        let key = format!("k{round}");
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let (server, key) = (server.clone(), key.clone());
            tasks.spawn(async move {
                let mut client = Client::connect(&server).await;
                let mut work = batch(&key, round);
                // Only the first can succeed on what is there.
                let update = json!({ "op": "update", "bucket": "items", "key": "n", "data": {},
                    "expectedVersion": round + 1 });
                work["operations"].as_array_mut().expect("operations").push(update);
                client.ok("store.transaction", work).await
            });
        }
        let answers = tasks.join_all().await;
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
    }
    assert_eq!(count(&mut client).await, 101);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conflicting_batches_are_run_again_and_counted() {
    const BATCHES: u64 = 8;
    let reads = Arc::new(Gate::default());
    let engine = Gated::new(Arc::default(), reads.clone());
    let store = Store::builder().storage(Arc::new(engine)).background(false).open();
    let config = json!({ "store": { "buckets": { "items": items() } } });
    let config = Config::from_json(&config).expect("valid");
    let options = listening(config).store(store.expect("a store"));
    let server = Arc::new(Server::start(options).await.expect("the server starts"));
    let mut client = Client::connect(&server).await;
    client.ok("store.insert", json!({ "bucket": "items", "data": { "id": 0 } })).await;
    // Each counts what the others insert. Whether its own record is there already, only
    // the disk knows: there all of them meet, before any has committed.
    reads.set_closed(true);
    let mut tasks = tokio::task::JoinSet::new();
    for id in 1..=BATCHES {
        let server = server.clone();
        tasks.spawn(async move {
            let mut client = Client::connect(&server).await;
            client
                .ok(
                    "store.transaction",
                    json!({ "operations": [
                        { "op": "count", "bucket": "items" },
                        { "op": "insert", "bucket": "items", "data": { "id": id } },
                        { "op": "update", "bucket": "items", "key": 0, "data": { "last": id } },
                    ] }),
                )
                .await["results"][0]["data"]
                .as_u64()
                .expect("a count")
        });
    }
    until(|| reads.waiting() as u64 == BATCHES).await;
    reads.set_closed(false);
    let mut counts = tasks.join_all().await;
    counts.sort_unstable();
    // Serializable: each saw another number.
    assert_eq!(counts, (1..=BATCHES).collect::<Vec<u64>>());
    let page = http_get(&server, "/metrics").await;
    let retries = page
        .lines()
        .find_map(|line| line.strip_prefix("tandem_retries_total "))
        .and_then(|count| count.parse::<u64>().ok())
        .expect("the metric");
    assert!(retries >= BATCHES - 1, "all but the first: {retries}");
}
