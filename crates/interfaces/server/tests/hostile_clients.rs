//! Clients that mean harm: each is stopped by a bound, and nobody else notices.
//!
//! That others are served is asserted by their progress while the hostile
//! client is at work; what the server holds, by what it takes from the socket:
//! a sender that comes to a standstill is not buffered.

mod support;

use std::io::{Read, Write};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use support::{Client, PATIENCE, items, serve_items, serve_json};
use tandem_server::RunningServer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

/// Somebody else's requests, each of which must be answered.
async fn others_are_served(server: &RunningServer) {
    let mut other = Client::connect(server).await;
    for n in 0..20 {
        let data = json!({ "id": format!("other {n}") });
        other.ok("store.upsert", json!({ "bucket": "items", "data": data })).await;
    }
    let count = other.ok("store.count", json!({ "bucket": "items" })).await;
    assert!(count.as_u64().is_some_and(|count| count >= 20));
}

/// A socket after its handshake, to write bytes to.
async fn raw(server: &RunningServer) -> TcpStream {
    let mut socket = TcpStream::connect(server.address()).await.expect("the server accepts");
    let head = "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    socket.write_all(head.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\"requiresAuth\":false}") {
        let mut byte = [0];
        socket.read_exact(&mut byte).await.expect("the welcome");
        answer.push(byte[0]);
    }
    socket
}

/// A masked frame of a client; the mask is zero.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        short @ 0..=125 => bytes.push(0x80 | short as u8),
        long => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&u16::try_from(long).expect("a short payload").to_be_bytes());
        }
    }
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(payload);
    bytes
}

#[tokio::test(start_paused = true)]
async fn g10_handshakes_that_stop_half_way_are_closed_by_the_clock() {
    let server = serve_items().await;
    let clients = ["", "GET / HT", "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"];
    let clients = clients.map(|part| {
        let mut socket = std::net::TcpStream::connect(server.address()).expect("accepted");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket takes options");
        socket.write_all(part.as_bytes()).expect("sent");
        // The paused clock does not wait for such a thread: when the server has
        // nothing else to do, it runs ahead to the server's limit.
        beside(move || {
            let mut rest = Vec::new();
            let closed = socket.read_to_end(&mut rest);
            (closed, String::from_utf8_lossy(&rest).into_owned())
        })
    });
    for client in clients {
        let (closed, text) = client.await.expect("no panic");
        assert!(
            closed.is_ok()
                || closed.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset)
        );
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 408"), "{text}");
    }
}

/// What `work` comes to on a thread of its own.
fn beside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> tokio::sync::oneshot::Receiver<T> {
    let (answer, answered) = tokio::sync::oneshot::channel();
    #[expect(clippy::disallowed_methods, reason = "a client that waits by itself")]
    std::thread::spawn(move || answer.send(work()));
    answered
}

