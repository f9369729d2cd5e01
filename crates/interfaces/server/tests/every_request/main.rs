//! Every request type that `docs/protocol.md` lists: its success, each error
//! that the document names, its limits; inside an open transaction and
//! outside; with fields missing and of the wrong type.

mod documented;
mod script;
#[path = "../support/mod.rs"]
mod support;
mod world;

use std::collections::{BTreeMap, BTreeSet};

use documented::{Documented, requests};
use script::{Case, cases, difference};
use serde_json::{Value, json};
use world::World;

/// Errors that the document states once for all requests, and that are tested
/// here for all of them.
const COMMON: [&str; 2] = ["VALIDATION_ERROR", "UNKNOWN_OPERATION"];

fn check(case: &Case, answer: &Value, exposes_details: bool) {
    let title = &case.title;
    if case.is_success() {
        assert_eq!(answer["type"], "result", "{title}: {answer}");
    } else {
        assert_eq!(answer["code"], case.outcome.as_str(), "{title}: {answer}");
        assert!(answer["retryable"].is_boolean(), "{title}: {answer}");
    }
    let given = if case.is_success() { answer.get("data") } else { answer.get("details") };
    if !exposes_details && !case.is_success() {
        assert_eq!(given, None, "{title}: details are not to be exposed");
    } else if let Some(wanted) = &case.answer
        && let Some(difference) = difference("answer", wanted, given)
    {
        panic!("{title}: {difference}: {answer}");
    }
    let message = answer["message"].as_str().unwrap_or_default();
    for says in &case.says {
        match says.as_str() {
            "retryable" => assert_eq!(answer["retryable"], true, "{title}: {answer}"),
            "not retryable" => assert_eq!(answer["retryable"], false, "{title}: {answer}"),
            part => assert!(message.contains(part), "{title}: {answer}"),
        }
    }
}

/// The first successful case of each type.
fn examples() -> BTreeMap<String, Case> {
    let mut examples = BTreeMap::new();
    for case in cases().into_iter().filter(Case::is_success) {
        examples.entry(case.kind.clone()).or_insert(case);
    }
    examples
}

/// Whether requests of the type take an optional `transaction`.
fn takes_transaction(request: &Documented) -> bool {
    ["Records", "Reads", "Definitions", "SQL"].contains(&request.section.as_str())
        && !["store.check", "store.listQueries"].contains(&request.kind.as_str())
}

#[test]
fn every_documented_error_has_a_case_and_every_case_is_documented() {
    let documented: BTreeSet<(String, String)> = requests()
        .iter()
        .flat_map(|request| {
            let errors = request.errors.iter().cloned().chain(["ok".to_owned()]);
            errors.map(|error| (request.kind.clone(), error)).collect::<Vec<_>>()
        })
        .collect();
    let of_a_bucket = |kind: &str| {
        let row = requests().into_iter().find(|request| request.kind == kind);
        row.is_some_and(|row| row.fields.iter().any(|field| field.name == "bucket"))
    };
    let tested: BTreeSet<(String, String)> = cases()
        .into_iter()
        .map(|case| (case.kind, case.outcome))
        .filter(|case| {
            let common = COMMON.contains(&case.1.as_str())
                || case.1 == "BUCKET_NOT_DEFINED" && of_a_bucket(&case.0);
            documented.contains(case) || !common
        })
        .collect();
    let untested: Vec<_> = documented.difference(&tested).collect();
    let undocumented: Vec<_> = tested.difference(&documented).collect();
    assert!(untested.is_empty(), "documented without a case: {untested:#?}");
    assert!(undocumented.is_empty(), "a case without being documented: {undocumented:#?}");
}

#[tokio::test]
async fn every_case_is_answered_as_it_says() {
    for case in cases() {
        let mut world = World::new(&case).await;
        world.prepare(&case).await;
        let answer = world.ask(&case, case.request.clone()).await;
        check(&case, &answer, true);
    }
}

#[tokio::test]
async fn without_details_every_error_is_the_same_but_for_them() {
    for mut case in cases().into_iter().filter(|case| !case.is_success()) {
        let config = case.config.get_or_insert_with(|| json!({}));
        config["exposeErrorDetails"] = false.into();
        let mut world = World::new(&case).await;
        world.prepare(&case).await;
        let answer = world.ask(&case, case.request.clone()).await;
        check(&case, &answer, world.exposes_details());
    }
}

