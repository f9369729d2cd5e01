//! A thousand subscribers: each gets each commit once, whatever the others do,
//! and what is sent to all is encoded once.

mod support;

use std::time::Instant;

use serde_json::{Value, json};
use support::{Client, PATIENCE, items, serve_json};
use tandem_server::RunningServer;
use tokio::task::JoinSet;

const SUBSCRIBERS: u64 = 1_000;
const COMMITS: u64 = 20;

async fn server(config: Value) -> RunningServer {
    let mut config = config;
    config["store"] = json!({
        "buckets": { "items": items() },
        "queries": {
            "all": { "bucket": "items" },
            "of-group": { "bucket": "items", "filter": { "group": "{{ params.group }}" } },
        },
    });
    serve_json(config).await
}

/// Commits of one record each, of group `n % 10`; their revisions.
async fn commit_all(writer: &mut Client) -> Vec<u64> {
    let mut revisions = Vec::new();
    for n in 0..COMMITS {
        let insert = json!([
            { "op": "insert", "bucket": "items", "data": { "id": n, "group": n % 10 } }
        ]);
        let answer = writer.ok("store.transaction", json!({ "operations": insert })).await;
        revisions.push(answer["revision"].as_u64().expect("a revision"));
    }
    revisions
}

/// What was pushed up to the answer of a further request: all that there is.
async fn pushed(client: &mut Client) -> Vec<Value> {
    client.ok("store.buckets", json!({})).await;
    let mut pushes = Vec::new();
    while client.kept_pushes() > 0 {
        pushes.push(client.push().await);
    }
    pushes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g7_a_thousand_sockets_get_each_commit_once_and_it_is_encoded_once() {
    let server = server(json!({})).await;
    let mut clients = Vec::new();
    for _ in 0..SUBSCRIBERS {
        let mut client = Client::connect(&server).await;
        client.ok("store.subscribeChanges", json!({ "bucket": "items" })).await;
        clients.push(client);
    }
    let mut writer = Client::connect(&server).await;
    let before = server.subscription_statistics();
    let revisions = commit_all(&mut writer).await;
    let mut readers = JoinSet::new();
    for mut client in clients {
        readers.spawn(async move {
            let mut got = Vec::new();
            while got.len() < COMMITS as usize {
                let push = client.push().await;
                assert_eq!(push["data"]["changes"].as_array().map(Vec::len), Some(1), "{push}");
                got.push(push["data"]["revision"].as_u64().expect("a revision"));
            }
            assert!(pushed(&mut client).await.is_empty(), "and nothing twice");
            got
        });
    }
    while let Some(got) = readers.join_next().await {
        assert_eq!(got.expect("no panic"), revisions);
    }
    let after = server.subscription_statistics();
    assert_eq!(after.changes_encoded - before.changes_encoded, COMMITS);
    assert_eq!(after.pushes - before.pushes, SUBSCRIBERS * COMMITS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g7_ten_sockets_with_a_hundred_subscriptions_each_share_ten_queries() {
    let server = server(json!({})).await;
    let mut clients = Vec::new();
    for _ in 0..10 {
        let mut client = Client::connect(&server).await;
        for n in 0..100 {
            let params = json!({ "group": n % 10 });
            client.ok("store.subscribe", json!({ "query": "of-group", "params": params })).await;
        }
        clients.push(client);
    }
    let mut writer = Client::connect(&server).await;
    let before = server.subscription_statistics();
    assert_eq!((before.queries_run, before.queries_shared), (10, 990));
    commit_all(&mut writer).await;
    for client in &mut clients {
        // Ten subscriptions of the commit's group, of which each gets both
        // commits of it.
        let mut lengths = std::collections::BTreeMap::<String, Vec<usize>>::new();
        for _ in 0..10 * COMMITS {
            let push = client.push().await;
            let id = push["subscriptionId"].as_str().expect("an id").to_owned();
            let records = push["data"].as_array().expect("records").len();
            lengths.entry(id).or_default().push(records);
        }
        assert!(pushed(client).await.is_empty(), "and nothing twice");
        assert_eq!(lengths.len(), 100);
        assert!(lengths.values().all(|lengths| *lengths == [1, 2]), "{lengths:?}");
    }
    let after = server.subscription_statistics();
    assert_eq!(after.filters_tested - before.filters_tested, COMMITS);
    assert_eq!(after.results_encoded - before.results_encoded, COMMITS);
    assert_eq!(after.queries_run, before.queries_run);
    assert_eq!(after.pushes - before.pushes, 10 * 10 * COMMITS);
}

/// Commits large results until `enough` is true, however many a fast machine makes of
/// them in the two seconds that a client has to catch up; how many.
async fn commit_until(
    writer: &mut Client,
    readers: &mut [Client],
    mut enough: impl FnMut() -> bool,
) -> u64 {
    let mut commits = 0;
    #[expect(clippy::disallowed_methods, reason = "a bound on a test, by a clock that runs")]
    let begin = Instant::now();
    while !enough() {
        assert!(begin.elapsed() < PATIENCE, "it does not come to that");
        commits += 1;
        let record = json!({ "id": 1, "n": commits, "text": "x".repeat(100_000) });
        writer.ok("store.upsert", json!({ "bucket": "items", "data": record })).await;
        for reader in &mut *readers {
            // Both its query and its changes, every time.
            for _ in 0..2 {
                let push = reader.push().await;
                let n = match push["channel"].as_str() {
                    Some("changes") => &push["data"]["changes"][0]["after"]["n"],
                    _ => &push["data"][0]["n"],
                };
                assert_eq!(*n, commits);
            }
        }
    }
    commits
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g10_a_client_that_does_not_read_is_coalesced_and_slows_nobody() {
    let server = server(json!({ "backpressure": { "maxBufferedBytes": 400_000 } })).await;
    let (mut writer, mut slow) = (Client::connect(&server).await, Client::connect(&server).await);
    let mut readers = vec![Client::connect(&server).await, Client::connect(&server).await];
    for reader in &mut readers {
        reader.ok("store.subscribe", json!({ "query": "all" })).await;
        reader.ok("store.subscribeChanges", json!({})).await;
    }
    slow.ok("store.subscribe", json!({ "query": "all" })).await;
    // The others get every commit while the slow one reads nothing at all.
    let coalesced = || server.subscription_statistics().coalesced >= 5;
    let commits = commit_until(&mut writer, &mut readers, coalesced).await;
    assert_eq!(server.subscription_statistics().resyncs, 0);
    // It missed some results, never the newest, and none comes twice.
    let (mut last, mut got) = (0, 0);
    while last < commits {
        let push = slow.push().await;
        let n = push["data"][0]["n"].as_u64().expect("a result");
        assert!(n > last, "{n} after {last}");
        (last, got) = (n, got + 1);
    }
    assert!(got < commits && pushed(&mut slow).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g10_a_client_that_does_not_read_at_all_is_cut_and_slows_nobody() {
    let server = server(json!({ "backpressure": { "maxBufferedBytes": 400_000 } })).await;
    let (mut writer, mut slow) = (Client::connect(&server).await, Client::connect(&server).await);
    let mut readers = vec![Client::connect(&server).await];
    for reader in &mut readers {
        reader.ok("store.subscribe", json!({ "query": "all" })).await;
        reader.ok("store.subscribeChanges", json!({})).await;
    }
    let mut ids = Vec::new();
    for _ in 0..9 {
        let answer = slow.ok("store.subscribe", json!({ "query": "all" })).await;
        ids.push(answer["subscriptionId"].as_str().expect("an id").to_owned());
    }
    let changes = slow.ok("store.subscribeChanges", json!({})).await;
    ids.push(changes["subscriptionId"].as_str().expect("an id").to_owned());
    let cut = || server.subscription_statistics().resyncs >= 10;
    commit_until(&mut writer, &mut readers, cut).await;
    // Each of its subscriptions ends with a resync; its answers are all there.
    let answer = slow.post("store.buckets", json!({})).await;
    let mut ended = Vec::new();
    let mut frame = slow.frame().await;
    while frame["id"] != answer {
        let id = frame["subscriptionId"].as_str().expect("a push").to_owned();
        assert!(!ended.contains(&id), "nothing after the end: {id}");
        if frame["data"]["event"] == "resync" {
            ended.push(id);
        }
        frame = slow.frame().await;
    }
    ended.sort();
    ids.sort();
    assert_eq!(ended, ids);
    assert_eq!(frame["type"], "result");
    // Nothing holds on to it: it may subscribe again.
    let again = slow.ok("store.subscribe", json!({ "query": "all" })).await;
    assert_eq!(again["data"].as_array().map(Vec::len), Some(1));
}
