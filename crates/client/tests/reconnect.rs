//! Lost connections: what is sent again, what is not, and what is said.

mod support;

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use support::{Network, Weather, client_of, config, in_time, quick, serve, until};
use tandem_client::{Batch, CONNECTION_LOST, Client, Code, Options, Outcome, Status};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;

async fn demo() -> (tandem_server::RunningServer, Network, Client) {
    let server = serve(config()).await;
    let network = Network::to(&server).await;
    let client = network.client().await;
    (server, network, client)
}

#[tokio::test]
async fn requests_wait_for_the_next_connection() {
    let (server, network, client) = demo().await;
    let items = client.bucket("items");
    for id in 0..5 {
        network.leads_to(None);
        network.cut();
        in_time(client.status_change(Status::Connected)).await;
        let waiting = tokio::spawn({
            let items = items.clone();
            async move { items.insert(json!({ "id": id })).await }
        });
        network.leads_to(Some(&server));
        in_time(waiting).await.unwrap().unwrap();
    }
    assert_eq!(items.find(json!({})).count().await.unwrap(), 5);
}

#[tokio::test]
async fn they_do_not_wait_for_ever() {
    let server = serve(config()).await;
    let network = Network::to(&server).await;
    let wait = Duration::from_millis(30);
    let client = network.client_with(Options { request_wait: wait, ..quick() }).await;
    network.leads_to(None);
    network.cut();
    in_time(client.status_change(Status::Connected)).await;
    let error = in_time(client.bucket("items").insert(json!({ "id": 1 }))).await.unwrap_err();
    assert_eq!((error.code(), error.outcome()), (CONNECTION_LOST, Outcome::Nothing));
    network.leads_to(Some(&server));
    in_time(client.status_change(Status::Connecting)).await;
    assert_eq!(client.bucket("items").get(1).await.unwrap(), None);
}

#[tokio::test]
async fn a_read_is_sent_again_and_a_write_is_not() {
    let (server, network, client) = demo().await;
    network.set(Weather::LosesAnswers);
    let items = client.bucket("items");
    let write = tokio::spawn({
        let items = items.clone();
        async move { items.insert(json!({ "id": 1 })).await }
    });
    let read = tokio::spawn({
        let items = items.clone();
        async move { items.find(json!({})).count().await }
    });
    network.loses().await;
    // Carried out, as somebody else can see, and answered: nothing is on its way.
    let other = client_of(&server).await;
    assert!(other.bucket("items").get(1).await.unwrap().is_some());
    network.set(Weather::Fine);
    network.cut();
    let error = in_time(write).await.unwrap().unwrap_err();
    assert_eq!((error.code(), error.outcome()), (CONNECTION_LOST, Outcome::Unknown));
    assert!(!error.retryable(), "it may have happened, and it has");
    assert_eq!(in_time(read).await.unwrap().unwrap(), 1);
}

#[tokio::test]
async fn a_named_batch_is_sent_again_and_one_without_a_name_is_not() {
    for named in [true, false] {
        let (server, network, client) = demo().await;
        network.set(Weather::LosesAnswers);
        let batch = Batch::new().insert("items", json!({ "id": 1 })).named(named);
        let sent = tokio::spawn(async move { client.batch(batch).await });
        network.loses().await;
        let other = client_of(&server).await;
        assert!(other.bucket("items").get(1).await.unwrap().is_some(), "it was carried out");
        network.set(Weather::Fine);
        network.cut();
        let answer = in_time(sent).await.unwrap();
        if named {
            let results = answer.unwrap().results;
            assert_eq!((results.len(), &results[0]["id"]), (1, &json!(1)), "the first result");
        } else {
            let error = answer.unwrap_err();
            assert_eq!((error.code(), error.outcome()), (CONNECTION_LOST, Outcome::Unknown));
            assert!(!error.retryable(), "it may have happened, and it has");
        }
        assert_eq!(other.bucket("items").find(json!({})).count().await.unwrap(), 1);
    }
}

