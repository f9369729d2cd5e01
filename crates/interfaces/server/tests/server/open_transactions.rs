//! Transactions that stay open between requests, from two sockets.

use std::time::Duration;

use crate::support::{Client, items, listening, serve_items, serve_json, serve_pipes, until};
use serde_json::{Value, json};
use tandem::{Limits, Store, TransactionLimits};
use tandem_server::{Config, RunningServer, Server};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::advance;

async fn pair() -> (RunningServer, Client, Client) {
    let server = serve_items().await;
    let (one, two) = (Client::connect(&server).await, Client::connect(&server).await);
    (server, one, two)
}

async fn begin(client: &mut Client, isolation: &str) -> Value {
    let data = client.ok("store.begin", json!({ "isolation": isolation })).await;
    assert_eq!(data["isolation"], isolation);
    data["transaction"].clone()
}

async fn insert<S: AsyncRead + AsyncWrite + Unpin>(
    client: &mut Client<S>,
    transaction: &Value,
    id: i64,
) {
    let data = json!({ "id": id, "value": 10 });
    let fields = json!({ "bucket": "items", "data": data, "transaction": transaction });
    client.ok("store.insert", fields).await;
}

async fn count(client: &mut Client, transaction: &Value) -> Value {
    client.ok("store.count", json!({ "bucket": "items", "transaction": transaction })).await
}

async fn update(client: &mut Client, transaction: &Value, value: i64) {
    let fields = json!({ "bucket": "items", "key": 1, "data": { "value": value },
        "transaction": transaction });
    client.ok("store.update", fields).await;
}

#[tokio::test]
async fn begin_tells_what_was_begun() {
    let (_server, mut client, _) = pair().await;
    let data = client.ok("store.begin", json!({ "readOnly": true, "timeoutMs": 5000 })).await;
    assert_eq!(data["isolation"], "serializable");
    assert!(data["transaction"].is_string() && data["revision"].is_u64());
    assert!(data["expiresAt"].as_u64().is_some_and(|ms| ms > 1_600_000_000_000));
    let fields = json!({ "bucket": "items", "data": {}, "transaction": data["transaction"] });
    client.err("store.insert", fields, "READ_ONLY").await;
    let long = json!({ "timeoutMs": 3_600_000 });
    let refused = client.err("store.begin", long, "LIMIT_EXCEEDED").await;
    assert_eq!(refused["details"]["limit"], "timeoutMs");
    for wrong in
        [json!({ "isolation": "chaos" }), json!({ "timeoutMs": 0 }), json!({ "readOnly": 1 })]
    {
        client.err("store.begin", wrong, "VALIDATION_ERROR").await;
    }
}

#[tokio::test]
async fn g4_savepoints_and_commit_at_every_level_seen_from_two_sockets() {
    for isolation in ["read committed", "snapshot", "serializable"] {
        let (_server, mut one, mut two) = pair().await;
        let tx = &begin(&mut one, isolation).await;
        insert(&mut one, tx, 1).await;
        let named = |name: &str| json!({ "transaction": tx, "name": name });
        assert_eq!(one.ok("store.savepoint", named("a")).await, json!({ "savepoint": "a" }));
        insert(&mut one, tx, 2).await;
        one.ok("store.savepoint", named("b")).await;
        insert(&mut one, tx, 3).await;
        assert_eq!(count(&mut one, tx).await, 3);
        assert_eq!(count(&mut two, &Value::Null).await, 0, "nothing is visible before commit");
        assert_eq!(one.ok("store.release", named("b")).await, json!({ "released": "b" }));
        assert_eq!(one.ok("store.rollbackTo", named("a")).await, json!({ "rolledBackTo": "a" }));
        assert_eq!(count(&mut one, tx).await, 1);
        one.err("store.rollbackTo", named("b"), "SAVEPOINT_NOT_FOUND").await;
        insert(&mut one, tx, 4).await;
        one.ok("store.rollbackTo", named("a")).await;
        insert(&mut one, tx, 5).await;
        let commit = one.ok("store.commit", json!({ "transaction": tx })).await;
        assert_eq!((&commit["committed"], &commit["changes"]), (&json!(true), &json!(2)));
        assert!(commit["revision"].is_u64());
        let ids = two.ok("store.all", json!({ "bucket": "items", "fields": ["id"] })).await;
        assert_eq!(ids, json!([{ "id": 1 }, { "id": 5 }]), "{isolation}");
        one.err(
            "store.get",
            json!({ "bucket": "items", "key": 1, "transaction": tx }),
            "TRANSACTION_NOT_FOUND",
        )
        .await;
    }
}

