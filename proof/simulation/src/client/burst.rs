//! Many requests at once: they are answered in their order, whatever happens
//! in between.

use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;

use super::{Client, Failure};
use crate::workload::{ACCOUNTS, account};

pub(super) async fn run(client: &mut Client) {
    while client.next_turn().await {
        let count = client.world.core.dice.between(2, 12);
        let number = client.number;
        let all = timeout(Duration::from_secs(8), burst(client, count)).await;
        if matches!(all, Err(_) | Ok(Err(Failure::Lost))) {
            client.hang_up();
        }
        client.world.core.event("burst", number, b"");
    }
}

async fn burst(client: &mut Client, count: u64) -> Result<(), Failure> {
    let mut ids = Vec::new();
    for _ in 0..count {
        let key = account(client.world.core.dice.below(ACCOUNTS));
        let (kind, fields) = match client.world.core.dice.below(3) {
            0 => ("store.all", json!({ "bucket": "accounts" })),
            1 => ("store.get", json!({ "bucket": "accounts", "key": key })),
            _ => ("store.count", json!({ "bucket": "ring" })),
        };
        ids.push(client.connected().await.send(kind, fields).await?);
        // The rest goes over the same connection, or not at all.
        if client.world.core.dice.chance(2) {
            client.hang_up();
            return Ok(());
        }
    }
    for id in ids {
        match client.connected().await.answer(id).await {
            Err(Failure::Lost) => return Err(Failure::Lost),
            Ok(_) | Err(Failure::Refused(_)) => {}
        }
    }
    Ok(())
}
