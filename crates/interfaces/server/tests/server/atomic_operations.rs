//! Seed 004, "Atomic Operations", word for word: its server set-up as config
//! buckets, every request, the exercise.

use crate::support::{Client, serve_json, timeless};
use serde_json::{Value, json};
use tandem_server::RunningServer;

async fn demo() -> (RunningServer, Client) {
    let server = serve_json(json!({ "store": { "name": "transactions-demo", "buckets": {
        "users": { "key": "id", "schema": {
            "id": { "type": "string", "generated": "uuid" },
            "name": { "type": "string", "required": true },
            "role": { "type": "string", "default": "user" },
            "credits": { "type": "number", "default": 0 },
        } },
        "logs": { "key": "id", "schema": {
            "id": { "type": "string", "generated": "uuid" },
            "action": { "type": "string", "required": true },
            "userId": { "type": "string" },
        } },
        "products": { "key": "id", "schema": {
            "id": { "type": "string", "generated": "uuid" },
            "title": { "type": "string", "required": true },
            "price": { "type": "number", "default": 0 },
            "stock": { "type": "number", "default": 0 },
        } },
    } } }))
    .await;
    let client = Client::connect(&server).await;
    (server, client)
}

async fn transact(client: &mut Client, operations: Value) -> Vec<Value> {
    let data = client.ok("store.transaction", json!({ "operations": operations })).await;
    assert!(data["revision"].is_u64());
    let results = data["results"].as_array().expect("results").clone();
    for (index, result) in results.iter().enumerate() {
        assert_eq!(result["index"], index, "results mirror the operations");
    }
    results.into_iter().map(|mut result| result["data"].take()).collect()
}

#[tokio::test]
async fn two_inserts_happen_together() {
    let (_server, mut client) = demo().await;
    let results = transact(
        &mut client,
        json!([
            { "op": "insert", "bucket": "users", "data": { "name": "Alice" } },
            { "op": "insert", "bucket": "users", "data": { "name": "Bob" } },
        ]),
    )
    .await;
    for (result, name) in results.into_iter().zip(["Alice", "Bob"]) {
        let mut record = timeless(result);
        assert!(record["id"].take().as_str().is_some_and(|id| id.len() == 36));
        assert_eq!(
            record,
            json!({ "id": null, "name": name, "role": "user", "credits": 0, "_version": 1 })
        );
    }
}

#[tokio::test]
async fn operations_read_what_those_before_them_wrote() {
    let (_server, mut client) = demo().await;
    let alice = json!({ "id": "a1", "name": "Alice" });
    client.ok("store.insert", json!({ "bucket": "users", "data": alice })).await;
    let results = transact(
        &mut client,
        json!([
            { "op": "update", "bucket": "users", "key": "a1", "data": { "credits": 200 } },
            { "op": "get", "bucket": "users", "key": "a1" },
        ]),
    )
    .await;
    let expected =
        json!({ "id": "a1", "name": "Alice", "role": "user", "credits": 200, "_version": 2 });
    assert_eq!(timeless(results[0].clone()), expected);
    assert_eq!(timeless(results[1].clone()), expected);
}

#[tokio::test]
async fn a_count_sees_both_inserts_of_its_transaction() {
    let (_server, mut client) = demo().await;
    let results = transact(
        &mut client,
        json!([
            { "op": "insert", "bucket": "users", "data": { "name": "Alice" } },
            { "op": "insert", "bucket": "users", "data": { "name": "Bob" } },
            { "op": "count", "bucket": "users" },
        ]),
    )
    .await;
    assert_eq!(results[2], 2);
}

