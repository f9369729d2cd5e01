//! `sql.execute` from several sockets: beside the requests of buckets, in their
//! transactions, and what it leaves behind.

use crate::support::{Client, http_get, items, serve_items, serve_json};
use serde_json::{Value, json};
use tandem::CheckOptions;
use tandem_server::RunningServer;

const ENDLESS: &str =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";

fn sql(text: &str, params: Value) -> Value {
    json!({ "sql": text, "params": params })
}

fn within(transaction: &Value, text: &str) -> Value {
    json!({ "sql": text, "transaction": transaction })
}

async fn rows(client: &mut Client, text: &str) -> Value {
    client.ok("sql.execute", sql(text, Value::Null)).await["rows"].clone()
}

/// Waits until a statement of another socket runs.
async fn until_one_runs(server: &RunningServer) {
    let mut watcher = Client::connect(server).await;
    while server.store().statistics().expect("figures").open_transactions == 0 {
        watcher.ok("store.buckets", json!({})).await;
    }
}

/// The sessions that are busy and those that are idle, as the page tells.
fn sessions(figures: &str) -> (usize, usize) {
    let figure = |state: &str| {
        let sample = format!("tandem_sql_sessions{{state=\"{state}\"}} ");
        let line = figures.lines().find_map(|line| line.strip_prefix(&sample));
        line.and_then(|value| value.parse().ok()).expect("it is on the page")
    };
    (figure("busy"), figure("idle"))
}

fn assert_clean(server: &RunningServer) {
    let report = server.store().check(&CheckOptions::new()).expect("checked");
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(server.store().statistics().expect("figures").open_transactions, 0);
}

#[tokio::test]
async fn one_transaction_holds_requests_of_buckets_and_statements_of_sql() {
    let server = serve_json(json!({ "store": { "data": null } })).await;
    let mut a = Client::connect(&server).await;
    let mut b = Client::connect(&server).await;
    let create = "CREATE TABLE accounts (id INTEGER PRIMARY KEY, owner TEXT NOT NULL UNIQUE, \
                  balance INTEGER NOT NULL CHECK (balance >= 0))";
    a.ok("sql.execute", sql(create, Value::Null)).await;
    let insert = "INSERT INTO accounts (owner, balance) VALUES (?, ?), (?, ?)";
    let inserted = a.ok("sql.execute", sql(insert, json!(["ann", 100, "bob", 50]))).await;
    assert_eq!(inserted, json!({ "columns": [], "rows": [], "changes": 2, "lastKey": 2 }));

    // By one door and the other, in one transaction that b sees nothing of.
    let begun = a.ok("store.begin", json!({})).await["transaction"].clone();
    let taken = "UPDATE accounts SET balance = balance - 30 WHERE owner = 'ann'";
    assert_eq!(a.ok("sql.execute", within(&begun, taken)).await["changes"], 1);
    let read = a.ok("store.get", json!({ "bucket": "accounts", "key": 1, "transaction": begun }));
    assert_eq!(read.await["balance"], 70);
    a.ok("store.savepoint", json!({ "transaction": begun, "name": "s" })).await;
    let refused = a.err(
        "sql.execute",
        within(&begun, "UPDATE accounts SET balance = balance - 60"),
        "CONSTRAINT_VIOLATION",
    );
    assert_eq!(refused.await["retryable"], false);
    a.ok("sql.execute", within(&begun, "DELETE FROM accounts")).await;
    a.ok("store.rollbackTo", json!({ "transaction": begun, "name": "s" })).await;
    let given =
        json!({ "bucket": "accounts", "key": 2, "data": { "balance": 80 }, "transaction": begun });
    a.ok("store.update", given).await;
    assert_eq!(
        rows(&mut b, "SELECT sum(balance), max(balance) FROM accounts").await,
        json!([[150, 100]])
    );
    let sums =
        a.ok("sql.execute", within(&begun, "SELECT sum(balance), min(balance) FROM accounts"));
    assert_eq!(sums.await["rows"], json!([[150, 70]]));
    a.ok("store.commit", json!({ "transaction": begun })).await;
    assert_eq!(rows(&mut b, "SELECT balance FROM accounts ORDER BY id").await, json!([[70], [80]]));

    // A handle is its own socket's, and a conflict is the whole transaction's.
    let begun = a.ok("store.begin", json!({})).await["transaction"].clone();
    let read = within(&begun, "SELECT balance FROM accounts WHERE id = 1");
    b.err("sql.execute", read.clone(), "TRANSACTION_NOT_FOUND").await;
    a.ok("sql.execute", read.clone()).await;
    b.ok("sql.execute", sql("UPDATE accounts SET balance = 0 WHERE id = 1", Value::Null)).await;
    a.ok("sql.execute", within(&begun, "UPDATE accounts SET balance = 1 WHERE id = 2")).await;
    a.err("store.commit", json!({ "transaction": begun }), "CONFLICT").await;
    a.err("sql.execute", read, "TRANSACTION_ABORTED").await;
    a.ok("store.rollback", json!({ "transaction": begun })).await;
    assert_clean(&server);
}

