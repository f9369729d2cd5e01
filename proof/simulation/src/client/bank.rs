//! Transfers between accounts, at every level, by versions, locks and batches.

use serde_json::{Value, json};

use super::{Client, Failure, Open};
use crate::workload::{ACCOUNTS, account};

pub(super) async fn run(client: &mut Client) {
    while client.next_turn().await {
        if client.world.core.dice.chance(25) {
            by_batch(client).await;
        } else {
            by_transaction(client).await;
        }
    }
}

fn two_accounts(client: &Client) -> (Value, Value) {
    let dice = &client.world.core.dice;
    let from = dice.below(ACCOUNTS);
    let to = (from + 1 + dice.below(ACCOUNTS - 1)) % ACCOUNTS;
    (account(from).into(), account(to).into())
}

async fn by_transaction(client: &mut Client) {
    let level = client.any_level();
    let Ok(open) = client.begin(level).await else { return };
    if client.world.core.dice.chance(15) {
        // Another one of the same connection, begun later and ended earlier.
        let level = client.any_level();
        if let Ok(other) = client.begin(level).await {
            settle(client, &other).await;
        }
    }
    settle(client, &open).await;
}

async fn settle(client: &mut Client, open: &Open) {
    match transfer(client, open).await {
        Ok(true) => {}
        Ok(false) | Err(Failure::Refused(_)) => client.give_up(open).await,
        // Whether it was committed does not matter: the sum stands.
        Err(Failure::Lost) => {}
    }
}

async fn transfer(client: &mut Client, open: &Open) -> Result<bool, Failure> {
    let (from, to) = two_accounts(client);
    if client.world.core.dice.chance(25) {
        for key in [&from, &to] {
            let lock = json!({ "bucket": "accounts", "key": key, "waitMs": 0 });
            client.within(open, "store.lock", lock).await?;
        }
    }
    let payer = client.get(open, "accounts", from).await?;
    if client.world.core.dice.chance(20) {
        let wrong = json!({ "balance": -1_000 });
        client.stray(open, "accounts", &payer["id"], wrong).await?;
    }
    let payee = client.get(open, "accounts", to).await?;
    let (Some(has), Some(other)) = (payer["balance"].as_i64(), payee["balance"].as_i64()) else {
        client.violation(format!("bank: accounts read as {payer} and {payee}"));
        return Ok(false);
    };
    let amount = client.world.core.dice.below(20) as i64 + 1;
    if has < amount || client.world.core.dice.chance(5) {
        return Ok(false);
    }
    client.update(open, "accounts", &payer, json!({ "balance": has - amount })).await?;
    client.update(open, "accounts", &payee, json!({ "balance": other + amount })).await?;
    let pause = client.world.core.dice.millis(0, 60);
    if client.world.core.dice.chance(20) {
        client.think(pause).await;
    }
    client.commit(open, None).await?;
    Ok(true)
}

/// Reads outside, then states the versions that were read.
async fn by_batch(client: &mut Client) {
    let (from, to) = two_accounts(client);
    let mut read = Vec::new();
    for key in [from, to] {
        let get = json!({ "bucket": "accounts", "key": key });
        let Ok(record) = client.call("store.get", get).await else { return };
        read.push(record);
    }
    let change = |record: &Value, by: i64| {
        let balance = record["balance"].as_i64().unwrap_or(0) + by;
        json!({ "op": "update", "bucket": "accounts", "key": record["id"],
                "data": { "balance": balance }, "expectedVersion": record["_version"] })
    };
    let level = client.any_level();
    let batch = json!({
        "operations": [change(&read[0], -3), change(&read[1], 3)], "isolation": level
    });
    if client.call("store.transaction", batch).await.is_ok() {
        client.happened("batches committed");
    }
}