#[tokio::test]
async fn g1_one_failing_operation_rolls_all_back() {
    let (_server, mut client) = demo().await;
    let widget = json!({ "id": "p1", "title": "Widget", "stock": 5 });
    client.ok("store.insert", json!({ "bucket": "products", "data": widget })).await;
    let operations = json!([
        { "op": "update", "bucket": "products", "key": "p1", "data": { "stock": 4 } },
        { "op": "insert", "bucket": "users", "data": { "credits": 100 } },
    ]);
    let refused = client
        .err("store.transaction", json!({ "operations": operations }), "VALIDATION_ERROR")
        .await;
    assert!(refused["message"].as_str().unwrap().starts_with("operations[1]: "), "{refused}");
    let product = client.ok("store.get", json!({ "bucket": "products", "key": "p1" })).await;
    assert_eq!(product["stock"], 5);
    assert_eq!(product["_version"], 1);
    assert_eq!(client.ok("store.count", json!({ "bucket": "users" })).await, 0);
}

#[tokio::test]
async fn the_operations_are_validated_before_anything_runs() {
    let (_server, mut client) = demo().await;
    let insert = json!({ "op": "insert", "bucket": "users", "data": { "name": "Alice" } });
    let ops = "expected one of: get, insert, update, delete, where, findOne, count";
    for (operations, message) in [
        (Value::Null, "Missing or invalid \"operations\": expected array".to_owned()),
        (json!({}), "Missing or invalid \"operations\": expected array".to_owned()),
        (json!([]), "\"operations\" must contain at least one operation".to_owned()),
        (json!([insert, 5]), "operations[1]: expected object".to_owned()),
        (json!([insert, {}]), format!("operations[1]: invalid \"op\" — {ops}")),
        (json!([insert, { "op": "drop" }]), format!("operations[1]: invalid \"op\" — {ops}")),
        (
            json!([insert, { "op": "get", "bucket": "" }]),
            "operations[1]: missing or invalid \"bucket\"".to_owned(),
        ),
        (
            json!([insert, { "op": "get", "bucket": "users" }]),
            "operations[1]: \"get\" requires \"key\"".to_owned(),
        ),
        (
            json!([insert, { "op": "update", "bucket": "users" }]),
            "operations[1]: \"update\" requires \"key\"".to_owned(),
        ),
        (
            json!([insert, { "op": "delete", "bucket": "users" }]),
            "operations[1]: \"delete\" requires \"key\"".to_owned(),
        ),
        (
            json!([insert, { "op": "insert", "bucket": "users" }]),
            "operations[1]: \"insert\" requires \"data\" object".to_owned(),
        ),
        (
            json!([insert, { "op": "update", "bucket": "users", "key": 1, "data": [] }]),
            "operations[1]: \"update\" requires \"data\" object".to_owned(),
        ),
        (
            json!([insert, { "op": "where", "bucket": "users" }]),
            "operations[1]: \"where\" requires \"filter\" object".to_owned(),
        ),
        (
            json!([insert, { "op": "findOne", "bucket": "users", "filter": 1 }]),
            "operations[1]: \"findOne\" requires \"filter\" object".to_owned(),
        ),
    ] {
        let fields = json!({ "operations": operations });
        let answer = client.err("store.transaction", fields, "VALIDATION_ERROR").await;
        assert_eq!(answer["message"], message);
    }
    assert_eq!(client.ok("store.count", json!({ "bucket": "users" })).await, 0);
}

#[tokio::test]
async fn the_working_example_works() {
    let (_server, mut client) = demo().await;
    let alice = json!({ "name": "Alice", "credits": 100 });
    let inserted = client.ok("store.insert", json!({ "bucket": "users", "data": alice })).await;
    let user = &inserted["id"];
    let results = transact(
        &mut client,
        json!([
            { "op": "update", "bucket": "users", "key": user, "data": { "credits": 200 } },
            { "op": "insert", "bucket": "logs", "data": { "action": "credit_update", "userId": user } },
        ]),
    )
    .await;
    assert_eq!(results[0]["credits"], 200);
    assert_eq!(results[1]["action"], "credit_update");
}