#[tokio::test]
async fn every_request_with_an_optional_transaction_answers_the_same_inside_one() {
    let documented = requests();
    let within = |case: &&Case| {
        documented.iter().any(|request| request.kind == case.kind && takes_transaction(request))
            && case.request["transaction"].is_null()
            && case.request["background"].is_null()
    };
    let cases = cases();
    for case in cases.iter().filter(within) {
        let mut world = World::new(case).await;
        world.prepare(case).await;
        let begun = world.a.ok("store.begin", json!({})).await;
        let mut fields = case.request.clone();
        fields["transaction"] = begun["transaction"].clone();
        let answer = world.ask(case, fields).await;
        check(case, &answer, true);
        let commit = json!({ "transaction": begun["transaction"] });
        let answer = world.a.request("store.commit", commit).await;
        if case.outcome == "CONFLICT" {
            assert_eq!(answer["code"], "TRANSACTION_ABORTED", "{}: {answer}", case.title);
        } else {
            // An error has undone its own request and nothing else.
            assert_eq!(answer["type"], "result", "{}: {answer}", case.title);
        }
    }
}

#[tokio::test]
async fn every_request_in_a_transaction_that_is_over_says_how_it_ended() {
    let examples = examples();
    for request in requests().iter().filter(|request| {
        takes_transaction(request) || request.fields.iter().any(|field| field.name == "transaction")
    }) {
        let kind = request.kind.as_str();
        let case = &examples[kind];
        let plain = Case { before: Vec::new(), ..case.clone() };
        let mut world = World::new(&plain).await;
        let mut fields = case.request.clone();
        fields["transaction"] = "tx-99".into();
        world.a.err(kind, fields.clone(), "TRANSACTION_NOT_FOUND").await;
        fields["transaction"] = json!(5);
        world.a.err(kind, fields.clone(), "VALIDATION_ERROR").await;

        // Committed.
        world.a.ok("store.begin", json!({})).await;
        world.a.ok("store.commit", json!({ "transaction": "tx-1" })).await;
        fields["transaction"] = "tx-1".into();
        world.a.err(kind, fields.clone(), "TRANSACTION_NOT_FOUND").await;

        // After a conflict only a rollback is answered.
        world.a.ok("store.begin", json!({})).await;
        let update =
            |tx: Value| json!({ "bucket": "items", "key": 1, "data": {}, "transaction": tx });
        world.a.ok("store.update", update("tx-2".into())).await;
        world.b.ok("store.update", update(Value::Null)).await;
        world.a.err("store.commit", json!({ "transaction": "tx-2" }), "CONFLICT").await;
        fields["transaction"] = "tx-2".into();
        if kind == "store.rollback" {
            world.a.ok(kind, fields.clone()).await;
        } else {
            world.a.err(kind, fields.clone(), "TRANSACTION_ABORTED").await;
        }

        // Its time is over.
        world.a.ok("store.begin", json!({ "timeoutMs": 1 })).await;
        let count = json!({ "bucket": "items", "transaction": "tx-3" });
        while world.a.request("store.count", count.clone()).await["type"] == "result" {}
        fields["transaction"] = "tx-3".into();
        world.a.err(kind, fields.clone(), "TRANSACTION_EXPIRED").await;
    }
}

#[tokio::test]
async fn every_write_in_a_read_only_transaction_is_refused() {
    let examples = examples();
    let reading = ["store.getBucketSchema", "store.buckets", "store.indexes"];
    for request in requests().iter().filter(|request| takes_transaction(request)) {
        let case = &examples[&request.kind];
        let mut world = World::new(case).await;
        world.prepare(case).await;
        world.a.ok("store.begin", json!({ "readOnly": true })).await;
        let mut fields = case.request.clone();
        fields["transaction"] = "tx-1".into();
        let answer = world.ask(case, fields).await;
        if ["Reads", "SQL"].contains(&request.section.as_str())
            || reading.contains(&request.kind.as_str())
        {
            check(case, &answer, true);
        } else {
            assert_eq!(answer["code"], "READ_ONLY", "{}: {answer}", case.title);
        }
    }
}

