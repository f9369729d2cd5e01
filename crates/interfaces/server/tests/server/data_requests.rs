//! Section 6 and the additions to it, request by request.

use crate::support::{Client, items, serve_items, serve_json, timeless};
use serde_json::{Value, json};
use tandem_server::RunningServer;

async fn filled() -> (RunningServer, Client) {
    let server = serve_json(json!({ "store": { "buckets": {
        "items": { "key": "id", "schema": { "id": {}, "group": {} }, "indexes": ["group"] },
        "empty": items(),
    } } }))
    .await;
    let mut client = Client::connect(&server).await;
    let data = json!([
        { "id": 1, "group": "a", "n": 10 },
        { "id": 2, "group": "b", "n": 20 },
        { "id": 3, "group": "a", "n": 30 },
        { "id": 4, "group": "b", "n": "text" },
    ]);
    client.ok("store.insertMany", json!({ "bucket": "items", "data": data })).await;
    (server, client)
}

async fn ids(client: &mut Client, kind: &str, fields: Value) -> Vec<i64> {
    let data = client.ok(kind, fields).await;
    let records = data.as_array().unwrap_or_else(|| panic!("records: {data}"));
    records.iter().map(|record| record["id"].as_i64().expect("a number")).collect()
}

#[tokio::test]
async fn insert_and_get_answer_the_record() {
    let server = serve_items().await;
    let mut client = Client::connect(&server).await;
    let data = json!({ "id": "a", "name": "Ada", "_version": 9 });
    let record = client.ok("store.insert", json!({ "bucket": "items", "data": data })).await;
    assert!(record["_createdAt"].is_u64() && record["_updatedAt"].is_u64());
    assert_eq!(timeless(record.clone()), json!({ "id": "a", "name": "Ada", "_version": 1 }));
    assert_eq!(client.ok("store.get", json!({ "bucket": "items", "key": "a" })).await, record);
    assert_eq!(client.ok("store.get", json!({ "bucket": "items", "key": "b" })).await, Value::Null);
    let again = json!({ "bucket": "items", "data": { "id": "a" } });
    let refused = client.err("store.insert", again, "ALREADY_EXISTS").await;
    assert_eq!(refused["details"], json!({ "bucket": "items", "key": "a" }));
}

#[tokio::test]
async fn integers_of_64_bits_are_exact() {
    let server = serve_items().await;
    let mut client = Client::connect(&server).await;
    let data = json!({ "id": i64::MIN, "big": u64::MAX, "odd": 9_007_199_254_740_993_i64 });
    client.ok("store.insert", json!({ "bucket": "items", "data": data })).await;
    let record = client.ok("store.get", json!({ "bucket": "items", "key": i64::MIN })).await;
    assert_eq!(record["big"], u64::MAX);
    assert_eq!(record["odd"], 9_007_199_254_740_993_i64);
    let filter = json!({ "big": u64::MAX - 1 });
    let near = client.ok("store.count", json!({ "bucket": "items", "filter": filter })).await;
    assert_eq!(near, 0);
}

#[tokio::test]
async fn update_merges_replace_replaces_upsert_does_either() {
    let (_server, mut client) = filled().await;
    let update = json!({ "bucket": "items", "key": 1, "data": { "n": 11, "id": 5 } });
    let record = client.ok("store.update", update).await;
    assert_eq!(timeless(record), json!({ "id": 1, "group": "a", "n": 11, "_version": 2 }));
    let replace = json!({ "bucket": "items", "key": 1, "data": { "only": true } });
    let record = client.ok("store.replace", replace).await;
    assert_eq!((&record["only"], &record["_version"]), (&json!(true), &json!(3)));
    assert!(record.get("group").is_none());
    for (id, version) in [(1, 4), (9, 1)] {
        let upsert = json!({ "bucket": "items", "data": { "id": id, "u": 1 } });
        let record = client.ok("store.upsert", upsert).await;
        assert_eq!((&record["u"], &record["_version"]), (&json!(1), &json!(version)));
    }
    let missing = json!({ "bucket": "items", "key": 77, "data": {} });
    let refused = client.err("store.update", missing.clone(), "NOT_FOUND").await;
    assert_eq!(refused["details"], json!({ "bucket": "items", "key": 77 }));
    client.err("store.replace", missing, "NOT_FOUND").await;
}

