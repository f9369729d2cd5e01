//! Buckets, indexes, queries and statistics over the wire; definitions in the
//! config.

use crate::support::{Client, items, listening, serve_items, serve_json};
use serde_json::{Value, json};
use tandem_server::{Config, Server};

#[tokio::test]
async fn a_bucket_lives_from_define_to_drop() {
    let server = serve_items().await;
    let mut client = Client::connect(&server).await;
    let define = json!({ "name": "users", "config": items() });
    let answer = client.ok("store.defineBucket", define.clone()).await;
    assert_eq!(answer, json!({ "name": "users", "created": true }));
    client.err("store.defineBucket", define, "ALREADY_EXISTS").await;
    let buckets = client.ok("store.buckets", json!({})).await;
    assert_eq!(buckets, json!({ "count": 2, "names": ["items", "users"] }));
    let updates = json!({ "addFields": { "age": { "type": "number" } }, "addIndexes": ["age"] });
    let answer =
        client.ok("store.updateBucket", json!({ "name": "users", "updates": updates })).await;
    assert_eq!(answer, json!({ "name": "users", "updated": true }));
    let schema = client.ok("store.getBucketSchema", json!({ "name": "users" })).await;
    assert_eq!(schema["config"]["schema"]["age"]["type"], "number", "{schema}");
    let answer = client.ok("store.dropBucket", json!({ "name": "users" })).await;
    assert_eq!(answer, json!({ "name": "users", "dropped": true }));
    for kind in ["store.dropBucket", "store.getBucketSchema"] {
        client.err(kind, json!({ "name": "users" }), "BUCKET_NOT_DEFINED").await;
    }
    let update = json!({ "name": "users", "updates": {} });
    client.err("store.updateBucket", update, "BUCKET_NOT_DEFINED").await;
}

#[tokio::test]
async fn a_wrong_definition_leaves_nothing_behind() {
    let server = serve_items().await;
    let mut client = Client::connect(&server).await;
    for config in [
        json!({}),
        json!({ "key": "id", "schema": {} }),
        json!({ "key": "id", "schema": { "id": { "type": "text" } } }),
        json!({ "key": "id", "schema": { "id": {} }, "ttl": "soon" }),
    ] {
        let define = json!({ "name": "bad", "config": config });
        client.err("store.defineBucket", define, "VALIDATION_ERROR").await;
    }
    client.ok("store.defineBucket", json!({ "name": "bad", "config": items() })).await;
    client.err("store.defineBucket", json!({ "name": "x" }), "VALIDATION_ERROR").await;
}

#[tokio::test]
async fn queries_are_defined_listed_and_undefined() {
    let server = serve_items().await;
    let mut client = Client::connect(&server).await;
    let config = json!({ "bucket": "items", "filter": { "a": "{{ params.a }}" } });
    let define = json!({ "name": "by-a", "config": config });
    let answer = client.ok("store.defineQuery", define.clone()).await;
    assert_eq!(answer, json!({ "name": "by-a", "defined": true }));
    client.err("store.defineQuery", define, "ALREADY_EXISTS").await;
    let elsewhere = json!({ "name": "x", "config": { "bucket": "none" } });
    client.err("store.defineQuery", elsewhere, "BUCKET_NOT_DEFINED").await;
    client.ok("store.subscribe", json!({ "query": "by-a", "params": { "a": 1 } })).await;
    let list = client.ok("store.listQueries", json!({})).await;
    assert_eq!(
        list,
        json!({ "queries": [{ "name": "by-a", "type": "declarative", "activeSubscriptions": 1,
            "config": config }] })
    );
    let answer = client.ok("store.undefineQuery", json!({ "name": "by-a" })).await;
    assert_eq!(answer, json!({ "name": "by-a", "undefined": true }));
    client.err("store.undefineQuery", json!({ "name": "by-a" }), "QUERY_NOT_DEFINED").await;
}

