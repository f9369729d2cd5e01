//! What a connection may not exceed, and what happens when it does.

use std::time::Instant;

use crate::support::{Client, PATIENCE, http_get, items, serve_items, serve_json};
use futures_util::SinkExt;
use serde_json::json;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

#[tokio::test]
async fn g10_a_frame_above_the_limit_closes_with_1009() {
    let server = serve_json(json!({ "maxPayloadBytes": 1000 })).await;
    let mut client = Client::connect(&server).await;
    client.send_text(&format!("{{\"id\":1,\"type\":\"{}\"}}", "x".repeat(900))).await;
    assert_eq!(client.frame().await["code"], "UNKNOWN_OPERATION");
    // Larger than every buffer on the way: the rest is still being sent.
    let _reset = client.socket.send(Message::text("x".repeat(4 << 20))).await;
    assert_eq!(client.closed().await, (1009, String::new()));
}

#[tokio::test]
async fn requests_above_the_rate_are_refused_and_do_not_count() {
    let server =
        serve_json(json!({ "rateLimit": { "maxRequests": 3, "windowMs": 600_000 } })).await;
    let (mut one, mut two) = (Client::connect(&server).await, Client::connect(&server).await);
    one.ok("store.buckets", json!({})).await;
    two.ok("store.buckets", json!({})).await;
    one.err("auth.login", json!({}), "UNKNOWN_OPERATION").await;
    let refused = two.err("store.buckets", json!({}), "RATE_LIMITED").await;
    let wait = refused["details"]["retryAfterMs"].as_u64().expect("a time to wait");
    assert!(wait > 0 && wait <= 600_000);
    assert_eq!(refused["message"], format!("Rate limit exceeded. Retry after {wait}ms"));
    one.send_text("{").await;
    assert_eq!(one.frame().await["code"], "PARSE_ERROR", "what is no request is not limited");
}

#[tokio::test]
async fn connections_of_one_address_are_bounded_and_freed() {
    let server = serve_json(json!({ "maxConnectionsPerIp": 2 })).await;
    let one = Client::connect(&server).await;
    let _two = Client::connect(&server).await;
    let mut third = Client::connect_silently(&server).await;
    assert_eq!(third.closed().await, (4003, "too_many_connections".to_owned()));
    drop(one);
    // The slot is free once the server has seen the end of the first.
    loop {
        let mut again = Client::connect_silently(&server).await;
        match again.message().await {
            Some(Message::Text(text)) => {
                assert!(text.contains("welcome"));
                break;
            }
            other => assert!(matches!(other, Some(Message::Close(_)))),
        }
    }
}

#[tokio::test]
async fn only_listed_origins_may_connect() {
    let server = serve_json(json!({ "allowedOrigins": ["https://app.example.com"] })).await;
    let connect = async |origin: Option<&str>| {
        let mut request = format!("ws://{}/", server.address()).into_client_request().unwrap();
        if let Some(origin) = origin {
            request.headers_mut().insert("Origin", origin.parse().unwrap());
        }
        connect_async(request).await
    };
    assert!(connect(None).await.is_ok(), "no browser, no origin");
    assert!(connect(Some("https://app.example.com")).await.is_ok());
    for origin in ["https://evil.example.com", "https://app.example.com/", "null"] {
        match connect(Some(origin)).await {
            Err(Error::Http(response)) => assert_eq!(response.status(), 403),
            other => panic!("{origin}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn g10_a_client_that_does_not_read_is_sent_the_newest_or_a_resync() {
    let server = serve_json(json!({
        "backpressure": { "maxBufferedBytes": 20_000, "highWaterMark": 0.5 },
        "store": { "buckets": { "items": items() },
            "queries": { "all": { "bucket": "items" }, "count": {
                "bucket": "items", "aggregate": { "function": "count" } } } },
    }))
    .await;
    let mut slow = Client::connect(&server).await;
    slow.ok("store.subscribe", json!({ "query": "all" })).await;
    slow.ok("store.subscribe", json!({ "query": "count" })).await;
    let mut writer = Client::connect(&server).await;
    let text = "x".repeat(60_000);
    let metrics = async || {
        let page = http_get(&server, "/metrics").await;
        page.lines()
            .find_map(|line| line.strip_prefix("tandem_resyncs_total "))
            .and_then(|count| count.parse::<u64>().ok())
            .expect("the metric")
    };
    // Every insert makes the result larger; the kernel's buffers fill up, then
    // ours, and then the subscriptions are cut.
    let mut n = 0;
    #[expect(clippy::disallowed_methods, reason = "a bound on a test, by a clock that runs")]
    let begin = Instant::now();
    while metrics().await == 0 {
        assert!(begin.elapsed() < PATIENCE, "the subscriptions are never cut");
        let data = json!({ "id": n, "text": text });
        writer.ok("store.insert", json!({ "bucket": "items", "data": data })).await;
        n += 1;
    }
    let mut resyncs = 0;
    while resyncs < 2 {
        let push = slow.frame().await;
        assert_eq!(push["type"], "push");
        resyncs += usize::from(push["data"]["event"] == "resync");
    }
    // The connection itself lives on.
    slow.ok("store.count", json!({ "bucket": "items" })).await;
    slow.ok("store.subscribe", json!({ "query": "count" })).await;
}

#[tokio::test]
async fn g10_a_client_that_does_not_read_its_answers_is_not_served_further() {
    let server = serve_json(json!({
        "backpressure": { "maxBufferedBytes": 10_000 }, "store": { "buckets": { "items": items() } },
    }))
    .await;
    let mut client = Client::connect(&server).await;
    let data = json!({ "id": 1, "text": "x".repeat(500_000) });
    client.ok("store.insert", json!({ "bucket": "items", "data": data })).await;
    let mut ids = Vec::new();
    for _ in 0..100 {
        ids.push(client.post("store.get", json!({ "bucket": "items", "key": 1 })).await);
    }
    // 50 MB of answers, of which the server holds one: all arrive, in order.
    for id in ids {
        assert_eq!(client.answer(id).await["data"]["id"], 1);
    }
}

#[tokio::test]
async fn a_client_that_leaves_mid_frame_costs_nothing() {
    let server = serve_items().await;
    for _ in 0..20 {
        let mut client = Client::connect(&server).await;
        client.post("store.insert", json!({ "bucket": "items", "data": {} })).await;
        drop(client);
    }
    let mut last = Client::connect(&server).await;
    while last.ok("server.stats", json!({})).await["connectionCount"] != 1 {}
}