#[tokio::test]
async fn g6_a_stale_expected_version_is_a_conflict() {
    let (_server, mut client) = filled().await;
    for (kind, fields) in [
        ("store.update", json!({ "key": 1, "data": {} })),
        ("store.replace", json!({ "key": 1, "data": {} })),
        ("store.delete", json!({ "key": 1 })),
        ("store.upsert", json!({ "data": { "id": 1 } })),
    ] {
        let mut fields = fields;
        fields["bucket"] = "items".into();
        fields["expectedVersion"] = 5.into();
        let refused = client.err(kind, fields.clone(), "CONFLICT").await;
        let expected =
            json!({ "bucket": "items", "key": 1, "expectedVersion": 5, "actualVersion": 1 });
        assert_eq!(refused["details"], expected, "{kind}");
        fields["expectedVersion"] = "1".into();
        client.err(kind, fields, "VALIDATION_ERROR").await;
    }
    let fresh = json!({ "bucket": "items", "key": 1, "data": {}, "expectedVersion": 1 });
    client.ok("store.update", fresh).await;
}

#[tokio::test]
async fn delete_and_clear_answer_the_same_whether_or_not_there_was_something() {
    let (_server, mut client) = filled().await;
    for key in [1, 1] {
        let delete = json!({ "bucket": "items", "key": key });
        assert_eq!(client.ok("store.delete", delete).await, json!({ "deleted": true }));
    }
    for _ in 0..2 {
        let clear = json!({ "bucket": "items" });
        assert_eq!(client.ok("store.clear", clear).await, json!({ "cleared": true }));
    }
    assert_eq!(client.ok("store.count", json!({ "bucket": "items" })).await, 0);
}

#[tokio::test]
async fn reads_of_many_take_filter_sort_limit_offset_and_fields() {
    let (_server, mut client) = filled().await;
    let with = |extra: Value| {
        let mut fields = json!({ "bucket": "items" });
        fields.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        fields
    };
    let c = &mut client;
    assert_eq!(ids(c, "store.all", with(json!({}))).await, [1, 2, 3, 4]);
    assert_eq!(ids(c, "store.where", with(json!({ "filter": {} }))).await, [1, 2, 3, 4]);
    let group = json!({ "filter": { "group": "a" } });
    assert_eq!(ids(c, "store.where", with(group.clone())).await, [1, 3]);
    assert_eq!(ids(c, "store.all", with(group.clone())).await, [1, 3]);
    let sorted = json!({ "sort": { "group": "asc", "id": "desc" }, "limit": 3, "offset": 1 });
    assert_eq!(ids(c, "store.all", with(sorted)).await, [1, 4, 2]);
    assert_eq!(ids(c, "store.all", with(json!({ "limit": 0 }))).await, [1, 2, 3, 4]);
    assert_eq!(ids(c, "store.first", with(json!({ "n": 2 }))).await, [1, 2]);
    assert_eq!(ids(c, "store.last", with(json!({ "n": 2 }))).await, [3, 4]);
    assert_eq!(
        ids(c, "store.first", with(json!({ "n": 9, "filter": { "group": "b" } }))).await,
        [2, 4]
    );
    assert_eq!(
        ids(c, "store.last", with(json!({ "n": 1, "filter": { "group": "a" } }))).await,
        [3]
    );
    assert_eq!(ids(c, "store.last", with(json!({ "n": 2, "sort": "-id" }))).await, [2, 1]);
    let one =
        c.ok("store.findOne", with(json!({ "filter": { "group": "b" }, "fields": ["id"] }))).await;
    assert_eq!(one, json!({ "id": 2 }));
    assert_eq!(c.ok("store.findOne", with(json!({ "filter": { "id": 77 } }))).await, Value::Null);
    assert_eq!(c.ok("store.count", with(json!({}))).await, 4);
    assert_eq!(c.ok("store.count", with(group)).await, 2);
}

