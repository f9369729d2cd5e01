//! Seats that only one may hold: a unique index as a lock service.
//!
//! Whoever is told that a seat is theirs holds it until they begin to give it
//! back. A claim without an answer is repeated under its idempotency key until
//! there is one.

use serde_json::json;

use super::Client;
use crate::workload::SEATS;

pub(super) async fn run(client: &mut Client) {
    while client.next_turn().await {
        let seat = client.world.core.dice.below(SEATS) as u64;
        let claim = client.fresh_key();
        if claim_seat(client, seat, &claim).await {
            let outcome = client.world.core.tally().claimed(seat, &claim);
            client.check(outcome);
            client.happened("seats claimed");
            let time = client.world.core.dice.millis(0, 400);
            client.think(time).await;
            if client.world.core.dice.chance(90) {
                give_back(client, seat, &claim).await;
            }
        }
    }
}

async fn claim_seat(client: &mut Client, seat: u64, claim: &str) -> bool {
    let holder = client.number;
    let insert = json!({ "op": "insert", "bucket": "claims",
                         "data": { "id": claim, "seat": seat, "holder": holder } });
    let level = client.any_level();
    let batch = json!({
        "operations": [insert], "idempotencyKey": format!("claim {claim}"), "isolation": level
    });
    client.insist("store.transaction", &batch).await.is_ok()
}

async fn give_back(client: &mut Client, seat: u64, claim: &str) {
    client.world.core.tally().gives_back(seat);
    let delete = json!({ "bucket": "claims", "key": claim });
    while let Err(refusal) = client.insist("store.delete", &delete).await {
        client.world.core.event("again", 0, refusal.code.as_bytes());
    }
}
