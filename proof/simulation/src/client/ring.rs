//! Nodes of a ring change places with their neighbours.
//!
//! ```text
//! a → b → c → d      becomes      a → c → b → d
//! ```
//! `next` is unique, so a node lets go before another takes hold.

use serde_json::{Value, json};

use super::{Client, Failure, Open};
use crate::workload::NODES;

pub(super) async fn run(client: &mut Client) {
    while client.next_turn().await {
        let level = client.any_level();
        let Ok(open) = client.begin(level).await else { continue };
        if let Err(Failure::Refused(_)) = swap(client, &open).await {
            client.give_up(&open).await;
        }
    }
}

async fn swap(client: &mut Client, open: &Open) -> Result<(), Failure> {
    let first = client.world.core.dice.below(NODES);
    let a = client.get(open, "ring", first.into()).await?;
    let b = client.get(open, "ring", a["next"].clone()).await?;
    let c = client.get(open, "ring", b["next"].clone()).await?;
    if client.world.core.dice.chance(15) {
        client.stray(open, "ring", &b["id"], json!({ "next": b["id"] })).await?;
    }
    set(client, open, &b, &Value::Null).await?;
    set(client, open, &a, &c["id"]).await?;
    set(client, open, &c, &b["id"]).await?;
    // The second update of b: its first one's expected version stands.
    let last = json!({ "bucket": "ring", "key": b["id"], "data": { "next": c["next"] } });
    client.within(open, "store.update", last).await?;
    client.commit(open, None).await?;
    Ok(())
}

async fn set(client: &mut Client, open: &Open, node: &Value, next: &Value) -> Result<(), Failure> {
    client.update(open, "ring", node, json!({ "next": next })).await.map(|_| ())
}