#[tokio::test]
async fn pages_go_on_after_a_cursor_or_a_key() {
    let (_server, mut client) = filled().await;
    let page = json!({ "bucket": "items", "limit": 3 });
    let first = client.ok("store.paginate", page).await;
    assert_eq!(first["hasMore"], true);
    assert_eq!(first["records"].as_array().map(Vec::len), Some(3));
    for after in [first["nextCursor"].clone(), json!(3)] {
        let page = json!({ "bucket": "items", "limit": 3, "after": after });
        let rest = client.ok("store.paginate", page).await;
        assert_eq!((&rest["records"][0]["id"], &rest["hasMore"]), (&json!(4), &json!(false)));
    }
    for after in [Value::Null, json!(77)] {
        let page = json!({ "bucket": "items", "limit": 3, "after": after });
        let none = client.ok("store.paginate", page).await;
        assert_eq!(none, json!({ "records": [], "hasMore": false }));
    }
    let sorted = json!({ "bucket": "items", "limit": 2, "sort": { "id": "desc" } });
    let first = client.ok("store.paginate", sorted.clone()).await;
    let mut next = sorted;
    next["after"] = first["nextCursor"].clone();
    let rest = client.ok("store.paginate", next).await;
    assert_eq!(rest["records"][0]["id"], 2);
}

#[tokio::test]
async fn numbers_are_aggregated_and_anything_else_is_skipped() {
    let (_server, mut client) = filled().await;
    for (kind, all, group_b, nothing) in [
        ("store.sum", json!(60), json!(20), json!(0)),
        ("store.avg", json!(20.0), json!(20.0), json!(0)),
        ("store.min", json!(10), json!(20), Value::Null),
        ("store.max", json!(30), json!(20), Value::Null),
    ] {
        let field = json!({ "bucket": "items", "field": "n" });
        let same = |a: &Value, b: &Value| a.as_f64() == b.as_f64();
        assert!(same(&client.ok(kind, field).await, &all), "{kind}");
        let filtered = json!({ "bucket": "items", "field": "n", "filter": { "group": "b" } });
        assert!(same(&client.ok(kind, filtered).await, &group_b), "{kind}");
        let empty = json!({ "bucket": "empty", "field": "n" });
        let answer = client.request(kind, empty).await;
        assert!(answer.get("data").is_some_and(|data| same(data, &nothing)), "{kind}: {answer}");
        client.err(kind, json!({ "bucket": "items" }), "VALIDATION_ERROR").await;
    }
    let groups = json!({ "bucket": "items", "field": "group",
        "aggregate": { "function": "sum", "field": "n" } });
    assert_eq!(
        client.ok("store.groupBy", groups).await,
        json!([
            { "key": { "group": "a" }, "value": 40 }, { "key": { "group": "b" }, "value": 20 }
        ])
    );
}

#[tokio::test]
async fn many_are_written_whole_or_not_at_all() {
    let (_server, mut client) = filled().await;
    let two = json!({ "bucket": "items", "data": [{ "id": 5 }, { "id": 1 }] });
    client.err("store.insertMany", two, "ALREADY_EXISTS").await;
    assert_eq!(client.ok("store.count", json!({ "bucket": "items" })).await, 4);
    let update = json!({ "bucket": "items", "filter": { "group": "a" }, "data": { "n": 1 } });
    assert_eq!(client.ok("store.updateMany", update).await, 2);
    let delete = json!({ "bucket": "items", "filter": { "n": 1 } });
    assert_eq!(client.ok("store.deleteMany", delete).await, 2);
    assert_eq!(ids(&mut client, "store.all", json!({ "bucket": "items" })).await, [2, 4]);
    let wrong = json!({ "bucket": "items", "data": [{ "id": 6 }, 7] });
    let refused = client.err("store.insertMany", wrong, "VALIDATION_ERROR").await;
    assert_eq!(refused["message"], "data[1]: expected object");
}

