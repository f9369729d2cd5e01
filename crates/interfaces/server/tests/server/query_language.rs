//! Update expressions, pipelines and `$expr` at the socket: what each answers,
//! its documented errors, its limits, alone and in an open transaction.

use crate::support::{Client, items, serve_json, timeless};
use serde_json::{Value, json};
use tandem_server::RunningServer;

async fn filled() -> (RunningServer, Client) {
    let server = serve_json(json!({ "store": { "buckets": {
        "items": { "key": "id", "schema": { "id": {}, "group": {}, "n": { "type": "number" } },
            "indexes": ["group"] },
        "groups": items(),
    } } }))
    .await;
    let mut client = Client::connect(&server).await;
    let data = json!([
        { "id": 1, "group": "a", "n": 10, "tags": ["x"] },
        { "id": 2, "group": "b", "n": 20, "tags": ["x", "y"] },
        { "id": 3, "group": "a", "n": 30, "tags": [] },
    ]);
    client.ok("store.insertMany", json!({ "bucket": "items", "data": data })).await;
    let data = json!([{ "id": "a", "name": "Alpha" }, { "id": "b", "name": "Beta" }]);
    client.ok("store.insertMany", json!({ "bucket": "groups", "data": data })).await;
    (server, client)
}

#[tokio::test]
async fn an_update_expression_is_applied_and_answers_the_record() {
    let (_server, mut client) = filled().await;
    let data = json!({ "$inc": { "n": 1 }, "$push": { "tags": "z" }, "$set": { "o.p": 1 } });
    let update = json!({ "bucket": "items", "key": 1, "data": data, "expectedVersion": 1 });
    let record = client.ok("store.update", update.clone()).await;
    assert_eq!(
        timeless(record),
        json!({ "id": 1, "group": "a", "n": 11, "tags": ["x", "z"], "o": { "p": 1 }, "_version": 2 })
    );
    client.err("store.update", update, "CONFLICT").await;

    let every = json!({ "bucket": "items", "filter": { "tags": "x" },
        "data": { "$set": { "tags.$": "first" }, "$inc": { "n": 9_007_199_254_740_993_i64 } } });
    assert_eq!(client.ok("store.updateMany", every).await, 2);
    let record = client.ok("store.get", json!({ "bucket": "items", "key": 2 })).await;
    assert_eq!(
        (&record["tags"], &record["n"]),
        (&json!(["first", "y"]), &json!(9_007_199_254_741_013_i64))
    );

    let operations = json!([
        { "op": "update", "bucket": "items", "key": 3, "data": { "$mul": { "n": 2 } } },
        { "op": "update", "bucket": "items", "key": 3, "data": { "$addToSet": { "tags": "t" } } },
    ]);
    let batch = client.ok("store.transaction", json!({ "operations": operations })).await;
    let last = &batch["results"][1]["data"];
    assert_eq!(
        (&last["n"], &last["tags"], &last["_version"]),
        (&json!(60), &json!(["t"]), &json!(2))
    );
}

#[tokio::test]
async fn g9_an_impossible_update_is_a_validation_error_and_changes_nothing() {
    let (_server, mut client) = filled().await;
    let all = json!({ "bucket": "items" });
    let before = client.ok("store.all", all.clone()).await;
    for (data, message) in [
        (json!({ "$inc": { "n": 1 }, "n": 2 }), "stands among operators"),
        (json!({ "$frob": { "n": 1 } }), "Unknown update operator \"$frob\""),
        (json!({ "$inc": { "group": 1 } }), "needs a number"),
        (json!({ "$push": { "n": 1 } }), "needs an array"),
        (json!({ "$set": { "n": 1 }, "$inc": { "n": 1 } }), "in conflict"),
        (json!({ "$set": { "id": 9 } }), "cannot be changed"),
        (json!({ "$inc": { "_version": 1 } }), "cannot be changed"),
        (json!({ "$set": { "tags.$": 1 } }), "positional"),
        (json!({ "$set": { "n": "text" } }), "Validation failed"),
    ] {
        let one = json!({ "bucket": "items", "key": 1, "data": data });
        let refused = client.err("store.update", one, "VALIDATION_ERROR").await;
        let text = refused["message"].as_str().unwrap_or_default();
        assert!(text.contains(message), "{data}: {text}");
        let many = json!({ "bucket": "items", "filter": {}, "data": data });
        client.err("store.updateMany", many, "VALIDATION_ERROR").await;
        let operations = json!([{ "op": "update", "bucket": "items", "key": 1, "data": data }]);
        let refused = client
            .err("store.transaction", json!({ "operations": operations }), "VALIDATION_ERROR")
            .await;
        let text = refused["message"].as_str().unwrap_or_default();
        assert!(text.starts_with("operations[0]: "), "{text}");
    }
    // Possible on the first records, impossible on the last: none is changed.
    let partly = json!({ "bucket": "items", "filter": {}, "data": { "$unset": { "tags.$[].x": 1 }, "$inc": { "n": 1 } } });
    assert_eq!(client.ok("store.updateMany", partly).await, 3);
    let touched = client.ok("store.all", all.clone()).await;
    assert_ne!(touched, before);
    let partly = json!({ "bucket": "items", "filter": {}, "data": { "$push": { "tags.1": 1 } } });
    client.err("store.updateMany", partly, "VALIDATION_ERROR").await;
    assert_eq!(client.ok("store.all", all).await, touched);
    for kind in ["store.insert", "store.upsert"] {
        let data = json!({ "id": 9, "$set": { "n": 1 } });
        client.err(kind, json!({ "bucket": "items", "data": data }), "VALIDATION_ERROR").await;
    }
    let replace = json!({ "bucket": "items", "key": 1, "data": { "$set": { "n": 1 } } });
    client.err("store.replace", replace, "VALIDATION_ERROR").await;
    let missing = json!({ "bucket": "items", "key": 77, "data": { "$inc": { "n": 1 } } });
    client.err("store.update", missing, "NOT_FOUND").await;
}

