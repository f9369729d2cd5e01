//! Definitions are data: in transactions, isolated, rolled back, durable.

use crate::support::{accounts, assert_clean, code, memory};
use serde_json::json;
use tandem::{BucketConfig, Code, Field, IndexConfig, OnDelete, Store};

fn notes() -> BucketConfig {
    BucketConfig::new("id").field("text", Field::string().required()).index("text")
}

#[test]
fn a_bucket_defined_in_a_transaction_is_there_inside_and_committed_with_it() {
    let store = memory();
    let tx = store.begin().unwrap();
    tx.define_bucket("notes", notes()).unwrap();
    tx.bucket("notes").insert(json!({ "id": 1, "text": "a" })).unwrap();
    assert_eq!(tx.bucket("notes").count(json!({ "text": "a" })).unwrap(), 1);
    assert_eq!(tx.bucket_names().unwrap(), ["notes"]);
    assert_eq!(code(store.bucket("notes").get(1)), Code::BucketNotDefined);
    tx.commit().unwrap();
    assert_eq!(store.bucket("notes").count(json!({ "text": "a" })).unwrap(), 1);
    assert_eq!(store.bucket_config("notes").unwrap(), notes().to_json());
    assert_eq!(code(store.define_bucket("notes", notes())), Code::AlreadyExists);
    assert_clean(&store);
}

#[test]
fn rolling_back_a_definition_or_a_drop_leaves_everything_as_it_was() {
    let store = accounts();
    let tx = store.begin().unwrap();
    tx.define_bucket("notes", notes()).unwrap();
    tx.savepoint("s").unwrap();
    tx.drop_bucket("accounts").unwrap();
    assert_eq!(code(tx.bucket("accounts").get(1)), Code::BucketNotDefined);
    tx.rollback_to("s").unwrap();
    assert_eq!(tx.bucket("accounts").count(json!({})).unwrap(), 2);
    tx.drop_bucket("accounts").unwrap();
    drop(tx);
    assert_eq!(store.bucket_names().unwrap(), ["accounts"]);
    assert_eq!(store.bucket("accounts").count(json!({})).unwrap(), 2);
    assert_clean(&store);
}

#[test]
fn a_bucket_dropped_and_defined_anew_is_empty() {
    let store = accounts();
    let tx = store.begin().unwrap();
    tx.drop_bucket("accounts").unwrap();
    tx.define_bucket("accounts", notes()).unwrap();
    tx.bucket("accounts").insert(json!({ "id": 1, "text": "new" })).unwrap();
    tx.commit().unwrap();
    assert_eq!(store.bucket("accounts").all().records().unwrap().len(), 1);
    assert_clean(&store);
    assert!(store.maintain().unwrap().garbage_steps > 0);
    assert_eq!(store.bucket("accounts").count(json!({ "text": "new" })).unwrap(), 1);
    assert_clean(&store);
}

#[test]
fn writing_into_a_bucket_that_is_dropped_meanwhile_is_a_conflict() {
    let store = accounts();
    let tx = store.begin().unwrap();
    tx.bucket("accounts").insert(json!({ "id": 3 })).unwrap();
    store.drop_bucket("accounts").unwrap();
    assert_eq!(code(tx.commit()), Code::Conflict);
    assert!(store.bucket_names().unwrap().is_empty());
}

#[test]
fn two_transactions_cannot_define_the_same_bucket() {
    let store = memory();
    let (one, two) = (store.begin().unwrap(), store.begin().unwrap());
    one.define_bucket("notes", notes()).unwrap();
    two.define_bucket("notes", notes()).unwrap();
    one.commit().unwrap();
    assert_eq!(code(two.commit()), Code::Conflict);
}

