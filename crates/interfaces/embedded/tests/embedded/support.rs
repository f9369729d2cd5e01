//! What the tests have in common.
#![allow(dead_code, reason = "each test file uses its part")]
#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

use serde_json::{Value, json};
use tandem::{BucketConfig, CheckOptions, Code, Field, Result, Store};

/// A store in memory without background work.
pub fn memory() -> Store {
    Store::builder().memory().background(false).open().unwrap()
}

/// Buckets as seed 004 sets its server up.
pub fn define_demo(store: &Store) {
    let users = BucketConfig::new("id")
        .field("id", Field::string().generated_uuid())
        .field("name", Field::string().required())
        .field("role", Field::string().default("user"))
        .field("credits", Field::number().default(0));
    let logs = BucketConfig::new("id")
        .field("id", Field::string().generated_uuid())
        .field("action", Field::string().required())
        .field("userId", Field::string());
    let products = BucketConfig::new("id")
        .field("id", Field::string().generated_uuid())
        .field("title", Field::string().required())
        .field("price", Field::number().default(0))
        .field("stock", Field::number().default(0));
    store.define_bucket("users", users).unwrap();
    store.define_bucket("logs", logs).unwrap();
    store.define_bucket("products", products).unwrap();
}

/// A store in memory with the demo buckets.
pub fn demo() -> Store {
    let store = memory();
    define_demo(&store);
    store
}

/// A store with accounts 1 and 2 of 100 each, indexed by owner and email.
pub fn accounts() -> Store {
    let store = memory();
    let config = BucketConfig::new("id").field("email", Field::string().unique()).index("owner");
    store.define_bucket("accounts", config).unwrap();
    store
        .bucket("accounts")
        .insert_many([
            json!({ "id": 1, "owner": "ada", "email": "a@x", "balance": 100 }),
            json!({ "id": 2, "owner": "bob", "email": "b@x", "balance": 100 }),
        ])
        .unwrap();
    store
}

/// The balance of an account.
pub fn balance(store: &Store, id: i64) -> i64 {
    let account = store.bucket("accounts").require(id).unwrap();
    account.get("balance").unwrap().as_i64().unwrap()
}

/// The values of one field, in order.
pub fn field(records: &[tandem::Record], name: &str) -> Vec<Value> {
    records.iter().map(|record| record.get(name).unwrap_or(Value::Null)).collect()
}

/// The code of a failure.
pub fn code<T: std::fmt::Debug>(result: Result<T>) -> Code {
    result.unwrap_err().code()
}

/// Every index agrees with its rows.
pub fn assert_clean(store: &Store) {
    let report = store.check(&CheckOptions::new()).unwrap();
    assert!(report.is_clean(), "{report:?}");
}
