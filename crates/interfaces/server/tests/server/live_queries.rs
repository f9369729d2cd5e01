//! Live queries: kept up with the commits, shared by their subscribers, and
//! untouched by commits that cannot concern them.

use std::collections::BTreeMap;

use crate::support::{Client, items, listening, serve_json};
use serde_json::{Value, json};
use tandem::{Limits, Store};
use tandem_server::{Config, RunningServer, Server, SubscriptionStatistics};

async fn insert(client: &mut Client, bucket: &str, data: Value) {
    client.ok("store.insert", json!({ "bucket": bucket, "data": data })).await;
}

/// Counters since `before`.
fn since(server: &RunningServer, before: SubscriptionStatistics) -> [u64; 4] {
    let now = server.subscription_statistics();
    [
        now.filters_tested - before.filters_tested,
        now.changes_applied - before.changes_applied,
        now.queries_run - before.queries_run,
        now.results_encoded - before.results_encoded,
    ]
}

async fn demo(connection_limits: Value) -> (RunningServer, Client) {
    let server = serve_json(json!({ "connectionLimits": connection_limits, "store": {
        "buckets": { "items": items(), "other": items() },
        "queries": {
            "of-group": { "bucket": "items", "filter": { "group": "{{ params.group }}" },
                "fields": ["id"] },
            "one": { "bucket": "items", "filter": { "id": "{{ params.id }}" } },
            "large": { "bucket": "items", "filter": { "n": { "$gte": 100 } }, "fields": ["id"] },
            "top": { "bucket": "items", "sort": { "n": "desc" }, "limit": 2, "fields": ["id"] },
            "sum": { "bucket": "items", "aggregate": { "function": "sum", "field": "n" } },
            "all": { "bucket": "items" },
        },
    } }))
    .await;
    let client = Client::connect(&server).await;
    (server, client)
}

async fn subscribe(client: &mut Client, query: &str, params: Value) -> Value {
    client.ok("store.subscribe", json!({ "query": query, "params": params })).await
}

#[tokio::test]
async fn a_commit_that_cannot_concern_a_query_costs_it_nothing() {
    let (server, mut client) = demo(json!({})).await;
    let mut writer = Client::connect(&server).await;
    for group in 0..20 {
        subscribe(&mut client, "of-group", json!({ "group": group })).await;
        subscribe(&mut client, "one", json!({ "id": group })).await;
    }
    let before = server.subscription_statistics();
    assert_eq!((before.queries_run, before.filters_tested), (40, 0));
    insert(&mut writer, "other", json!({ "id": 1, "group": 3 })).await;
    insert(&mut writer, "items", json!({ "id": 77, "group": 77 })).await;
    insert(&mut writer, "items", json!({ "id": 78 })).await;
    client.ok("store.buckets", json!({})).await;
    assert_eq!(since(&server, before), [0; 4], "another bucket, other values, no value");
    insert(&mut writer, "items", json!({ "id": 79, "group": 3 })).await;
    assert_eq!(client.push().await["data"], json!([{ "id": 79 }]));
    assert_eq!(since(&server, before), [1, 1, 0, 1], "one of the forty");
    // From one group to another: both are told.
    let moved = json!({ "bucket": "items", "key": 79, "data": { "group": 4 } });
    writer.ok("store.update", moved).await;
    assert_eq!(client.push().await["data"], json!([]));
    assert_eq!(client.push().await["data"], json!([{ "id": 79 }]));
    assert_eq!(since(&server, before), [3, 3, 0, 3]);
    client.ok("store.buckets", json!({})).await;
    assert_eq!(client.kept_pushes(), 0);
}

#[tokio::test]
async fn a_filter_that_matches_neither_before_nor_after_ends_the_matter() {
    let (server, mut client) = demo(json!({})).await;
    subscribe(&mut client, "large", json!(null)).await;
    let before = server.subscription_statistics();
    for n in 0..10 {
        insert(&mut client, "items", json!({ "id": n, "n": n })).await;
    }
    assert_eq!(since(&server, before), [10, 0, 0, 0], "tested, and no more");
    insert(&mut client, "items", json!({ "id": 10, "n": 100 })).await;
    assert_eq!(client.push().await["data"], json!([{ "id": 10 }]));
    assert_eq!(since(&server, before), [11, 1, 0, 1]);
}