#[test]
fn an_index_defined_in_a_transaction_is_ready_inside_it() {
    let store = accounts();
    let tx = store.begin().unwrap();
    let name = tx.create_index("accounts", IndexConfig::on("balance").then("owner")).unwrap();
    assert_eq!(name, "balance_owner");
    let plan =
        tx.bucket("accounts").find(json!({ "balance": 100, "owner": "ada" })).explain().unwrap();
    assert_eq!(plan["rowsReturned"], 1);
    // A row that only this transaction has, and one that comes meanwhile.
    tx.bucket("accounts").insert(json!({ "id": 3, "balance": 3 })).unwrap();
    tx.commit().unwrap();
    assert!(
        store.indexes("accounts").unwrap().iter().any(|index| index.name == name && index.ready)
    );
    assert_clean(&store);
    let tx = store.begin().unwrap();
    tx.drop_index("accounts", &name).unwrap();
    drop(tx);
    assert_eq!(store.indexes("accounts").unwrap().len(), 3);
    assert_eq!(code(store.drop_index("accounts", "email")), Code::ValidationError);
}

#[test]
fn definitions_and_queries_survive_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let all = json!({ "bucket": "notes", "sort": { "text": "asc" } });
    {
        let store = Store::open(directory.path()).unwrap();
        store.define_bucket("notes", notes()).unwrap();
        store.define_query("all", &all).unwrap();
        assert_eq!(
            code(store.define_query("bad", &json!({ "bucket": "ghosts" }))),
            Code::BucketNotDefined
        );
        assert_eq!(
            code(store.define_query("bad", &json!({ "bucket": "notes", "sort": 3 }))),
            Code::ValidationError
        );
        store.bucket("notes").insert(json!({ "id": 1, "text": "a" })).unwrap();
        assert_eq!(code(Store::open(directory.path())), Code::StoreLocked);
    }
    let store = Store::open(directory.path()).unwrap();
    assert_eq!(store.bucket_names().unwrap(), ["notes"]);
    assert_eq!(store.queries().unwrap(), [("all".to_owned(), all)]);
    assert_eq!(store.bucket("notes").count(json!({ "text": "a" })).unwrap(), 1);
    store.undefine_query("all").unwrap();
    assert_eq!(code(store.undefine_query("all")), Code::QueryNotDefined);
}

#[test]
fn references_restrict_cascade_and_set_null_inside_transactions_too() {
    for (action, expected) in [
        (OnDelete::Restrict, Err(Code::ReferenceViolation)),
        (OnDelete::Cascade, Ok(0)),
        (OnDelete::SetNull, Ok(1)),
    ] {
        let store = accounts();
        let config = BucketConfig::new("id")
            .field("account", Field::number().references("accounts").on_delete(action));
        store.define_bucket("cards", config).unwrap();
        store.bucket("cards").insert(json!({ "id": 1, "account": 1 })).unwrap();
        let result = store.transaction(|tx| {
            tx.bucket("accounts").delete(1)?;
            tx.bucket("cards").count(json!({ "account": null }))
        });
        assert_eq!(result.map_err(|error| error.code()), expected, "{action:?}");
        let dangling = store.bucket("cards").insert(json!({ "id": 2, "account": 77 }));
        assert_eq!(code(dangling), Code::ReferenceViolation);
        assert_clean(&store);
    }
}

#[test]
fn a_bucket_can_be_changed_later() {
    let store = accounts();
    store
        .update_bucket(
            "accounts",
            &json!({ "addFields": { "email2": { "type": "string" } }, "addIndexes": ["email2"], "ttl": "1h" }),
        )
        .unwrap();
    assert_eq!(store.bucket_config("accounts").unwrap()["ttl"], "1h");
    assert!(store.indexes("accounts").unwrap().iter().any(|index| index.name == "email2"));
    store.bucket("accounts").update(1, json!({ "email2": "x" })).unwrap();
    assert_eq!(
        code(store.bucket("accounts").update(1, json!({ "email2": 5 }))),
        Code::ValidationError
    );
    let twice = store.update_bucket("accounts", &json!({ "addFields": { "email2": {} } }));
    assert_eq!(code(twice), Code::ValidationError);
    assert_clean(&store);
}
