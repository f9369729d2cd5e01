//! Reads of every kind, checked against each other.

use std::sync::Arc;

use serde_json::json;

use tandem_client::{Client, Result};

use super::{ACCOUNTS, BALANCE, Did, World, application};
use crate::client::{in_time, is_lost};
use crate::dice::Dice;

pub(super) async fn read(world: Arc<World>, mut dice: Dice) {
    let Some(client) = application(&world).await else { return };
    while world.goes_on() {
        match in_time(read_once(&client, &mut dice)).await {
            Ok(None) => world.did(Did::Reads),
            Ok(Some(complaint)) => world.complain(complaint),
            Err(error) if is_lost(&error) => {}
            Err(error) => world.complain(format!("a read: {error:?}")),
        }
    }
}

/// What is wrong with the answer, if anything.
async fn read_once(client: &Client, dice: &mut Dice) -> Result<Option<String>> {
    let items = client.bucket("items");
    Ok(match dice.below(6) {
        0 => {
            let sum = client.bucket("accounts").sum("balance", json!({})).await?;
            (sum != json!(ACCOUNTS * BALANCE)).then(|| format!("in between the bank has {sum}"))
        }
        1 => {
            let found = items.find(json!({})).sort(&["-n"]).limit(50).fields(&["n"]);
            let records = found.records().await?;
            let numbers: Vec<u64> =
                records.iter().filter_map(|record| record["n"].as_u64()).collect();
            (!numbers.is_sorted_by(|a, b| a >= b)).then(|| format!("not sorted: {numbers:?}"))
        }
        2 => {
            let group = dice.below(20);
            let records = items.find(json!({ "group": group })).limit(30).records().await?;
            let wrong = records.iter().find(|record| record["group"] != group);
            wrong.map(|record| format!("{record} in group {group}"))
        }
        3 => {
            let mut after = None;
            for _ in 0..3 {
                let page = items.find(json!({})).fields(&["id"]).page(20, after.as_ref()).await?;
                after = page.next_cursor;
                if after.is_none() {
                    break;
                }
            }
            None
        }
        4 => {
            items.group_by(&["group"], json!({ "function": "count" }), json!({})).await?;
            None
        }
        _ => {
            items.find(json!({ "n": { "$gt": dice.below(1_000) } })).count().await?;
            None
        }
    })
}
