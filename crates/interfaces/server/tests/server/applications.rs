//! What people build on a server, as the clients of several users: a chat, a list
//! of tasks, a dashboard. Everything goes through the client library, so that the
//! test reads like the application.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::support;
use serde_json::{Value, json};
use tandem_client::{
    ChangeEvent, Changes, ChangesOptions, Client, Options, Query, QueryEvent, Status,
};
use tandem_server::{Config, RunningServer, Server, ServerOptions};
use tokio::time::timeout;

async fn in_time<T>(work: impl Future<Output = T>) -> T {
    timeout(support::PATIENCE, work).await.expect("in time")
}

async fn serve(config: &Value, address: &str) -> RunningServer {
    let config = Config::from_json(config).expect("valid");
    in_time(Server::start(ServerOptions::new(config).listen(address))).await.expect("it starts")
}

async fn user_of(server: &RunningServer) -> Client {
    let options = Options {
        first_wait: Duration::from_millis(2),
        longest_wait: Duration::from_millis(50),
        ..Options::default()
    };
    let url = format!("ws://{}/", server.address());
    in_time(Client::connect_with(&url, options)).await.expect("connected")
}

/// Takes results until one is as expected.
async fn shows(query: &mut Query, expected: &Value) {
    loop {
        match in_time(query.next()).await {
            Some(QueryEvent::Result(result)) if result == *expected => return,
            Some(QueryEvent::Result(_)) => {}
            other => panic!("{expected} was expected, not {other:?}"),
        }
    }
}

/// The records that match, as somebody keeps them who only listens.
#[derive(Default)]
struct Copy {
    records: BTreeMap<String, Value>,
    is_whole: bool,
}

