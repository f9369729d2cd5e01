//! Stored queries that are followed, and the order of answers and pushes.

use crate::support::{Client, items, serve_json, timeless};
use serde_json::{Value, json};
use tandem_server::RunningServer;

async fn demo() -> (RunningServer, Client) {
    let server = serve_json(json!({ "store": {
        "buckets": { "items": items(), "other": items() },
        "queries": {
            "all": { "bucket": "items", "fields": ["id", "n"] },
            "top": { "bucket": "items", "sort": { "n": "desc" }, "limit": 2, "fields": ["id"] },
            "at-least": { "bucket": "items", "filter": { "n": { "$gte": "{{ params.n }}" } },
                "fields": ["id"] },
            "sum": { "bucket": "items", "aggregate": { "function": "sum", "field": "n" } },
            "least": { "bucket": "items", "aggregate": { "function": "min", "field": "n" } },
            "groups": { "bucket": "items",
                "aggregate": { "function": "count", "groupBy": "group" } },
        },
    } }))
    .await;
    let client = Client::connect(&server).await;
    (server, client)
}

async fn insert(client: &mut Client, bucket: &str, data: Value) {
    client.ok("store.insert", json!({ "bucket": bucket, "data": data })).await;
}

#[tokio::test]
async fn a_subscription_answers_the_result_and_pushes_every_new_one() {
    let (_server, mut client) = demo().await;
    insert(&mut client, "items", json!({ "id": 1, "n": 5 })).await;
    let answer = client.ok("store.subscribe", json!({ "query": "all", "params": null })).await;
    assert_eq!(answer["data"], json!([{ "id": 1, "n": 5 }]));
    let id = &answer["subscriptionId"];
    assert!(id.as_str().is_some_and(|id| id.starts_with("sub-")));
    insert(&mut client, "items", json!({ "id": 2 })).await;
    assert_eq!(
        client.push().await,
        json!({ "type": "push", "channel": "subscription", "subscriptionId": id,
            "data": [{ "id": 1, "n": 5 }, { "id": 2 }] })
    );
    let unsubscribed = client.ok("store.unsubscribe", json!({ "subscriptionId": id })).await;
    assert_eq!(unsubscribed, json!({ "unsubscribed": true }));
    insert(&mut client, "items", json!({ "id": 3 })).await;
    let again = json!({ "subscriptionId": id });
    client.err("store.unsubscribe", again, "NOT_FOUND").await;
    assert_eq!(client.kept_pushes(), 0);
}

#[tokio::test]
async fn g7_twenty_pipelined_inserts_give_answer_push_answer_push() {
    let (_server, mut client) = demo().await;
    client.ok("store.subscribe", json!({ "query": "all" })).await;
    let mut ids = Vec::new();
    for n in 0..20 {
        let insert = json!({ "bucket": "items", "data": { "id": n } });
        ids.push(client.post("store.insert", insert).await);
    }
    for (n, id) in ids.into_iter().enumerate() {
        let answer = client.frame().await;
        assert_eq!((&answer["type"], &answer["id"]), (&json!("result"), &json!(id)));
        let push = client.frame().await;
        assert_eq!(push["type"], "push");
        assert_eq!(push["data"].as_array().map(Vec::len), Some(n + 1));
    }
}

#[tokio::test]
async fn only_another_result_is_pushed() {
    let (_server, mut client) = demo().await;
    client.ok("store.subscribe", json!({ "query": "top" })).await;
    for (id, n, changes) in [(1, 5, true), (2, 9, true), (3, 1, false), (4, 7, true)] {
        insert(&mut client, "items", json!({ "id": id, "n": n })).await;
        // The next answer comes after every push that the insert causes.
        client.ok("store.buckets", json!({})).await;
        assert_eq!(client.kept_pushes(), usize::from(changes), "insert {id}");
        if changes {
            client.push().await;
        }
    }
    insert(&mut client, "other", json!({ "id": 1 })).await;
    client.ok("store.buckets", json!({})).await;
    assert_eq!(client.kept_pushes(), 0, "another bucket is none of its business");
}

