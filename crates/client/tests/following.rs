//! Subscriptions: resumed across connections and servers, bounded, ended.

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::{Network, client_of, config, in_time, quick, serve, serve_store, until};
use tandem::{BucketConfig, ChangeLogOptions, Limits, Store};
use tandem_client::{
    ChangeEvent, ChangeKind, Changes, ChangesOptions, Client, Code, Options, Query, QueryEvent,
    Status,
};

/// The next commit.
async fn commit(changes: &mut Changes) -> (u64, Vec<tandem_client::Change>) {
    loop {
        match in_time(changes.next()).await.expect("it goes on") {
            ChangeEvent::Commit { revision, changes } => return (revision, changes.to_vec()),
            ChangeEvent::Progress { .. } => {}
            other => panic!("a commit was expected, not {other:?}"),
        }
    }
}

/// The next result.
async fn result(query: &mut Query) -> Value {
    match in_time(query.next()).await.expect("it goes on") {
        QueryEvent::Result(result) => result,
        other => panic!("a result was expected, not {other:?}"),
    }
}

async fn insert(client: &Client, id: u64) {
    client.bucket("items").insert(json!({ "id": id, "n": id })).await.expect("inserted");
}

#[tokio::test]
async fn a_query_gives_its_result_and_every_new_one() {
    let server = serve(config()).await;
    let client = client_of(&server).await;
    let mut query = client.subscribe("all", None).await.unwrap();
    assert_eq!(result(&mut query).await, json!([]));
    insert(&client, 1).await;
    assert_eq!(result(&mut query).await, json!([{ "id": 1, "n": 1 }]));
    // A reader that is too slow gets the newest in the end.
    for id in 2..=40 {
        insert(&client, id).await;
    }
    let mut seen = 1;
    while seen < 40 {
        let now = result(&mut query).await.as_array().unwrap().len();
        assert!(now > seen, "never an older one");
        seen = now;
    }
    client.undefine_query("all").await.unwrap();
    insert(&client, 41).await;
    assert!(matches!(in_time(query.next()).await, Some(QueryEvent::Ended(None))));
    assert!(in_time(query.next()).await.is_none());
    let error = client.subscribe("all", None).await.unwrap_err();
    assert!(error.is(Code::QueryNotDefined));
}

#[tokio::test]
async fn a_query_whose_result_becomes_too_large_ends_with_the_limit() {
    let mut limits = Limits::default();
    limits.query.result_rows = 2;
    let store = Store::builder().memory().limits(limits).open().unwrap();
    let server = serve_store(store).await;
    let client = client_of(&server).await;
    let mut query = client.subscribe("all", None).await.unwrap();
    for id in 1..=3 {
        result(&mut query).await;
        insert(&client, id).await;
    }
    let Some(QueryEvent::Ended(Some(error))) = in_time(query.next()).await else {
        panic!("it has ended");
    };
    assert!(error.is(Code::LimitExceeded) && !error.retryable());
    assert_eq!(error.detail("limit"), Some(&json!("resultRows")));
    assert!(in_time(query.next()).await.is_none());
    let error = client.subscribe("all", None).await.unwrap_err();
    assert!(error.is(Code::LimitExceeded));
}

#[tokio::test]
async fn g7_changes_come_commit_by_commit() {
    let server = serve(config()).await;
    let client = client_of(&server).await;
    client.define_bucket("other", json!({ "key": "id", "schema": { "id": {} } })).await.unwrap();
    let filter = json!({ "n": { "$lt": 100 } });
    let options = ChangesOptions::new().bucket("items").bucket("other").filter(filter);
    let mut changes = client.changes(options).await.unwrap();
    let start = changes.revision();
    client
        .transaction(|tx| async move {
            tx.bucket("items").insert(json!({ "id": 1, "n": 1 })).await?;
            tx.bucket("items").insert(json!({ "id": 2, "n": 200 })).await?;
            tx.bucket("other").insert(json!({ "id": 1, "n": 2 })).await
        })
        .await
        .unwrap();
    client.bucket("items").update(1, json!({ "n": 3 })).await.unwrap();
    client.bucket("items").delete(1).await.unwrap();
    let (first, inserted) = commit(&mut changes).await;
    assert!(first > start);
    let names: Vec<_> = inserted.iter().map(|change| (&*change.bucket, change.kind)).collect();
    assert_eq!(names, [("items", ChangeKind::Insert), ("other", ChangeKind::Insert)]);
    let (second, updated) = commit(&mut changes).await;
    assert!(second > first);
    assert_eq!(updated[0].before.as_ref().unwrap()["n"], 1);
    assert_eq!(updated[0].after.as_ref().unwrap()["n"], 3);
    let (third, deleted) = commit(&mut changes).await;
    assert_eq!((deleted[0].kind, &deleted[0].after), (ChangeKind::Delete, &None));
    assert_eq!(changes.revision(), third);
    client.drop_bucket("other").await.unwrap();
    match in_time(changes.next()).await {
        Some(ChangeEvent::BucketDropped { bucket, .. }) => assert_eq!(bucket, "other"),
        other => panic!("{other:?}"),
    }
    let error = client.changes(ChangesOptions::new().bucket("none")).await.unwrap_err();
    assert!(error.is(Code::BucketNotDefined));
}

