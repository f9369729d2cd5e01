//! The data that the clients work on, and what must be true of it at every
//! revision.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::history::{State, ToldChange, records_of};

pub(crate) const ACCOUNTS: usize = 6;
pub(crate) const BALANCE: i64 = 100;
pub(crate) const NODES: usize = 6;
pub(crate) const SEATS: usize = 4;
pub(crate) const COUNTERS: usize = 3;
pub(crate) const COLORS: [&str; 4] = ["red", "green", "blue", "grey"];
/// How long a session lives, in milliseconds.
pub(crate) const SESSION_MS: u64 = 1_500;

/// The buckets, by name and config.
pub(crate) fn buckets() -> Vec<(&'static str, Value)> {
    let unique = |field: &str| json!([{ "name": field, "fields": [field], "unique": true }]);
    vec![
        ("accounts", bucket(&["id", "balance"], json!(["balance"]))),
        ("ring", bucket(&["id", "next"], unique("next"))),
        ("claims", bucket(&["id", "seat", "holder"], unique("seat"))),
        ("counters", bucket(&["id", "count"], json!([]))),
        (
            "items",
            bucket(
                &["id", "color", "size", "tags"],
                json!([
                    "color",
                    { "name": "size_color", "fields": ["size", "-color"] },
                    { "name": "tags", "fields": ["tags"], "multi": true },
                    { "name": "large", "fields": ["color"], "filter": { "size": { "$gte": 5 } } },
                ]),
            ),
        ),
        ("sessions", {
            let mut sessions = bucket(&["id", "user", "seen"], json!(["user"]));
            sessions["ttl"] = SESSION_MS.into();
            sessions
        }),
    ]
}

/// A bucket's config, with fields of any type.
pub(crate) fn bucket(fields: &[&str], indexes: Value) -> Value {
    let schema: Map<String, Value> =
        fields.iter().map(|field| ((*field).to_owned(), json!({}))).collect();
    json!({ "key": "id", "schema": schema, "indexes": indexes })
}

/// The stored queries, by name and config.
pub(crate) fn queries() -> Vec<(&'static str, Value)> {
    vec![
        (
            "rich",
            json!({ "bucket": "accounts", "sort": "id", "filter": { "balance": { "$gte": BALANCE } } }),
        ),
        ("everything", json!({ "bucket": "items", "sort": "id" })),
        ("reds", json!({ "bucket": "items", "sort": "id", "filter": { "color": "red" } })),
        (
            "richest",
            json!({ "bucket": "accounts", "sort": ["-balance", "id"], "limit": 2, "offset": 1,
                "fields": ["id", "balance"] }),
        ),
        (
            "colors",
            json!({ "bucket": "items", "filter": { "size": { "$gte": 3 } },
                "aggregate": { "function": "sum", "field": "size", "groupBy": "color" } }),
        ),
        (
            "increments",
            json!({ "bucket": "counters", "aggregate": { "function": "sum", "field": "count" } }),
        ),
    ]
}

/// What a stored query answers of these records, which are in the order of
/// their ids. Groups come in no particular order.
pub(crate) fn query_answer(query: &str, records: Vec<Value>) -> Value {
    match query {
        "richest" => {
            let mut records = records;
            records.sort_by_key(|record| std::cmp::Reverse(record["balance"].as_i64()));
            let shown =
                |record: &Value| json!({ "id": record["id"], "balance": record["balance"] });
            records.iter().skip(1).take(2).map(shown).collect()
        }
        "colors" => {
            let mut sums = std::collections::BTreeMap::<String, (Value, i64)>::new();
            for record in records.iter().filter(|record| record["size"].as_i64() >= Some(3)) {
                let color = &record["color"];
                let sum = &mut sums.entry(color.to_string()).or_insert((color.clone(), 0)).1;
                *sum += record["size"].as_i64().unwrap_or_default();
            }
            let group = |(color, sum)| json!({ "key": { "color": color }, "value": sum });
            sums.into_values().map(group).collect()
        }
        "increments" => {
            records.iter().filter_map(|record| record["count"].as_i64()).sum::<i64>().into()
        }
        _ => records.into_iter().filter(|record| query_matches(query, record)).collect(),
    }
}

