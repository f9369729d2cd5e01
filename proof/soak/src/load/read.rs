//! Reads of every kind, checked against each other.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{ACCOUNTS, BALANCE, Did, World, connect};
use crate::client::{Client, Failure};
use crate::dice::Dice;

pub(super) async fn read(world: Arc<World>, mut dice: Dice) {
    while let Some(mut client) = connect(&world).await {
        while world.goes_on() {
            match read_once(&mut client, &mut dice).await {
                Ok(None) => world.did(Did::Reads),
                Ok(Some(complaint)) => world.complain(complaint),
                Err(Failure::Gone) => break,
                Err(failure) => world.complain(format!("a read: {failure:?}")),
            }
        }
    }
}

/// What is wrong with the answer, if anything.
async fn read_once(client: &mut Client, dice: &mut Dice) -> Result<Option<String>, Failure> {
    let bucket = |mut fields: Value| {
        fields["bucket"] = "items".into();
        fields
    };
    Ok(match dice.below(6) {
        0 => {
            let fields = json!({ "bucket": "accounts", "field": "balance" });
            let sum = client.ask("store.sum", fields).await?;
            (sum != json!(ACCOUNTS * BALANCE)).then(|| format!("in between the bank has {sum}"))
        }
        1 => {
            let fields = bucket(json!({ "sort": "-n", "limit": 50, "fields": ["n"] }));
            let records = client.ask("store.all", fields).await?;
            let numbers: Vec<u64> = records
                .as_array()
                .expect("records")
                .iter()
                .filter_map(|record| record["n"].as_u64())
                .collect();
            (!numbers.is_sorted_by(|a, b| a >= b)).then(|| format!("not sorted: {numbers:?}"))
        }
        2 => {
            let group = dice.below(20);
            let filter = json!({ "group": group });
            let records =
                client.ask("store.where", bucket(json!({ "filter": filter, "limit": 30 }))).await?;
            let wrong = records.as_array().expect("records").iter().find(|r| r["group"] != group);
            wrong.map(|record| format!("{record} in group {group}"))
        }
        3 => {
            let mut after = Value::Null;
            for _ in 0..3 {
                let mut fields = bucket(json!({ "limit": 20, "fields": ["id"] }));
                if !after.is_null() {
                    fields["after"] = after;
                }
                let mut page = client.ask("store.paginate", fields).await?;
                after = page["nextCursor"].take();
                if after.is_null() {
                    break;
                }
            }
            None
        }
        4 => {
            client
                .ask(
                    "store.groupBy",
                    bucket(json!({ "field": "group", "aggregate": { "function": "count" } })),
                )
                .await?;
            None
        }
        _ => {
            client
                .ask(
                    "store.count",
                    bucket(json!({ "filter": { "n": { "$gt": dice.below(1_000) } } })),
                )
                .await?;
            None
        }
    })
}