#[tokio::test]
async fn every_request_names_the_field_that_is_missing_or_wrong() {
    let examples = examples();
    for request in requests() {
        let case = &examples[&request.kind];
        let mut world = World::new(case).await;
        world.prepare(case).await;
        for field in &request.fields {
            let name = field.name.as_str();
            let mut without = case.request.clone();
            without.as_object_mut().expect("an object").shift_remove(name);
            if !field.optional {
                let answer = world.ask(case, without.clone()).await;
                assert_eq!(
                    answer["code"], "VALIDATION_ERROR",
                    "{} without {name}: {answer}",
                    case.title
                );
                let expected = format!("issing or invalid \"{name}\": expected ");
                let message = answer["message"].as_str().expect("a message");
                assert!(
                    message.contains(&expected) || message.starts_with("Missing \"key\": expected"),
                    "{} without {name}: {message}",
                    case.title
                );
            }
            // Any value is a place to go on after; an unknown one is an empty page.
            if name == "after" {
                continue;
            }
            let mut wrong = case.request.clone();
            // A parameter of SQL may be any list.
            let of_sql = request.kind == "sql.execute" && name == "params";
            wrong[name] = if of_sql { json!(5) } else { json!([[]]) };
            let answer = world.ask(case, wrong).await;
            assert_eq!(
                answer["code"], "VALIDATION_ERROR",
                "{} with a wrong {name}: {answer}",
                case.title
            );
            let message = answer["message"].as_str().expect("a message");
            // The definition of an index and a list's items are named by what they are.
            let named = message.contains(&format!("\"{name}\""))
                || message.starts_with(&format!("{name}[0]"))
                || (name == "index" && message.starts_with("Index"))
                || (name == "key" && message.contains("key"));
            assert!(named, "{} with a wrong {name}: {message}", case.title);
        }
    }
}

#[tokio::test]
async fn every_request_takes_null_for_an_optional_field_and_ignores_unknown_ones() {
    let examples = examples();
    for request in requests() {
        let case = &examples[&request.kind];
        // `after: null` is after no record.
        for field in request.fields.iter().filter(|field| field.optional && field.name != "after") {
            let mut world = World::new(case).await;
            world.prepare(case).await;
            let mut fields = case.request.clone();
            fields[&field.name] = Value::Null;
            let answer = world.ask(case, fields).await;
            assert_eq!(answer["type"], "result", "{} with {}: {answer}", case.title, field.name);
        }
        let mut world = World::new(case).await;
        world.prepare(case).await;
        let mut fields = case.request.clone();
        fields["unknown"] = json!({ "any": "thing" });
        let answer = world.ask(case, fields).await;
        check(case, &answer, true);
    }
}

#[tokio::test]
async fn every_request_of_a_bucket_says_when_it_is_not_defined_and_fields_come_first() {
    let examples = examples();
    for request in requests() {
        let Some(bucket) = request.fields.iter().find(|field| field.name == "bucket") else {
            continue;
        };
        let case = &examples[&request.kind];
        let mut world = World::new(case).await;
        world.prepare(case).await;
        let mut fields = case.request.clone();
        fields["bucket"] = "nowhere".into();
        let answer = world.ask(case, fields.clone()).await;
        assert_eq!(answer["code"], "BUCKET_NOT_DEFINED", "{}: {answer}", case.title);
        assert_eq!(answer["details"]["bucket"], "nowhere", "{}: {answer}", case.title);
        assert_eq!(answer["message"], "Bucket \"nowhere\" is not defined", "{}", case.title);
        let others =
            request.fields.iter().find(|field| !field.optional && field.name != bucket.name);
        if let Some(other) = others {
            fields.as_object_mut().expect("an object").shift_remove(&other.name);
            let answer = world.ask(case, fields).await;
            assert_eq!(answer["code"], "VALIDATION_ERROR", "{}: {answer}", case.title);
        }
    }
}

#[tokio::test]
async fn every_request_counts_against_the_rate_limit() {
    let examples = examples();
    for request in requests().iter().filter(|request| request.kind != "server.shutdown") {
        let mut case = examples[&request.kind].clone();
        case.config = Some(json!({ "rateLimit": { "maxRequests": 7, "windowMs": 3_600_000 } }));
        // Six requests fill the world.
        let mut world = World::new(&case).await;
        world.a.ok("store.buckets", json!({})).await;
        let answer = world.ask(&case, case.request.clone()).await;
        assert_eq!(answer["code"], "RATE_LIMITED", "{}: {answer}", case.title);
        assert!(answer["details"]["retryAfterMs"].is_u64(), "{}: {answer}", case.title);
    }
}
