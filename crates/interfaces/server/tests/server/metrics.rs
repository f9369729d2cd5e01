//! A metric that is on the page and never moves says nothing: each of these
//! counts what was made to happen.

use std::collections::BTreeMap;

use crate::support::{Client, http_get, items, listening};
use serde_json::{Value, json};
use tandem::Store;
use tandem_server::{Config, RunningServer, Server};

/// Every sample of the page.
async fn page(server: &RunningServer) -> BTreeMap<String, f64> {
    let answer = http_get(server, "/metrics").await;
    let samples = answer.lines().filter(|line| line.starts_with("tandem_"));
    let read = |line: &str| {
        let (name, value) = line.rsplit_once(' ')?;
        Some((name.to_owned(), value.parse().ok()?))
    };
    samples.filter_map(read).collect()
}

fn figure(page: &BTreeMap<String, f64>, sample: &str) -> f64 {
    *page.get(sample).unwrap_or_else(|| panic!("{sample} is not on the page"))
}

/// A server whose store does no maintenance by itself, so that an index stays
/// in building.
async fn serve() -> RunningServer {
    let store = Store::builder().memory().background(false).open().expect("a store");
    let schema = json!({ "id": {}, "email": { "type": "string", "unique": true } });
    let config = json!({ "store": {
        "buckets": { "items": items(), "users": { "key": "id", "schema": schema } },
        "queries": { "all": { "bucket": "items" } },
    } });
    let config = Config::from_json(&config).expect("valid");
    let options = listening(config).store(store);
    Server::start(options).await.expect("the server starts")
}

async fn begin(client: &mut Client, fields: Value) -> Value {
    client.ok("store.begin", fields).await["transaction"].take()
}

fn of(transaction: &Value, mut fields: Value) -> Value {
    fields["transaction"] = transaction.clone();
    fields
}

#[tokio::test]
async fn conflicts_waits_and_ends_of_transactions_are_counted_by_kind() {
    let server = serve().await;
    let mut one = Client::connect(&server).await;
    let mut two = Client::connect(&server).await;
    for id in 1..=3 {
        one.ok("store.insert", json!({ "bucket": "items", "data": { "id": id } })).await;
    }
    let update = |key: u64| json!({ "bucket": "items", "key": key, "data": { "n": 1 } });
    let lock = |key: u64| json!({ "bucket": "items", "key": key });

    let tx = begin(&mut one, json!({ "isolation": "snapshot" })).await;
    one.ok("store.update", of(&tx, update(1))).await;
    two.ok("store.update", update(1)).await;
    one.err("store.commit", of(&tx, json!({})), "CONFLICT").await;
    one.ok("store.rollback", of(&tx, json!({}))).await;

    let tx = begin(&mut one, json!({})).await;
    one.ok("store.get", of(&tx, lock(1))).await;
    one.ok("store.update", of(&tx, update(2))).await;
    two.ok("store.update", update(1)).await;
    one.err("store.commit", of(&tx, json!({})), "CONFLICT").await;
    one.ok("store.rollback", of(&tx, json!({}))).await;

    let user = |id: u64| json!({ "bucket": "users", "data": { "id": id, "email": "a@x" } });
    let tx = begin(&mut one, json!({ "isolation": "snapshot" })).await;
    one.ok("store.insert", of(&tx, user(1))).await;
    two.ok("store.insert", user(2)).await;
    one.err("store.commit", of(&tx, json!({})), "CONFLICT").await;
    one.ok("store.rollback", of(&tx, json!({}))).await;

    let first = begin(&mut one, json!({})).await;
    let second = begin(&mut two, json!({})).await;
    one.ok("store.lock", of(&first, lock(1))).await;
    two.ok("store.lock", of(&second, lock(2))).await;
    let mut briefly = lock(1);
    briefly["waitMs"] = 1.into();
    two.err("store.lock", of(&second, briefly), "LOCK_TIMEOUT").await;
    let waiting = one.post("store.lock", of(&first, lock(2))).await;
    while page(&server).await["tandem_lock_waiters"] < 1.0 {}
    // Who closes the circle is refused; then the other one gets it.
    two.err("store.lock", of(&second, lock(1)), "DEADLOCK").await;
    two.ok("store.rollback", of(&second, json!({}))).await;
    assert_eq!(one.answer(waiting).await["type"], "result");
    one.ok("store.rollback", of(&first, json!({}))).await;

    let short = begin(&mut one, json!({ "timeoutMs": 1 })).await;
    while one.request("store.get", of(&short, lock(1))).await["code"] != "TRANSACTION_EXPIRED" {}
    let open = begin(&mut one, json!({})).await;
    one.ok("store.get", of(&open, lock(1))).await;

    let page = page(&server).await;
    for (sample, value) in [
        ("tandem_conflicts_total{kind=\"write\"}", 1.0),
        ("tandem_conflicts_total{kind=\"read\"}", 1.0),
        ("tandem_conflicts_total{kind=\"constraint\"}", 1.0),
        ("tandem_lock_timeouts_total", 1.0),
        ("tandem_deadlocks_total", 1.0),
        ("tandem_transactions_expired_total", 1.0),
        ("tandem_open_transactions", 1.0),
        ("tandem_active_transactions", 1.0),
    ] {
        assert!((figure(&page, sample) - value).abs() < 0.1, "{sample}: {}", page[sample]);
    }
    for sample in ["tandem_lock_waits_total", "tandem_oldest_transaction_seconds"] {
        assert!(figure(&page, sample) > 0.0, "{sample}");
    }
    assert!(page["tandem_transactions_total"] >= 7.0);
    // However they ended; the one that is open has not.
    assert!(page["tandem_transaction_seconds_count"] >= 6.0);
}