#[tokio::test]
async fn identical_queries_are_computed_once_for_all_their_subscribers() {
    let (server, mut client) = demo(json!({})).await;
    let mut others = Vec::new();
    for _ in 0..5 {
        let mut other = Client::connect(&server).await;
        for _ in 0..4 {
            subscribe(&mut other, "of-group", json!({ "group": "a" })).await;
        }
        others.push(other);
    }
    // Parameters that the query does not name make no other query.
    subscribe(&mut others[0], "of-group", json!({ "unused": 1, "group": "a" })).await;
    subscribe(&mut others[0], "of-group", json!({ "group": "b" })).await;
    let before = server.subscription_statistics();
    assert_eq!((before.queries_run, before.queries_shared), (2, 20));
    insert(&mut client, "items", json!({ "id": 1, "group": "a" })).await;
    for (index, other) in others.iter_mut().enumerate() {
        for _ in 0..4 + usize::from(index == 0) {
            assert_eq!(other.push().await["data"], json!([{ "id": 1 }]));
        }
    }
    assert_eq!(since(&server, before), [1, 1, 0, 1], "once for twenty-one");
    assert_eq!(server.subscription_statistics().pushes - before.pushes, 21);
    // The last one to leave takes the query along.
    drop(others);
    while client.ok("server.stats", json!({})).await["connectionCount"] != 1 {}
    assert_eq!(server.subscription_statistics().kept_bytes, 0);
    let before = server.subscription_statistics();
    insert(&mut client, "items", json!({ "id": 2, "group": "a" })).await;
    client.ok("store.buckets", json!({})).await;
    assert_eq!(since(&server, before), [0; 4]);
}

#[tokio::test]
async fn a_top_is_run_again_only_when_its_spare_rows_are_gone() {
    let (server, mut client) = demo(json!({})).await;
    for n in 0..40 {
        insert(&mut client, "items", json!({ "id": n, "n": n })).await;
    }
    let top = subscribe(&mut client, "top", json!(null)).await;
    assert_eq!(top["data"], json!([{ "id": 39 }, { "id": 38 }]));
    let before = server.subscription_statistics();
    for gone in (1..40).rev() {
        client.ok("store.delete", json!({ "bucket": "items", "key": gone })).await;
        let left: Value = (0..gone).rev().take(2).map(|id| json!({ "id": id })).collect();
        assert_eq!(client.push().await["data"], left);
    }
    let [_, _, run, _] = since(&server, before);
    assert!((1..=5).contains(&run), "40 rows, 8 of them spare: {run}");
}

#[tokio::test]
async fn g7_every_commit_of_another_socket_is_a_push_of_its_own() {
    let (server, mut client) = demo(json!({})).await;
    subscribe(&mut client, "sum", json!(null)).await;
    subscribe(&mut client, "all", json!(null)).await;
    let mut writer = Client::connect(&server).await;
    let mut ids = Vec::new();
    for n in 1..=50 {
        let fields = json!({ "bucket": "items", "data": { "id": n, "n": n } });
        ids.push(writer.post("store.insert", fields).await);
    }
    for id in ids {
        writer.answer(id).await;
    }
    let (mut sums, mut lengths) = (Vec::new(), Vec::new());
    for _ in 0..100 {
        let push = client.push().await;
        match push["data"].as_array() {
            Some(all) => lengths.push(all.len() as u64),
            None => sums.extend(push["data"].as_u64()),
        }
    }
    assert_eq!(sums, (1..=50).map(|n| n * (n + 1) / 2).collect::<Vec<u64>>());
    assert_eq!(lengths, (1..=50).collect::<Vec<u64>>());
}

