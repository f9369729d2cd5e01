//! A pipeline gives the same documents whatever indexes there are: random
//! records and pipelines over two stores that differ in their indexes alone,
//! over committed rows and with own writes pending.

#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod support;

use serde_json::{Map, Value, json};
use support::{Seeded, Store, commit};
use tandem_base::Code;
use tandem_query::{Pipeline, QueryLimits, explain_pipeline, run_pipeline};
use tandem_transaction::Transaction;

const ROUNDS: u64 = 80;
const PIPELINES: usize = 25;

#[test]
fn g3_a_pipeline_with_indexes_gives_what_it_gives_without() {
    let (from, to) = match std::env::var("SEED") {
        Ok(seed) => (seed.parse().unwrap(), seed.parse::<u64>().unwrap() + 1),
        Err(_) => (0, ROUNDS),
    };
    let mut by_index = 0;
    for seed in from..to {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| round(seed)));
        match result {
            Ok(used) => by_index += used,
            Err(panic) => {
                eprintln!("run again with SEED={seed}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    assert!(to - from < ROUNDS || by_index > 100, "only {by_index} pipelines used an index");
}

fn round(seed: u64) -> usize {
    let random = &mut Seeded::new(seed);
    let kind = *random.pick(&["set", "ordered_set"]);
    let config = |indexes: Value| {
        json!({"key": "id", "etsType": kind, "indexes": indexes,
            "schema": {"id": {}, "a": {}, "k": {"type": "number"}, "l": {}, "s": {}}})
    };
    let indexed = json!(["a", {"fields": ["-k"]}, {"fields": ["k", "s"], "name": "k_s_both"}, {"fields": ["s", "-a"]},
        {"fields": ["l"], "multi": true, "name": "l_multi"},
        {"fields": ["s"], "filter": {"k": {"$gt": 2}}, "name": "s_partial"}]);
    let stores = [Store::with_bucket(&config(indexed)), Store::with_bucket(&config(json!([])))];
    let mut transactions = begin(&stores);
    for _ in 0..60 {
        write(&stores, &mut transactions, random);
    }
    transactions.into_iter().for_each(commit);
    let mut transactions = begin(&stores);
    let mut by_index = 0;
    for turn in 0..PIPELINES {
        if turn == PIPELINES / 2 {
            (0..15).for_each(|_| write(&stores, &mut transactions, random));
        }
        let json = random_pipeline(random);
        let pipeline =
            Pipeline::parse(&json, 7).unwrap_or_else(|error| panic!("{json}: {error:?}"));
        let [with, without] = &mut transactions[..] else { panic!("two transactions") };
        let limits = QueryLimits::default();
        let explained = explain_pipeline(&stores[0].records, with, "b", &pipeline, &limits);
        let found = run_pipeline(&stores[0].records, with, "b", &pipeline, &limits);
        let expected = run_pipeline(&stores[1].records, without, "b", &pipeline, &limits);
        match (found, expected) {
            (Ok(found), Ok(expected)) => {
                let explained = explained.unwrap();
                assert_eq!(texts(&found), texts(&expected), "{json}\n{explained}");
                assert_eq!(explained["rowsReturned"], found.len(), "{json}");
                by_index += usize::from(explained["access"] == "index");
            }
            // An expression may fail on a record, with any plan.
            (Err(found), Err(expected)) => {
                assert_eq!(found.code(), expected.code(), "{json}");
                assert_eq!(found.code(), Code::ValidationError, "{json}: {found:?}");
            }
            (found, expected) => panic!("{json}: {found:?} and {expected:?}"),
        }
    }
    by_index
}

fn begin(stores: &[Store]) -> Vec<Transaction> {
    stores.iter().map(Store::begin).collect()
}

fn texts(documents: &[Value]) -> Vec<String> {
    documents.iter().map(Value::to_string).collect()
}

fn scalar(random: &mut Seeded) -> Value {
    match random.below(8) {
        0 => json!(null),
        1 => json!(random.chance(50)),
        2 => json!(*random.pick(&["x", "xy", "", "y"])),
        3 => json!(*random.pick(&[1.0, 2.5, 3.0])),
        _ => json!(random.below(5)),
    }
}

fn record(random: &mut Seeded) -> Map<String, Value> {
    let mut record = Map::new();
    if random.chance(85) {
        let value = if random.chance(20) {
            json!([scalar(random), scalar(random)])
        } else {
            scalar(random)
        };
        record.insert("a".to_owned(), value);
    }
    if random.chance(85) {
        record.insert("k".to_owned(), json!(random.below(6)));
    }
    if random.chance(70) {
        record.insert("l".to_owned(), (0..random.below(4)).map(|_| scalar(random)).collect());
    }
    if random.chance(80) {
        record.insert("s".to_owned(), json!(*random.pick(&["x", "y", "xy"])));
    }
    record
}

/// The same write to both.
fn write(stores: &[Store], transactions: &mut [Transaction], random: &mut Seeded) {
    let (key, action) = (json!(random.below(40)), random.below(10));
    let mut record = record(random);
    if action > 3 {
        record.insert("id".to_owned(), key.clone());
    }
    for (store, tx) in stores.iter().zip(transactions) {
        let result = match action {
            0 => store.records.delete(tx, "b", &key, None).map(drop),
            1..=3 => store.records.update(tx, "b", &key, &record, None).map(drop),
            _ => store.records.insert(tx, "b", record.clone()).map(drop),
        };
        if let Err(error) = result {
            assert!([Code::AlreadyExists, Code::NotFound].contains(&error.code()), "{error:?}");
        }
    }
}

fn filter(random: &mut Seeded) -> Value {
    match random.below(9) {
        0 => json!({"a": scalar(random)}),
        1 => json!({"k": {"$gt": random.below(5)}}),
        2 => json!({"k": random.below(6), "s": "x"}),
        3 => json!({"l": scalar(random)}),
        4 => json!({"s": {"$in": ["x", "y"]}, "k": {"$gt": 3}}),
        5 => json!({"a": {"$gte": 1, "$lt": 4}}),
        6 => json!({"$expr": {"$gt": ["$k", {"$ifNull": ["$a", 1]}]}, "k": {"$lte": 4}}),
        7 => json!({"$or": [{"k": 1}, {"s": "xy"}]}),
        _ => json!({"id": {"$lt": random.below(40)}}),
    }
}

fn sort(random: &mut Seeded) -> Value {
    let direction = |random: &mut Seeded| if random.chance(50) { 1 } else { -1 };
    let first = direction(random);
    match random.below(4) {
        0 => json!({"k": first}),
        1 => json!({"k": first, "s": direction(random)}),
        2 => json!({"s": first, "a": direction(random)}),
        _ => json!({"a": first}),
    }
}

fn stage(random: &mut Seeded) -> Value {
    let field =
        |random: &mut Seeded| json!(*random.pick(&["$a", "$k", "$l", "$s", "$id", "$nothing"]));
    match random.below(12) {
        0 => json!({"$match": filter(random)}),
        1 => json!({"$sort": sort(random)}),
        2 => json!({"$limit": 1 + random.below(10)}),
        3 => json!({"$skip": random.below(5)}),
        4 => json!({"$project": {"k": 1, "x": field(random), "s": 1}}),
        5 => json!({"$addFields": {"k": {"$ifNull": ["$k", 0]}, "o.p": field(random)}}),
        6 => json!({"$group": {"_id": field(random), "n": {"$sum": "$k"}, "m": {"$max": "$a"},
            "set": {"$addToSet": "$a"}, "avg": {"$avg": "$a"}}}),
        7 => {
            json!({"$group": {"_id": field(random), "all": {"$push": "$id"}, "first": {"$first": "$a"}}})
        }
        8 => json!({"$unwind": {"path": "$l", "preserveNullAndEmptyArrays": random.chance(50)}}),
        9 => json!({"$sortByCount": field(random)}),
        10 => {
            json!({"$lookup": {"from": "b", "localField": "k", "foreignField": *random.pick(&["k", "l", "a"]),
            "pipeline": [{"$match": {"k": {"$gt": 1}}}, {"$project": {"id": 1}}], "as": "found"}})
        }
        _ => {
            json!({"$facet": {"top": [{"$sort": sort(random)}, {"$limit": 3}], "n": [{"$count": "n"}]}})
        }
    }
}

/// A few stages, the first of which a read can often do.
fn random_pipeline(random: &mut Seeded) -> Value {
    let mut stages = Vec::new();
    if random.chance(80) {
        stages.push(json!({"$match": filter(random)}));
    }
    if random.chance(40) {
        stages.push(json!({"$sort": sort(random)}));
    }
    if random.chance(30) {
        stages.push(json!({"$limit": 1 + random.below(8)}));
    }
    for _ in 0..random.below(4) {
        stages.push(stage(random));
    }
    // Times are the two stores' own.
    stages.push(json!({"$unset": ["_createdAt", "_updatedAt"]}));
    Value::Array(stages)
}
