//! Records as values of a type.

use crate::support::{code, demo};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tandem::Code;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct User {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    name: String,
    #[serde(default)]
    credits: i64,
    #[serde(rename = "_version", skip_serializing, default)]
    version: u64,
}

fn user(name: &str) -> User {
    User { id: None, name: name.to_owned(), credits: 3, version: 0 }
}

#[test]
fn values_go_in_and_come_back_with_what_the_store_generated() {
    let store = demo();
    let users = store.typed::<User>("users");
    let alice = users.insert(&user("Alice")).unwrap();
    let id = alice.id.clone().unwrap();
    assert_eq!((alice.name.as_str(), alice.credits, alice.version), ("Alice", 3, 1));
    assert_eq!(users.get(&id).unwrap(), Some(alice.clone()));
    let richer = users.update(&id, json!({ "credits": 10 })).unwrap();
    assert_eq!((richer.credits, richer.version), (10, 2));
    let renamed = users.replace_if(&id, &User { name: "Al".into(), ..richer }, 2).unwrap();
    assert_eq!((renamed.name.as_str(), renamed.version), ("Al", 3));
    assert_eq!(code(users.update_if(&id, json!({}), 1)), Code::Conflict);
    assert_eq!(users.upsert(&renamed).unwrap().version, 4);
    assert!(users.delete(&id).unwrap());
    assert_eq!(code(users.require(&id)), Code::NotFound);
}

#[test]
fn typed_reads_filter_sort_and_stream() {
    let store = demo();
    store
        .transaction(|tx| {
            let users = tx.typed::<User>("users");
            users.insert_many(&[user("A"), user("B"), user("C")])?;
            users.find_one(json!({ "name": "B" })).map(|found| assert!(found.is_some()))
        })
        .unwrap();
    let users = store.typed::<User>("users");
    let names = |users: Vec<User>| users.into_iter().map(|u| u.name).collect::<Vec<_>>();
    assert_eq!(names(users.all().sort("-name").limit(2).values().unwrap()), ["C", "B"]);
    let streamed = users.find(json!({ "name": { "$gt": "A" } })).iter().unwrap();
    assert_eq!(names(streamed.map(Result::unwrap).collect()), ["B", "C"]);
    assert_eq!(users.count(json!({ "credits": 3 })).unwrap(), 3);
}

#[test]
fn a_record_that_does_not_fit_the_type_is_an_error() {
    let store = demo();
    store.bucket("logs").insert(json!({ "action": "x" })).unwrap();
    let error = store.typed::<User>("logs").all().values().unwrap_err();
    assert_eq!(error.code(), Code::ValidationError);
    assert!(error.message().contains("name"), "{error}");
    assert_eq!(code(store.typed::<i64>("users").insert(&5)), Code::ValidationError);
}