#[tokio::test]
async fn changes_are_followed_by_topic_across_connections() {
    let server = serve(config()).await;
    let network = Network::to(&server).await;
    let (client, writer) = (network.client().await, client_of(&server).await);
    let topic = ChangesOptions::new().topic("bucket.*.deleted");
    let mut changes = client.changes(topic.clone()).await.unwrap();
    for id in 1..=2 {
        insert(&writer, id).await;
        writer.bucket("items").delete(id).await.unwrap();
        let (_, told) = commit(&mut changes).await;
        assert_eq!((told.len(), told[0].kind), (1, ChangeKind::Delete));
        assert_eq!(told[0].key, json!(id));
        network.cut();
    }
    let error = client.changes(topic.include_initial()).await.unwrap_err();
    assert!(error.is(Code::ValidationError));
}

#[tokio::test]
async fn g8_changes_may_begin_with_the_records_that_there_are() {
    let server = serve(config()).await;
    let network = Network::to(&server).await;
    let options = Options { buffered_events: 2, ..quick() };
    let client = network.client_with(options).await;
    for id in 0..300 {
        let text = "x".repeat(2_000);
        client.bucket("items").insert(json!({ "id": id, "text": text })).await.unwrap();
    }
    let options = ChangesOptions::new().bucket("items").include_initial();
    let mut changes = client.changes(options.clone()).await.unwrap();
    insert(&client, 300).await;
    let mut keys = Vec::new();
    let mut pushes = 0;
    loop {
        match in_time(changes.next()).await.expect("it goes on") {
            ChangeEvent::Initial { changes, last, .. } => {
                keys.extend(changes.into_iter().map(|change| change.key));
                pushes += 1;
                if last {
                    break;
                }
            }
            other => panic!("initial records were expected, not {other:?}"),
        }
    }
    assert_eq!(keys, (0..300).map(Value::from).collect::<Vec<_>>());
    assert!(pushes > 2, "more than the buffer holds: {pushes}");
    let read_at = changes.revision();
    let (revision, inserted) = commit(&mut changes).await;
    assert!(revision > read_at);
    assert_eq!(inserted[0].key, 300);
    network.cut();
    insert(&client_of(&server).await, 301).await;
    assert_eq!(commit(&mut changes).await.1[0].key, 301, "from here on as any other");
    let error = client.changes(options.from(1)).await.unwrap_err();
    assert!(error.is(Code::ValidationError));
}

#[tokio::test]
async fn g8_changes_go_on_across_connections_each_once_and_in_order() {
    let server = serve(config()).await;
    let network = Network::to(&server).await;
    let client = network.client().await;
    let writer = client_of(&server).await;
    let mut changes = client.changes(ChangesOptions::new().bucket("items")).await.unwrap();
    let mut query = client.subscribe("all", None).await.unwrap();
    let writing = tokio::spawn(async move {
        for id in 0..200 {
            insert(&writer, id).await;
        }
    });
    let mut revision = 0;
    for id in 0..200_u64 {
        if id % 20 == 7 {
            network.cut();
        }
        let (next, changed) = commit(&mut changes).await;
        assert!(next > revision);
        revision = next;
        assert_eq!(changed.iter().map(|change| &change.key).collect::<Vec<_>>(), [&json!(id)]);
    }
    in_time(writing).await.unwrap();
    in_time(async { while result(&mut query).await.as_array().unwrap().len() < 200 {} }).await;
}

#[tokio::test]
async fn g8_changes_go_on_across_a_restart_of_the_server() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config();
    config["store"]["data"] = Value::from(directory.path().to_str().unwrap());
    let mut server = serve(config.clone()).await;
    let network = Network::to(&server).await;
    let client = network.client().await;
    let mut changes = client.changes(ChangesOptions::new().bucket("items")).await.unwrap();
    let mut query = client.subscribe("all", None).await.unwrap();
    for round in 0..3 {
        let writer = client_of(&server).await;
        insert(&writer, round * 10).await;
        assert_eq!(commit(&mut changes).await.1[0].key, round * 10);
        network.leads_to(None);
        network.cut();
        in_time(client.status_change(Status::Connected)).await;
        // Missed by the client, and kept by the log.
        insert(&writer, round * 10 + 1).await;
        server.shutdown(Duration::ZERO).await.unwrap();
        server = serve(config.clone()).await;
        insert(&client_of(&server).await, round * 10 + 2).await;
        network.leads_to(Some(&server));
        assert_eq!(commit(&mut changes).await.1[0].key, round * 10 + 1);
        assert_eq!(commit(&mut changes).await.1[0].key, round * 10 + 2);
    }
    in_time(async { while result(&mut query).await.as_array().unwrap().len() < 9 {} }).await;
}

