//! Every failure has a code, a kind and structured details.

use crate::support::{accounts, memory};
use serde_json::json;
use tandem::{BucketConfig, Code, Field, Kind, Operation};

#[test]
fn an_unknown_bucket_is_named() {
    let store = memory();
    let error = store.bucket("ghosts").get(1).unwrap_err();
    assert_eq!((error.code(), error.kind()), (Code::BucketNotDefined, Kind::FixInput));
    assert_eq!(error.detail("bucket"), Some(&json!("ghosts")));
    let tx = store.begin().unwrap();
    assert_eq!(tx.bucket("ghosts").insert(json!({})).unwrap_err().code(), Code::BucketNotDefined);
}

#[test]
fn a_taken_key_and_a_missing_record_name_bucket_and_key() {
    let store = accounts();
    let accounts = store.bucket("accounts");
    let taken = accounts.insert(json!({ "id": 1 })).unwrap_err();
    assert_eq!(taken.code(), Code::AlreadyExists);
    assert_eq!(
        (taken.detail("bucket"), taken.detail("key")),
        (Some(&json!("accounts")), Some(&json!(1)))
    );
    let missing = accounts.update(9, json!({ "owner": "x" })).unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
    assert_eq!(missing.detail("key"), Some(&json!(9)));
    assert_eq!(accounts.require(9).unwrap_err().code(), Code::NotFound);
}

#[test]
fn a_unique_violation_names_index_and_holder() {
    let store = accounts();
    let error = store.bucket("accounts").insert(json!({ "id": 3, "email": "a@x" })).unwrap_err();
    assert_eq!(error.code(), Code::AlreadyExists);
    assert_eq!(error.detail("field"), Some(&json!("email")));
    assert_eq!(error.detail("value"), Some(&json!("a@x")));
    assert_eq!(error.detail("existingKey"), Some(&json!(1)));
}

#[test]
fn a_stale_version_is_a_conflict_that_no_retry_cures() {
    let store = accounts();
    let accounts = store.bucket("accounts");
    accounts.update(1, json!({ "balance": 1 })).unwrap();
    for error in [
        accounts.update_if(1, json!({ "balance": 2 }), 1).unwrap_err(),
        accounts.replace_if(1, json!({ "balance": 2 }), 1).unwrap_err(),
        accounts.upsert_if(json!({ "id": 1, "balance": 2 }), 1).unwrap_err(),
        accounts.delete_if(1, 1).unwrap_err(),
    ] {
        assert_eq!(error.code(), Code::Conflict);
        assert!(!error.retryable());
        assert_eq!(error.detail("expectedVersion"), Some(&json!(1)));
        assert_eq!(error.detail("actualVersion"), Some(&json!(2)));
    }
    assert_eq!(accounts.update_if(1, json!({ "balance": 3 }), 2).unwrap().version(), 3);
}

#[test]
fn schema_violations_are_listed() {
    let store = memory();
    let config = BucketConfig::new("id")
        .field("name", Field::string().required())
        .field("age", Field::number().min(0));
    store.define_bucket("people", config).unwrap();
    let error = store.bucket("people").insert(json!({ "id": 1, "age": -1 })).unwrap_err();
    assert_eq!(error.code(), Code::ValidationError);
    let issues = error.details().unwrap().as_array().unwrap();
    assert_eq!(issues.len(), 2);
    assert_eq!(issues[0]["field"], "name");
    assert_eq!(issues[1]["code"], "min");
}

#[test]
fn what_is_no_object_is_no_record() {
    let store = accounts();
    let accounts = store.bucket("accounts");
    assert_eq!(accounts.insert(json!([1])).unwrap_err().code(), Code::ValidationError);
    let error = accounts.insert_many([json!({ "id": 7 }), json!(7)]).unwrap_err();
    assert!(error.message().starts_with("data[1]: "), "{error}");
    assert_eq!(accounts.get(7).unwrap(), None);
}

#[test]
fn filters_that_make_no_sense_are_refused() {
    let store = accounts();
    let accounts = store.bucket("accounts");
    for filter in [json!({ "a": { "$bad": 1 } }), json!({ "a": { "$in": 3 } }), json!(4)] {
        let error = accounts.find(filter).records().unwrap_err();
        assert_eq!(error.code(), Code::ValidationError);
    }
}

#[test]
fn limits_name_themselves() {
    let store = accounts();
    let operations = vec![Operation::get("accounts", 1); store.limits().batch_operations + 1];
    let error = store.batch(&operations, &Default::default()).unwrap_err();
    assert_eq!((error.code(), error.kind()), (Code::LimitExceeded, Kind::Wait));
    assert_eq!(error.detail("limit"), Some(&json!("batchOperations")));
    assert_eq!(error.detail("max"), Some(&json!(10_000)));
}
