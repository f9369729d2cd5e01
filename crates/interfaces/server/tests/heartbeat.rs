//! Pings, pongs, and clients that are gone.

mod support;

use serde_json::json;
use support::{Client, serve_json};

#[tokio::test]
async fn a_client_that_answers_its_pings_stays() {
    let server =
        serve_json(json!({ "heartbeat": { "intervalMs": 20, "timeoutMs": 10_000 } })).await;
    let mut client = Client::connect(&server).await;
    for _ in 0..5 {
        let ping = client.frame().await;
        assert_eq!(ping["type"], "ping");
        assert!(ping["timestamp"].as_u64().is_some_and(|ms| ms > 1_600_000_000_000));
        // Any pong in time counts; its timestamp is not trusted.
        client.send(&json!({ "type": "pong", "timestamp": -1.5 })).await;
    }
    client.ok("store.buckets", json!({})).await;
}

#[tokio::test]
async fn a_client_that_does_not_is_closed_with_4001() {
    let server = serve_json(json!({ "heartbeat": { "intervalMs": 20, "timeoutMs": 30 } })).await;
    let mut client = Client::connect(&server).await;
    assert_eq!(client.frame().await["type"], "ping");
    // Requests are no pongs.
    client.post("store.buckets", json!({})).await;
    assert_eq!(client.closed().await, (4001, "heartbeat_timeout".to_owned()));
}

#[tokio::test]
async fn a_pong_counts_while_a_request_waits() {
    let server = serve_json(json!({
        "heartbeat": { "intervalMs": 20, "timeoutMs": 2_000 },
        "store": { "buckets": { "items": support::items() } },
    }))
    .await;
    let (mut one, mut two) = (Client::connect(&server).await, Client::connect(&server).await);
    let tx = one.ok("store.begin", json!({})).await["transaction"].clone();
    let lock = |tx: &serde_json::Value| json!({ "transaction": tx, "bucket": "items", "key": 1 });
    one.ok("store.lock", lock(&tx)).await;
    let other = two.ok("store.begin", json!({})).await["transaction"].clone();
    let mut waiting = lock(&other);
    waiting["waitMs"] = 20_000.into();
    let id = two.post("store.lock", waiting).await;
    // The request in progress keeps neither the pings from coming nor the
    // pongs from being heard.
    for _ in 0..3 {
        while two.frame().await["type"] != "ping" {}
        two.send(&json!({ "type": "pong", "timestamp": 0 })).await;
    }
    one.ok("store.rollback", json!({ "transaction": tx })).await;
    assert_eq!(two.answer(id).await["type"], "result");
}
