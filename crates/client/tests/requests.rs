//! Every kind of request, and the errors they answer.

mod support;

use serde_json::{Value, json};
use support::{client_of, config, serve};
use tandem_client::{Batch, Client, Code, Durability, Isolation, Outcome};

fn ids(records: &[Value]) -> Vec<i64> {
    records.iter().filter_map(|record| record["id"].as_i64()).collect()
}

async fn demo() -> (tandem_server::RunningServer, Client) {
    let server = serve(config()).await;
    let client = client_of(&server).await;
    (server, client)
}

#[tokio::test]
async fn records_are_written_and_read() {
    let (_server, client) = demo().await;
    let items = client.bucket("items");
    let one = items.insert(json!({ "id": 1, "n": 5, "g": "a" })).await.unwrap();
    assert_eq!((&one["n"], &one["_version"]), (&json!(5), &json!(1)));
    let more = vec![json!({ "id": 2, "n": 7, "g": "b" }), json!({ "id": 3, "n": 9, "g": "a" })];
    assert_eq!(ids(&items.insert_many(more).await.unwrap()), [2, 3]);
    assert_eq!(items.get(1).await.unwrap().unwrap()["n"], 5);
    assert_eq!(items.get(9).await.unwrap(), None);

    assert_eq!(items.update(1, json!({ "n": 6 })).await.unwrap()["_version"], 2);
    assert_eq!(items.update_if(1, json!({ "n": 7 }), 2).await.unwrap()["_version"], 3);
    assert_eq!(items.replace(1, json!({ "n": 8 })).await.unwrap().get("g"), None);
    assert_eq!(items.replace_if(1, json!({ "n": 9, "g": "a" }), 4).await.unwrap()["g"], "a");
    assert_eq!(items.upsert(json!({ "id": 4, "n": 1 })).await.unwrap()["_version"], 1);
    assert_eq!(items.upsert_if(json!({ "id": 4, "n": 2 }), 1).await.unwrap()["_version"], 2);
    assert_eq!(items.update_many(json!({ "g": "a" }), json!({ "h": true })).await.unwrap(), 2);

    let found = items.find(json!({ "n": { "$gte": 7 } })).sort(&["-n", "id"]);
    assert_eq!(ids(&found.clone().records().await.unwrap()), [1, 3, 2]);
    assert_eq!(ids(&found.clone().limit(1).offset(1).records().await.unwrap()), [3]);
    assert_eq!(found.clone().fields(&["id"]).one().await.unwrap(), Some(json!({ "id": 1 })));
    assert_eq!(items.find(json!({ "n": 70 })).one().await.unwrap(), None);
    assert_eq!(found.clone().count().await.unwrap(), 3);
    assert_eq!(ids(&items.find(json!({})).first(2).await.unwrap()), [1, 2]);
    assert_eq!(ids(&items.find(json!({})).last(2).await.unwrap()), [3, 4]);
    assert_eq!(found.clone().explain().await.unwrap()["rowsReturned"], 3);
    let first = found.clone().page(2, None).await.unwrap();
    assert!(first.has_more);
    let second = found.page(2, first.next_cursor.as_ref()).await.unwrap();
    assert_eq!((ids(&second.records), second.has_more), (vec![2], false));

    let all = || json!({});
    assert_eq!(items.sum("n", all()).await.unwrap(), 27);
    assert_eq!(items.avg("n", json!({ "id": { "$lte": 2 } })).await.unwrap(), 8);
    assert_eq!(items.min("n", all()).await.unwrap(), 2);
    assert_eq!(items.max("none", all()).await.unwrap(), Value::Null);
    let groups = items.group_by(&["g"], json!({ "function": "count" }), all()).await.unwrap();
    assert_eq!(groups[0], json!({ "key": { "g": "a" }, "value": 2 }));

    items.delete_if(4, 2).await.unwrap();
    items.delete(2).await.unwrap();
    assert_eq!(items.delete_many(json!({ "g": "a" })).await.unwrap(), 2);
    items.insert(json!({ "id": 5 })).await.unwrap();
    items.clear().await.unwrap();
    assert_eq!(items.find(json!({})).count().await.unwrap(), 0);
}

#[tokio::test]
async fn definitions_are_made_and_listed() {
    let (_server, client) = demo().await;
    let schema = json!({ "key": "id", "schema": { "id": {} } });
    client.define_bucket("more", schema.clone()).await.unwrap();
    client
        .update_bucket("more", json!({ "addFields": { "x": { "type": "number" } } }))
        .await
        .unwrap();
    assert_eq!(client.bucket_names().await.unwrap(), ["items", "more"]);
    let more = client.bucket("more");
    assert_eq!(more.config().await.unwrap()["schema"]["x"]["type"], "number");
    assert_eq!(
        more.create_index(json!({ "name": "by-x", "fields": ["x"] })).await.unwrap(),
        "by-x"
    );
    assert_eq!(more.indexes().await.unwrap()[0]["state"], "ready");
    more.drop_index("by-x").await.unwrap();
    client.define_query("q", json!({ "bucket": "more" })).await.unwrap();
    client.undefine_query("q").await.unwrap();
    assert_eq!(client.check(Some("more"), false).await.unwrap()["missing"], 0);
    client.drop_bucket("more").await.unwrap();
    assert_eq!(client.bucket_names().await.unwrap(), ["items"]);
    let again = client.define_bucket("items", schema).await.unwrap_err();
    assert!(again.is(Code::AlreadyExists));
}

