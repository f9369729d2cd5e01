//! What clients that do nothing take of the server's memory.
#![expect(unsafe_code, reason = "a global allocator is unsafe to write; see the safety argument")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use support::{items, serve_json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SOCKETS: usize = 50;
const SUBSCRIPTIONS: usize = 100;

static LIVE: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, counted.
struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

// SAFETY: every call is handed to `System` unchanged, which upholds the contract
// of `GlobalAlloc`; the counting touches nothing but one atomic and cannot unwind.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// A client that has next to no buffers of its own.
struct Raw(TcpStream);

impl Raw {
    async fn connect(address: std::net::SocketAddr) -> Self {
        let mut socket = TcpStream::connect(address).await.expect("it listens");
        let head = "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        socket.write_all(head.as_bytes()).await.expect("sent");
        let mut client = Self(socket);
        client.until("requiresAuth").await;
        client
    }

    /// Asks and waits for the answer.
    async fn ask(&mut self, request: Value) {
        let text = request.to_string();
        // One text frame, masked with zeros.
        let length = u16::try_from(text.len()).expect("a short request");
        let [high, low] = length.to_be_bytes();
        let mut frame = vec![0x81, 0x80 | 126, high, low, 0, 0, 0, 0];
        frame.extend_from_slice(text.as_bytes());
        self.0.write_all(&frame).await.expect("sent");
        self.until("\"type\":\"result\"").await;
    }

    /// Reads until something that ends with this has come.
    async fn until(&mut self, text: &str) {
        let mut heard = Vec::new();
        while !heard.windows(text.len()).any(|part| part == text.as_bytes()) {
            assert_ne!(self.0.read_buf(&mut heard).await.expect("read"), 0, "it has closed");
        }
    }
}

#[tokio::test]
async fn g10_an_idle_socket_takes_less_than_32_kib_and_an_idle_subscription_less_than_2() {
    let server = serve_json(json!({ "store": {
        "buckets": { "items": items() },
        "queries": { "of": { "bucket": "items", "filter": { "group": "{{ params.group }}" } } },
    } }))
    .await;
    let get = json!({ "id": 1, "type": "store.get", "bucket": "items", "key": 1 });
    // What is allocated once for all.
    Raw::connect(server.address()).await.ask(get.clone()).await;

    let before = LIVE.load(Ordering::Relaxed);
    let mut sockets = Vec::new();
    for _ in 0..SOCKETS {
        let mut socket = Raw::connect(server.address()).await;
        socket.ask(get.clone()).await;
        sockets.push(socket);
    }
    let with_sockets = LIVE.load(Ordering::Relaxed);
    let each = (with_sockets - before) / SOCKETS;
    assert!(each < 32 << 10, "{each} bytes per socket");

    // Each with a filter of its own; queries that are the same are shared.
    let kinds = [
        json!({ "type": "store.subscribeChanges", "bucket": "items", "filter": { "group": 0 } }),
        json!({ "type": "store.subscribe", "query": "of", "params": { "group": 0 } }),
    ];
    for (kind, part) in kinds.iter().zip(sockets.chunks_mut(SOCKETS / 2)) {
        let before = LIVE.load(Ordering::Relaxed);
        for (number, socket) in part.iter_mut().enumerate() {
            for id in 0..SUBSCRIPTIONS {
                let mut request = kind.clone();
                request["id"] = id.into();
                if let Some(group) = request.pointer_mut("/filter/group") {
                    *group = (number * SUBSCRIPTIONS + id).into();
                }
                socket.ask(request).await;
            }
        }
        let count = part.len() * SUBSCRIPTIONS;
        let each = (LIVE.load(Ordering::Relaxed) - before) / count;
        assert!(each < 2 << 10, "{each} bytes per subscription: {kind}");
    }
}
