//! Transfers that keep a sum, and a counter that counts each batch once.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::{ACCOUNTS, Did, World, connect};
use crate::client::{Client, Failure};
use crate::dice::Dice;

pub(super) async fn transfer(world: Arc<World>, mut dice: Dice) {
    let mut client = None;
    while world.goes_on() {
        let Some(mut connected) = (match client.take() {
            Some(client) => Some(client),
            None => connect(&world).await,
        }) else {
            return;
        };
        match transfer_once(&mut connected, &mut dice).await {
            Ok(true) => world.did(Did::Transfers),
            Ok(false) => {
                // In the middle of a transaction: the server rolls it back.
                world.did(Did::Abandoned);
                continue;
            }
            Err(Failure::Gone) => continue,
            Err(failure) if failure.is("CONFLICT") || failure.is("TRANSACTION_EXPIRED") => {
                world.did(Did::Conflicts);
            }
            Err(failure) => world.complain(format!("a transfer: {failure:?}")),
        }
        client = Some(connected);
    }
}

/// Whether it was carried through.
async fn transfer_once(client: &mut Client, dice: &mut Dice) -> Result<bool, Failure> {
    let isolation = ["serializable", "snapshot"][dice.below(2) as usize];
    let begun = client.ask("store.begin", json!({ "isolation": isolation })).await?;
    let tx = &begun["transaction"];
    let done = within(client, tx, dice).await;
    if matches!(&done, Err(Failure::Refused { .. })) {
        let _expired = client.ask("store.rollback", json!({ "transaction": tx })).await;
    }
    done
}

async fn within(client: &mut Client, tx: &Value, dice: &mut Dice) -> Result<bool, Failure> {
    let from = dice.below(ACCOUNTS);
    let to = (from + 1 + dice.below(ACCOUNTS - 1)) % ACCOUNTS;
    let account = |id: u64| json!({ "bucket": "accounts", "key": id, "transaction": tx });
    let balance = async |client: &mut Client, id| -> Result<u64, Failure> {
        let record = client.ask("store.get", account(id)).await?;
        Ok(record["balance"].as_u64().expect("a balance"))
    };
    let set = async |client: &mut Client, id, balance: u64| {
        let mut update = account(id);
        update["data"] = json!({ "balance": balance });
        client.ask("store.update", update).await
    };
    let (a, b) = (balance(client, from).await?, balance(client, to).await?);
    let amount = dice.below(a.min(50) + 1);
    if dice.one_in(4) {
        let savepoint = json!({ "transaction": tx, "name": "s" });
        client.ask("store.savepoint", savepoint.clone()).await?;
        set(client, from, 0).await?;
        set(client, to, 0).await?;
        client.ask("store.rollbackTo", savepoint).await?;
    }
    set(client, from, a - amount).await?;
    if dice.one_in(50) {
        return Ok(false);
    }
    set(client, to, b + amount).await?;
    if dice.one_in(10) {
        client.ask("store.rollback", json!({ "transaction": tx })).await?;
    } else {
        client.ask("store.commit", json!({ "transaction": tx, "durability": "buffered" })).await?;
    }
    Ok(true)
}

/// Adds one under a key of its own, and asks again under that key whenever the
/// socket died before the answer. The only writer of this record.
pub(super) async fn count(world: Arc<World>, mut dice: Dice) {
    let mut n = 0;
    while world.goes_on() {
        let Some(mut client) = connect(&world).await else { return };
        loop {
            let batch = json!({
                "idempotencyKey": format!("count {n}"),
                "operations": [
                    { "op": "get", "bucket": "counters", "key": 1 },
                    { "op": "update", "bucket": "counters", "key": 1, "data": { "n": n + 1 },
                        "expectedVersion": n + 1 },
                ],
            });
            world.uncertain.store(1, Ordering::Relaxed);
            if dice.one_in(10) {
                // Gone before the answer, which may come or not.
                let _sent = client.post("store.transaction", batch).await;
                world.did(Did::Repeated);
                break;
            }
            match client.ask("store.transaction", batch).await {
                Ok(answer) => {
                    let before = &answer["results"][0]["data"]["n"];
                    if *before != n {
                        world.complain(format!("batch {n} answers {before}"));
                    }
                    n += 1;
                    world.counted.store(n, Ordering::Relaxed);
                    world.uncertain.store(0, Ordering::Relaxed);
                    world.did(Did::Batches);
                }
                Err(Failure::Gone) => break,
                Err(failure) => {
                    world.complain(format!("batch {n}: {failure:?}"));
                    return;
                }
            }
            if !world.goes_on() {
                return;
            }
        }
    }
}
