//! Subscriptions to changes: resumed from a revision, over connections and
//! restarts, and with the records that there are handed over first.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::support::{self, Client, items, serve, serve_items, serve_json};
use serde_json::{Value, json};
use tandem_server::{Config, RunningServer};

/// A follower's copy of the data, checked at every step.
#[derive(Default)]
struct Replica {
    records: BTreeMap<String, Value>,
    /// Of the initial records; `None` before the first portion.
    initial: Option<u64>,
    complete: bool,
    revision: u64,
}

impl Replica {
    /// A follower that begins with nothing and needs no initial records.
    fn empty() -> Self {
        Self { complete: true, ..Self::default() }
    }

    fn take(&mut self, push: &Value) {
        let data = &push["data"];
        let revision = data["revision"].as_u64().expect("a revision");
        let changes = data["changes"].as_array();
        if data["initial"] == true {
            assert!(!self.complete, "nothing comes after the last portion");
            assert!(self.initial.is_none_or(|of| of == revision), "all are of one revision");
            self.initial = Some(revision);
            self.revision = revision;
            self.complete = data["last"].as_bool().expect("it says so");
            for change in changes.expect("changes") {
                assert_eq!(change["type"], "insert");
                assert!(change.get("before").is_none());
                let twice = self.records.insert(name(change), change["after"].clone());
                assert_eq!(twice, None, "each record once");
            }
            return;
        }
        assert!(self.complete, "commits come after the last portion: {push}");
        assert!(revision > self.revision || changes.is_none(), "in order, once: {push}");
        self.revision = revision;
        for change in changes.into_iter().flatten() {
            let before = self.records.get(&name(change));
            assert_eq!(before, change.get("before"), "no gap, no overlap");
            match change.get("after") {
                Some(after) => self.records.insert(name(change), after.clone()),
                None => self.records.remove(&name(change)),
            };
        }
    }

    /// Follows until it has what there is.
    async fn follow(&mut self, client: &mut Client, server: &RunningServer) {
        while !self.complete || self.records != everything(server) {
            let push = client.push().await;
            self.take(&push);
        }
    }
}

fn name(change: &Value) -> String {
    format!("{}/{}", change["bucket"].as_str().expect("a bucket"), change["key"])
}

fn everything(server: &RunningServer) -> BTreeMap<String, Value> {
    let store = server.store();
    let mut all = BTreeMap::new();
    for bucket in ["items", "other"] {
        let Ok(records) = store.bucket(bucket).all().records() else { continue };
        for record in records {
            let record = record.to_json();
            all.insert(format!("{bucket}/{}", record["id"]), record);
        }
    }
    all
}

async fn fill(client: &mut Client, records: u64, bytes: usize) {
    for start in (0..records).step_by(50) {
        let data: Value = (start..records.min(start + 50))
            .map(|id| json!({ "id": id, "text": "x".repeat(bytes) }))
            .collect();
        client.ok("store.insertMany", json!({ "bucket": "items", "data": data })).await;
    }
}

/// A transaction over records at both ends of the bucket.
async fn disturb(client: &mut Client, round: u64, records: u64) {
    let operations = json!([
        { "op": "update", "bucket": "items", "key": 0, "data": { "round": round } },
        { "op": "delete", "bucket": "items", "key": records - 1 - round },
        { "op": "insert", "bucket": "items", "data": { "id": records + round } },
        { "op": "update", "bucket": "items", "key": records - 100, "data": { "round": round } },
    ]);
    client.ok("store.transaction", json!({ "operations": operations })).await;
}