#[tokio::test]
async fn g10_a_message_in_thousands_of_tiny_pieces_is_one_message() {
    let server = serve_items().await;
    let mut socket = raw(&server).await;
    let request = json!({ "id": 7, "type": "store.count", "bucket": "items" }).to_string();
    for (at, byte) in request.bytes().enumerate() {
        // Text, then continuations; thousands of empty ones between.
        let first = if at == 0 { 0x01 } else { 0x00 };
        for piece in frame(first, &[byte]) {
            socket.write_all(&[piece]).await.expect("sent");
        }
        for _ in 0..50 {
            socket.write_all(&frame(0x00, &[])).await.expect("sent");
        }
        if at == 10 {
            others_are_served(&server).await;
        }
    }
    socket.write_all(&frame(0x80, &[])).await.expect("sent");
    let mut answer = vec![0; 2];
    socket.read_exact(&mut answer).await.expect("an answer");
    let mut text = vec![0; usize::from(answer[1])];
    socket.read_exact(&mut text).await.expect("an answer");
    assert_eq!(String::from_utf8_lossy(&text), r#"{"id":7,"type":"result","data":20}"#);
}

#[tokio::test]
async fn g10_pieces_that_are_too_much_together_close_with_1009() {
    let server = serve_json(
        json!({ "maxPayloadBytes": 10_000, "store": { "buckets": { "items": items() } } }),
    )
    .await;
    let mut client = Client::connect(&server).await;
    let piece = |first, last| {
        let opcode = if first { OpCode::Data(Data::Text) } else { OpCode::Data(Data::Continue) };
        Message::Frame(Frame::message(vec![b'x'; 100], opcode, last))
    };
    let mut sent = client.socket.send(piece(true, false)).await;
    for _ in 0..10_000 {
        if sent.is_err() {
            break;
        }
        sent = client.socket.send(piece(false, false)).await;
    }
    assert_eq!(client.closed().await.0, 1009);
    others_are_served(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g10_pings_without_reading_the_pongs_come_to_a_standstill() {
    let server = serve_items().await;
    let client = Client::connect(&server).await;
    let (mut sink, mut stream) = client.socket.split();
    // About 130 bytes each way; far more than the kernel buffers.
    let flood = async {
        for n in 0..2_000_000_u64 {
            let mut payload = [0; 125];
            payload[..8].copy_from_slice(&n.to_be_bytes());
            sink.send(Message::Ping(payload.to_vec().into())).await.expect("sent");
        }
    };
    tokio::select! {
        () = flood => panic!("the server takes pings whose pongs nobody reads"),
        () = async {
            // The server stops reading: its counter of what others get goes on.
            for _ in 0..20 {
                others_are_served(&server).await;
            }
        } => {}
    }
    // Who reads again is served again.
    let mut pongs = 0;
    while pongs < 1_000 {
        let message = timeout(PATIENCE, stream.next()).await.expect("in time");
        pongs += u64::from(matches!(message, Some(Ok(Message::Pong(_)))));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g10_a_hundred_thousand_pipelined_requests_wait_in_the_socket() {
    const REQUESTS: u64 = 100_000;
    let server = serve_items().await;
    let client = Client::connect(&server).await;
    let (mut sink, mut stream) = client.socket.split();
    let (first_half, half_sent) = tokio::sync::oneshot::channel();
    let writer = tokio::spawn(async move {
        let mut first_half = Some(first_half);
        for id in 0..REQUESTS {
            let text = format!("{{\"id\":{id},\"type\":\"store.count\",\"bucket\":\"items\"}}");
            sink.feed(Message::text(text)).await.expect("sent");
            if id == 2_000 {
                let _nobody = first_half.take().map(|half| half.send(()));
            }
        }
        sink.flush().await.expect("sent");
    });
    half_sent.await.expect("it sends");
    // While it has not read a single answer.
    others_are_served(&server).await;
    let mut expected = 0;
    while expected < REQUESTS {
        match timeout(PATIENCE, stream.next()).await.expect("in time") {
            Some(Ok(Message::Text(text))) => {
                let frame: Value = serde_json::from_str(&text).expect("JSON");
                if frame["type"] == "ping" {
                    continue;
                }
                assert_eq!(frame["id"], expected, "in order");
                expected += 1;
            }
            other => panic!("after {expected} answers: {other:?}"),
        }
    }
    writer.await.expect("all sent");
}

#[tokio::test]
async fn g10_deep_json_and_huge_numbers_are_no_requests() {
    let server = serve_items().await;
    let mut client = Client::connect(&server).await;
    for text in
        ["[".repeat(100_000), format!("{}1{}", "{\"a\":".repeat(50_000), "}".repeat(50_000))]
    {
        client.send_text(&text).await;
        let answer = client.frame().await;
        assert_eq!((&answer["code"], &answer["id"]), (&json!("PARSE_ERROR"), &json!(0)));
    }
    for id in
        ["1e400".to_owned(), format!("1{}", "0".repeat(400)), format!("-{}", "9".repeat(100_000))]
    {
        client.send_text(&format!("{{\"id\":{id},\"type\":\"store.buckets\"}}")).await;
        let answer = client.frame().await;
        assert_eq!(answer["code"], "PARSE_ERROR", "{answer}");
    }
    // Large and finite is a number like any other.
    for id in ["1e300", "123456789012345678901234567890", "-0.0", "5e-324"] {
        client.send_text(&format!("{{\"id\":{id},\"type\":\"store.buckets\"}}")).await;
        let answer = client.frame().await;
        assert_eq!(answer["id"].as_f64(), id.parse().ok(), "{answer}");
    }
    others_are_served(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g10_a_thousand_idle_sockets_slow_nobody() {
    let server = serve_items().await;
    let mut idle = Vec::new();
    for _ in 0..1_000 {
        idle.push(raw(&server).await);
    }
    others_are_served(&server).await;
    let mut client = Client::connect(&server).await;
    // A server notices that a socket was closed in its own time, also those of the
    // clients that were served meanwhile.
    timeout(PATIENCE, until_connected(&mut client, 1_001)).await.expect("the others have left");
    drop(idle);
    timeout(PATIENCE, until_connected(&mut client, 1)).await.expect("the idle ones have left");
}

async fn until_connected(client: &mut Client, connections: u64) {
    while client.ok("server.stats", json!({})).await["connectionCount"] != connections {}
}
