//! How often the server runs a batch that meets conflicts.

use std::sync::{Arc, Mutex};

use crate::support::{Client, listening};
use serde_json::{Value, json};
use tandem::{Environment, Limits, RetryPolicy, Store};
use tandem_base::{Random, SeededRandom};
use tandem_server::{Config, Server};

/// Random numbers. While a key is generated, so often, somebody else inserts a record.
struct Meddling {
    numbers: SeededRandom,
    inserts: Mutex<(Option<Store>, u32)>,
}

impl Random for Meddling {
    fn next_u64(&self) -> u64 {
        self.numbers.next_u64()
    }

    fn next_u128(&self) -> u128 {
        let store = match &mut *self.inserts.lock().expect("no panic") {
            (Some(store), left) if *left > 0 => {
                *left -= 1;
                Some((store.clone(), *left))
            }
            _ => None,
        };
        if let Some((store, left)) = store {
            let id = format!("another {left}");
            store.bucket("items").insert(json!({ "id": id })).expect("inserted");
        }
        self.next_u64().into()
    }
}

/// What a batch is answered that meets so many conflicts, of three attempts, and how
/// often it was run again. It counts what the other inserts, and is serializable.
async fn answer(conflicts: u32) -> (Value, u64) {
    let numbers = SeededRandom::new(1);
    let meddling = Arc::new(Meddling { numbers, inserts: Mutex::default() });
    let environment = Environment { random: meddling.clone(), ..Environment::simulated(1).0 };
    let retry = RetryPolicy { attempts: 3, ..RetryPolicy::default() };
    let limits = Limits { retry, ..Limits::default() };
    let builder = Store::builder().memory().background(false);
    let store = builder.environment(environment).limits(limits).open().expect("a store");
    let schema = json!({ "id": { "type": "string", "generated": "uuid" } });
    let items = json!({ "key": "id", "schema": schema });
    let config = json!({ "store": { "buckets": { "items": items } } });
    let config = Config::from_json(&config).expect("valid");
    let server = Server::start(listening(config).store(store.clone())).await.expect("a server");
    let mut client = Client::connect(&server).await;
    *meddling.inserts.lock().expect("no panic") = (Some(store.clone()), conflicts);
    let operations = json!([
        { "op": "count", "bucket": "items" },
        { "op": "insert", "bucket": "items", "data": {} },
    ]);
    let answer = client.request("store.transaction", json!({ "operations": operations })).await;
    // The store has the random numbers, which must not have the store for ever.
    meddling.inserts.lock().expect("no panic").0 = None;
    (answer, store.statistics().expect("open").commits.retries)
}

#[tokio::test]
async fn a_batch_is_run_again_as_often_as_the_store_allows() {
    for conflicts in 0..5 {
        let (answer, retries) = answer(conflicts).await;
        assert_eq!(retries, u64::from(conflicts.min(2)), "{answer}");
        if conflicts < 3 {
            assert_eq!(answer["data"]["results"][0]["data"], conflicts, "{answer}");
        } else {
            assert_eq!(answer["code"], "CONFLICT", "{answer}");
        }
    }
}