#[tokio::test]
async fn g4_each_level_sees_the_other_sockets_commit_as_it_should() {
    for (isolation, sees, wins) in
        [("read committed", 11, true), ("snapshot", 10, false), ("serializable", 10, false)]
    {
        let (_server, mut one, mut two) = pair().await;
        insert(&mut one, &Value::Null, 1).await;
        let tx = &begin(&mut one, isolation).await;
        let get = json!({ "bucket": "items", "key": 1, "transaction": tx });
        assert_eq!(one.ok("store.get", get.clone()).await["value"], 10);
        update(&mut two, &Value::Null, 11).await;
        assert_eq!(one.ok("store.get", get.clone()).await["value"], sees, "{isolation}");
        let change = json!({ "bucket": "items", "key": 1, "data": { "value": 12 },
            "transaction": tx });
        let updated = one.request("store.update", change).await;
        let outcome = if updated["type"] == "error" {
            updated
        } else {
            one.request("store.commit", json!({ "transaction": tx })).await
        };
        if wins {
            assert_eq!(outcome["data"]["committed"], true, "the last writer wins");
        } else {
            assert_eq!(outcome["code"], "CONFLICT", "{isolation}: {outcome}");
            assert_eq!(outcome["retryable"], true);
            // Only rollback is answered from here on.
            one.err("store.get", get.clone(), "TRANSACTION_ABORTED").await;
            one.err("store.commit", json!({ "transaction": tx }), "TRANSACTION_ABORTED").await;
            one.err(
                "store.savepoint",
                json!({ "transaction": tx, "name": "s" }),
                "TRANSACTION_ABORTED",
            )
            .await;
            let rolled_back = one.ok("store.rollback", json!({ "transaction": tx })).await;
            assert_eq!(rolled_back, json!({ "rolledBack": true }));
            one.err("store.get", get, "TRANSACTION_NOT_FOUND").await;
        }
    }
}

#[tokio::test]
async fn g9_an_ordinary_error_leaves_the_transaction_usable() {
    let (_server, mut client, _) = pair().await;
    let tx = &begin(&mut client, "serializable").await;
    insert(&mut client, tx, 1).await;
    let many = json!({ "bucket": "items", "data": [{ "id": 2 }, { "id": 1 }], "transaction": tx });
    client.err("store.insertMany", many, "ALREADY_EXISTS").await;
    let missing = json!({ "bucket": "items", "key": 9, "data": {}, "transaction": tx });
    client.err("store.update", missing, "NOT_FOUND").await;
    client
        .err(
            "store.get",
            json!({ "bucket": "none", "key": 1, "transaction": tx }),
            "BUCKET_NOT_DEFINED",
        )
        .await;
    assert_eq!(count(&mut client, tx).await, 1, "the failed request is undone whole");
    client.ok("store.commit", json!({ "transaction": tx })).await;
    assert_eq!(count(&mut client, &Value::Null).await, 1);
}

#[tokio::test]
async fn several_transactions_of_one_socket_do_not_see_each_other() {
    let (_server, mut client, _) = pair().await;
    let first = &begin(&mut client, "serializable").await;
    let second = &begin(&mut client, "snapshot").await;
    insert(&mut client, first, 1).await;
    insert(&mut client, second, 2).await;
    assert_eq!(count(&mut client, first).await, 1);
    assert_eq!(count(&mut client, second).await, 1);
    assert_eq!(count(&mut client, &Value::Null).await, 0);
    client.ok("store.rollback", json!({ "transaction": second })).await;
    client.ok("store.commit", json!({ "transaction": first })).await;
    assert_eq!(count(&mut client, &Value::Null).await, 1);
}