/// A restarted server gives its handles anew: the old one may name a
/// transaction of somebody else's.
#[tokio::test]
async fn a_transaction_of_a_lost_connection_touches_no_other() {
    let first = serve(config()).await;
    let network = Network::to(&first).await;
    let client = network.client().await;
    let lost = client.begin().await.unwrap();
    let second = serve(config()).await;
    network.leads_to(None);
    network.cut();
    in_time(client.status_change(Status::Connected)).await;
    network.leads_to(Some(&second));
    let open = in_time(client.begin()).await.unwrap();
    let error = lost.bucket("items").insert(json!({ "id": 1 })).await.unwrap_err();
    assert_eq!((error.code(), error.outcome()), (CONNECTION_LOST, Outcome::Nothing));
    assert!(error.retryable(), "nothing of it is left");
    let error = lost.commit().await.unwrap_err();
    assert!(error.retryable() && error.outcome() == Outcome::Nothing);
    drop(lost);
    assert_eq!(open.commit().await.unwrap().changes, 0);
    assert_eq!(client.bucket("items").get(1).await.unwrap(), None);
}

#[tokio::test]
async fn heartbeats_are_answered() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        socket.send(Message::text(r#"{"type":"welcome","version":"1.0.0"}"#)).await.unwrap();
        for timestamp in [1, 2, 3] {
            let ping = json!({ "type": "ping", "timestamp": timestamp });
            socket.send(Message::text(ping.to_string())).await.unwrap();
            let pong = socket.next().await.unwrap().unwrap();
            let pong: Value = serde_json::from_str(pong.to_text().unwrap()).unwrap();
            assert_eq!(pong, json!({ "type": "pong", "timestamp": timestamp }));
        }
    });
    let _client = in_time(Client::connect(&url)).await.unwrap();
    in_time(server).await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_silent_is_given_up() {
    let server = serve(config()).await;
    let network = Network::to(&server).await;
    let silence = Duration::from_millis(50);
    let client = network.client_with(Options { silence, ..quick() }).await;
    let read = |id| {
        let items = client.bucket("items");
        async move { items.get(id).await }
    };
    network.set(Weather::Silent);
    let waiting = tokio::spawn(read(1));
    in_time(client.status_change(Status::Connected)).await;
    network.set(Weather::Fine);
    network.cut();
    assert_eq!(in_time(waiting).await.unwrap().unwrap(), None);
}

#[tokio::test]
async fn a_refusal_for_good_is_the_end() {
    let mut config = config();
    config["maxConnectionsPerIp"] = json!(1);
    let server = serve(config).await;
    let client = client_of(&server).await;
    let error = Client::connect(&format!("ws://{}/", server.address())).await.unwrap_err();
    assert!(error.is(Code::Closed) && error.message().contains("4003"), "{error}");
    assert_eq!(client.status(), Status::Connected);
}

#[tokio::test]
async fn a_dropped_client_leaves() {
    let server = serve(config()).await;
    let watcher = client_of(&server).await;
    let client = client_of(&server).await;
    let open = client.begin().await.unwrap();
    until(&watcher, "/connectionCount", json!(2)).await;
    drop(client);
    until(&watcher, "/transactions/open", json!(1)).await;
    drop(open);
    until(&watcher, "/connectionCount", json!(1)).await;
    until(&watcher, "/transactions/open", json!(0)).await;
}

#[tokio::test]
async fn a_server_that_stops_and_starts_again_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config();
    config["store"]["data"] = Value::from(directory.path().to_str().unwrap());
    let mut server = serve(config.clone()).await;
    let network = Network::to(&server).await;
    let client = network.client().await;
    let items = client.bucket("items");
    for id in 0..3 {
        items.insert(json!({ "id": id })).await.unwrap();
        network.leads_to(None);
        server.shutdown(Duration::ZERO).await.unwrap();
        server = serve(config.clone()).await;
        network.leads_to(Some(&server));
        let records = in_time(items.find(json!({})).records()).await.unwrap();
        assert_eq!(records.len(), id + 1);
    }
}