#[tokio::test]
async fn a_pipeline_answers_documents() {
    let (_server, mut client) = filled().await;
    let aggregate = |pipeline: Value| json!({ "bucket": "items", "pipeline": pipeline });
    let sums = client
        .ok("store.aggregate", aggregate(json!([
            { "$match": { "n": { "$gte": 10 } } },
            { "$group": { "_id": "$group", "sum": { "$sum": "$n" }, "ids": { "$push": "$id" } } },
            { "$lookup": { "from": "groups", "localField": "_id", "foreignField": "id", "as": "of" } },
            { "$project": { "sum": 1, "ids": 1, "name": { "$first": "$of.name" } } },
            { "$sort": { "sum": -1 } },
        ])))
        .await;
    assert_eq!(
        sums,
        json!([{ "_id": "a", "sum": 40, "ids": [1, 3], "name": "Alpha" },
            { "_id": "b", "sum": 20, "ids": [2], "name": "Beta" }])
    );
    let all = client.ok("store.aggregate", aggregate(json!([]))).await;
    assert_eq!(all, client.ok("store.all", json!({ "bucket": "items" })).await);
    let now = client
        .ok(
            "store.aggregate",
            aggregate(json!([
                { "$limit": 1 }, { "$project": { "late": { "$gte": ["$$NOW", "$_createdAt"] } } },
            ])),
        )
        .await;
    assert_eq!(now, json!([{ "late": true }]));
}

#[tokio::test]
async fn a_pipeline_in_a_transaction_sees_its_writes_and_is_validated() {
    let (server, mut client) = filled().await;
    let begun = client.ok("store.begin", json!({})).await;
    let transaction = begun["transaction"].clone();
    let insert = json!({ "bucket": "items", "data": { "id": 4, "group": "a", "n": 5 }, "transaction": transaction });
    client.ok("store.insert", insert).await;
    let pipeline = json!([{ "$match": { "group": "a" } }, { "$group": { "_id": null, "s": { "$sum": "$n" } } }]);
    let aggregate = json!({ "bucket": "items", "pipeline": pipeline, "transaction": transaction });
    assert_eq!(client.ok("store.aggregate", aggregate).await, json!([{ "_id": null, "s": 45 }]));
    let mut other = Client::connect(&server).await;
    let update = json!({ "bucket": "items", "key": 1, "data": { "$inc": { "n": 1 } } });
    other.ok("store.update", update).await;
    client.err("store.commit", json!({ "transaction": transaction }), "CONFLICT").await;
}

#[tokio::test]
async fn g9_what_is_no_pipeline_is_refused_by_name() {
    let (_server, mut client) = filled().await;
    client.err("store.aggregate", json!({ "pipeline": [] }), "VALIDATION_ERROR").await;
    client.err("store.aggregate", json!({ "bucket": "items" }), "VALIDATION_ERROR").await;
    let nowhere = json!({ "bucket": "nowhere", "pipeline": [] });
    client.err("store.aggregate", nowhere, "BUCKET_NOT_DEFINED").await;
    let join = json!([{ "$lookup": { "from": "nowhere", "pipeline": [], "as": "x" } }]);
    let join = json!({ "bucket": "items", "pipeline": join });
    client.err("store.aggregate", join, "BUCKET_NOT_DEFINED").await;
    for (pipeline, message) in [
        (json!({}), "expected array"),
        (json!([{ "$frob": 1 }]), "pipeline[0]: Unknown stage \"$frob\""),
        (json!([{ "$match": { "n": { "$frob": 1 } } }]), "Unknown operator \"$frob\""),
        (json!([{ "$project": { "x": { "$frob": 1 } } }]), "Unknown operator \"$frob\""),
        (json!([{ "$group": { "_id": 1, "x": { "$frob": 1 } } }]), "Unknown accumulator \"$frob\""),
        (json!([{ "$project": { "x": { "$divide": ["$n", 0] } } }]), "not 0"),
    ] {
        let request = json!({ "bucket": "items", "pipeline": pipeline });
        let refused = client.err("store.aggregate", request, "VALIDATION_ERROR").await;
        let text = refused["message"].as_str().unwrap_or_default();
        assert!(text.contains(message), "{pipeline}: {text}");
    }
}