#[tokio::test]
async fn g8_initial_records_and_then_every_commit_without_gap_or_overlap() {
    let server = serve_items().await;
    let mut writer = Client::connect(&server).await;
    fill(&mut writer, 1_000, 200).await;
    let mut client = Client::connect(&server).await;
    let fields = json!({ "bucket": "items", "includeInitial": true });
    let id = client.post("store.subscribeChanges", fields).await;
    let mut replica = Replica::default();
    // Commits while it is handed over.
    for round in 0..20 {
        disturb(&mut writer, round, 1_000).await;
    }
    let answer = client.answer(id).await;
    replica.follow(&mut client, &server).await;
    assert_eq!(answer["data"]["revision"].as_u64(), replica.initial);
    for round in 20..25 {
        disturb(&mut writer, round, 1_000).await;
    }
    replica.follow(&mut client, &server).await;
    let newest = server.store().revision().expect("it is open");
    assert_eq!(replica.revision, newest);
    assert_eq!(server.subscription_statistics().initial_records, 1_000);
}

#[tokio::test]
async fn initial_portions_have_the_documented_shape() {
    let server =
        serve_json(json!({ "store": { "buckets": { "items": items(), "other": items() } } }));
    let server = server.await;
    let mut client = Client::connect(&server).await;
    let empty = client.ok("store.subscribeChanges", json!({ "includeInitial": true })).await;
    assert_eq!(
        client.push().await,
        json!({ "type": "push", "channel": "changes", "subscriptionId": empty["subscriptionId"],
            "data": { "initial": true, "revision": empty["revision"], "changes": [], "last": true } })
    );
    let all = json!({ "subscriptionId": empty["subscriptionId"] });
    client.ok("store.unsubscribe", all).await;
    for (bucket, id, n) in [("items", 1, 5), ("other", 1, 5), ("items", 2, 6), ("items", 3, 5)] {
        let data = json!({ "id": id, "n": n });
        client.ok("store.insert", json!({ "bucket": bucket, "data": data })).await;
    }
    let fields = json!({ "bucket": "items", "filter": { "n": 5 }, "includeInitial": true });
    let answer = client.ok("store.subscribeChanges", fields).await;
    let data = support::timeless(client.push().await["data"].clone());
    let insert = |id: u64| {
        json!({ "type": "insert", "bucket": "items", "key": id,
            "after": { "id": id, "n": 5, "_version": 1 } })
    };
    assert_eq!(
        data,
        json!({ "initial": true, "revision": answer["revision"],
            "changes": [insert(1), insert(3)], "last": true })
    );
    // From there on as always: what matches before or after.
    client.ok("store.update", json!({ "bucket": "items", "key": 2, "data": { "n": 5 } })).await;
    assert_eq!(client.push().await["data"]["changes"][0]["type"], "update");

    let both = json!({ "includeInitial": true, "from": 1 });
    client.err("store.subscribeChanges", both, "VALIDATION_ERROR").await;
    let unknown = json!({ "includeInitial": true, "bucket": "none" });
    client.err("store.subscribeChanges", unknown, "BUCKET_NOT_DEFINED").await;
    client.err("store.subscribeChanges", json!({ "includeInitial": 1 }), "VALIDATION_ERROR").await;
}

#[tokio::test]
async fn g10_initial_records_wait_for_a_client_that_does_not_read() {
    let server = serve_json(json!({
        "backpressure": { "maxBufferedBytes": 300_000 },
        "store": { "buckets": { "items": items() } },
    }))
    .await;
    let mut writer = Client::connect(&server).await;
    // More than the sockets between them take.
    fill(&mut writer, 2_000, 10_000).await;
    let mut slow = Client::connect(&server).await;
    let fields = json!({ "bucket": "items", "includeInitial": true });
    slow.ok("store.subscribeChanges", fields.clone()).await;
    for round in 0..10 {
        disturb(&mut writer, round, 2_000).await;
    }
    // Another one has everything meanwhile.
    let mut other = Client::connect(&server).await;
    other.ok("store.subscribeChanges", fields).await;
    let mut replica = Replica::default();
    replica.follow(&mut other, &server).await;
    let handed_over = server.subscription_statistics().initial_records;
    assert!(handed_over < 4_000, "the slow one is not read for: {handed_over}");
    // And the slow one gets it all in the end.
    let mut replica = Replica::default();
    replica.follow(&mut slow, &server).await;
    assert_eq!(server.subscription_statistics().initial_records, 4_000);
}