#[tokio::test]
async fn g7_a_transaction_gives_one_push_and_a_rolled_back_one_none() {
    let (_server, mut client) = demo().await;
    client.ok("store.subscribe", json!({ "query": "all" })).await;
    let operations: Value = (0..5)
        .map(|id| json!({ "op": "insert", "bucket": "items", "data": { "id": id } }))
        .collect();
    client.ok("store.transaction", json!({ "operations": operations })).await;
    assert_eq!(client.push().await["data"].as_array().map(Vec::len), Some(5));
    let tx = client.ok("store.begin", json!({})).await["transaction"].clone();
    let fields = json!({ "bucket": "items", "data": { "id": 9 }, "transaction": tx });
    client.ok("store.insert", fields).await;
    client.ok("store.rollback", json!({ "transaction": tx })).await;
    client.ok("store.buckets", json!({})).await;
    assert_eq!(client.kept_pushes(), 0);
    client.ok("store.clear", json!({ "bucket": "items" })).await;
    assert_eq!(client.push().await["data"], json!([]), "a clear is a commit like any other");
}

#[tokio::test]
async fn the_other_sockets_commits_are_pushed_too() {
    let (server, mut client) = demo().await;
    let mut other = Client::connect(&server).await;
    client.ok("store.subscribe", json!({ "query": "sum" })).await;
    insert(&mut other, "items", json!({ "id": 1, "n": 3 })).await;
    assert_eq!(client.push().await["data"], 3);
    insert(&mut other, "items", json!({ "id": 2, "n": 4 })).await;
    assert_eq!(client.push().await["data"], 7);
}

#[tokio::test]
async fn parameters_and_aggregates_are_evaluated() {
    let (_server, mut client) = demo().await;
    let least = client.request("store.subscribe", json!({ "query": "least" })).await;
    assert_eq!(least["data"].get("data"), Some(&Value::Null), "null, not absent: {least}");
    for (id, n, group) in [(1, 5, "a"), (2, 9, "b"), (3, 2, "a")] {
        insert(&mut client, "items", json!({ "id": id, "n": n, "group": group })).await;
    }
    let fields = json!({ "query": "at-least", "params": { "n": 5 } });
    let some = client.ok("store.subscribe", fields).await;
    assert_eq!(some["data"], json!([{ "id": 1 }, { "id": 2 }]));
    let none = client.ok("store.subscribe", json!({ "query": "at-least" })).await;
    assert_eq!(none["data"], json!([]), "an absent parameter is null");
    let groups = client.ok("store.subscribe", json!({ "query": "groups" })).await;
    assert_eq!(
        groups["data"],
        json!([
            { "key": { "group": "a" }, "value": 2 }, { "key": { "group": "b" }, "value": 1 }
        ])
    );
}

#[tokio::test]
async fn unknown_queries_and_subscriptions_are_refused() {
    let (_server, mut client) = demo().await;
    client.err("store.subscribe", json!({ "query": "none" }), "QUERY_NOT_DEFINED").await;
    client.err("store.subscribe", json!({}), "VALIDATION_ERROR").await;
    client.err("store.subscribe", json!({ "query": "all", "params": 1 }), "VALIDATION_ERROR").await;
    for id in ["sub-99", "sub-01", "other"] {
        let answer =
            client.err("store.unsubscribe", json!({ "subscriptionId": id }), "NOT_FOUND").await;
        assert_eq!(answer["details"]["subscriptionId"], id);
    }
}

#[tokio::test]
async fn a_dropped_bucket_ends_its_subscriptions_with_a_push_that_says_so() {
    let (_server, mut client) = demo().await;
    let id =
        client.ok("store.subscribe", json!({ "query": "all" })).await["subscriptionId"].clone();
    client.ok("store.dropBucket", json!({ "name": "items" })).await;
    let push = client.push().await;
    assert_eq!(push["subscriptionId"], id);
    let ended = json!({ "event": "ended", "reason": "bucket_dropped", "bucket": "items" });
    assert_eq!(push["data"], ended);
    client.err("store.subscribe", json!({ "query": "all" }), "BUCKET_NOT_DEFINED").await;
    let answer = client.ok("store.unsubscribe", json!({ "subscriptionId": id })).await;
    assert_eq!(answer, json!({ "unsubscribed": true }), "unsubscribing from it is no error");
}

