//! `POST /rpc` on the administrators' address.

use std::net::SocketAddr;

use crate::support::{Client, items, listening};
use serde_json::{Value, json};
use tandem_server::{Config, RunningServer, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn serve() -> (RunningServer, SocketAddr) {
    let config = json!({ "rateLimit": { "maxRequests": 1, "windowMs": 600_000 },
        "maxPayloadBytes": 10_000, "store": { "data": null, "buckets": { "items": items() } } });
    let config = Config::from_json(&config).expect("valid");
    let options = listening(config).admin_listen("127.0.0.1:0");
    let server = Server::start(options).await.expect("the server starts");
    let admin = server.admin_address().expect("an address");
    (server, admin)
}

async fn post(address: SocketAddr, headers: &str, body: &str) -> (u16, String) {
    let mut socket = tokio::net::TcpStream::connect(address).await.expect("accepted");
    let length = body.len();
    let head = format!(
        "POST /rpc HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
    );
    socket.write_all((head + body).as_bytes()).await.expect("sent");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.expect("text");
    let status = answer[9..12].parse().expect("a status");
    let body = answer.split_once("\r\n\r\n").expect("a body").1.to_owned();
    (status, body)
}

async fn rpc(address: SocketAddr, request: Value) -> Value {
    let (status, body) = post(address, "", &request.to_string()).await;
    assert_eq!(status, 200);
    serde_json::from_str(&body).expect("a wire response")
}

#[tokio::test]
async fn any_wire_request_is_answered_without_limit_and_without_a_connection() {
    let (_server, admin) = serve().await;
    for id in 0..5 {
        let insert = json!({ "id": id, "type": "store.insert", "bucket": "items",
            "data": { "id": id } });
        let answer = rpc(admin, insert).await;
        assert_eq!((&answer["id"], &answer["type"]), (&json!(id), &json!("result")));
    }
    let stats = rpc(admin, json!({ "id": 1.5, "type": "server.stats" })).await;
    assert_eq!(stats["data"]["connectionCount"], 0);
    assert_eq!(stats["data"]["store"]["records"]["total"], 5);
    let answer = rpc(admin, json!({ "id": 1, "type": "store.get", "bucket": "items" })).await;
    assert_eq!(answer["code"], "VALIDATION_ERROR");
    assert_eq!(rpc(admin, json!([])).await["code"], "PARSE_ERROR");
    // It belongs to logins, which are not there.
    let revoke = json!({ "id": 1, "type": "server.revokeSessions", "userId": "u" });
    assert_eq!(rpc(admin, revoke).await["code"], "UNKNOWN_OPERATION");
    for kind in ["store.begin", "store.subscribe", "store.subscribeChanges"] {
        let answer = rpc(admin, json!({ "id": 1, "type": kind })).await;
        assert_eq!(answer["message"], format!("\"{kind}\" needs a WebSocket"));
    }
}

#[tokio::test]
async fn web_pages_large_bodies_and_other_addresses_are_refused() {
    let (server, admin) = serve().await;
    let stats = json!({ "id": 1, "type": "server.stats" }).to_string();
    assert_eq!(post(admin, "Origin: http://localhost\r\n", &stats).await.0, 403);
    assert_eq!(post(admin, "", &"x".repeat(20_000)).await.0, 413);
    assert_eq!(post(server.address(), "", &stats).await.0, 405, "the clients' port has no rpc");
    let options = listening(Config::memory()).admin_listen("0.0.0.0:0");
    let refused = Server::start(options).await.expect_err("not a loopback address");
    assert!(refused.message().contains("loopback"), "{refused}");
}

#[tokio::test]
async fn administrators_are_listened_for_elsewhere_if_the_config_says_so() {
    let config = json!({ "adminListenBeyondLoopback": true, "store": { "data": null } });
    let config = Config::from_json(&config).expect("a setting");
    let options = listening(config).admin_listen("0.0.0.0:0");
    let server = Server::start(options).await.expect("allowed");
    let admin = server.admin_address().expect("asked for");
    assert!(admin.ip().is_unspecified());
    let here = SocketAddr::from(([127, 0, 0, 1], admin.port()));
    let answer = rpc(here, json!({ "id": 1, "type": "server.stats" })).await;
    assert_eq!(answer["type"], "result", "{answer}");
    for wrong in [json!("yes"), json!(1)] {
        let config = json!({ "adminListenBeyondLoopback": wrong });
        let refused = Config::from_json(&config).expect_err("not a boolean");
        assert!(refused.message().contains("adminListenBeyondLoopback"), "{refused}");
    }
}

#[tokio::test]
async fn an_administrator_stops_the_server() {
    let (server, admin) = serve().await;
    let mut client = Client::connect(&server).await;
    let request = json!({ "id": 1, "type": "server.shutdown", "gracePeriodMs": 50 });
    assert_eq!(rpc(admin, request).await["data"], json!({ "stopping": true }));
    server.stopping().await;
    let stopped = tokio::spawn(server.shutdown(std::time::Duration::ZERO));
    let notice = client.frame().await;
    assert_eq!(notice, json!({ "type": "system", "event": "shutdown", "gracePeriodMs": 50 }));
    assert_eq!(client.closed().await, (1000, "server_shutdown".to_owned()));
    stopped.await.unwrap().expect("stopped");
}

#[tokio::test]
async fn clients_cannot_stop_the_server() {
    let (server, _) = serve().await;
    let mut client = Client::connect(&server).await;
    client.err("server.shutdown", json!({}), "UNKNOWN_OPERATION").await;
}
