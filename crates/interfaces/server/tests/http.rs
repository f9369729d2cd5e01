//! Plain HTTP on the same port, and upgrades that are refused.

mod support;

use serde_json::json;
use support::{Client, http_get, raw_http, serve_items, serve_json};

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
    client.ok("store.begin", json!({})).await;
    let page = http_get(&server, "/metrics").await;
    for line in [
        "tandem_connections 1",
        "tandem_open_transactions 1",
        "tandem_requests_total 3",
        "tandem_request_errors_total{code=\"VALIDATION_ERROR\"} 1",
        "# TYPE tandem_commits_total counter",
    ] {
        assert!(page.lines().any(|found| found == line), "{line} is missing in\n{page}");
    }
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
