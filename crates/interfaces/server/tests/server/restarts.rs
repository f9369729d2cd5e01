//! Definitions outlive the server, wherever they came from, and the config is
//! reconciled with them.

use std::path::Path;
use std::time::Duration;

use crate::support::{Client, items, listening};
use serde_json::{Value, json};
use tandem::Result;
use tandem_server::{Config, RunningServer, Server};

async fn start(directory: &Path, mut store: Value) -> Result<RunningServer> {
    store["data"] = json!(directory);
    let config = Config::from_json(&json!({ "store": store })).expect("valid");
    Server::start(listening(config)).await
}

fn configured() -> Value {
    json!({
        "buckets": { "items": { "key": "id", "schema": { "id": {}, "n": {} }, "indexes": ["n"], "ttl": "1d" } },
        "queries": { "all": { "bucket": "items", "sort": "-n" } },
    })
}

/// Everything that the catalog says.
async fn catalog(client: &mut Client) -> Value {
    let mut all = json!({ "queries": client.ok("store.listQueries", json!({})).await });
    let buckets = client.ok("store.buckets", json!({})).await;
    for name in buckets["names"].as_array().expect("names") {
        let schema = client.ok("store.getBucketSchema", json!({ "name": name })).await;
        let indexes = client.ok("store.indexes", json!({ "bucket": name })).await;
        all["buckets"][name.as_str().expect("a name")] = json!([schema, indexes]);
    }
    all
}

#[tokio::test]
async fn g2_definitions_of_wire_and_config_survive_a_restart_unchanged() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = start(directory.path(), configured()).await.expect("created");
    let mut client = Client::connect(&server).await;
    client.ok("store.defineBucket", json!({ "name": "more", "config": items() })).await;
    let updates = json!({ "addFields": { "m": { "type": "number" } }, "addIndexes": ["m"] });
    client.ok("store.updateBucket", json!({ "name": "more", "updates": updates })).await;
    let index = json!({ "name": "both", "fields": ["m", "-n"], "unique": true, "filter": { "m": { "$gt": 0 } } });
    client.ok("store.createIndex", json!({ "bucket": "more", "index": index })).await;
    client.ok("store.defineBucket", json!({ "name": "gone", "config": items() })).await;
    client.ok("store.dropBucket", json!({ "name": "gone" })).await;
    let query = json!({ "bucket": "more", "filter": { "m": "{{ params.m }}" } });
    client.ok("store.defineQuery", json!({ "name": "some", "config": query })).await;
    let data: Value = (1..200).map(|id| json!({ "id": id, "m": 5 * id, "n": 6 })).collect();
    client.ok("store.insertMany", json!({ "bucket": "more", "data": data })).await;
    let before = catalog(&mut client).await;
    drop(client);
    server.shutdown(Duration::ZERO).await.expect("stopped");

    let server = start(directory.path(), configured()).await.expect("left alone");
    let mut client = Client::connect(&server).await;
    assert_eq!(catalog(&mut client).await, before);
    let same = json!({ "bucket": "more", "data": { "id": 999, "m": 5, "n": 6 } });
    client.err("store.insert", same, "ALREADY_EXISTS").await;
    let subscribed = client.ok("store.subscribe", json!({ "query": "some", "params": { "m": 5 } }));
    assert_eq!(subscribed.await["data"][0]["id"], 1);
    let explained = client
        .ok(
            "store.explain",
            json!({ "request": {
            "type": "store.where", "bucket": "more", "filter": { "m": 5, "n": 6 } } }),
        )
        .await;
    assert_eq!(explained["index"], "both", "{explained}");
    client.err("store.get", json!({ "bucket": "gone", "key": 1 }), "BUCKET_NOT_DEFINED").await;
    server.shutdown(Duration::ZERO).await.expect("stopped");
}

#[tokio::test]
async fn a_config_that_differs_stops_the_start_names_every_field_and_changes_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = start(directory.path(), configured()).await.expect("created");
    server.shutdown(Duration::ZERO).await.expect("stopped");

    let mut other = configured();
    other["buckets"]["items"] = json!({
        "key": "id", "schema": { "id": { "type": "number" }, "m": {} }, "indexes": ["m"], "ttl": "2d" });
    let refused = start(directory.path(), other).await.expect_err("it differs");
    assert!(refused.message().starts_with("Config: store.buckets.items: "), "{refused}");
    let differences = refused.detail("differences").and_then(Value::as_array).expect("a list");
    let fields: Vec<&Value> = differences.iter().map(|difference| &difference["field"]).collect();
    assert_eq!(fields, ["schema.id.type", "schema.n", "schema.m", "indexes[0].fields", "ttl"]);

    let mut other = configured();
    other["queries"]["all"] = json!({ "bucket": "items", "sort": "n", "limit": 5 });
    let refused = start(directory.path(), other).await.expect_err("it differs");
    assert!(refused.message().starts_with("Config: store.queries.all: "), "{refused}");
    for part in
        ["\"sort\" is \"-n\" in the store, \"n\" in the config", "\"limit\" is 5 in the config"]
    {
        assert!(refused.message().contains(part), "{refused}");
    }

    // Refused before anything of it was created.
    let mut more = configured();
    more["buckets"]["items"]["ttl"] = json!("2d");
    more["buckets"]["another"] = items();
    start(directory.path(), more).await.expect_err("it differs");
    let server = start(directory.path(), configured()).await.expect("left alone");
    let mut client = Client::connect(&server).await;
    let names = client.ok("store.buckets", json!({})).await["names"].clone();
    assert_eq!(names, json!(["items"]));
    server.shutdown(Duration::ZERO).await.expect("stopped");
}

#[tokio::test]
async fn a_bucket_that_was_changed_over_the_wire_is_a_difference_too() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = start(directory.path(), configured()).await.expect("created");
    let mut client = Client::connect(&server).await;
    let index = json!({ "bucket": "items", "index": { "name": "down", "fields": ["-n"] } });
    client.ok("store.createIndex", index).await;
    drop(client);
    server.shutdown(Duration::ZERO).await.expect("stopped");
    let refused = start(directory.path(), configured()).await.expect_err("it differs");
    assert!(refused.message().contains("\"indexes[1]\" is "), "{refused}");
    let mut with = configured();
    with["buckets"]["items"]["indexes"] = json!(["n", { "name": "down", "fields": ["-n"] }]);
    let server = start(directory.path(), with).await.expect("the same now");
    server.shutdown(Duration::ZERO).await.expect("stopped");
}
