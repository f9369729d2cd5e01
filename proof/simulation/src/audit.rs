//! The last questions, asked over the wire when all work is done and nothing is
//! broken any more.

use std::rc::Rc;

use serde_json::{Value, json};
use tokio::time::{Duration, sleep};

use crate::client::{Client, Failure, Open};
use crate::workload::{ACCOUNTS, COUNTERS, NODES, account};
use crate::world::World;

/// Who audits is no client of the workload.
const AUDITOR: u64 = 0;

pub(crate) async fn audit(world: &Rc<World>) {
    let mut client = Client::new(world.clone(), AUDITOR);
    counters(&mut client).await;
    claims(&mut client).await;
    sessions(&mut client).await;
    indexes(&mut client).await;
    locks(&mut client).await;
    statistics(&mut client).await;
    world.audit_store();
}

async fn ask(client: &mut Client, kind: &str, fields: Value) -> Value {
    match client.insist(kind, &fields).await {
        Ok(answer) => answer,
        Err(refusal) => {
            client.violation(format!("audit: {kind} answered {}", refusal.frame));
            Value::Null
        }
    }
}

async fn counters(client: &mut Client) {
    for counter in 0..COUNTERS as u64 {
        let record =
            ask(client, "store.get", json!({ "bucket": "counters", "key": counter })).await;
        let acknowledged = client.world.core.tally().count_of(counter);
        if record["count"].as_u64() != Some(acknowledged) {
            client.violation(format!(
                "G2: counter {counter} stands at {}, but {acknowledged} increments were \
                 acknowledged",
                record["count"]
            ));
        }
    }
}

async fn claims(client: &mut Client) {
    let holders: Vec<(u64, String)> = {
        let core = client.world.core.clone();
        let tally = core.tally();
        tally.holders().map(|(seat, claim)| (seat, claim.to_owned())).collect()
    };
    for (seat, claim) in holders {
        let record = ask(client, "store.get", json!({ "bucket": "claims", "key": claim })).await;
        if record["seat"].as_u64() != Some(seat) {
            client.violation(format!("G2: seat {seat} was given to {claim}, there is {record}"));
        }
    }
}

async fn sessions(client: &mut Client) {
    let left = ask(client, "store.all", json!({ "bucket": "sessions" })).await;
    if left.as_array().is_none_or(|left| !left.is_empty()) {
        client.violation(format!("ttl: long after their time there are {left}"));
    }
}

/// Every build comes to its end.
async fn indexes(client: &mut Client) {
    for _ in 0..200 {
        let list = ask(client, "store.indexes", json!({ "bucket": "items" })).await;
        let ready = |index: &Value| index["state"] == "ready";
        if list.as_array().is_some_and(|list| list.iter().all(ready)) {
            return;
        }
        sleep(Duration::from_millis(250)).await;
    }
    client.violation("an index build does not come to its end");
}

/// No lock is left: everything can be locked at once.
async fn locks(client: &mut Client) {
    let mut keys: Vec<(&str, Value)> =
        (0..ACCOUNTS).map(|number| ("accounts", account(number).into())).collect();
    keys.extend((0..COUNTERS).map(|number| ("counters", number.into())));
    keys.extend((0..NODES).map(|number| ("ring", number.into())));
    if let Err(failure) = lock_all(client, keys).await {
        client.violation(format!("G9: a lock is left: {failure:?}"));
    }
}

async fn lock_all(client: &mut Client, keys: Vec<(&str, Value)>) -> Result<(), Failure> {
    let open: Open = client.begin("serializable").await?;
    for (bucket, key) in keys {
        let lock = json!({ "bucket": bucket, "key": key, "waitMs": 0 });
        client.within(&open, "store.lock", lock).await?;
    }
    client.within(&open, "store.rollback", json!({})).await.map(|_| ())
}

async fn statistics(client: &mut Client) {
    let statistics = ask(client, "server.stats", json!({})).await;
    let figures = (
        &statistics["connectionCount"],
        &statistics["connections"]["totalStoreSubscriptions"],
        &statistics["transactions"]["open"],
    );
    // The auditor itself is connected.
    if figures != (&json!(1), &json!(0), &json!(0)) {
        client.violation(format!("G9: when all are gone, server.stats is {statistics}"));
    }
}
