//! Clients that do not read, and clients that mean harm.

use std::sync::Arc;
use std::time::Duration;

use futures_util::SinkExt;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use super::{Did, World, connect};
use crate::client::Gone;
use crate::dice::Dice;

/// Subscribes to what is large and changes often, asks for more than fits, and
/// reads nothing until the server or itself has enough.
pub(super) async fn sleep(world: Arc<World>, mut dice: Dice) {
    while let Some(mut client) = connect(&world).await {
        for group in 0..3 {
            let fields = json!({ "query": "some", "params": { "group": group } });
            let _gone = client.post("store.subscribe", fields).await;
        }
        let _gone = client.post("store.subscribeChanges", json!({ "bucket": "items" })).await;
        // The kernel's buffers fill first; then nothing more is taken from us.
        let asking = async {
            for _ in 0..200 {
                client.post("store.all", json!({ "bucket": "items", "limit": 200 })).await?;
            }
            Ok::<_, Gone>(())
        };
        let patience = Duration::from_millis(500 + dice.below(9_000));
        let _full = timeout(patience, asking).await;
        tokio::time::sleep(patience.min(world.left())).await;
        world.did(Did::Slept);
    }
}

/// Does one bad thing after another.
pub(super) async fn vandalise(world: Arc<World>, mut dice: Dice) {
    while let Some(mut client) = connect(&world).await {
        let frames = match dice.below(8) {
            0 => vec![Message::text("{\"id\":1,\"type\":\"store.insert\"")],
            1 => vec![Message::binary(vec![0; 100])],
            2 => vec![Message::text("x".repeat(100_000))],
            3 => vec![Message::text("[".repeat(60_000))],
            4 => (0..500).map(|n| Message::Ping(vec![n as u8; 125].into())).collect(),
            5 => {
                let begin = json!({ "id": 1, "type": "store.begin" }).to_string();
                (0..50).map(|_| Message::text(begin.clone())).collect()
            }
            6 => {
                let insert = json!({ "id": 1e300, "type": "store.insert", "bucket": "items",
                    "data": { "id": dice.below(2_000), "text": "y".repeat(10_000) } });
                vec![Message::text(insert.to_string())]
            }
            _ => {
                half_open(&world, &mut dice).await;
                Vec::new()
            }
        };
        for frame in frames {
            if client.socket.send(frame).await.is_err() {
                break;
            }
        }
        // Sometimes hears what it is told, sometimes is gone at once.
        while dice.one_in(2) && client.push(Duration::from_millis(100)).await.is_ok() {}
        world.did(Did::Vandalised);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Handshakes and frames that stop in the middle.
async fn half_open(world: &World, dice: &mut Dice) {
    const HEAD: &str = "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let mut sockets = Vec::new();
    for _ in 0..10 {
        let Ok(mut socket) = TcpStream::connect(world.address).await else { continue };
        let whole = dice.one_in(2);
        let part = if whole { HEAD.len() } else { dice.below(HEAD.len() as u64) as usize };
        let _gone = socket.write_all(&HEAD.as_bytes()[..part]).await;
        if whole {
            // A masked text frame of 60,000 bytes, of which few come.
            let _gone = socket.write_all(&[0x81, 0xfe, 0xea, 0x60, 1, 2, 3, 4, b'{', b'"']).await;
        }
        sockets.push(socket);
    }
    tokio::time::sleep(Duration::from_millis(dice.below(1_000))).await;
}