#[tokio::test]
async fn g10_hostile_pipelines_and_updates_reach_a_limit() {
    let (_server, mut client) = filled().await;
    let doubling = json!({ "$reduce": { "input": { "$range": [0, 40] }, "initialValue": "xx",
        "in": { "$concat": ["$$value", "$$value"] } } });
    for (pipeline, limit) in [
        (json!([{ "$set": { "t": doubling } }]), "expressionWork"),
        (json!([{ "$set": { "t": { "$range": [0, 1_000_000_000_000_i64] } } }]), "expressionWork"),
        (
            json!([{ "$set": { "l": { "$range": [0, 30_000] } } }, { "$unwind": "$l" },
            { "$group": { "_id": null, "all": { "$push": { "d": "$$ROOT", "t": "x".repeat(2000) } } } }]),
            "pipelineBytes",
        ),
        (Value::Array(vec![json!({ "$skip": 0 }); 201]), "pipelineStages"),
    ] {
        let request = json!({ "bucket": "items", "pipeline": pipeline });
        let refused = client.err("store.aggregate", request, "LIMIT_EXCEEDED").await;
        assert_eq!(refused["details"]["limit"], limit, "{refused}");
    }
    let paths: serde_json::Map<String, Value> =
        (0..1001).map(|n| (format!("f{n}"), json!(1))).collect();
    let update = json!({ "bucket": "items", "key": 1, "data": { "$set": paths } });
    let refused = client.err("store.update", update, "LIMIT_EXCEEDED").await;
    assert_eq!(refused["details"], json!({ "limit": "updatePaths", "max": 1000, "actual": 1001 }));
}

#[tokio::test]
async fn explain_tells_of_pipelines_and_of_writes_to_many_without_writing() {
    let (_server, mut client) = filled().await;
    let pipeline =
        json!([{ "$match": { "group": "a" } }, { "$sort": { "n": 1 } }, { "$count": "c" }]);
    let request = json!({ "type": "store.aggregate", "bucket": "items", "pipeline": pipeline });
    let explained = client.ok("store.explain", json!({ "request": request })).await;
    assert_eq!((&explained["access"], &explained["index"]), (&json!("index"), &json!("group")));
    assert_eq!((&explained["rowsReturned"], &explained["stages"]), (&json!(1), &json!(["$count"])));
    for kind in ["store.updateMany", "store.deleteMany"] {
        let request = json!({ "type": kind, "bucket": "items", "filter": { "group": "a" },
            "data": { "$inc": { "n": 1 } } });
        let explained = client.ok("store.explain", json!({ "request": request })).await;
        assert_eq!(
            (&explained["index"], &explained["rowsReturned"]),
            (&json!("group"), &json!(2)),
            "{kind}"
        );
    }
    assert_eq!(client.ok("store.count", json!({ "bucket": "items" })).await, 3);
    let first = client.ok("store.get", json!({ "bucket": "items", "key": 1 })).await;
    assert_eq!((&first["n"], &first["_version"]), (&json!(10), &json!(1)));
}

#[tokio::test]
async fn expr_filters_reads_and_writes() {
    let (_server, mut client) = filled().await;
    let filter = json!({ "$expr": { "$gt": ["$n", { "$multiply": ["$id", 9] }] } });
    let count = json!({ "bucket": "items", "filter": filter });
    assert_eq!(client.ok("store.count", count).await, 3);
    let filter = json!({ "group": "a", "$expr": { "$eq": [{ "$size": "$tags" }, 0] } });
    let deleted =
        client.ok("store.deleteMany", json!({ "bucket": "items", "filter": filter })).await;
    assert_eq!(deleted, 1);
    let failing = json!({ "bucket": "items", "filter": { "$expr": { "$size": "$n" } } });
    client.err("store.where", failing.clone(), "VALIDATION_ERROR").await;
    client.err("store.deleteMany", failing, "VALIDATION_ERROR").await;
    let index = json!({ "fields": ["n"], "filter": { "$expr": "$n" }, "name": "p" });
    client
        .err("store.createIndex", json!({ "bucket": "items", "index": index }), "VALIDATION_ERROR")
        .await;
}