#[tokio::test]
async fn indexes_are_built_on_buckets_in_use_and_checked() {
    let server = serve_items().await;
    let mut client = Client::connect(&server).await;
    let data: Value = (0..50).map(|id| json!({ "id": id, "a": id % 5 })).collect();
    client.ok("store.insertMany", json!({ "bucket": "items", "data": data })).await;
    let create = json!({ "bucket": "items", "index": { "name": "by_a", "fields": ["a", "-id"] } });
    let answer = client.ok("store.createIndex", create.clone()).await;
    assert_eq!(answer, json!({ "name": "by_a", "state": "ready" }));
    client.err("store.createIndex", create, "ALREADY_EXISTS").await;
    let unique = json!({ "bucket": "items", "index": { "fields": ["a"], "unique": true } });
    client.err("store.createIndex", unique, "ALREADY_EXISTS").await;
    let indexes = client.ok("store.indexes", json!({ "bucket": "items" })).await;
    assert_eq!(indexes.as_array().map(Vec::len), Some(1), "{indexes}");
    assert_eq!(indexes[0]["name"], "by_a");
    assert_eq!(indexes[0]["fields"], json!(["a", "-id"]));
    assert_eq!(indexes[0]["state"], "ready");
    let report = client.ok("store.check", json!({ "bucket": "items" })).await;
    assert_eq!(report["rows"], 50, "{report}");
    assert_eq!((&report["missing"], &report["dangling"]), (&json!(0), &json!(0)));
    let drop = json!({ "bucket": "items", "name": "by_a" });
    client.ok("store.dropIndex", drop.clone()).await;
    client.err("store.dropIndex", drop, "NOT_FOUND").await;
    client.err("store.indexes", json!({ "bucket": "none" }), "BUCKET_NOT_DEFINED").await;
    let background = json!({ "bucket": "items", "index": { "fields": ["a"] }, "background": true });
    assert_eq!(client.ok("store.createIndex", background).await["state"], "building");
}

#[tokio::test]
async fn statistics_have_the_documented_shape() {
    let server = serve_json(json!({
        "name": "srv", "rateLimit": { "maxRequests": 100, "windowMs": 60000 },
        "store": { "name": "st", "buckets": {
            "a": { "key": "id", "schema": { "id": {}, "x": {}, "u": { "unique": true } }, "indexes": ["x"] },
            "b": items() } },
    }))
    .await;
    let mut client = Client::connect(&server).await;
    client.ok("store.insert", json!({ "bucket": "a", "data": { "id": 1 } })).await;
    let store = json!({
        "name": "st",
        "buckets": { "count": 2, "names": ["a", "b"] },
        "records": { "total": 1, "perBucket": { "a": 1, "b": 0 } },
        "indexes": { "total": 2, "perBucket": { "a": 2, "b": 0 } },
        "queries": { "defined": 0, "activeSubscriptions": 0 },
        "persistence": { "enabled": false },
        "ttl": { "enabled": true, "checkIntervalMs": 1000 },
    });
    assert_eq!(client.ok("store.stats", json!({})).await, store);
    assert_eq!(
        client.ok("server.stats", json!({})).await,
        json!({
            "name": "srv", "connectionCount": 1, "authEnabled": false, "rateLimitEnabled": true,
            "rulesEnabled": false,
            "connections": { "active": 1, "authenticated": 0, "totalStoreSubscriptions": 0,
                "totalRulesSubscriptions": 0 },
            "transactions": { "open": 0 }, "store": store, "rules": null,
        })
    );
    let connections = client.ok("server.connections", json!({})).await;
    let connection = &connections[0];
    assert_eq!(connection["connectionId"], "conn-1");
    assert_eq!(connection["remoteAddress"], "127.0.0.1");
    assert_eq!(connection["roles"], json!([]));
    assert!(connection["connectedAt"].is_u64());
}

#[tokio::test]
async fn a_config_that_differs_from_the_store_stops_the_start() {
    let store = tandem::Store::memory().expect("a store");
    let start = |config: Value| {
        let config = Config::from_json(&config).expect("valid");
        let options = listening(config).store(store.clone());
        Server::start(options)
    };
    let config = json!({ "store": { "buckets": { "items": items() },
        "queries": { "all": { "bucket": "items" } } } });
    start(config.clone()).await.expect("created");
    start(config).await.expect("left alone");
    let other = json!({ "store": { "buckets": {
        "items": { "key": "id", "schema": { "id": { "type": "number" } } } } } });
    let refused = start(other).await.expect_err("another schema");
    assert!(refused.message().contains("store.buckets.items"), "{refused}");
    let other = json!({ "store": { "buckets": { "items": items() },
        "queries": { "all": { "bucket": "items", "limit": 5 } } } });
    let refused = start(other).await.expect_err("another query");
    assert!(refused.message().contains("store.queries.all"), "{refused}");
    assert!(refused.message().contains("\"limit\""), "{refused}");
}