#[tokio::test]
async fn explain_tells_the_index_and_what_was_examined() {
    let (_server, mut client) = filled().await;
    let request = json!({ "type": "store.where", "bucket": "items", "filter": { "group": "a" } });
    let plan = client.ok("store.explain", json!({ "request": request })).await;
    assert_eq!(plan["access"], "index", "{plan}");
    assert_eq!(plan["rowsReturned"], 2);
    let request = json!({ "type": "store.insert", "bucket": "items" });
    client.err("store.explain", json!({ "request": request }), "VALIDATION_ERROR").await;
}

#[tokio::test]
async fn fields_are_checked_before_the_bucket_is_looked_up() {
    let server = serve_items().await;
    let mut client = Client::connect(&server).await;
    let bucket = "Missing or invalid \"bucket\": expected non-empty string";
    let data = "Missing or invalid \"data\": expected object";
    let key = "Missing \"key\": expected non-null value";
    let n = "Missing or invalid \"n\": expected positive integer";
    for (kind, fields, message) in [
        ("store.insert", json!({}), bucket),
        ("store.insert", json!({ "bucket": "" }), bucket),
        ("store.insert", json!({ "bucket": "none", "data": [] }), data),
        ("store.update", json!({ "bucket": "none", "data": {} }), key),
        ("store.update", json!({ "bucket": "none", "key": 1 }), data),
        ("store.get", json!({ "bucket": "none", "key": null }), key),
        ("store.delete", json!({ "bucket": "none" }), key),
        ("store.first", json!({ "bucket": "none", "n": 0 }), n),
        ("store.last", json!({ "bucket": "none", "n": 1.5 }), n),
        (
            "store.paginate",
            json!({ "bucket": "none" }),
            "Missing or invalid \"limit\": expected positive integer",
        ),
        (
            "store.where",
            json!({ "bucket": "none" }),
            "Missing or invalid \"filter\": expected object",
        ),
        (
            "store.count",
            json!({ "bucket": "none", "filter": 1 }),
            "Invalid \"filter\": expected object",
        ),
        (
            "store.sum",
            json!({ "bucket": "none" }),
            "Missing or invalid \"field\": expected non-empty string",
        ),
        (
            "store.insertMany",
            json!({ "bucket": "none" }),
            "Missing or invalid \"data\": expected array",
        ),
    ] {
        assert_eq!(
            client.err(kind, fields, "VALIDATION_ERROR").await["message"],
            message,
            "{kind}"
        );
    }
    for (kind, fields) in [
        ("store.get", json!({ "bucket": "none", "key": false })),
        ("store.insert", json!({ "bucket": "none", "data": {} })),
        ("store.all", json!({ "bucket": "none" })),
        ("store.paginate", json!({ "bucket": "none", "limit": 1, "after": null })),
        ("store.clear", json!({ "bucket": "none" })),
        ("store.max", json!({ "bucket": "none", "field": "a" })),
    ] {
        client.err(kind, fields, "BUCKET_NOT_DEFINED").await;
    }
}

#[tokio::test]
async fn an_unknown_operator_is_named() {
    let (_server, mut client) = filled().await;
    let filter = json!({ "n": { "$near": 1 } });
    let fields = json!({ "bucket": "items", "filter": filter });
    let refused = client.err("store.where", fields, "VALIDATION_ERROR").await;
    assert!(refused["message"].as_str().unwrap().contains("$near"), "{refused}");
}

#[tokio::test]
async fn schema_issues_are_the_details() {
    let config = json!({ "key": "id", "schema": {
        "id": {}, "name": { "type": "string", "required": true }, "age": { "type": "number" } } });
    let server = serve_json(json!({ "store": { "buckets": { "users": config } } })).await;
    let mut client = Client::connect(&server).await;
    let fields = json!({ "bucket": "users", "data": { "id": 1, "age": "old" } });
    let refused = client.err("store.insert", fields, "VALIDATION_ERROR").await;
    assert_eq!(
        refused["message"],
        "Validation failed for bucket \"users\": name: Field is required; age: Expected type \
         \"number\", got string"
    );
    assert_eq!(refused["details"][0]["code"], "required");
    assert_eq!(refused["details"][1]["field"], "age");
}