#[tokio::test]
async fn a_batch_is_one_transaction() {
    let (_server, client) = demo().await;
    let batch = Batch::new()
        .insert("items", json!({ "id": 1, "n": 1 }))
        .insert("items", json!({ "id": 2, "n": 1 }))
        .update("items", 1, json!({ "n": 2 }), Some(1))
        .delete("items", 2, None)
        .get("items", 1)
        .find("items", json!({}))
        .find_one("items", json!({ "n": 3 }))
        .count("items", json!({ "n": 2 }))
        .isolation(Isolation::Snapshot)
        .durability(Durability::Buffered)
        .idempotency_key("batch");
    let receipt = client.batch(batch.clone()).await.unwrap();
    assert_eq!(receipt.results.len(), 8);
    assert_eq!(receipt.results[4]["n"], 2);
    assert_eq!((&receipt.results[6], &receipt.results[7]), (&Value::Null, &json!(1)));
    assert_eq!(client.batch(batch).await.unwrap().revision, receipt.revision, "the first result");
    let stale = Batch::new().insert("items", json!({ "id": 3 })).delete("items", 1, Some(7));
    let error = client.batch(stale).await.unwrap_err();
    assert!(error.is(Code::Conflict) && error.message().starts_with("operations[1]: "), "{error}");
    assert_eq!(client.bucket("items").get(3).await.unwrap(), None);
}

#[tokio::test]
async fn errors_carry_code_message_advice_and_details() {
    let (_server, client) = demo().await;
    let items = client.bucket("items");
    items.insert(json!({ "id": 1 })).await.unwrap();
    let error = items.insert(json!({ "id": 1 })).await.unwrap_err();
    assert_eq!(error.code(), "ALREADY_EXISTS");
    assert!(error.is(Code::AlreadyExists) && !error.retryable());
    assert_eq!(error.details(), Some(&json!({ "bucket": "items", "key": 1 })));
    assert_eq!(error.outcome(), Outcome::Nothing);
    let error = items.update_if(1, json!({}), 7).await.unwrap_err();
    assert_eq!((error.code(), error.retryable()), ("CONFLICT", false));
    assert_eq!(error.detail("actualVersion"), Some(&json!(1)));
    for (kind, fields, code) in [
        ("store.get", json!({ "bucket": "items" }), "VALIDATION_ERROR"),
        ("store.get", json!({ "bucket": "none", "key": 1 }), "BUCKET_NOT_DEFINED"),
        ("store.update", json!({ "bucket": "items", "key": 9, "data": {} }), "NOT_FOUND"),
        ("store.commit", json!({ "transaction": "tx-99" }), "TRANSACTION_NOT_FOUND"),
        ("store.what", json!({}), "UNKNOWN_OPERATION"),
        ("rules.emit", json!({}), "RULES_NOT_AVAILABLE"),
    ] {
        let error = client.request(kind, fields).await.unwrap_err();
        assert_eq!(error.code(), code);
        assert!(!error.message().is_empty() && !error.retryable());
    }
}

#[tokio::test]
async fn many_tasks_share_a_client() {
    let (_server, client) = demo().await;
    let tasks: Vec<_> = (0..500)
        .map(|id| {
            let items = client.bucket("items");
            tokio::spawn(async move {
                items.insert(json!({ "id": id })).await?;
                items.get(id).await
            })
        })
        .collect();
    for (id, task) in tasks.into_iter().enumerate() {
        assert_eq!(task.await.unwrap().unwrap().unwrap()["id"], id);
    }
}

#[tokio::test]
async fn what_is_no_server_of_tandem_is_an_error() {
    // Nobody listens there, and while it is bound nobody else is given the port.
    let reserved = tokio::net::TcpSocket::new_v4().unwrap();
    reserved.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = reserved.local_addr().unwrap();
    let error = Client::connect(&format!("ws://{address}/")).await.unwrap_err();
    assert_eq!(error.code(), tandem_client::CONNECTION_LOST);
    let error = Client::connect("nonsense").await.unwrap_err();
    assert_eq!(error.code(), tandem_client::CONNECTION_LOST);
}

#[tokio::test]
async fn after_close_every_request_says_so() {
    let (_server, client) = demo().await;
    client.close().await;
    assert_eq!(client.status(), tandem_client::Status::Closed);
    let error = client.bucket("items").get(1).await.unwrap_err();
    assert!(error.is(Code::Closed), "{error}");
    assert!(client.subscribe("all", None).await.unwrap_err().is(Code::Closed));
}