#[tokio::test]
async fn g10_subscriptions_are_bounded_and_freed() {
    let server = serve_json(json!({
        "connectionLimits": { "maxSubscriptionsPerConnection": 2, "maxTotalSubscriptions": 3 },
        "store": { "buckets": { "items": items() }, "queries": { "all": { "bucket": "items" } } },
    }))
    .await;
    let (mut one, mut two) = (Client::connect(&server).await, Client::connect(&server).await);
    let query = json!({ "query": "all" });
    let first = one.ok("store.subscribe", query.clone()).await;
    one.ok("store.subscribeChanges", json!({})).await;
    // The limits come before the fields are looked at.
    let refused = one.err("store.subscribe", json!({}), "RATE_LIMITED").await;
    assert_eq!(refused["message"], "Subscription limit reached (max 2 per connection)");
    two.ok("store.subscribe", query.clone()).await;
    let refused = two.err("store.subscribe", query.clone(), "RATE_LIMITED").await;
    assert_eq!(refused["message"], "Global subscription limit reached (max 3)");
    let unsubscribe = json!({ "subscriptionId": first["subscriptionId"] });
    one.ok("store.unsubscribe", unsubscribe).await;
    two.ok("store.subscribe", query.clone()).await;
    let stats = two.ok("server.stats", json!({})).await;
    assert_eq!(stats["connections"]["totalStoreSubscriptions"], 3);
    drop(one);
    let mut three = Client::connect(&server).await;
    while three.request("store.subscribe", query.clone()).await["type"] == "error" {}
}

#[tokio::test]
async fn g8_changes_are_pushed_per_commit_and_from_any_revision() {
    let (_server, mut client) = demo().await;
    let answer = client.ok("store.subscribeChanges", json!({ "bucket": "items" })).await;
    let (id, start) = (answer["subscriptionId"].clone(), answer["revision"].clone());
    let operations = json!([
        { "op": "insert", "bucket": "items", "data": { "id": 1, "n": 1 } },
        { "op": "insert", "bucket": "other", "data": { "id": 1 } },
        { "op": "insert", "bucket": "items", "data": { "id": 2, "n": 1 } },
        { "op": "update", "bucket": "items", "key": 1, "data": { "n": 2 } },
    ]);
    let revision =
        client.ok("store.transaction", json!({ "operations": operations })).await["revision"]
            .clone();
    let push = client.push().await;
    assert_eq!((&push["channel"], &push["subscriptionId"]), (&json!("changes"), &id));
    let inserts = json!([
        { "type": "insert", "bucket": "items", "key": 1, "after": { "id": 1, "n": 2, "_version": 1 } },
        { "type": "insert", "bucket": "items", "key": 2, "after": { "id": 2, "n": 1, "_version": 1 } },
    ]);
    assert_eq!(
        timeless(push["data"].clone()),
        json!({ "revision": revision, "changes": inserts }),
        "net effects, in the order of the first write"
    );
    client.ok("store.update", json!({ "bucket": "items", "key": 1, "data": { "n": 3 } })).await;
    let change = &client.push().await["data"]["changes"][0];
    assert_eq!((&change["before"]["n"], &change["after"]["n"]), (&json!(2), &json!(3)));
    client.ok("store.delete", json!({ "bucket": "items", "key": 2 })).await;
    let change = &client.push().await["data"]["changes"][0];
    assert_eq!(change["type"], "delete");
    assert!(change.get("after").is_none());

    // Again from the start, filtered, of both buckets.
    let fields = json!({ "buckets": ["items", "other"], "from": start, "filter": { "n": 3 } });
    client.ok("store.subscribeChanges", fields).await;
    let push = client.push().await;
    assert_eq!(push["data"]["changes"].as_array().map(Vec::len), Some(1), "{push}");
    assert_eq!(push["data"]["changes"][0]["after"]["n"], 3);
    client.err("store.subscribeChanges", json!({ "bucket": "none" }), "BUCKET_NOT_DEFINED").await;
    client.err("store.subscribeChanges", json!({ "from": -1 }), "VALIDATION_ERROR").await;
    client
        .err("store.subscribeChanges", json!({ "filter": { "$bad": 1 } }), "VALIDATION_ERROR")
        .await;
}

#[tokio::test]
async fn g7_expired_records_are_removed_and_pushed() {
    let config = json!({ "key": "id", "schema": { "id": {} }, "ttl": "1s" });
    let server = serve_json(json!({ "store": { "ttlCheckIntervalMs": 20,
        "buckets": { "brief": config }, "queries": { "all": { "bucket": "brief" } } } }))
    .await;
    let mut client = Client::connect(&server).await;
    client.ok("store.subscribe", json!({ "query": "all" })).await;
    insert(&mut client, "brief", json!({ "id": 1, "_expiresAt": 1 })).await;
    let there = client.push().await;
    assert_eq!(there["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(client.push().await["data"], json!([]));
    let stats = client.ok("store.stats", json!({})).await;
    assert_eq!(stats["ttl"], json!({ "enabled": true, "checkIntervalMs": 20 }));
}