#[tokio::test]
async fn g9_a_connection_dropped_during_the_handover_leaves_nothing_behind() {
    let server = serve_json(json!({
        "backpressure": { "maxBufferedBytes": 100_000 },
        "store": { "buckets": { "items": items() } },
    }))
    .await;
    let mut writer = Client::connect(&server).await;
    fill(&mut writer, 2_000, 10_000).await;
    let mut client = Client::connect(&server).await;
    let fields = json!({ "includeInitial": true });
    client.ok("store.subscribeChanges", fields.clone()).await;
    let first = client.push().await;
    assert_eq!((&first["data"]["initial"], &first["data"]["last"]), (&json!(true), &json!(false)));
    drop(client);
    loop {
        let stats = writer.ok("server.stats", json!({})).await;
        if stats["connections"]["totalStoreSubscriptions"] == 0 {
            break;
        }
    }
    disturb(&mut writer, 0, 2_000).await;
    // Whoever was interrupted begins anew.
    let mut again = Client::connect(&server).await;
    again.ok("store.subscribeChanges", fields).await;
    Replica::default().follow(&mut again, &server).await;
    // Unsubscribing in the middle ends it as well.
    let mut other = Client::connect(&server).await;
    let answer = other.ok("store.subscribeChanges", json!({ "includeInitial": true })).await;
    let id = json!({ "subscriptionId": answer["subscriptionId"] });
    other.ok("store.unsubscribe", id).await;
    disturb(&mut writer, 1, 2_000).await;
    other.ok("store.buckets", json!({})).await;
    while other.kept_pushes() > 0 {
        assert_eq!(other.push().await["data"]["initial"], true);
    }
}

#[tokio::test]
async fn g8_a_follower_resumes_over_connections_and_restarts_of_the_server() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = json!({ "store": {
        "data": directory.path(), "buckets": { "items": items(), "other": items() },
    } });
    let start = || serve(Config::from_json(&config).expect("valid"));
    let mut replica = Replica::default();
    let mut followed = 0;
    for life in 0..3_u64 {
        let server = start().await;
        let mut writer = Client::connect(&server).await;
        for connection in 0..3 {
            let mut client = Client::connect(&server).await;
            let fields = match replica.complete {
                false => json!({ "includeInitial": true }),
                true => json!({ "from": replica.revision }),
            };
            let answer = client.ok("store.subscribeChanges", fields).await;
            if replica.complete {
                assert_eq!(answer["revision"], replica.revision);
            }
            for n in 0..5 {
                let id = life * 100 + connection * 10 + n;
                let insert = json!([
                    { "op": "insert", "bucket": "items", "data": { "id": id } },
                    { "op": "insert", "bucket": "other", "data": { "id": id } },
                ]);
                writer.ok("store.transaction", json!({ "operations": insert })).await;
            }
            // It hears of some of them, then its connection is gone.
            while !replica.complete || followed < life * 15 + connection * 5 + 3 {
                let push = client.push().await;
                followed += u64::from(push["data"]["initial"] != true && replica.complete);
                replica.take(&push);
            }
        }
        drop(writer);
        server.shutdown(Duration::ZERO).await.expect("it stops");
    }
    let server = start().await;
    let mut client = Client::connect(&server).await;
    client.ok("store.subscribeChanges", json!({ "from": replica.revision })).await;
    replica.follow(&mut client, &server).await;
    assert_eq!(replica.records.len(), 90);
    // From the very beginning, too, and never from what is yet to come.
    let mut anew = Replica::empty();
    client.ok("store.subscribeChanges", json!({ "from": 0 })).await;
    anew.follow(&mut client, &server).await;
    let future = json!({ "from": replica.revision + 1_000 });
    let refused = client.err("store.subscribeChanges", future, "RESYNC_REQUIRED").await;
    assert!(refused["details"]["oldestRevision"].is_u64(), "{refused}");
}