#[tokio::test]
async fn what_a_transaction_defines_others_do_not_see_until_it_commits() {
    let server = serve_items().await;
    let mut a = Client::connect(&server).await;
    let mut b = Client::connect(&server).await;
    let begun = a.ok("store.begin", json!({})).await["transaction"].clone();
    a.ok("sql.execute", within(&begun, "CREATE TABLE t (a)")).await;
    a.ok("sql.execute", within(&begun, "INSERT INTO t VALUES (1)")).await;
    // The same session may serve both, one after the other.
    let missing = b.err("sql.execute", sql("SELECT * FROM t", Value::Null), "SQL_ERROR").await;
    assert_eq!(missing["message"], "no such table: t");
    assert_eq!(a.ok("sql.execute", within(&begun, "SELECT a FROM t")).await["rows"], json!([[1]]));
    a.ok("store.commit", json!({ "transaction": begun })).await;
    assert_eq!(rows(&mut b, "SELECT a FROM t").await, json!([[1]]));
    b.ok("store.dropBucket", json!({ "name": "t" })).await;
    a.err("sql.execute", sql("SELECT * FROM t", Value::Null), "SQL_ERROR").await;
    assert_clean(&server);
}

#[tokio::test]
async fn a_socket_that_ends_rolls_back_what_its_statements_did() {
    let server = serve_items().await;
    let mut a = Client::connect(&server).await;
    let begun = a.ok("store.begin", json!({})).await["transaction"].clone();
    let insert = "INSERT INTO items (id) VALUES (70)";
    a.ok("sql.execute", within(&begun, insert)).await;
    drop(a);
    let mut b = Client::connect(&server).await;
    while server.store().statistics().expect("figures").open_transactions > 0 {
        rows(&mut b, "SELECT 1").await;
    }
    assert_eq!(rows(&mut b, "SELECT count(*) FROM items WHERE id = 70").await, json!([[0]]));
    assert_clean(&server);
}

#[tokio::test]
async fn a_read_whose_client_has_gone_ends() {
    let server = serve_json(json!({
        "sql": { "statementTimeMs": 3_600_000, "maxSessions": 1 },
        "store": { "data": null, "buckets": { "items": items() } },
    }))
    .await;
    let mut a = Client::connect(&server).await;
    a.post("sql.execute", sql(ENDLESS, Value::Null)).await;
    until_one_runs(&server).await;
    assert_eq!(sessions(&http_get(&server, "/metrics").await), (1, 0));
    drop(a);
    // There is one session: this waits until that read has ended.
    let mut b = Client::connect(&server).await;
    assert_eq!(rows(&mut b, "SELECT 1").await, json!([[1]]));
    assert_eq!(sessions(&http_get(&server, "/metrics").await), (0, 1));
    // It is counted when it is answered, which may be after its session is free again.
    let ended = "tandem_requests_total{type=\"sql.execute\",outcome=\"TIMEOUT\"} 1";
    while !http_get(&server, "/metrics").await.contains(ended) {}
    assert_clean(&server);
}

#[tokio::test]
async fn a_stopping_server_waits_for_no_endless_read() {
    let server = serve_json(json!({
        "sql": { "statementTimeMs": 3_600_000 }, "store": { "data": null },
    }))
    .await;
    let mut a = Client::connect(&server).await;
    a.post("sql.execute", sql(ENDLESS, Value::Null)).await;
    until_one_runs(&server).await;
    server.shutdown(std::time::Duration::ZERO).await.expect("it stops");
}

#[tokio::test]
async fn a_statement_that_takes_too_long_leaves_its_transaction_as_it_was() {
    let server = serve_json(json!({
        "sql": { "statementTimeMs": 20 },
        "store": { "data": null, "buckets": { "items": items() } },
    }))
    .await;
    let mut a = Client::connect(&server).await;
    let begun = a.ok("store.begin", json!({})).await["transaction"].clone();
    a.ok("sql.execute", within(&begun, "INSERT INTO items (id) VALUES (71)")).await;
    let too_long = format!("INSERT INTO items (id) {}", ENDLESS.replace("count(*)", "i"));
    let late = a.request("sql.execute", within(&begun, &too_long)).await;
    assert_eq!(late["code"], "TIMEOUT", "{late}");
    a.ok("store.commit", json!({ "transaction": begun })).await;
    assert_eq!(rows(&mut a, "SELECT count(*) FROM items WHERE id > 70").await, json!([[1]]));
    assert_clean(&server);
}

#[tokio::test]
async fn many_sockets_share_few_sessions() {
    let server = serve_json(json!({
        "sql": { "maxSessions": 2 },
        "store": { "data": null, "buckets": { "items": items() } },
    }))
    .await;
    let mut clients = Vec::new();
    for _ in 0..12 {
        clients.push(Client::connect(&server).await);
    }
    let mut posted = Vec::new();
    for (at, client) in clients.iter_mut().enumerate() {
        let insert = "INSERT INTO items (id) VALUES (?)";
        posted.push(client.post("sql.execute", sql(insert, json!([100 + at]))).await);
    }
    for (client, id) in clients.iter_mut().zip(posted) {
        assert_eq!(client.answer(id).await["type"], "result");
    }
    let counted = rows(&mut clients[0], "SELECT count(*) FROM items WHERE id >= 100").await;
    assert_eq!(counted, json!([[12]]));
    assert_clean(&server);
}

/// SQLite makes a row before anybody can count its bytes: of this one there would be
/// 60 GB.
#[tokio::test]
async fn g10_a_row_that_no_memory_holds_is_refused() {
    let server =
        serve_json(json!({ "store": { "data": null, "buckets": { "items": items() } } })).await;
    let mut a = Client::connect(&server).await;
    let columns = vec!["zeroblob(60000000)"; 1_000].join(", ");
    let refused = a.request("sql.execute", sql(&format!("SELECT {columns}"), Value::Null)).await;
    assert_eq!(refused["code"], "LIMIT_EXCEEDED", "{refused}");
    assert_eq!(rows(&mut a, "SELECT count(*) FROM items").await, json!([[0]]));
    assert_clean(&server);
}
