//! Indexes that are built and dropped, and buckets that come and go, while
//! others write; and the check of all indexes in between.

use serde_json::{Value, json};

use super::Client;
use crate::workload::bucket;

pub(super) async fn run(client: &mut Client) {
    while client.next_turn().await {
        match client.world.core.dice.below(8) {
            0..=2 => create_index(client).await,
            3 => drop_index(client).await,
            4 | 5 => check(client).await,
            6 => come_and_go(client).await,
            _ => {
                let list = client.call("store.indexes", json!({ "bucket": "items" })).await;
                client.world.core.event("indexes", u64::from(list.is_ok()), b"");
            }
        }
    }
}

fn index(number: usize) -> Value {
    let name = format!("online-{number}");
    match number {
        0 => json!({ "name": name, "fields": ["size"] }),
        1 => json!({ "name": name, "fields": ["-color", "size"] }),
        2 => json!({ "name": name, "fields": ["tags"], "multi": true }),
        3 => json!({ "name": name, "fields": ["color"], "filter": { "size": { "$lt": 4 } } }),
        // Meets duplicates, sooner or later.
        _ => json!({ "name": name, "fields": ["size", "color"], "unique": true }),
    }
}

async fn create_index(client: &mut Client) {
    let index = index(client.world.core.dice.below(5));
    let background = client.world.core.dice.chance(70);
    let create = json!({ "bucket": "items", "index": index, "background": background });
    if client.call("store.createIndex", create).await.is_ok() {
        client.happened("indexes created");
    }
}

async fn drop_index(client: &mut Client) {
    let name = format!("online-{}", client.world.core.dice.below(5));
    let drop = json!({ "bucket": "items", "name": name });
    if client.call("store.dropIndex", drop).await.is_ok() {
        client.happened("indexes dropped");
    }
}

async fn check(client: &mut Client) {
    let Ok(report) = client.call("store.check", json!({})).await else { return };
    client.happened("checks");
    if report["missing"] != 0 || report["dangling"] != 0 {
        client.violation(format!("G3: check found {report}"));
    }
}

async fn come_and_go(client: &mut Client) {
    let name = format!("scratch-{}", client.fresh_key());
    let config = bucket(&["id", "n"], json!(["n"]));
    let define = json!({ "name": name, "config": config });
    if client.call("store.defineBucket", define).await.is_err() {
        return;
    }
    let data: Value = (0..5).map(|id| json!({ "id": id, "n": id % 2 })).collect();
    let insert = json!({ "bucket": name, "data": data });
    let _either_way = client.call("store.insertMany", insert).await;
    if client.world.core.dice.chance(70) {
        let _either_way = client.call("store.dropBucket", json!({ "name": name })).await;
    }
}