#[tokio::test]
async fn what_the_config_keeps_of_the_past_can_be_resumed_from_and_no_more() {
    let config = |change_log: Value| json!({ "store": { "buckets": { "items": items() }, "changeLog": change_log } });
    let insert = |id: u64| json!({ "bucket": "items", "data": { "id": id } });
    let kept = serve_json(config(json!({ "maxBytes": 1 << 20 }))).await;
    let trimmed = serve_json(config(json!({ "maxBytes": 1 }))).await;
    let mut client = Client::connect(&trimmed).await;
    let (mut id, from) = (0, json!({ "from": 0 }));
    // Until maintenance has come by.
    loop {
        id += 1;
        client.ok("store.insert", insert(id)).await;
        let answer = client.request("store.subscribeChanges", from.clone()).await;
        if answer["type"] == "error" {
            assert_eq!(answer["code"], "RESYNC_REQUIRED", "{answer}");
            break;
        }
        let subscription = json!({ "subscriptionId": answer["data"]["subscriptionId"] });
        client.ok("store.unsubscribe", subscription).await;
    }
    let mut client = Client::connect(&kept).await;
    for id in 1..=id {
        client.ok("store.insert", insert(id)).await;
    }
    client.ok("store.subscribeChanges", from).await;
}

#[tokio::test]
async fn a_follower_that_nothing_concerns_is_told_where_it_is() {
    let server =
        serve_json(json!({ "store": { "buckets": { "items": items(), "other": items() } } }));
    let server = server.await;
    let mut client = Client::connect(&server).await;
    client.ok("store.subscribeChanges", json!({ "bucket": "other" })).await;
    client.ok("store.insert", json!({ "bucket": "items", "data": { "id": 1 } })).await;
    let revision = server.store().revision().expect("it is open");
    let push = client.push().await;
    assert_eq!(push["data"], json!({ "event": "progress", "revision": revision }));
}

/// With a filter a client could not tell a record that has changed from one that
/// is no longer its business, short of evaluating the filter itself.
#[tokio::test]
async fn events_are_addressed_by_topic_with_wildcards() {
    let server = serve_json(json!({ "store": { "data": null,
        "buckets": { "items": items(), "others": items() } } }))
    .await;
    let mut writer = Client::connect(&server).await;
    let data = json!([{ "id": 1, "n": 1 }, { "id": 2, "n": 9 }]);
    writer.ok("store.insertMany", json!({ "bucket": "items", "data": data })).await;
    writer.ok("store.insert", json!({ "bucket": "others", "data": { "id": 7 } })).await;
    let changed = json!({ "bucket": "items", "key": 1, "data": { "n": 2 } });
    writer.ok("store.update", changed).await;
    writer.ok("store.delete", json!({ "bucket": "items", "key": 2 })).await;
    writer.ok("store.delete", json!({ "bucket": "others", "key": 7 })).await;
    let all = [
        ("items", "insert", 1),
        ("items", "insert", 2),
        ("others", "insert", 7),
        ("items", "update", 1),
        ("items", "delete", 2),
        ("others", "delete", 7),
    ];
    for (topic, covered) in [
        ("bucket.items.inserted", vec![0, 1]),
        ("bucket.items.*", vec![0, 1, 3, 4]),
        ("bucket.*.deleted", vec![4, 5]),
        ("*.*.*", vec![0, 1, 2, 3, 4, 5]),
        ("bucket.others.updated", vec![]),
    ] {
        let mut client = Client::connect(&server).await;
        client.ok("store.subscribeChanges", json!({ "topic": topic, "from": 0 })).await;
        let expected: Vec<_> = covered.into_iter().map(|at: usize| all[at]).collect();
        let mut told = Vec::new();
        while told.len() < expected.len() {
            let push = client.push().await;
            for change in push["data"]["changes"].as_array().into_iter().flatten() {
                told.push((
                    change["bucket"].clone(),
                    change["type"].clone(),
                    change["key"].clone(),
                ));
            }
        }
        let shown =
            |(bucket, kind, key): &(&str, &str, i32)| (json!(bucket), json!(kind), json!(key));
        assert_eq!(told, expected.iter().map(shown).collect::<Vec<_>>(), "{topic}");
    }
    // Together with a filter, both hold.
    let mut client = Client::connect(&server).await;
    let both = json!({ "topic": "bucket.items.*", "filter": { "n": { "$gte": 5 } }, "from": 0 });
    client.ok("store.subscribeChanges", both).await;
    for kind in ["insert", "delete"] {
        let push = client.push().await;
        let changes = push["data"]["changes"].as_array().expect("changes");
        assert_eq!(changes.len(), 1, "{push}");
        assert_eq!((&changes[0]["type"], &changes[0]["key"]), (&json!(kind), &json!(2)));
    }
    let mut client = Client::connect(&server).await;
    for wrong in [
        json!({ "topic": "users.inserted" }),
        json!({ "topic": "bucket.items.changed" }),
        json!({ "topic": 7 }),
        json!({ "topic": "bucket.items.*", "bucket": "items" }),
        json!({ "topic": "bucket.items.*", "includeInitial": true }),
    ] {
        client.err("store.subscribeChanges", wrong, "VALIDATION_ERROR").await;
    }
    let unknown = json!({ "topic": "bucket.no.*" });
    client.err("store.subscribeChanges", unknown, "BUCKET_NOT_DEFINED").await;
}