#[tokio::test]
async fn writes_subscriptions_and_index_builds_are_counted() {
    let server = serve().await;
    let mut client = Client::connect(&server).await;
    let buffered = |id: u64| {
        let insert = json!([{ "op": "insert", "bucket": "items", "data": { "id": id } }]);
        json!({ "operations": insert, "durability": "buffered" })
    };
    // The first of them makes durable which revisions may be given out.
    client.ok("store.transaction", buffered(1)).await;
    client.ok("store.subscribe", json!({ "query": "all" })).await;
    client.ok("store.subscribe", json!({ "query": "all" })).await;
    let initial = json!({ "bucket": "items", "includeInitial": true });
    client.ok("store.subscribeChanges", initial).await;
    client.push().await;
    let before = page(&server).await;
    client.ok("store.transaction", buffered(2)).await;
    for _ in 0..3 {
        client.push().await;
    }
    let now = page(&server).await;
    assert!(figure(&before, "tandem_sync_seconds_count") >= 1.0, "a durable write");
    for (sample, value) in [
        ("tandem_subscriptions", 3.0),
        ("tandem_live_queries_run_total", 1.0),
        ("tandem_live_queries_shared_total", 1.0),
        ("tandem_live_changes_applied_total", 1.0),
        ("tandem_live_filters_tested_total", 1.0),
        ("tandem_live_results_encoded_total", 2.0),
        ("tandem_changes_encoded_total", 1.0),
        ("tandem_initial_records_total", 1.0),
        ("tandem_records", 2.0),
        ("tandem_index_builds", 0.0),
        ("tandem_connections", 1.0),
    ] {
        assert!((figure(&now, sample) - value).abs() < 0.1, "{sample}: {}", now[sample]);
    }
    for sample in [
        "tandem_pushes_total",
        "tandem_commits_total",
        "tandem_commit_groups_total",
        "tandem_commit_seconds_count",
        "tandem_write_seconds_count",
        "tandem_revision",
        "tandem_received_bytes_total",
        "tandem_sent_bytes_total",
        "tandem_live_kept_bytes",
    ] {
        assert!(figure(&now, sample) > figure(&before, sample), "{sample} stands still");
    }
    let pushes = now["tandem_pushes_total"] - before["tandem_pushes_total"];
    assert!((pushes - 3.0).abs() < 0.1, "one for each subscription: {pushes}");
    let index = json!({ "bucket": "items", "index": "n", "background": true });
    assert_eq!(client.ok("store.createIndex", index).await["state"], "building");
    let building = figure(&page(&server).await, "tandem_index_builds");
    assert!((building - 1.0).abs() < 0.1, "{building}");
}
