//! The first frame, envelopes, and what is not a request.

use crate::support::{self, Client, serve_items};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn the_first_frame_is_the_welcome() {
    let server = serve_items().await;
    let mut client = Client::connect_silently(&server).await;
    let welcome = client.frame().await;
    assert_eq!(welcome["type"], "welcome");
    assert_eq!(welcome["version"], "1.0.0");
    assert_eq!(welcome["requiresAuth"], false);
    assert!(welcome["serverTime"].as_u64().is_some_and(|ms| ms > 1_600_000_000_000));
}

#[tokio::test]
async fn what_is_no_request_is_answered_with_id_0_and_the_connection_goes_on() {
    let server = serve_items().await;
    let mut client = Client::connect(&server).await;
    for (text, code, message) in [
        ("{oops", "PARSE_ERROR", "Invalid JSON"),
        ("[]", "PARSE_ERROR", "Message must be a JSON object"),
        ("null", "PARSE_ERROR", "Message must be a JSON object"),
        ("\"text\"", "PARSE_ERROR", "Message must be a JSON object"),
        ("{}", "INVALID_REQUEST", "Message must include non-empty string \"type\""),
        (
            r#"{"id":1,"type":7}"#,
            "INVALID_REQUEST",
            "Message must include non-empty string \"type\"",
        ),
        (r#"{"type":"pong"}"#, "INVALID_REQUEST", "Pong must include finite numeric \"timestamp\""),
        (
            r#"{"type":"store.stats"}"#,
            "INVALID_REQUEST",
            "Request must include finite numeric \"id\"",
        ),
        (
            r#"{"id":"1","type":"store.stats"}"#,
            "INVALID_REQUEST",
            "Request must include finite numeric \"id\"",
        ),
    ] {
        client.send_text(text).await;
        let answer = client.frame().await;
        assert_eq!(answer["id"], 0, "{text}");
        assert_eq!(
            (answer["code"].as_str(), answer["message"].as_str()),
            (Some(code), Some(message))
        );
        assert_eq!(answer["retryable"], false);
    }
    client.ok("store.buckets", json!({})).await;
}

#[tokio::test]
async fn any_finite_number_is_an_id_and_comes_back_as_it_was() {
    let server = serve_items().await;
    let mut client = Client::connect(&server).await;
    for id in ["0", "-3", "1.5", "9007199254740993", "18446744073709551615"] {
        client.send_text(&format!(r#"{{"id":{id},"type":"store.buckets"}}"#)).await;
        let Some(Message::Text(text)) = client.message().await else { panic!("a frame") };
        assert!(text.starts_with(&format!(r#"{{"id":{id},"type":"result""#)), "{text}");
    }
}

#[tokio::test]
async fn unknown_types_and_features_that_are_not_there_say_so() {
    let server = serve_items().await;
    let mut client = Client::connect(&server).await;
    for (kind, code, message) in [
        ("ping", "UNKNOWN_OPERATION", "Unknown operation \"ping\""),
        ("store.nothing", "UNKNOWN_OPERATION", "Unknown operation \"store.nothing\""),
        ("server.nothing", "UNKNOWN_OPERATION", "Unknown operation \"server.nothing\""),
        ("procedures.call", "UNKNOWN_OPERATION", "Unknown operation \"procedures.call\""),
        ("logic.listViews", "UNKNOWN_OPERATION", "Unknown operation \"logic.listViews\""),
        ("auth.login", "UNKNOWN_OPERATION", "Authentication is not configured"),
        ("identity.login", "UNKNOWN_OPERATION", "Identity management is not configured"),
        ("audit.query", "UNKNOWN_OPERATION", "Audit log is not configured"),
        ("rules.emit", "RULES_NOT_AVAILABLE", "No rules engine is configured"),
    ] {
        assert_eq!(client.err(kind, json!({}), code).await["message"], message);
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = serve_items().await;
    let mut client = Client::connect(&server).await;
    let mut ids = Vec::new();
    for n in 0..200 {
        let (kind, fields) = match n % 3 {
            0 => ("store.insert", json!({ "bucket": "items", "data": { "id": n } })),
            1 => ("store.get", json!({ "bucket": "items", "key": n - 1 })),
            _ => ("store.nothing", json!({})),
        };
        ids.push(client.post(kind, fields).await);
    }
    for (n, id) in ids.into_iter().enumerate() {
        let answer = client.answer(id).await;
        match n % 3 {
            2 => assert_eq!(answer["code"], "UNKNOWN_OPERATION"),
            // A read sees the write that was sent before it.
            1 => assert_eq!(answer["data"]["id"], n as u64 - 1),
            _ => assert_eq!(answer["data"]["id"], n as u64),
        }
    }
}

#[tokio::test]
async fn a_binary_frame_closes_with_1003() {
    let server = serve_items().await;
    let mut client = Client::connect(&server).await;
    futures_util::SinkExt::send(&mut client.socket, Message::binary(vec![1])).await.unwrap();
    assert_eq!(client.closed().await, (1003, "binary_not_supported".to_owned()));
}

#[tokio::test]
async fn details_are_left_out_when_the_config_says_so() {
    let server = support::serve_json(json!({
        "exposeErrorDetails": false, "store": { "buckets": { "items": support::items() } },
    }))
    .await;
    let mut client = Client::connect(&server).await;
    let fields = json!({ "bucket": "none", "key": 1 });
    let answer = client.err("store.get", fields, "BUCKET_NOT_DEFINED").await;
    assert!(answer.get("details").is_none());
    assert_eq!(answer["message"], "Bucket \"none\" is not defined");
}
