//! Counters that end at the number of acknowledged increments.
//!
//! An increment is done under an idempotency key, and done again under the same
//! key until it is acknowledged: however often the connection breaks in
//! mid-commit, it counts once.

use serde_json::{Value, json};
use tokio::time::sleep;

use super::{Client, Failure, Open};
use crate::workload::COUNTERS;

pub(super) async fn run(client: &mut Client) {
    while client.next_turn().await {
        let counter = client.world.core.dice.below(COUNTERS) as u64;
        let name = format!("count {}", client.fresh_key());
        while !attempt(client, counter, &name).await {
            sleep(client.world.core.dice.millis(1, 80)).await;
        }
        client.world.core.tally().counted(counter);
        client.happened("increments");
    }
}

async fn attempt(client: &mut Client, counter: u64, name: &str) -> bool {
    if client.world.core.dice.chance(30) {
        return by_batch(client, counter, name).await;
    }
    let level = client.any_level();
    let Ok(open) = client.begin(level).await else { return false };
    match increment(client, &open, counter, name).await {
        Ok(()) => true,
        Err(Failure::Refused(_)) => {
            client.give_up(&open).await;
            false
        }
        Err(Failure::Lost) => false,
    }
}

async fn increment(
    client: &mut Client,
    open: &Open,
    counter: u64,
    name: &str,
) -> Result<(), Failure> {
    if client.world.core.dice.chance(20) {
        let lock = json!({ "bucket": "counters", "key": counter, "waitMs": 0 });
        client.within(open, "store.lock", lock).await?;
    }
    let read = client.get(open, "counters", counter.into()).await?;
    let count = read["count"].as_u64().unwrap_or(0);
    client.update(open, "counters", &read, json!({ "count": count + 1 })).await?;
    client.commit(open, Some(name)).await.map(|_| ())
}

async fn by_batch(client: &mut Client, counter: u64, name: &str) -> bool {
    let get = json!({ "bucket": "counters", "key": counter });
    let Ok(read) = client.call("store.get", get).await else { return false };
    let count = read["count"].as_u64().unwrap_or(0);
    let update: Value = json!({ "op": "update", "bucket": "counters", "key": counter,
        "data": { "count": count + 1 }, "expectedVersion": read["_version"] });
    let batch = json!({ "operations": [update], "idempotencyKey": name });
    client.call("store.transaction", batch).await.is_ok()
}