#[tokio::test]
async fn g10_without_room_for_results_each_subscriber_evaluates_for_itself() {
    let (server, mut client) = demo(json!({ "maxLiveResultBytes": 600 })).await;
    insert(&mut client, "items", json!({ "id": 0, "text": "x".repeat(2_000) })).await;
    let mut other = Client::connect(&server).await;
    for subscriber in [&mut client, &mut other] {
        let all = subscribe(subscriber, "all", json!(null)).await;
        assert_eq!(all["data"].as_array().map(Vec::len), Some(1));
    }
    assert_eq!(server.subscription_statistics().kept_bytes, 0);
    for n in 1..=3 {
        insert(&mut client, "items", json!({ "id": n })).await;
        for subscriber in [&mut client, &mut other] {
            assert_eq!(subscriber.push().await["data"].as_array().map(Vec::len), Some(n + 1));
        }
    }
    insert(&mut client, "other", json!({ "id": 1 })).await;
    let before = server.subscription_statistics();
    client.ok("store.buckets", json!({})).await;
    assert_eq!(client.kept_pushes(), 0);
    assert_eq!(since(&server, before), [0; 4]);
    // A small one still has room, and a large one gets it when it shrinks.
    subscribe(&mut client, "sum", json!(null)).await;
    client.ok("store.clear", json!({ "bucket": "items" })).await;
    assert_eq!(client.push().await["data"], json!([]), "the sum is 0 as before");
    assert_eq!(other.push().await["data"], json!([]));
    let before = server.subscription_statistics();
    assert!((1..=600).contains(&before.kept_bytes));
    insert(&mut client, "items", json!({ "id": 9, "n": 1 })).await;
    assert_eq!(other.push().await["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(since(&server, before)[2], 0, "applied again");
}

#[tokio::test]
async fn a_query_that_is_undefined_or_whose_bucket_is_replaced_ends_at_once() {
    let (server, mut client) = demo(json!({})).await;
    let mut other = Client::connect(&server).await;
    let ended = |reason: &str| json!({ "event": "ended", "reason": reason, "bucket": "items" });
    subscribe(&mut client, "sum", json!(null)).await;
    other.ok("store.undefineQuery", json!({ "name": "sum" })).await;
    assert_eq!(client.push().await["data"], ended("query_undefined"));
    client.err("store.subscribe", json!({ "query": "sum" }), "QUERY_NOT_DEFINED").await;

    // Dropped and defined anew in one transaction, it is another bucket.
    subscribe(&mut client, "all", json!(null)).await;
    let transaction = other.ok("store.begin", json!({})).await["transaction"].clone();
    let with = |mut fields: Value| {
        fields["transaction"] = transaction.clone();
        fields
    };
    other.ok("store.dropBucket", with(json!({ "name": "items" }))).await;
    other.ok("store.defineBucket", with(json!({ "name": "items", "config": items() }))).await;
    other.ok("store.insert", with(json!({ "bucket": "items", "data": { "id": 1 } }))).await;
    other.ok("store.commit", with(json!({}))).await;
    assert_eq!(client.push().await["data"], ended("bucket_dropped"));
    let all = subscribe(&mut client, "all", json!(null)).await;
    assert_eq!(all["data"].as_array().map(Vec::len), Some(1));
    insert(&mut other, "items", json!({ "id": 2 })).await;
    assert_eq!(client.push().await["data"].as_array().map(Vec::len), Some(2));
    // Another index is no other bucket, and changes no result.
    let index = json!({ "bucket": "items", "index": "n" });
    other.ok("store.createIndex", index).await;
    insert(&mut other, "items", json!({ "id": 3 })).await;
    assert_eq!(client.push().await["data"].as_array().map(Vec::len), Some(3));
}

#[tokio::test]
async fn g10_a_commit_of_very_many_changes_is_not_tested_without_end() {
    let (server, mut client) = demo(json!({})).await;
    let mut others = Vec::new();
    // Twelve distinct queries that no equality rules out.
    for n in 0..12 {
        let name = format!("from-{n}");
        let config = json!({ "bucket": "items", "filter": { "n": { "$gte": n } },
            "aggregate": { "function": "count" } });
        client.ok("store.defineQuery", json!({ "name": name, "config": config })).await;
        let mut other = Client::connect(&server).await;
        subscribe(&mut other, &name, json!(null)).await;
        others.push(other);
    }
    let before = server.subscription_statistics();
    let data: Value = (0..1_000).map(|n| json!({ "id": n, "n": n })).collect();
    client.ok("store.insertMany", json!({ "bucket": "items", "data": data })).await;
    for (n, other) in others.iter_mut().enumerate() {
        assert_eq!(other.push().await["data"], 1_000 - n);
    }
    let [tested, _, run, _] = since(&server, before);
    assert_eq!((tested, run), (10_000, 12));
}

/// A server whose reads have these limits, and two clients of it.
async fn bounded(limits: Limits, queries: Value) -> (RunningServer, Client, Client) {
    let store = Store::builder().memory().limits(limits).open().expect("a store");
    let config = json!({ "store": { "buckets": { "items": items() }, "queries": queries } });
    let config = Config::from_json(&config).expect("valid");
    let options = listening(config).store(store);
    let server = Server::start(options).await.expect("the server starts");
    let client = Client::connect(&server).await;
    let other = Client::connect(&server).await;
    (server, client, other)
}

/// It went on past the limit, up to the room for all results, and then its
/// subscribers were told nothing while it was run in vain, once a second.
#[tokio::test]
async fn g10_a_result_that_outgrows_a_read_ends_for_all_its_subscribers_with_a_push() {
    let mut limits = Limits::default();
    limits.query.result_bytes = 1_000;
    let queries = json!({
        "all": { "bucket": "items" },
        "ids": { "bucket": "items", "fields": ["id"] },
        "top": { "bucket": "items", "sort": "-id", "limit": 2, "fields": ["id"] },
        "count": { "bucket": "items", "aggregate": { "function": "count" } },
    });
    let (server, mut client, mut other) = bounded(limits, queries).await;
    for query in ["all", "ids"] {
        subscribe(&mut client, query, json!(null)).await;
    }
    subscribe(&mut other, "all", json!(null)).await;
    let mut readable = 0;
    let error = loop {
        let data = json!({ "id": readable, "text": "x".repeat(100) });
        insert(&mut client, "items", data).await;
        let read = client.request("store.all", json!({ "bucket": "items" })).await;
        if read["type"] == "error" {
            break read;
        }
        readable += 1;
        // Whoever reads it and whoever follows it hear the same.
        for subscriber in [&mut client, &mut other] {
            assert_eq!(subscriber.push().await["data"], read["data"]);
        }
        let ids: Value = (0..readable).map(|id| json!({ "id": id })).collect();
        assert_eq!(client.push().await["data"], ids);
    };
    assert_eq!((&error["code"], readable > 3), (&json!("LIMIT_EXCEEDED"), true));
    let mut ended = error["details"].clone();
    assert_eq!((&ended["limit"], &ended["max"]), (&json!("resultBytes"), &json!(1_000)));
    ended["event"] = "ended".into();
    ended["reason"] = "limit_exceeded".into();
    ended["bucket"] = "items".into();
    // Also where few bytes of each record are shown.
    for _ in 0..2 {
        assert_eq!(client.push().await["data"], ended);
    }
    assert_eq!(other.push().await["data"], ended);
    assert_eq!(server.subscription_statistics().kept_bytes, 0);
    client.err("store.subscribe", json!({ "query": "all" }), "LIMIT_EXCEEDED").await;

    // What answers less goes on: a top, although its spare rows are too many.
    subscribe(&mut other, "top", json!(null)).await;
    subscribe(&mut other, "count", json!(null)).await;
    for id in readable + 1..readable + 12 {
        insert(&mut client, "items", json!({ "id": id, "text": "x".repeat(100) })).await;
        let top = json!([{ "id": id }, { "id": id - 1 }]);
        let pushed = [other.push().await["data"].take(), other.push().await["data"].take()];
        assert!(pushed.contains(&top) && pushed.contains(&json!(id + 1)), "{pushed:?}");
    }
    // Over is over; asked for anew, it is there as soon as it may be.
    let less = json!({ "bucket": "items", "filter": { "id": { "$gt": 1 } } });
    client.ok("store.deleteMany", less).await;
    assert_eq!(client.kept_pushes(), 0);
    let all = subscribe(&mut client, "all", json!(null)).await;
    assert_eq!(all["data"].as_array().map(Vec::len), Some(2));
    insert(&mut client, "items", json!({ "id": 2 })).await;
    assert_eq!(client.push().await["data"].as_array().map(Vec::len), Some(3));
}

#[tokio::test]
async fn g10_rows_and_groups_of_a_followed_result_are_bounded_as_those_of_a_read() {
    let mut limits = Limits::default();
    (limits.query.result_rows, limits.query.groups) = (5, 3);
    let by_group = json!({ "function": "count", "groupBy": "group" });
    let queries = json!({
        "all": { "bucket": "items" }, "groups": { "bucket": "items", "aggregate": by_group },
    });
    let (_server, mut client, mut other) = bounded(limits, queries).await;
    subscribe(&mut client, "all", json!(null)).await;
    subscribe(&mut client, "groups", json!(null)).await;
    for id in 0..6 {
        insert(&mut other, "items", json!({ "id": id, "group": id / 2 })).await;
        let pushed = [client.push().await["data"].take(), client.push().await["data"].take()];
        assert!(pushed.iter().any(|data| data[0]["value"] == 1 || data[0]["value"] == 2));
        let reached = json!({ "event": "ended", "reason": "limit_exceeded", "bucket": "items",
                              "limit": "resultRows", "max": 5, "actual": 6 });
        assert_eq!(pushed.contains(&reached), id == 5, "{pushed:?}");
    }
    insert(&mut other, "items", json!({ "id": 6, "group": 3 })).await;
    let reached = json!({ "event": "ended", "reason": "limit_exceeded", "bucket": "items",
                          "limit": "groups", "max": 3, "actual": 4 });
    assert_eq!(client.push().await["data"], reached);
    client.err("store.subscribe", json!({ "query": "groups" }), "LIMIT_EXCEEDED").await;
}

/// Such a record silenced everybody who followed the query from the next time on
/// that it had to be run.
#[tokio::test]
async fn g9_a_record_that_an_expression_fails_on_is_passed_over_by_a_subscription() {
    let (_server, mut client) = demo(json!({})).await;
    let filter = json!({ "$expr": { "$gte": [{ "$divide": [10, "$n"] }, 5] } });
    let config = json!({ "bucket": "items", "filter": filter, "sort": "id", "limit": 1,
                         "fields": ["id"] });
    client.ok("store.defineQuery", json!({ "name": "expr", "config": config })).await;
    insert(&mut client, "items", json!({ "id": 0, "n": 0 })).await;
    for id in 1..=12 {
        insert(&mut client, "items", json!({ "id": id, "n": 1 })).await;
    }
    let read = json!({ "bucket": "items", "filter": filter });
    client.err("store.where", read, "VALIDATION_ERROR").await;
    let first = subscribe(&mut client, "expr", json!(null)).await;
    assert_eq!(first["data"], json!([{ "id": 1 }]));
    // More go than there are spare rows: it is run again.
    for gone in 1..12 {
        client.ok("store.delete", json!({ "bucket": "items", "key": gone })).await;
        assert_eq!(client.push().await["data"], json!([{ "id": gone + 1 }]));
    }
}

// Random commits: what was pushed is what running the query anew answers.

struct Dice(u64);

impl Dice {
    fn draw(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % n
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.draw(of.len() as u64)).expect("small")].clone()
    }
}

