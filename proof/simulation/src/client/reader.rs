//! Snapshots: what is read in one must be what was committed, through indexes
//! and without, now and a while later.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{Client, Failure, Open};
use crate::workload::{self, COLORS};

const BUCKETS: [&str; 5] = ["accounts", "ring", "claims", "counters", "items"];

pub(super) async fn run(client: &mut Client) {
    while client.next_turn().await {
        let level = client.any_level();
        let Ok(open) = client.begin_read(level).await else { continue };
        match read(client, &open).await {
            Ok(()) | Err(Failure::Lost) => {}
            Err(Failure::Refused(_)) => client.give_up(&open).await,
        }
    }
}

async fn read(client: &mut Client, open: &Open) -> Result<(), Failure> {
    for _ in 0..client.world.core.dice.between(1, 3) {
        let bucket = *client.world.core.dice.pick(&BUCKETS);
        let records = snapshot(client, open, bucket).await?;
        if bucket == "items" {
            indexes(client, open, &records).await?;
        }
        let pause = client.world.core.dice.millis(0, 120);
        client.think(pause).await;
    }
    let answer = client.within(open, "store.commit", json!({})).await;
    if let Err(Failure::Refused(refusal)) = &answer
        && refusal.code == "CONFLICT"
    {
        client.violation("G4: a read-only transaction met a conflict");
    }
    client.happened("snapshots read");
    answer.map(|_| ())
}

/// Reads a whole bucket and compares it with the history.
pub(crate) async fn snapshot(
    client: &mut Client,
    open: &Open,
    bucket: &'static str,
) -> Result<Vec<Value>, Failure> {
    let before = client.world.core.history().newest();
    let answer = client.within(open, "store.all", json!({ "bucket": bucket })).await?;
    let Value::Array(records) = answer else {
        client.violation(format!("store.all answered {answer}"));
        return Ok(Vec::new());
    };
    let read: BTreeMap<String, Arc<Value>> =
        records.iter().map(|record| (record["id"].to_string(), Arc::new(record.clone()))).collect();
    let core = client.world.core.clone();
    let history = core.history();
    let right = if open.level == "read committed" {
        let later = history.after(before).map(|(revision, _)| revision);
        let mut revisions = std::iter::once(before.max(open.revision)).chain(later);
        revisions.any(|revision| history.bucket_at(bucket, revision) == read)
    } else {
        history.bucket_at(bucket, open.revision) == read
    };
    if !right {
        client.violation(format!(
            "G4: {} at revision {} ({}) read as {read:?}, which is not what was committed",
            bucket, open.revision, open.level
        ));
    }
    drop(history);
    let all: Vec<&Value> = records.iter().collect();
    client.check(workload::check_records(bucket, &all));
    Ok(records)
}

/// The same answers with an index as by looking at every record.
async fn indexes(client: &mut Client, open: &Open, all: &[Value]) -> Result<(), Failure> {
    // Under read committed two reads may see two revisions.
    if open.level == "read committed" {
        return Ok(());
    }
    let color = *client.world.core.dice.pick(&COLORS);
    let size = client.world.core.dice.below(10) as u64;
    type Matches = Box<dyn Fn(&Value) -> bool>;
    let large = move |item: &Value| item["size"].as_u64().is_some_and(|other| other >= size);
    let queries: [(Value, Matches); 4] = [
        (json!({ "color": color }), Box::new(move |item| item["color"] == color)),
        (json!({ "size": { "$gte": size } }), Box::new(large)),
        (
            json!({ "size": size, "color": { "$gt": color } }),
            Box::new(move |item| {
                item["size"].as_u64() == Some(size)
                    && item["color"].as_str().is_some_and(|other| other > color)
            }),
        ),
        (
            json!({ "color": color, "size": { "$gte": 5 } }),
            Box::new(move |item| {
                item["color"] == color && item["size"].as_u64().is_some_and(|size| size >= 5)
            }),
        ),
    ];
    for (filter, matches) in queries {
        let fields = json!({ "bucket": "items", "filter": filter });
        let found = client.within(open, "store.where", fields).await?;
        let found = by_key(found.as_array().map(Vec::as_slice).unwrap_or_default());
        let expected: Vec<Value> = all.iter().filter(|item| matches(item)).cloned().collect();
        if found != by_key(&expected) {
            client.violation(format!(
                "G3: {filter} at revision {} found {found:?}, the records say {expected:?}",
                open.revision
            ));
        }
    }
    Ok(())
}

fn by_key(records: &[Value]) -> BTreeMap<String, &Value> {
    records.iter().map(|record| (record["id"].to_string(), record)).collect()
}
