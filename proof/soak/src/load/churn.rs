//! Records that come and go, and the indexes over them.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Did, World, application};
use crate::client::{in_time, is_lost};
use crate::dice::Dice;

/// Keys that are written again and again.
const KEYS: u64 = 2_000;

pub(super) async fn churn(world: Arc<World>, mut dice: Dice) {
    let Some(client) = application(&world).await else { return };
    while world.goes_on() {
        let (kind, fields) = write(&mut dice);
        match in_time(client.request(kind, fields)).await {
            Ok(_) => world.did(Did::Churned),
            Err(error) if is_lost(&error) => {}
            // The other churner was faster.
            Err(error) if ["NOT_FOUND", "ALREADY_EXISTS", "CONFLICT"].contains(&error.code()) => {}
            Err(error) => world.complain(format!("{kind}: {error:?}")),
        }
    }
}

fn record(dice: &mut Dice) -> Value {
    let size = if dice.one_in(10) { 20_000 } else { 50 + dice.below(500) };
    let text = "x".repeat(usize::try_from(size).unwrap_or_default());
    json!({ "id": dice.below(KEYS), "group": dice.below(20), "n": dice.below(1_000), "text": text })
}

fn write(dice: &mut Dice) -> (&'static str, Value) {
    let key = dice.below(KEYS);
    match dice.below(10) {
        0 => {
            let operations: Vec<Value> = (0..5)
                .map(|_| json!({ "op": "delete", "bucket": "items", "key": dice.below(KEYS) }))
                .collect();
            ("store.transaction", json!({ "operations": operations, "durability": "buffered" }))
        }
        1 => {
            let filter = json!({ "n": { "$lt": dice.below(20) } });
            ("store.deleteMany", json!({ "bucket": "items", "filter": filter }))
        }
        2 => {
            let filter = json!({ "group": dice.below(20), "n": { "$gt": 900 } });
            let data = json!({ "n": dice.below(1_000) });
            ("store.updateMany", json!({ "bucket": "items", "filter": filter, "data": data }))
        }
        3 => ("store.insert", json!({ "bucket": "items", "data": record(dice) })),
        4 => ("store.delete", json!({ "bucket": "items", "key": key })),
        _ => ("store.upsert", json!({ "bucket": "items", "data": record(dice) })),
    }
}

/// Leaves records that expire.
pub(super) async fn visit(world: Arc<World>, mut dice: Dice) {
    let Some(client) = application(&world).await else { return };
    while world.goes_on() {
        let visit = json!({ "page": dice.below(100) });
        match in_time(client.bucket("sessions").insert(visit)).await {
            Ok(_) => world.did(Did::Visits),
            Err(error) if is_lost(&error) => {}
            Err(error) => world.complain(format!("a visit: {error:?}")),
        }
    }
}

/// Builds indexes online under all this, reads through them, drops them.
pub(super) async fn build(world: Arc<World>) {
    let Some(client) = application(&world).await else { return };
    while world.goes_on() {
        let index = json!({ "name": "by_n", "fields": ["n", "-group"] });
        let steps = [
            ("store.createIndex", json!({ "bucket": "items", "index": index })),
            ("store.where", json!({ "bucket": "items", "filter": { "n": 5 }, "sort": "group" })),
            ("store.dropIndex", json!({ "bucket": "items", "name": "by_n" })),
        ];
        for (kind, fields) in steps {
            match in_time(client.request(kind, fields)).await {
                Ok(_) => {}
                // What has become of it shows with the next.
                Err(error) if is_lost(&error) => break,
                Err(error) if ["ALREADY_EXISTS", "NOT_FOUND"].contains(&error.code()) => {}
                Err(error) => world.complain(format!("{kind}: {error:?}")),
            }
        }
        world.did(Did::Indexes);
    }
}