fn queries() -> Vec<(String, Value)> {
    let mut all = Vec::new();
    let filters = [json!({}), json!({ "group": "a" }), json!({ "n": { "$gte": 3 } })];
    for (index, filter) in filters.iter().enumerate() {
        for (name, mut config) in [
            ("plain", json!({})),
            ("top", json!({ "sort": { "n": "desc" }, "limit": 3, "offset": 1 })),
            ("ties", json!({ "sort": "group", "limit": 2, "fields": ["id", "group"] })),
            ("count", json!({ "aggregate": { "function": "count" } })),
            ("sum", json!({ "aggregate": { "function": "sum", "field": "n" } })),
            ("max", json!({ "aggregate": { "function": "max", "field": "n" } })),
            (
                "groups",
                json!({ "aggregate":
                { "function": "avg", "field": "n", "groupBy": "group" } }),
            ),
        ] {
            config["bucket"] = "items".into();
            config["filter"] = filter.clone();
            all.push((format!("{name}-{index}"), config));
        }
    }
    all
}

fn some_record(dice: &mut Dice) -> Value {
    let n = [json!(1), json!(2), json!(3), json!(7), json!(2.5), json!(null), json!("x")];
    json!({ "id": dice.draw(12), "n": dice.pick(&n), "group": dice.pick(&["a", "b", "c"]) })
}