#[tokio::test]
async fn a_handle_means_nothing_on_another_socket() {
    let (_server, mut one, mut two) = pair().await;
    let tx = &begin(&mut one, "serializable").await;
    for (kind, fields) in [
        ("store.commit", json!({})),
        ("store.rollback", json!({})),
        ("store.get", json!({ "bucket": "items", "key": 1 })),
    ] {
        let mut fields = fields;
        fields["transaction"] = tx.clone();
        two.err(kind, fields, "TRANSACTION_NOT_FOUND").await;
    }
    let answer = two.err("store.commit", json!({}), "VALIDATION_ERROR").await;
    assert_eq!(answer["message"], "Missing or invalid \"transaction\": expected non-empty string");
}

#[tokio::test]
async fn g9_a_lost_connection_rolls_back_and_frees_its_locks() {
    let (server, mut one, mut two) = pair().await;
    insert(&mut two, &Value::Null, 1).await;
    let tx = &begin(&mut one, "serializable").await;
    let lock = json!({ "transaction": tx, "bucket": "items", "key": 1 });
    assert_eq!(one.ok("store.lock", lock).await["value"], 10);
    insert(&mut one, tx, 2).await;
    drop(one);
    // Waits for the lock, which only the rollback frees.
    update(&mut two, &Value::Null, 11).await;
    assert_eq!(count(&mut two, &Value::Null).await, 1, "its insert is gone");
    let stats = two.ok("server.stats", json!({})).await;
    assert_eq!(stats["transactions"]["open"], 0);
    drop(server);
}

#[tokio::test]
async fn a_lock_makes_others_wait_up_to_their_limit() {
    let (_server, mut one, mut two) = pair().await;
    insert(&mut one, &Value::Null, 1).await;
    let first = &begin(&mut one, "serializable").await;
    let second = &begin(&mut two, "serializable").await;
    let lock = |tx: &Value, ms: u64| json!({ "transaction": tx, "bucket": "items", "key": 1, "waitMs": ms });
    one.ok("store.lock", lock(first, 0)).await;
    let refused = two.err("store.lock", lock(second, 10), "LOCK_TIMEOUT").await;
    assert_eq!(refused["retryable"], true);
    // Somebody else's wait stalls nobody but them.
    let waiting = two.post("store.lock", lock(second, 20_000)).await;
    update(&mut one, first, 11).await;
    one.ok("store.commit", json!({ "transaction": first })).await;
    assert_eq!(two.answer(waiting).await["data"]["value"], 11, "it sees the row as it is now");
}

#[tokio::test]
async fn a_deadlock_is_refused_and_retryable() {
    let (_server, mut one, mut two) = pair().await;
    for id in [1, 2] {
        insert(&mut one, &Value::Null, id).await;
    }
    let first = &begin(&mut one, "serializable").await;
    let second = &begin(&mut two, "serializable").await;
    let lock = |tx: &Value, key: u64| json!({ "transaction": tx, "bucket": "items", "key": key });
    one.ok("store.lock", lock(first, 1)).await;
    two.ok("store.lock", lock(second, 2)).await;
    let waiting = one.post("store.lock", lock(first, 2)).await;
    // One of the two closes the circle, whichever arrives second.
    let answer = two.request("store.lock", lock(second, 1)).await;
    let other = if answer["code"] == "DEADLOCK" {
        assert_eq!(answer["retryable"], true);
        two.ok("store.rollback", json!({ "transaction": second })).await;
        one.answer(waiting).await
    } else {
        let refused = one.answer(waiting).await;
        assert_eq!(refused["code"], "DEADLOCK");
        answer
    };
    assert_eq!(other["type"], "result");
}

#[tokio::test]
async fn g10_a_connection_holds_a_bounded_number_of_transactions() {
    let server =
        serve_json(json!({ "connectionLimits": { "maxTransactionsPerConnection": 2 } })).await;
    let mut client = Client::connect(&server).await;
    let first = begin(&mut client, "serializable").await;
    begin(&mut client, "serializable").await;
    let refused = client.err("store.begin", json!({}), "LIMIT_EXCEEDED").await;
    assert_eq!(
        refused["details"],
        json!({ "limit": "maxTransactionsPerConnection", "max": 2, "actual": 2 })
    );
    client.ok("store.rollback", json!({ "transaction": first })).await;
    begin(&mut client, "serializable").await;
}