#[tokio::test]
async fn the_exercise_answers_as_its_solution() {
    let (_server, mut client) = demo().await;
    let results = transact(
        &mut client,
        json!([
            { "op": "insert", "bucket": "users", "data": { "name": "Alice", "role": "admin" } },
            { "op": "insert", "bucket": "logs", "data": { "action": "user_created" } },
            { "op": "where", "bucket": "users", "filter": { "role": "admin" } },
            { "op": "count", "bucket": "users" },
        ]),
    )
    .await;
    let mut alice = timeless(results[0].clone());
    let mut log = timeless(results[1].clone());
    assert_eq!(timeless(results[2].clone()), json!([alice]));
    assert_eq!(results[3], 1);
    alice["id"] = "a1".into();
    log["id"] = "l1".into();
    assert_eq!(
        alice,
        json!({ "id": "a1", "name": "Alice", "role": "admin", "credits": 0, "_version": 1 })
    );
    assert_eq!(log, json!({ "id": "l1", "action": "user_created", "_version": 1 }));
}

#[tokio::test]
async fn all_seven_operations_answer_as_their_single_requests() {
    let (_server, mut client) = demo().await;
    for (id, name) in [("a1", "Alice"), ("b1", "Bob")] {
        let data = json!({ "id": id, "name": name });
        client.ok("store.insert", json!({ "bucket": "users", "data": data })).await;
    }
    let results = transact(
        &mut client,
        json!([
            { "op": "get", "bucket": "users", "key": "none" },
            { "op": "delete", "bucket": "users", "key": "b1" },
            { "op": "delete", "bucket": "users", "key": "none" },
            { "op": "findOne", "bucket": "users", "filter": { "name": "Bob" } },
            { "op": "findOne", "bucket": "users", "filter": {} },
            { "op": "where", "bucket": "users", "filter": {} },
            { "op": "count", "bucket": "users", "filter": { "name": "Alice" } },
        ]),
    )
    .await;
    assert_eq!(results[0], Value::Null);
    assert_eq!(results[1], json!({ "deleted": true }));
    assert_eq!(results[2], json!({ "deleted": true }));
    assert_eq!(results[3], Value::Null);
    assert_eq!(results[4]["name"], "Alice");
    assert_eq!(results[5].as_array().map(Vec::len), Some(1));
    assert_eq!(results[6], 1);
}

#[tokio::test]
async fn an_unknown_bucket_names_its_operation() {
    let (_server, mut client) = demo().await;
    let operations = json!([{ "op": "get", "bucket": "none", "key": 1 }]);
    let fields = json!({ "operations": operations });
    let answer = client.err("store.transaction", fields, "BUCKET_NOT_DEFINED").await;
    assert!(answer["message"].as_str().unwrap().starts_with("operations[0]"), "{answer}");
}

#[tokio::test]
async fn g6_a_stale_expected_version_refuses_the_batch() {
    let (_server, mut client) = demo().await;
    let alice = json!({ "id": "a1", "name": "Alice" });
    client.ok("store.insert", json!({ "bucket": "users", "data": alice })).await;
    let operations = json!([{ "op": "update", "bucket": "users", "key": "a1", "data": {},
        "expectedVersion": 7 }]);
    let answer =
        client.err("store.transaction", json!({ "operations": operations }), "CONFLICT").await;
    assert_eq!(answer["details"]["expectedVersion"], 7);
    assert_eq!(answer["details"]["actualVersion"], 1);
    assert_eq!(answer["retryable"], false, "the same request cannot succeed");
}

#[tokio::test]
async fn g1_a_repeated_idempotency_key_answers_the_first_result() {
    let (_server, mut client) = demo().await;
    let fields = json!({
        "operations": [{ "op": "insert", "bucket": "users", "data": { "name": "Alice" } }],
        "idempotencyKey": "request-1", "durability": "buffered", "isolation": "snapshot",
    });
    let first = client.ok("store.transaction", fields.clone()).await;
    let second = client.ok("store.transaction", fields).await;
    assert_eq!(first, second);
    assert_eq!(client.ok("store.count", json!({ "bucket": "users" })).await, 1);
}
