//! Batches, as seed 004 describes them.

use crate::support::{accounts, assert_clean, demo};
use serde_json::{Value, json};
use tandem::{BatchOptions, BatchResult, Code, Isolation, Operation, Result, Store};

fn run(store: &Store, operations: Vec<Operation>) -> Result<BatchResult> {
    store.batch(&operations, &BatchOptions::new())
}

#[test]
fn the_exercise_of_the_seed() {
    let store = demo();
    let answer = run(
        &store,
        vec![
            Operation::insert("users", json!({ "name": "Alice", "role": "admin" })),
            Operation::insert("logs", json!({ "action": "user_created" })),
            Operation::find("users", json!({ "role": "admin" })),
            Operation::count("users", None),
        ],
    )
    .unwrap();
    let data: Vec<Value> = answer.results.iter().map(|result| result.to_json()).collect();
    assert_eq!(
        (&data[0]["role"], &data[0]["credits"], &data[0]["_version"]),
        (&json!("admin"), &json!(0), &json!(1))
    );
    assert_eq!(data[1]["action"], "user_created");
    assert_eq!(data[2], json!([data[0]]));
    assert_eq!(data[3], 1);
    assert_eq!(answer.revision, store.revision().unwrap());
    let mut text = Vec::new();
    answer.results[2].write_json(&mut text);
    assert_eq!(serde_json::from_slice::<Value>(&text).unwrap(), data[2]);
}

#[test]
fn operations_see_those_before_them() {
    let store = accounts();
    let answer = run(
        &store,
        vec![
            Operation::update("accounts", 1, json!({ "balance": 200 })),
            Operation::get("accounts", 1),
            Operation::delete("accounts", 2),
            Operation::get("accounts", 2),
            Operation::delete("accounts", 2),
            Operation::find_one("accounts", json!({ "balance": 200 })),
            Operation::upsert("accounts", json!({ "id": 2, "balance": 7 })),
            Operation::replace("accounts", 2, json!({ "owner": "new" })),
            Operation::count("accounts", Some(json!({ "owner": "new" }))),
        ],
    )
    .unwrap();
    let data: Vec<Value> = answer.results.iter().map(|result| result.to_json()).collect();
    assert_eq!((&data[1]["balance"], &data[1]["_version"]), (&json!(200), &json!(2)));
    assert_eq!((&data[2], &data[4]), (&json!({ "deleted": true }), &json!({ "deleted": true })));
    assert_eq!(data[3], Value::Null);
    assert_eq!(data[5]["id"], 1);
    assert_eq!(data[7].get("balance"), None);
    assert_eq!(data[8], 1);
    assert_clean(&store);
}

#[test]
fn g1_one_failure_undoes_all_and_names_the_operation() {
    let store = demo();
    let product =
        store.bucket("products").insert(json!({ "title": "Widget", "stock": 5 })).unwrap();
    let id = product.get("id").unwrap();
    let error = run(
        &store,
        vec![
            Operation::update("products", &id, json!({ "stock": 4 })),
            Operation::insert("users", json!({ "credits": 100 })),
        ],
    )
    .unwrap_err();
    assert_eq!(error.code(), Code::ValidationError);
    assert!(error.message().starts_with("operations[1]: "), "{error}");
    assert_eq!(store.bucket("products").require(&id).unwrap(), product);
    let error = run(&store, vec![Operation::get("ghosts", 1)]).unwrap_err();
    assert_eq!(error.code(), Code::BucketNotDefined);
    assert!(error.message().starts_with("operations[0]: "), "{error}");
    assert_eq!(run(&store, Vec::new()).unwrap_err().code(), Code::ValidationError);
}

#[test]
fn g5_unique_values_are_checked_at_the_end_so_two_records_can_swap_them() {
    let store = accounts();
    run(
        &store,
        vec![
            Operation::update("accounts", 1, json!({ "email": "b@x" })),
            Operation::update("accounts", 2, json!({ "email": "a@x" })),
        ],
    )
    .unwrap();
    assert_eq!(
        store.bucket("accounts").find_one(json!({ "email": "a@x" })).unwrap().unwrap().get("id"),
        Some(json!(2))
    );
    let error =
        run(&store, vec![Operation::update("accounts", 1, json!({ "email": "a@x" }))]).unwrap_err();
    assert_eq!(error.code(), Code::AlreadyExists);
    assert_clean(&store);
}

#[test]
fn sequences_that_the_base_protocol_refuses_work() {
    let store = accounts();
    run(
        &store,
        vec![
            Operation::delete("accounts", 1),
            Operation::insert("accounts", json!({ "id": 1, "email": "a@x", "balance": 1 })),
            Operation::update("accounts", 2, json!({ "balance": 0 })),
            Operation::delete("accounts", 2),
            Operation::insert("accounts", json!({ "id": 3 })),
            Operation::delete("accounts", 3),
        ],
    )
    .unwrap();
    let accounts = store.bucket("accounts");
    assert_eq!(accounts.count(json!({})).unwrap(), 1);
    assert_eq!(accounts.require(1).unwrap().version(), 2, "a replaced record continues");
    assert_clean(&store);
}

#[test]
fn g6_an_expected_version_is_enforced_at_every_level() {
    for isolation in Isolation::ALL {
        let store = accounts();
        let stale = vec![Operation::update("accounts", 1, json!({ "balance": 0 })).expecting(7)];
        let error = store.batch(&stale, &BatchOptions::new().isolation(isolation)).unwrap_err();
        assert_eq!((error.code(), error.retryable()), (Code::Conflict, false));
        assert_eq!(error.detail("actualVersion"), Some(&json!(1)));
        let right = vec![Operation::delete("accounts", 1).expecting(1)];
        store.batch(&right, &BatchOptions::new().isolation(isolation)).unwrap();
    }
}

#[test]
fn concurrent_batches_on_one_record_all_succeed() {
    let store = accounts();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let store = &store;
            scope.spawn(move || {
                for n in 0..10 {
                    let field = format!("f{thread}_{n}");
                    run(
                        store,
                        vec![
                            Operation::update("accounts", 1, json!({ field: 1 })),
                            Operation::insert("accounts", json!({ "id": format!("{thread}/{n}") })),
                        ],
                    )
                    .unwrap();
                }
            });
        }
    });
    assert_eq!(store.bucket("accounts").require(1).unwrap().version(), 41);
    assert_eq!(store.bucket("accounts").count(json!({})).unwrap(), 42);
    assert_clean(&store);
}