#[tokio::test(start_paused = true)]
async fn a_transaction_expires_and_says_so_later() {
    let (server, store) = serve_pipes(json!({ "store": { "buckets": { "items": items() } } }));
    let (mut one, mut two) = (Client::piped(&server).await, Client::piped(&server).await);
    insert(&mut two, &Value::Null, 1).await;
    let data = one.ok("store.begin", json!({ "timeoutMs": 50 })).await;
    let tx = &data["transaction"];
    let lock = json!({ "transaction": tx, "bucket": "items", "key": 1 });
    one.ok("store.lock", lock).await;
    let late = json!({ "bucket": "items", "key": 1, "data": { "value": 11 } });
    let waiting = two.post("store.update", late).await;
    until(|| store.statistics().expect("it is open").lock_waiters == 1).await;
    advance(Duration::from_millis(49)).await;
    one.ok("store.buckets", json!({})).await;
    assert_eq!(server.occupied().transactions, 1, "its time is not over");
    advance(Duration::from_millis(1)).await;
    until(|| server.occupied().transactions == 0).await;
    // It waits for the lock, which only the expiry frees.
    assert_eq!(two.answer(waiting).await["data"]["value"], 11);
    let get = json!({ "bucket": "items", "key": 1, "transaction": tx });
    let late = one.err("store.get", get, "TRANSACTION_EXPIRED").await;
    assert_eq!(late["retryable"], true);
    one.err("store.commit", json!({ "transaction": tx }), "TRANSACTION_EXPIRED").await;
}

#[tokio::test]
async fn a_transaction_that_is_not_used_expires() {
    let transaction =
        TransactionLimits { idle_time: Duration::from_millis(50), ..TransactionLimits::default() };
    let limits = Limits { transaction, ..Limits::default() };
    let store = Store::builder().memory().limits(limits).open().expect("a store");
    let options = listening(Config::memory()).store(store);
    let server = Server::start(options).await.expect("the server starts");
    let mut client = Client::connect(&server).await;
    let tx = begin(&mut client, "serializable").await;
    while client.ok("server.stats", json!({})).await["transactions"]["open"] != 0 {}
    client.err("store.rollback", json!({ "transaction": tx }), "TRANSACTION_EXPIRED").await;
}

#[tokio::test]
async fn g1_a_repeated_commit_answers_the_first_result() {
    let (_server, mut client, _) = pair().await;
    let mut receipts = Vec::new();
    for id in [1, 2] {
        let tx = &begin(&mut client, "serializable").await;
        insert(&mut client, tx, id).await;
        let fields = json!({ "transaction": tx, "idempotencyKey": "k", "durability": "sync" });
        receipts.push(client.ok("store.commit", fields).await);
    }
    assert_eq!(receipts[0], receipts[1]);
    assert_eq!(count(&mut client, &Value::Null).await, 1);
}

#[tokio::test]
async fn definitions_are_part_of_a_transaction() {
    let (_server, mut one, mut two) = pair().await;
    let tx = &begin(&mut one, "serializable").await;
    let config = json!({ "key": "id", "schema": { "id": {} } });
    let define = json!({ "name": "more", "config": config, "transaction": tx });
    one.ok("store.defineBucket", define).await;
    let record = json!({ "bucket": "more", "data": { "id": 1, "a": 2 }, "transaction": tx });
    one.ok("store.insert", record).await;
    let index = json!({ "bucket": "more", "index": { "fields": ["a"] }, "transaction": tx });
    assert_eq!(one.ok("store.createIndex", index).await["state"], "ready");
    two.err("store.get", json!({ "bucket": "more", "key": 1 }), "BUCKET_NOT_DEFINED").await;
    one.ok("store.rollback", json!({ "transaction": tx })).await;
    two.err("store.get", json!({ "bucket": "more", "key": 1 }), "BUCKET_NOT_DEFINED").await;
}

#[tokio::test]
async fn a_batch_takes_no_handle() {
    let (_server, mut client, _) = pair().await;
    let tx = begin(&mut client, "serializable").await;
    let operations = json!([{ "op": "count", "bucket": "items" }]);
    let fields = json!({ "operations": operations, "transaction": tx });
    client.err("store.transaction", fields, "VALIDATION_ERROR").await;
}