/// A result as [`query_answer`] gives it.
pub(crate) fn query_normalised(query: &str, mut result: Value) -> Value {
    if query == "colors"
        && let Some(groups) = result.as_array_mut()
    {
        groups.sort_by_key(|group| group["key"]["color"].to_string());
    }
    result
}

/// Whether a stored query holds a record.
pub(crate) fn query_matches(query: &str, record: &Value) -> bool {
    match query {
        "rich" => record["balance"].as_i64().is_some_and(|balance| balance >= BALANCE),
        "reds" => record["color"] == "red",
        _ => true,
    }
}

/// The records that are there from the start, one list per bucket.
pub(crate) fn first_records() -> Vec<(&'static str, Value)> {
    let accounts: Value =
        (0..ACCOUNTS).map(|n| json!({ "id": account(n), "balance": BALANCE })).collect();
    let ring: Value = (0..NODES).map(|n| json!({ "id": n, "next": (n + 1) % NODES })).collect();
    let counters: Value = (0..COUNTERS).map(|n| json!({ "id": n, "count": 0 })).collect();
    vec![("accounts", accounts), ("ring", ring), ("counters", counters)]
}

pub(crate) fn account(number: usize) -> String {
    format!("account-{number}")
}

/// What must be true at every revision that changed these records.
pub(crate) fn check_state(state: &State, changes: &[ToldChange]) -> Result<(), String> {
    let buckets: BTreeSet<&Arc<str>> = changes.iter().map(|change| &change.bucket).collect();
    for bucket in buckets {
        let records = records_of(state, bucket);
        let records: Vec<&Value> = records.values().map(|record| &**record).collect();
        check_records(bucket, &records)?;
    }
    Ok(())
}

/// What must be true of all records of a bucket in any snapshot.
pub(crate) fn check_records(bucket: &str, records: &[&Value]) -> Result<(), String> {
    match bucket {
        "accounts" => check_bank(records),
        "ring" => check_ring(records),
        "claims" => check_seats(records),
        _ => Ok(()),
    }
}

fn check_bank(records: &[&Value]) -> Result<(), String> {
    let sum: i64 = records.iter().filter_map(|account| account["balance"].as_i64()).sum();
    let expected = BALANCE * ACCOUNTS as i64;
    if (records.len(), sum) == (ACCOUNTS, expected) {
        return Ok(());
    }
    Err(format!("bank: {} accounts hold {sum}, not {expected}", records.len()))
}

fn check_ring(records: &[&Value]) -> Result<(), String> {
    let mut nexts: Vec<_> = records.iter().filter_map(|node| node["next"].as_u64()).collect();
    nexts.sort_unstable();
    let all: Vec<u64> = (0..NODES as u64).collect();
    if nexts == all && ring_length(records) == NODES {
        return Ok(());
    }
    Err("ring: it is no longer one ring".into())
}

/// Steps from node 0 back to it.
fn ring_length(records: &[&Value]) -> usize {
    let (mut at, mut length) = (0, 0);
    loop {
        let node = records.iter().find(|node| node["id"].as_u64() == Some(at));
        at = node.and_then(|node| node["next"].as_u64()).unwrap_or(0);
        length += 1;
        if at == 0 || length > NODES {
            return length;
        }
    }
}

fn check_seats(records: &[&Value]) -> Result<(), String> {
    let mut seats = BTreeSet::new();
    for claim in records {
        if !seats.insert(claim["seat"].to_string()) {
            return Err(format!("G5: seat {} is claimed twice", claim["seat"]));
        }
    }
    Ok(())
}

/// Whether a record may have been removed at that time.
pub(crate) fn check_removal(
    change: &ToldChange,
    before: &Value,
    timestamp: u64,
) -> Result<(), String> {
    // Nobody deletes sessions but their time to live.
    if &*change.bucket == "sessions"
        && before["_expiresAt"].as_u64().is_none_or(|end| end > timestamp)
    {
        return Err(format!("ttl: a session was removed at {timestamp}, before its end"));
    }
    Ok(())
}
