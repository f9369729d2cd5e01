//! Plain HTTP on the same port, and upgrades that are refused.

use std::collections::BTreeSet;

use crate::support::{Client, http_get, raw_http, serve_items, serve_json};
use futures_util::{SinkExt, StreamExt};
use serde_json::json;

#[tokio::test]
async fn health_and_readiness_are_answered() {
    let server = serve_items().await;
    let health = http_get(&server, "/health").await;
    assert!(health.starts_with("HTTP/1.1 200 OK"), "{health}");
    assert!(health.contains("content-type: application/json"));
    assert!(health.ends_with("{\"status\":\"ok\"}"));
    assert!(http_get(&server, "/ready").await.ends_with("{\"status\":\"ready\"}"));
}

#[tokio::test]
async fn metrics_count_what_happened() {
    let server = serve_items().await;
    let mut client = Client::connect(&server).await;
    client.ok("store.insert", json!({ "bucket": "items", "data": { "id": 1 } })).await;
    client.err("store.get", json!({}), "VALIDATION_ERROR").await;
    client.err("store.invented", json!({}), "UNKNOWN_OPERATION").await;
    client.ok("store.begin", json!({})).await;
    let page = http_get(&server, "/metrics").await;
    for line in [
        "tandem_connections 1",
        "tandem_connections_opened_total 1",
        "tandem_open_transactions 1",
        "tandem_active_transactions 1",
        "tandem_records 1",
        "tandem_requests_total{type=\"store.insert\",outcome=\"ok\"} 1",
        "tandem_requests_total{type=\"store.get\",outcome=\"VALIDATION_ERROR\"} 1",
        "tandem_requests_total{type=\"other\",outcome=\"UNKNOWN_OPERATION\"} 1",
        "tandem_request_seconds_count{type=\"store.insert\"} 1",
        "tandem_commit_group_size_bucket{le=\"1\"} 2",
        "tandem_conflicts_total{kind=\"write\"} 0",
        "# TYPE tandem_commits_total counter",
    ] {
        assert!(page.lines().any(|found| found == line), "{line} is missing in\n{page}");
    }
    assert!(!page.contains("invented"), "a client's invention became a label");
}

#[tokio::test]
async fn a_retried_batch_a_refusal_and_an_end_are_counted() {
    let server = serve_json(json!({ "maxConnectionsPerIp": 1, "allowedOrigins": [] })).await;
    let client = Client::connect(&server).await;
    let upgrade = |path: &str, more: &str| {
        format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\n{more}\r\n"
        )
    };
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    raw_http(&server, &upgrade("/elsewhere", key)).await;
    raw_http(&server, &upgrade("/", "")).await;
    raw_http(&server, &upgrade("/", &format!("{key}Origin: https://x.example\r\n"))).await;
    assert_eq!(Client::connect_silently(&server).await.closed().await.0, 4003);
    drop(client);
    // The server learns of the end when it reads: ask until it has.
    let mut page = http_get(&server, "/metrics").await;
    while !page.contains("tandem_connections_closed_total{code=\"gone\"} 1") {
        page = http_get(&server, "/metrics").await;
    }
    for reason in ["path", "handshake", "origin", "too_many_connections"] {
        let line = format!("tandem_connections_refused_total{{reason=\"{reason}\"}} 1");
        assert!(page.contains(&line), "{line} is missing in\n{page}");
    }
}

/// Families without a value yet are not on the page, so everything happens once.
#[tokio::test]
async fn docs_protocol_lists_every_metric_with_its_kind() {
    let server = serve_json(json!({ "path": "/ws" })).await;
    raw_http(
        &server,
        "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    )
    .await;
    let url = format!("ws://{}/ws", server.address());
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.expect("it listens");
    socket.send(r#"{"id":1,"type":"store.buckets"}"#.into()).await.expect("sent");
    for _welcome_and_answer in 0..2 {
        socket.next().await.expect("a frame").expect("readable");
    }
    drop(socket);
    let mut page = http_get(&server, "/metrics").await;
    while !page.contains("tandem_connections_closed_total") {
        page = http_get(&server, "/metrics").await;
    }
    let told: BTreeSet<(&str, &str)> =
        page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    let documented: BTreeSet<(&str, &str)> = include_str!("../../../../../docs/protocol.md")
        .lines()
        .filter_map(|line| line.strip_prefix("| `tandem_")?.split_once("` | "))
        .map(|(name, rest)| (name, rest.split(" |").next().unwrap_or_default()))
        .collect();
    let told: BTreeSet<(&str, &str)> = told
        .into_iter()
        .map(|(name, kind)| (name.strip_prefix("tandem_").unwrap_or(name), kind))
        .collect();
    assert_eq!(told, documented);
}

#[tokio::test]
async fn other_paths_and_methods_are_refused() {
    let server = serve_items().await;
    assert!(http_get(&server, "/nothing").await.starts_with("HTTP/1.1 404"));
    let post = "POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
    assert!(raw_http(&server, post).await.starts_with("HTTP/1.1 405"));
}

#[tokio::test]
async fn an_upgrade_on_another_path_is_destroyed_without_an_answer() {
    let server = serve_json(json!({ "path": "/ws" })).await;
    let upgrade = |path: &str| {
        format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
    };
    for path in ["/", "/other", "/ws/"] {
        assert_eq!(raw_http(&server, &upgrade(path)).await, "", "{path}");
    }
    let url = format!("ws://{}/ws?token=x", server.address());
    tokio_tungstenite::connect_async(url).await.expect("the configured path, whatever the query");
}

#[tokio::test]
async fn a_malformed_upgrade_is_refused() {
    let server = serve_items().await;
    let upgrade = "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let answer = raw_http(&server, upgrade).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(answer.contains("sec-websocket-version: 13"));
}