async fn change_something(writer: &mut Client, dice: &mut Dice) {
    let key = dice.draw(12);
    match dice.draw(12) {
        0 => writer.ok("store.clear", json!({ "bucket": "items" })).await,
        1 => {
            let expired = json!({ "id": 100, "group": "a", "n": 5, "_expiresAt": 1 });
            writer.ok("store.upsert", json!({ "bucket": "items", "data": expired })).await
        }
        2 | 3 => writer.ok("store.delete", json!({ "bucket": "items", "key": key })).await,
        4..=6 => {
            let operations: Value = (0..4)
                .map(|_| {
                    let record = some_record(dice);
                    let op = dice.pick(&["delete", "update"]);
                    match op {
                        "delete" => json!({ "op": op, "bucket": "items", "key": record["id"] }),
                        _ => json!({ "op": "update", "bucket": "items", "key": 50,
                            "data": { "n": record["n"], "group": record["group"] } }),
                    }
                })
                .collect();
            writer.ok("store.upsert", json!({ "bucket": "items", "data": { "id": 50 } })).await;
            writer.ok("store.transaction", json!({ "operations": operations })).await
        }
        7 => {
            let data = json!({ "n": dice.draw(9) });
            let fields = json!({ "bucket": "items", "filter": { "group": "a" }, "data": data });
            writer.ok("store.updateMany", fields).await
        }
        _ => {
            writer.ok("store.upsert", json!({ "bucket": "items", "data": some_record(dice) })).await
        }
    };
}