#[tokio::test]
async fn g10_a_slow_reader_is_bounded_and_misses_nothing() {
    let server = serve(config()).await;
    let client = Client::connect_with(
        &format!("ws://{}/", server.address()),
        Options { buffered_events: 4, ..quick() },
    )
    .await
    .unwrap();
    let mut changes = client.changes(ChangesOptions::new().bucket("items")).await.unwrap();
    for id in 0..100 {
        insert(&client, id).await;
    }
    // The server holds no subscription for it meanwhile.
    until(&client, "/connections/totalStoreSubscriptions", json!(0)).await;
    for id in 0..100 {
        assert_eq!(commit(&mut changes).await.1[0].key, id);
    }
    drop(changes);
    until(&client, "/connections/totalStoreSubscriptions", json!(0)).await;
}

#[tokio::test]
async fn g8_a_log_that_does_not_reach_back_is_said() {
    let log = ChangeLogOptions {
        max_bytes: 1,
        ring_bytes: 1,
        ring_commits: 1,
        ..ChangeLogOptions::default()
    };
    // The log is trimmed when the test says so.
    let store = Store::builder().memory().background(false).change_log(log).open().unwrap();
    store.define_bucket("items", BucketConfig::new("id")).unwrap();
    let server = serve_store(store.clone()).await;
    let network = Network::to(&server).await;
    let client = network.client().await;
    let writer = client_of(&server).await;
    let mut changes = client.changes(ChangesOptions::new().bucket("items")).await.unwrap();
    let start = changes.revision();
    insert(&writer, 1).await;
    commit(&mut changes).await;
    network.leads_to(None);
    network.cut();
    in_time(client.status_change(Status::Connected)).await;
    for id in 2..5 {
        insert(&writer, id).await;
    }
    store.maintain().unwrap();
    network.leads_to(Some(&server));
    let Some(ChangeEvent::Resync { revision }) = in_time(changes.next()).await else {
        panic!("a resync")
    };
    assert_eq!(revision, store.revision().unwrap());
    assert_eq!(client.bucket("items").find(json!({})).count().await.unwrap(), 4);
    insert(&writer, 5).await;
    assert_eq!(commit(&mut changes).await.1[0].key, 5, "and it goes on");
    store.maintain().unwrap();
    let error = client.changes(ChangesOptions::new().from(start)).await.unwrap_err();
    assert!(error.is(Code::ResyncRequired));
}

#[tokio::test]
async fn what_is_dropped_is_ended_with_the_server() {
    let server = serve(config()).await;
    let client = client_of(&server).await;
    let query = client.subscribe("all", None).await.unwrap();
    let changes = client.changes(ChangesOptions::new()).await.unwrap();
    until(&client, "/connections/totalStoreSubscriptions", json!(2)).await;
    drop(query);
    until(&client, "/connections/totalStoreSubscriptions", json!(1)).await;
    drop(changes);
    until(&client, "/connections/totalStoreSubscriptions", json!(0)).await;
}

#[tokio::test]
async fn a_subscription_that_cannot_be_resumed_says_why() {
    let server = serve(config()).await;
    let network = Network::to(&server).await;
    let client = network.client().await;
    let mut changes = client.changes(ChangesOptions::new().bucket("items")).await.unwrap();
    let mut query = client.subscribe("all", None).await.unwrap();
    result(&mut query).await;
    let mut other = config();
    other["store"]["buckets"] = json!({});
    other["store"]["queries"] = json!({});
    let other = serve(other).await;
    network.leads_to(Some(&other));
    network.cut();
    match in_time(changes.next()).await {
        Some(ChangeEvent::Ended(error)) => assert!(error.is(Code::BucketNotDefined), "{error}"),
        other => panic!("{other:?}"),
    }
    assert!(in_time(changes.next()).await.is_none());
    match in_time(query.next()).await {
        Some(QueryEvent::Ended(Some(error))) => {
            assert!(error.is(Code::QueryNotDefined), "{error}");
        }
        other => panic!("{other:?}"),
    }
    assert!(in_time(query.next()).await.is_none());
}
