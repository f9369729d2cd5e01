//! Damage below the store is noticed by every read that meets it, and kept from none by
//! what lies in memory.

use std::sync::Arc;

use serde_json::json;
use tandem::{BucketConfig, Code, Durability, Error, Store};
use tandem_storage::{Direction, KeyRange, MemoryStorage, Storage, WriteBatch};

/// A store whose record 1 has lost a bit since it was written, and whose record 2 has not.
fn damaged() -> Store {
    let storage = Arc::new(MemoryStorage::new());
    let store = open(&storage);
    let config = json!({
        "key": "id", "indexes": ["group"],
        "schema": { "id": { "type": "number" }, "group": { "type": "string" } },
    });
    let config = BucketConfig::from_json(config).expect("an object");
    store.define_bucket("users", config).expect("well defined");
    for (id, name) in [(1, "Ada"), (2, "Eva")] {
        store
            .bucket("users")
            .insert(json!({ "id": id, "name": name, "group": "a" }))
            .expect("it is new");
    }
    store.close();
    drop(store);
    let snapshot = storage.snapshot().expect("memory");
    let mut batch = WriteBatch::new();
    for entry in snapshot.scan(&KeyRange::all(), Direction::Forward) {
        let (key, value) = entry.expect("memory");
        // The row, not the change log, which has its text, too.
        let is_row = key.first() == Some(&tandem::layers::transaction::keyspace::ROW);
        if let Some(at) = value.windows(3).position(|text| text == b"Ada").filter(|_| is_row) {
            let mut value = value.to_vec();
            value[at] ^= 1;
            batch.put(key, value);
        }
    }
    assert_eq!(batch.len(), 1, "the row was found");
    storage.write(batch, Durability::Sync).expect("memory");
    open(&storage)
}

fn open(storage: &Arc<MemoryStorage>) -> Store {
    Store::builder().storage(storage.clone()).background(false).open().expect("memory opens")
}

fn code<T>(answer: Result<T, Error>) -> Option<Code> {
    answer.err().map(|error| error.code())
}

#[test]
fn g3_a_damaged_record_is_noticed_however_often_and_by_whatever_it_is_read() {
    let store = damaged();
    let users = store.bucket("users");
    for _ in 0..3 {
        assert_eq!(code(users.get(1)), Some(Code::Corrupted));
        assert_eq!(code(users.find(json!({ "group": "a" })).records()), Some(Code::Corrupted));
        assert_eq!(code(users.find(json!({})).records()), Some(Code::Corrupted));
        assert_eq!(code(users.update(1, json!({ "group": "b" }))), Some(Code::Corrupted));
        let transaction = store.begin().unwrap();
        assert_eq!(code(transaction.bucket("users").get(1)), Some(Code::Corrupted));
        assert_eq!(users.get(2).unwrap().unwrap().to_json()["name"], "Eva");
    }
    users.update(2, json!({ "name": "Ida" })).unwrap();
    assert_eq!(users.get(2).unwrap().unwrap().to_json()["name"], "Ida");
}