impl Copy {
    async fn follow(
        &mut self,
        changes: &mut Changes,
        holds: impl Fn(&BTreeMap<String, Value>) -> bool,
    ) {
        while !self.is_whole || !holds(&self.records) {
            match in_time(changes.next()).await.expect("it goes on") {
                ChangeEvent::Initial { changes, last, .. } => {
                    self.take(changes);
                    self.is_whole = last;
                }
                ChangeEvent::Commit { changes, .. } => self.take(changes.to_vec()),
                ChangeEvent::Progress { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn take(&mut self, changes: Vec<tandem_client::Change>) {
        for change in changes {
            match change.after {
                Some(after) if !change.left => self.records.insert(change.key.to_string(), after),
                _ => self.records.remove(&change.key.to_string()),
            };
        }
    }
}

/// The message and its number are one commit.
async fn say(user: &Client, text: &str) {
    user.transaction(|tx| async move {
        let room = json!({ "$inc": { "last": 1 } });
        let room = tx.bucket("rooms").update("hall", room).await?;
        let message = json!({ "room": "hall", "number": room["last"], "text": text });
        tx.bucket("messages").insert(message).await
    })
    .await
    .expect("said");
}

/// Messages of a room are numbered without gaps by whoever writes them, and each
/// reader sees all of them once and in order, also those of a restart.
#[tokio::test(flavor = "multi_thread")]
async fn g8_a_chat_numbers_its_messages_and_survives_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = json!({ "store": { "data": directory.path(), "buckets": {
        "rooms": { "key": "name", "schema": { "name": { "type": "string" } } },
        "messages": { "key": "id", "schema": {
            "id": { "type": "string", "generated": "uuid" },
            "room": { "type": "string", "ref": "rooms" },
        }, "indexes": [{ "fields": ["room", "number"], "unique": true }] },
    } } });
    let (_reserved, address) = support::reserved_address();
    let server = serve(&config, &address).await;
    let reader = user_of(&server).await;
    reader.bucket("rooms").insert(json!({ "name": "hall", "last": 0 })).await.expect("a room");
    let options = ChangesOptions::new().bucket("messages").filter(json!({ "room": "hall" }));
    let mut heard = in_time(reader.changes(options)).await.expect("a subscription");

    let mut users = Vec::new();
    for _ in 0..4 {
        users.push(user_of(&server).await);
    }
    let talk = |round: u64| {
        let speaking = users.iter().enumerate().map(|(user, client)| {
            let client = client.clone();
            tokio::spawn(async move {
                for line in 0..5 {
                    say(&client, &format!("{user} says {line} in {round}")).await;
                }
            })
        });
        speaking.collect::<Vec<_>>()
    };
    for speaker in talk(1) {
        in_time(speaker).await.expect("spoken");
    }
    in_time(server.shutdown(Duration::ZERO)).await.expect("stopped");
    let server = serve(&config, &address).await;
    for speaker in talk(2) {
        in_time(speaker).await.expect("spoken");
    }

    let mut numbers = Vec::new();
    while numbers.len() < 40 {
        match in_time(heard.next()).await.expect("it goes on") {
            ChangeEvent::Commit { changes, .. } => numbers.extend(
                changes.iter().filter_map(|change| change.after.as_ref()?["number"].as_u64()),
            ),
            ChangeEvent::Progress { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(numbers, (1..=40).collect::<Vec<u64>>());
    drop(server);
}

/// Each user keeps the open tasks of theirs. What is done, or handed to somebody
/// else, leaves their list without a filter of their own.
#[tokio::test]
async fn g7_a_list_of_tasks_loses_what_is_done_or_handed_over() {
    let server = support::serve_json(json!({ "store": { "buckets": { "tasks": {
        "key": "id", "schema": { "id": {}, "owner": { "type": "string" } }, "indexes": ["owner"],
    } } } }))
    .await;
    let (ann, bob) = (user_of(&server).await, user_of(&server).await);
    let tasks = ann.bucket("tasks");
    let data = (0..6).map(|id| json!({ "id": id, "owner": if id < 3 { "ann" } else { "bob" } }));
    tasks.insert_many(data.collect()).await.expect("inserted");
    let open = |owner: &str| {
        let filter = json!({ "owner": owner, "$nor": [{ "done": true }] });
        ChangesOptions::new().bucket("tasks").filter(filter).include_initial()
    };
    let mut of_ann = in_time(ann.changes(open("ann"))).await.expect("a subscription");
    let mut of_bob = in_time(bob.changes(open("bob"))).await.expect("a subscription");
    let (mut anns, mut bobs) = (Copy::default(), Copy::default());
    anns.follow(&mut of_ann, |mine| mine.keys().eq(["0", "1", "2"])).await;

    bob.transaction(|tx| async move {
        let tasks = tx.bucket("tasks");
        tasks.update(3, json!({ "owner": "ann" })).await?;
        tasks.update(4, json!({ "done": true })).await
    })
    .await
    .expect("committed");
    tasks.update(0, json!({ "done": true })).await.expect("updated");
    tasks.delete(1).await.expect("deleted");
    anns.follow(&mut of_ann, |mine| mine.keys().eq(["2", "3"])).await;
    bobs.follow(&mut of_bob, |mine| mine.keys().eq(["5"])).await;
    // It comes back as it is now.
    tasks.update(4, json!({ "done": false, "text": "again" })).await.expect("updated");
    bobs.follow(&mut of_bob, |mine| mine.len() == 2).await;
    assert_eq!(bobs.records["4"]["text"], "again");
}

/// Figures of all orders, kept up for everybody who looks, and right again after
/// the server was away.
#[tokio::test(flavor = "multi_thread")]
async fn g7_a_dashboard_shows_the_figures_of_now() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = json!({ "store": { "data": directory.path(),
        "buckets": { "orders": { "key": "id", "schema": {
            "id": { "type": "number", "generated": "autoincrement" } } } },
        "queries": {
            "revenue": { "bucket": "orders", "filter": { "shop": "{{ params.shop }}" },
                "aggregate": { "function": "sum", "field": "cents" } },
            "by-shop": { "bucket": "orders",
                "aggregate": { "function": "count", "groupBy": "shop" } },
            "largest": { "bucket": "orders", "sort": "-cents", "limit": 2, "fields": ["cents"] },
        } } });
    let (_reserved, address) = support::reserved_address();
    let server = serve(&config, &address).await;
    let (till, viewer) = (user_of(&server).await, user_of(&server).await);
    let of_rome = Some(json!({ "shop": "rome" }));
    let mut revenue = in_time(viewer.subscribe("revenue", of_rome)).await.expect("a subscription");
    let mut by_shop = in_time(viewer.subscribe("by-shop", None)).await.expect("a subscription");
    let mut largest = in_time(viewer.subscribe("largest", None)).await.expect("a subscription");
    shows(&mut revenue, &json!(0)).await;
    for (shop, cents) in [("rome", 500), ("oslo", 900), ("rome", 700)] {
        let order = json!({ "shop": shop, "cents": cents });
        till.bucket("orders").insert(order).await.expect("inserted");
    }
    shows(&mut revenue, &json!(1_200)).await;
    let group = |shop: &str, orders: u64| json!({ "key": { "shop": shop }, "value": orders });
    shows(&mut by_shop, &json!([group("rome", 2), group("oslo", 1)])).await;
    shows(&mut largest, &json!([{ "cents": 900 }, { "cents": 700 }])).await;

    in_time(server.shutdown(Duration::ZERO)).await.expect("stopped");
    for client in [&viewer, &till] {
        in_time(client.status_change(Status::Connected)).await;
    }
    let server = serve(&config, &address).await;
    let cancelled = json!({ "cents": { "$gte": 900 } });
    in_time(till.bucket("orders").delete_many(cancelled)).await.expect("deleted");
    shows(&mut largest, &json!([{ "cents": 700 }, { "cents": 500 }])).await;
    shows(&mut by_shop, &json!([group("rome", 2)])).await;
    let sum = in_time(viewer.bucket("orders").sum("cents", json!({ "shop": "rome" }))).await;
    assert_eq!(sum.expect("a sum"), json!(1_200));
    drop(server);
}
