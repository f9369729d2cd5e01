//! A client without a socket is served as one with a socket.

use serde_json::{Value, json};
use tandem::Store;
use tandem_server::{Config, Conversation};

fn parse(frame: &[u8]) -> Value {
    serde_json::from_slice(frame).expect("frames are JSON")
}

#[tokio::test]
async fn what_is_said_is_answered_and_the_end_rolls_back() {
    let store = Store::memory().expect("memory opens");
    let config = Config::from_json(&json!({
        "store": { "data": null, "buckets": { "items": { "key": "id", "schema": { "id": {} } } } }
    }));
    let mut client = Conversation::begin(config.expect("a config"), &store).expect("it begins");
    let said = br#"{"id":1,"type":"store.insert","bucket":"items","data":{"id":7}}"#;
    let answers = client.say(said).await;
    assert_eq!(parse(&answers[0])["data"]["_version"], 1);
    let begun = client.say(br#"{"id":2,"type":"store.begin"}"#).await;
    let transaction = parse(&begun[0])["data"]["transaction"].clone();
    let delete = json!({ "id": 3, "type": "store.delete", "bucket": "items", "key": 7,
        "transaction": transaction });
    client.say(delete.to_string().as_bytes()).await;
    let refused = parse(&client.post(br#"{"id":4,"type":"store.begin"}"#).await);
    assert_eq!(refused["code"], "VALIDATION_ERROR");
    assert!(client.say(br#"{"type":"pong","timestamp":1}"#).await.is_empty());
    client.end().await;
    assert_eq!(store.bucket("items").count(json!({})).expect("readable"), 1);
    assert_eq!(store.statistics().expect("readable").open_transactions, 0);
}

/// An answer larger than the outbox may hold is heard, not waited for.
#[tokio::test]
async fn g10_a_large_answer_needs_no_other_reader() {
    let store = Store::memory().expect("memory opens");
    store.define_bucket("items", tandem::BucketConfig::new("id")).expect("the bucket is new");
    for id in 0..5 {
        let record = json!({ "id": id, "text": "x".repeat(1 << 20) });
        store.bucket("items").insert(record).expect("a record");
    }
    let mut client = Conversation::begin(Config::memory(), &store).expect("it begins");
    let answers = client.say(br#"{"id":1,"type":"store.all","bucket":"items"}"#).await;
    assert!(answers[0].len() > 5 << 20, "{} bytes", answers[0].len());
}