#[tokio::test]
async fn g8_a_record_that_leaves_a_filter_is_said_to_have_left() {
    let server = serve_items().await;
    let mut writer = Client::connect(&server).await;
    let mut filtered = Client::connect(&server).await;
    let mut all = Client::connect(&server).await;
    let filter = json!({ "$or": [{ "n": { "$gte": 3 } }, { "tags": { "$size": 2 } }] });
    let interest = json!({ "bucket": "items", "filter": filter, "includeInitial": true });
    let answer = filtered.ok("store.subscribeChanges", interest).await;
    assert_eq!(filtered.push().await["data"]["last"], true);
    all.ok("store.subscribeChanges", json!({ "bucket": "items" })).await;

    let update = |key: u64, data: Value| {
        json!({ "operations": [{ "op": "update", "bucket": "items", "key": key, "data": data },
                               { "op": "insert", "bucket": "items", "data": { "id": 100 + key } }] })
    };
    let data = json!([{ "id": 1, "n": 3 }, { "id": 2, "n": 5 }, { "id": 3 }]);
    writer.ok("store.insertMany", json!({ "bucket": "items", "data": data })).await;
    writer.ok("store.transaction", update(1, json!({ "n": 4 }))).await;
    writer.ok("store.update", json!({ "bucket": "items", "key": 1, "data": { "n": 1 } })).await;
    writer.ok("store.transaction", update(3, json!({ "tags": [1, 2] }))).await;
    writer.ok("store.delete", json!({ "bucket": "items", "key": 2 })).await;
    let told = |push: &Value| -> Vec<(Value, Value)> {
        let changes = push["data"]["changes"].as_array().expect("changes");
        changes.iter().map(|change| (change["key"].clone(), change["left"].clone())).collect()
    };
    let no = Value::Null;
    let expected = [
        vec![(json!(1), no.clone()), (json!(2), no.clone())],
        vec![(json!(1), no.clone())],
        vec![(json!(1), json!(true))],
        vec![(json!(3), no.clone())],
        vec![(json!(2), no.clone())],
    ];
    for expected in &expected {
        let push = filtered.push().await;
        assert_eq!(told(&push), *expected, "{push}");
        // Who asked for everything hears nothing of it.
        let push = all.push().await;
        assert!(told(&push).iter().all(|(_, left)| left.is_null()), "{push}");
    }
    // Resumed, it is told the same.
    let again = json!({ "bucket": "items", "filter": filter, "from": answer["revision"] });
    let mut resumed = Client::connect(&server).await;
    resumed.ok("store.subscribeChanges", again).await;
    for expected in &expected {
        let push = resumed.push().await;
        assert_eq!(told(&push), *expected, "{push}");
    }
}
