//! Wire frames: a line of the input is one text message of a client.
//!
//! The server has a small store in memory, new for each input, with a bucket of
//! every kind. A line that begins with `!` goes through the administrator's
//! door. Every answer must be one JSON frame with the request's id and no
//! `INTERNAL_ERROR`, and afterwards nothing is left open and every index equals
//! its records.

use std::cell::RefCell;

use serde_json::{Value, json};
use tandem::{BucketConfig, CheckOptions, Store};
use tandem_server::{Config, Conversation};
use tokio::runtime::{Builder, Runtime};

/// More would make one input too slow to be worth it.
const MOST_LINES: usize = 32;

thread_local! {
    static RUNTIME: RefCell<Runtime> = RefCell::new(
        Builder::new_current_thread().enable_all().build().expect("a runtime starts"),
    );
}

/// See the [module](self).
///
/// # Panics
/// When a promise is broken.
pub fn target(data: &[u8]) {
    let store = store();
    RUNTIME.with_borrow(|runtime| {
        runtime.block_on(async {
            let mut client =
                Conversation::begin(Config::memory(), &store).expect("the server starts");
            for line in data.split(|byte| *byte == b'\n').take(MOST_LINES) {
                match line.strip_prefix(b"!") {
                    Some(line) => judge(line, &client.post(line).await),
                    None => {
                        for frame in client.say(line).await {
                            judge(line, &frame);
                        }
                    }
                }
            }
            client.end().await;
        });
    });
    let open = store.statistics().expect("the store is open").open_transactions;
    assert_eq!(open, 0, "transactions outlived their client");
    let report = store.check(&CheckOptions::new()).expect("the store can be read");
    assert!(report.is_clean(), "{report:?}");
}

fn judge(line: &[u8], frame: &[u8]) {
    let text = || String::from_utf8_lossy(line).into_owned();
    let parsed: Value = serde_json::from_slice(frame)
        .unwrap_or_else(|error| panic!("{error}: {:?} answers {}", frame.escape_ascii(), text()));
    match parsed["type"].as_str() {
        Some("result" | "push" | "system") => {}
        Some("error") => {
            assert_ne!(parsed["code"], "INTERNAL_ERROR", "{parsed} answers {}", text());
            assert!(parsed["retryable"].is_boolean() && parsed["message"].is_string(), "{parsed}");
        }
        _ => panic!("{parsed} answers {}", text()),
    }
}

/// Buckets of every kind with a few records.
fn store() -> Store {
    let store = Store::builder().memory().background(false).open().expect("memory opens");
    let buckets = json!({
        "u": { "key": "id", "schema": {
                "id": { "type": "number", "generated": "autoincrement" },
                "email": { "type": "string", "unique": true, "format": "email" },
                "age": { "type": "number", "min": 0, "max": 150 },
                "role": { "type": "string", "enum": ["a", "b"], "default": "a" },
                "tags": { "type": "array" } },
               "indexes": ["age", { "fields": ["role", "-age"] },
                           { "name": "tags", "fields": ["tags"], "multi": true }] },
        "p": { "key": "id", "schema": { "id": {}, "user": { "ref": "u", "onDelete": "cascade" } } },
        "t": { "key": "id", "schema": { "id": { "type": "string", "generated": "uuid" } },
               "ttl": 1000, "maxSize": 3 },
    });
    for (name, config) in buckets.as_object().into_iter().flatten() {
        let config = BucketConfig::from_json(config.clone()).expect("a definition");
        store.define_bucket(name.as_str(), config).expect("the bucket is new");
    }
    for (email, age) in [("a@b.cc", 1), ("b@b.cc", 2), ("c@b.cc", 3)] {
        let record = json!({ "email": email, "age": age, "tags": [age, "x"] });
        store.bucket("u").insert(record).expect("a record");
    }
    store.bucket("p").insert(json!({ "id": "p", "user": 1 })).expect("a record");
    store
}