async fn run(seed: u64) {
    let config = json!({ "key": "id", "schema": { "id": {} }, "ttl": "1h", "indexes": [] });
    let server = serve_json(json!({ "store": {
        "buckets": { "items": config }, "queries": Value::Object(queries().into_iter().collect()),
        "ttlCheckIntervalMs": 5,
    } }))
    .await;
    // Another server over the same store has no result to keep up.
    let oracle = {
        let options = listening(Config::memory());
        Server::start(options.store(server.store().clone())).await.expect("it starts")
    };
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut client = Client::connect(&server).await;
    let mut writer = Client::connect(&server).await;
    let mut anew = Client::connect(&oracle).await;
    for round in 0..6 {
        let mut results = BTreeMap::new();
        for (name, _) in queries() {
            let mut answer = client.ok("store.subscribe", json!({ "query": name })).await;
            let id = answer["subscriptionId"].as_str().expect("an id").to_owned();
            results.insert(id, (name, answer["data"].take()));
        }
        for _ in 0..12 {
            change_something(&mut writer, &mut dice).await;
            let mut settled = false;
            while !settled {
                let revision = server.store().revision().expect("it is open");
                // What was committed by now, by expiry too, is noted after the
                // first answer and pushed before the second.
                client.ok("store.buckets", json!({})).await;
                client.ok("store.buckets", json!({})).await;
                while client.kept_pushes() > 0 {
                    let mut push = client.push().await;
                    let id = push["subscriptionId"].as_str().expect("an id");
                    let (name, result) = results.get_mut(id).expect("one of them");
                    let new = push["data"].take();
                    assert_ne!(*result, new, "{name}: only another result is pushed");
                    *result = new;
                }
                let mut wrong = None;
                for (name, result) in results.values() {
                    let mut answer = anew.ok("store.subscribe", json!({ "query": name })).await;
                    let id = answer["subscriptionId"].clone();
                    anew.ok("store.unsubscribe", json!({ "subscriptionId": id })).await;
                    if answer["data"] != *result {
                        wrong = Some((name.clone(), result.clone(), answer["data"].take()));
                    }
                }
                // Expiry commits by itself: then look again.
                settled = server.store().revision().expect("it is open") == revision;
                assert!(!settled || wrong.is_none(), "seed {seed}: {wrong:?}");
            }
        }
        if round % 2 == 0 {
            writer.ok("store.dropBucket", json!({ "name": "items" })).await;
            for _ in 0..results.len() {
                let push = client.push().await;
                assert_eq!(push["data"]["reason"], "bucket_dropped", "{push}");
            }
            let config = json!({ "key": "id", "schema": { "id": {} }, "ttl": "1h" });
            writer.ok("store.defineBucket", json!({ "name": "items", "config": config })).await;
        } else {
            for id in results.keys() {
                client.ok("store.unsubscribe", json!({ "subscriptionId": id })).await;
            }
        }
    }
    let figures = server.subscription_statistics();
    assert!(figures.changes_applied > figures.queries_run, "mostly applied: {figures:?}");
}

#[tokio::test]
async fn g7_what_is_pushed_is_what_running_the_query_anew_answers() {
    for seed in 1..=2 {
        run(seed).await;
    }
}
