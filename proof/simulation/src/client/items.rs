//! Records under every kind of index, inserted, changed and removed one by one
//! and in bulk, inside and outside of transactions.

use serde_json::{Value, json};

use super::{Client, Failure, Open};
use crate::workload::COLORS;

pub(super) async fn run(client: &mut Client) {
    while client.next_turn().await {
        if client.world.core.dice.chance(40) {
            let (kind, fields) = statement(client);
            let _either_way = client.call(kind, fields).await;
            continue;
        }
        let level = client.any_level();
        let Ok(open) = client.begin(level).await else { continue };
        if let Err(Failure::Refused(_)) = several(client, &open).await {
            client.give_up(&open).await;
        }
    }
}

async fn several(client: &mut Client, open: &Open) -> Result<(), Failure> {
    for _ in 0..client.world.core.dice.between(1, 4) {
        if client.world.core.dice.chance(30) {
            let name = json!({ "name": "s" });
            client.within(open, "store.savepoint", name.clone()).await?;
            one(client, open).await?;
            one(client, open).await?;
            client.within(open, "store.rollbackTo", name).await?;
            client.happened("savepoints rolled back");
        }
        one(client, open).await?;
    }
    client.commit(open, None).await.map(|_| ())
}

/// One statement; one that merely meets or misses a record is no failure.
async fn one(client: &mut Client, open: &Open) -> Result<(), Failure> {
    let (kind, fields) = statement(client);
    match client.within(open, kind, fields).await {
        Err(Failure::Refused(refusal))
            if matches!(refusal.code.as_str(), "ALREADY_EXISTS" | "NOT_FOUND") =>
        {
            Ok(())
        }
        outcome => outcome.map(|_| ()),
    }
}

fn item(client: &Client) -> Value {
    let dice = &client.world.core.dice;
    let tags: Vec<&str> = COLORS.into_iter().filter(|_| dice.chance(40)).collect();
    json!({ "id": dice.below(16), "color": dice.pick(&COLORS), "size": dice.below(10), "tags": tags })
}

fn statement(client: &Client) -> (&'static str, Value) {
    let dice = &client.world.core.dice;
    let data = item(client);
    let key = data["id"].clone();
    let filter = json!({ "color": data["color"], "size": { "$lt": 3 } });
    match dice.below(10) {
        0 | 1 => ("store.insert", json!({ "bucket": "items", "data": data })),
        2 | 3 => ("store.upsert", json!({ "bucket": "items", "data": data })),
        4 => {
            let new = json!({ "color": data["color"] });
            ("store.update", json!({ "bucket": "items", "key": key, "data": new }))
        }
        5 => {
            let new = json!({ "size": data["size"], "tags": data["tags"] });
            ("store.replace", json!({ "bucket": "items", "key": key, "data": new }))
        }
        6 => ("store.delete", json!({ "bucket": "items", "key": key })),
        7 => {
            let new = json!({ "size": data["size"] });
            ("store.updateMany", json!({ "bucket": "items", "filter": filter, "data": new }))
        }
        8 => ("store.deleteMany", json!({ "bucket": "items", "filter": filter })),
        _ => {
            let mut other = item(client);
            other["id"] = (16 + dice.below(16)).into();
            ("store.insertMany", json!({ "bucket": "items", "data": [data, other] }))
        }
    }
}
