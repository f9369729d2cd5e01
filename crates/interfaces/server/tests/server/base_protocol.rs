//! What the base protocol says of records, definitions and subscriptions, as
//! its clients rely on it. What Tandem does differently is in
//! `docs/protocol.md` and tested where it belongs.

use std::time::Duration;

use crate::support::{Client, serve_json, timeless};
use futures_util::SinkExt;
use serde_json::{Value, json};
use tandem_server::RunningServer;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

async fn with(buckets: Value) -> (RunningServer, Client) {
    let server = serve_json(json!({ "store": { "buckets": buckets } })).await;
    let client = Client::connect(&server).await;
    (server, client)
}

async fn insert(client: &mut Client, bucket: &str, data: Value) -> Value {
    client.ok("store.insert", json!({ "bucket": bucket, "data": data })).await
}

async fn ids(client: &mut Client, kind: &str, mut fields: Value) -> Value {
    fields["bucket"] = "b".into();
    let answer = client.ok(kind, fields).await;
    let records = if answer.is_array() { &answer } else { &answer["records"] };
    records.as_array().expect("records").iter().map(|record| record["id"].clone()).collect()
}

#[tokio::test]
async fn every_rule_of_a_schema_has_its_code_and_message() {
    let schema = json!({
        "id": {}, "req": { "required": true }, "str": { "type": "string" }, "num": { "type": "number" },
        "boo": { "type": "boolean" }, "obj": { "type": "object", "properties": { "z": { "type": "number" } } },
        "arr": { "type": "array", "items": { "type": "string" } }, "dat": { "type": "date" },
        "enu": { "enum": ["a", 2] }, "len": { "type": "string", "minLength": 2, "maxLength": 3 },
        "pat": { "pattern": "^a+$" }, "ema": { "format": "email" }, "url": { "format": "url" },
        "iso": { "format": "iso-date" }, "ran": { "type": "number", "min": 1, "max": 5 },
    });
    let (_server, mut client) = with(json!({ "b": { "key": "id", "schema": schema } })).await;
    for (field, value, path, message, code) in [
        ("req", Value::Null, "req", "Field is required", "required"),
        ("str", json!(1), "str", "Expected type \"string\", got number", "type"),
        ("num", json!("1"), "num", "Expected type \"number\", got string", "type"),
        ("boo", json!([]), "boo", "Expected type \"boolean\", got array", "type"),
        ("obj", json!(true), "obj", "Expected type \"object\", got boolean", "type"),
        ("obj", json!({ "z": "x" }), "obj.z", "Expected type \"number\", got string", "type"),
        ("arr", json!({}), "arr", "Expected type \"array\", got object", "type"),
        ("arr", json!(["x", 1]), "arr[1]", "Expected type \"string\", got number", "type"),
        ("dat", json!(true), "dat", "Expected type \"date\", got boolean", "type"),
        ("enu", json!("b"), "enu", "Value must be one of: a, 2", "enum"),
        ("len", json!("x"), "len", "Minimum length is 2", "minLength"),
        ("len", json!("xxxx"), "len", "Maximum length is 3", "maxLength"),
        ("pat", json!("b"), "pat", "Value must match pattern \"^a+$\"", "pattern"),
        ("ema", json!("a b@c"), "ema", "Invalid email format", "format"),
        ("url", json!("nothing"), "url", "Invalid url format", "format"),
        ("iso", json!("2024-02-30"), "iso", "Invalid iso-date format", "format"),
        ("ran", json!(0), "ran", "Minimum value is 1", "min"),
        ("ran", json!(6), "ran", "Maximum value is 5", "max"),
    ] {
        let mut data = json!({ "id": 1, "req": 1 });
        data[field] = value;
        let refused = client
            .err("store.insert", json!({ "bucket": "b", "data": data }), "VALIDATION_ERROR")
            .await;
        let issue = json!({ "field": path, "message": message, "code": code });
        assert_eq!(refused["details"], json!([issue]), "{field}");
        assert_eq!(
            refused["message"],
            format!("Validation failed for bucket \"b\": {path}: {message}")
        );
    }
    let two = json!({ "bucket": "b", "data": { "id": 1, "str": 1, "num": "x" } });
    let refused = client.err("store.insert", two, "VALIDATION_ERROR").await;
    let fields: Vec<_> = refused["details"]
        .as_array()
        .expect("issues")
        .iter()
        .map(|issue| &issue["field"])
        .collect();
    assert_eq!(fields, ["req", "str", "num"], "in the order of the schema");
    // Null passes every check but `required`; fields outside the schema too.
    let mut nothing = json!({ "id": 1, "req": 0, "other": { "any": [null] } });
    for field in ["str", "num", "obj", "arr", "enu", "len", "pat", "ema", "iso", "ran"] {
        nothing[field] = Value::Null;
    }
    let record = insert(&mut client, "b", nothing.clone()).await;
    assert_eq!(record["other"], nothing["other"]);
    // Lengths count UTF-16 units, as JavaScript does.
    client.ok("store.update", json!({ "bucket": "b", "key": 1, "data": { "len": "😀x" } })).await;
    let long = json!({ "bucket": "b", "key": 1, "data": { "len": "😀😀" } });
    client.err("store.update", long, "VALIDATION_ERROR").await;
    for date in [json!("anything"), json!(5)] {
        client
            .ok("store.update", json!({ "bucket": "b", "key": 1, "data": { "dat": date } }))
            .await;
    }
}

#[tokio::test]
async fn values_are_generated_and_defaulted_where_they_are_missing() {
    let schema = json!({
        "id": { "type": "number", "generated": "autoincrement" }, "u": { "generated": "uuid" },
        "c": { "generated": "cuid" }, "t": { "generated": "timestamp" }, "d": { "default": ["x"] },
    });
    let (_server, mut client) = with(json!({ "b": { "key": "id", "schema": schema } })).await;
    let first = insert(&mut client, "b", json!({})).await;
    assert_eq!((&first["id"], &first["d"]), (&json!(1), &json!(["x"])));
    let uuid = first["u"].as_str().expect("a uuid");
    assert_eq!((uuid.len(), uuid.as_bytes()[14]), (36, b'4'), "version 4: {uuid}");
    let cuid = first["c"].as_str().expect("a cuid");
    assert!(cuid.len() == 33 && cuid.starts_with('c'), "{cuid}");
    assert!(cuid[1..].bytes().all(|byte| byte.is_ascii_hexdigit()), "{cuid}");
    assert_eq!(first["t"], first["_createdAt"]);
    // What is present wins, null included.
    let given =
        insert(&mut client, "b", json!({ "id": 10, "u": null, "c": "mine", "d": null })).await;
    assert_eq!(timeless(given)["u"], Value::Null);
    let next = insert(&mut client, "b", json!({ "d": 5 })).await;
    assert!(next["id"].as_u64().is_some_and(|id| id > 1 && id != 10), "{next}");
    // Generated fields and the key are not the client's to change.
    let update = json!({ "bucket": "b", "key": 1, "data": { "id": 5, "u": "x", "d": 1 } });
    let updated = client.ok("store.update", update).await;
    assert_eq!((&updated["id"], &updated["u"], &updated["d"]), (&json!(1), &first["u"], &json!(1)));
}

#[tokio::test]
async fn records_keep_their_place_until_they_are_inserted_anew() {
    let (_server, mut client) = with(json!({
        "b": { "key": "id", "schema": { "id": {}, "n": {} } },
    }))
    .await;
    for id in [json!(3), json!("1"), json!(1), json!(true), json!("")] {
        insert(&mut client, "b", json!({ "id": id, "n": 0 })).await;
    }
    client.ok("store.update", json!({ "bucket": "b", "key": 3, "data": { "n": 9 } })).await;
    let order = json!([3, "1", 1, true, ""]);
    assert_eq!(ids(&mut client, "store.all", json!({})).await, order);
    assert_eq!(ids(&mut client, "store.first", json!({ "n": 2 })).await, json!([3, "1"]));
    assert_eq!(ids(&mut client, "store.last", json!({ "n": 2 })).await, json!([true, ""]));
    client.ok("store.delete", json!({ "bucket": "b", "key": 3 })).await;
    insert(&mut client, "b", json!({ "id": 3 })).await;
    assert_eq!(ids(&mut client, "store.all", json!({})).await, json!(["1", 1, true, "", 3]));
    for refused in [json!(null), json!([1]), json!({ "a": 1 })] {
        let data = json!({ "bucket": "b", "data": { "id": refused } });
        client.err("store.insert", data, "VALIDATION_ERROR").await;
    }
}

#[tokio::test]
async fn an_ordered_set_is_read_in_the_order_of_its_keys() {
    let (_server, mut client) = with(json!({
        "b": { "key": "id", "etsType": "ordered_set", "schema": { "id": {} } },
    }))
    .await;
    for id in [10, 9, -1] {
        insert(&mut client, "b", json!({ "id": id })).await;
    }
    assert_eq!(ids(&mut client, "store.first", json!({ "n": 2 })).await, json!([-1, 9]));
    assert_eq!(ids(&mut client, "store.last", json!({ "n": 2 })).await, json!([9, 10]));
    let page = json!({ "limit": 2, "after": -1 });
    assert_eq!(ids(&mut client, "store.paginate", page).await, json!([9, 10]));
}

#[tokio::test]
async fn a_time_to_live_is_set_at_insert_and_not_extended() {
    let server = serve_json(json!({ "store": { "ttlCheckIntervalMs": 0, "buckets": {
        "b": { "key": "id", "ttl": "15m", "schema": { "id": {} } },
        "plain": { "key": "id", "schema": { "id": {} } },
    } } }))
    .await;
    let mut client = Client::connect(&server).await;
    let created = |record: &Value| record["_createdAt"].as_u64().expect("a time");
    let record = insert(&mut client, "b", json!({ "id": 1 })).await;
    assert_eq!(record["_expiresAt"], created(&record) + 900_000);
    let update = json!({ "bucket": "b", "key": 1, "data": { "n": 1 } });
    assert_eq!(client.ok("store.update", update).await["_expiresAt"], record["_expiresAt"]);
    let update = json!({ "bucket": "b", "key": 1, "data": { "_expiresAt": 5 } });
    assert_eq!(client.ok("store.update", update).await["_expiresAt"], 5);
    // What a client sends is kept, without a time to live as well.
    for bucket in ["b", "plain"] {
        let data = json!({ "id": 2, "_expiresAt": 7_000_000_000_000_u64 });
        let sent = insert(&mut client, bucket, data).await;
        assert_eq!(sent["_expiresAt"], 7_000_000_000_000_u64);
    }
    // The rules of a transaction are the same.
    let batch = json!({ "operations": [{ "op": "insert", "bucket": "b", "data": { "id": 3 } }] });
    let answer = client.ok("store.transaction", batch).await;
    let record = &answer["results"][0]["data"];
    assert_eq!(record["_expiresAt"], created(record) + 900_000);
    // Another ttl is for records to come; null removes it, absent keeps it.
    let updates = |updates: Value| json!({ "name": "b", "updates": updates });
    client.ok("store.updateBucket", updates(json!({ "ttl": 1_000 }))).await;
    client.ok("store.updateBucket", updates(json!({}))).await;
    let record = insert(&mut client, "b", json!({ "id": 4 })).await;
    assert_eq!(record["_expiresAt"], created(&record) + 1_000);
    client.ok("store.updateBucket", updates(json!({ "ttl": null }))).await;
    let record = insert(&mut client, "b", json!({ "id": 5 })).await;
    assert_eq!(record.get("_expiresAt"), None);
    assert_eq!(ids(&mut client, "store.all", json!({})).await, json!([1, 2, 3, 4, 5]));
    for wrong in [json!("15 parsecs"), json!(-1), json!(0)] {
        client
            .err("store.updateBucket", updates(json!({ "ttl": wrong })), "VALIDATION_ERROR")
            .await;
    }
    // Without a timer nothing is removed; stats say so.
    let stats = client.ok("store.stats", json!({})).await;
    assert_eq!(stats["ttl"], json!({ "enabled": false, "checkIntervalMs": 0 }));
}

#[tokio::test]
async fn a_full_bucket_lets_its_oldest_record_go() {
    let (_server, mut client) = with(json!({
        "b": { "key": "id", "maxSize": 2, "schema": { "id": {}, "u": { "unique": true } } },
    }))
    .await;
    client.ok("store.defineQuery", json!({ "name": "all", "config": { "bucket": "b" } })).await;
    client.ok("store.subscribe", json!({ "query": "all" })).await;
    for id in [1, 2, 3] {
        insert(&mut client, "b", json!({ "id": id, "u": id })).await;
    }
    assert_eq!(ids(&mut client, "store.all", json!({})).await, json!([2, 3]));
    // A refused insert drops nobody.
    let taken = json!({ "bucket": "b", "data": { "id": 4, "u": 3 } });
    client.err("store.insert", taken, "ALREADY_EXISTS").await;
    assert_eq!(ids(&mut client, "store.all", json!({})).await, json!([2, 3]));
    for expected in [1, 2, 2] {
        let push = client.push().await;
        assert_eq!(push["data"].as_array().map(Vec::len), Some(expected), "one push per insert");
    }
    let many = json!({ "bucket": "b", "data": [{ "id": 7 }, { "id": 8 }, { "id": 9 }] });
    client.ok("store.insertMany", many).await;
    assert_eq!(ids(&mut client, "store.all", json!({})).await, json!([8, 9]));
}

#[tokio::test]
async fn references_restrict_cascade_and_set_null() {
    let to = |bucket: &str, on_delete: &str| json!({ "key": "id", "schema": { "id": {}, "to": { "ref": bucket, "onDelete": on_delete } } });
    let (_server, mut client) = with(json!({
        "a": { "key": "id", "schema": { "id": {} } }, "restrict": to("a", "restrict"),
        "cascade": to("a", "cascade"), "chain": to("cascade", "cascade"), "null": to("a", "set_null"),
    }))
    .await;
    for id in [1, 2] {
        insert(&mut client, "a", json!({ "id": id })).await;
        for bucket in ["cascade", "chain", "null"] {
            insert(&mut client, bucket, json!({ "id": id, "to": id })).await;
        }
    }
    insert(&mut client, "restrict", json!({ "id": 2, "to": 2 })).await;
    insert(&mut client, "restrict", json!({ "id": 3, "to": null })).await;
    let delete = |key: u64| json!({ "bucket": "a", "key": key });
    client.err("store.delete", delete(2), "REFERENCE_VIOLATION").await;
    client.ok("store.delete", delete(1)).await;
    for bucket in ["cascade", "chain"] {
        let get = json!({ "bucket": bucket, "key": 1 });
        assert_eq!(client.ok("store.get", get).await, Value::Null, "{bucket}");
        assert_eq!(client.ok("store.count", json!({ "bucket": bucket })).await, 1);
    }
    let nulled = client.ok("store.get", json!({ "bucket": "null", "key": 1 })).await;
    assert_eq!((&nulled["to"], &nulled["_version"]), (&Value::Null, &json!(2)));
    // Only a reference that is changed is looked at, and only then.
    client.ok("store.update", json!({ "bucket": "restrict", "key": 2, "data": { "n": 1 } })).await;
    let broken = json!({ "bucket": "restrict", "key": 2, "data": { "to": 1 } });
    client.err("store.update", broken, "REFERENCE_VIOLATION").await;
    let schema =
        json!({ "id": {}, "to": { "ref": "a", "onDelete": "set_null", "required": true } });
    let define = json!({ "name": "x", "config": { "key": "id", "schema": schema } });
    client.err("store.defineBucket", define, "VALIDATION_ERROR").await;
}

#[tokio::test]
async fn a_cycle_of_cascades_ends() {
    let (_server, mut client) = with(json!({
        "b": { "key": "id", "schema": { "id": {}, "to": { "ref": "b", "onDelete": "cascade" } } },
    }))
    .await;
    insert(&mut client, "b", json!({ "id": 1 })).await;
    insert(&mut client, "b", json!({ "id": 2, "to": 1 })).await;
    client.ok("store.update", json!({ "bucket": "b", "key": 1, "data": { "to": 2 } })).await;
    client.ok("store.delete", json!({ "bucket": "b", "key": 1 })).await;
    assert_eq!(client.ok("store.count", json!({ "bucket": "b" })).await, 0);
}

#[tokio::test]
async fn an_updated_bucket_keeps_its_records_counter_and_subscriptions() {
    let (_server, mut client) = with(json!({
        "b": { "key": "id", "schema": { "id": { "type": "number", "generated": "autoincrement" } } },
    }))
    .await;
    client.ok("store.defineQuery", json!({ "name": "all", "config": { "bucket": "b" } })).await;
    insert(&mut client, "b", json!({ "n": "text" })).await;
    insert(&mut client, "b", json!({ "n": 2 })).await;
    client.ok("store.subscribe", json!({ "query": "all" })).await;
    let updates = json!({ "addFields": { "n": { "type": "number" } }, "addIndexes": ["n"] });
    client.ok("store.updateBucket", json!({ "name": "b", "updates": updates.clone() })).await;
    assert_eq!(ids(&mut client, "store.all", json!({})).await, json!([1, 2]));
    assert_eq!(insert(&mut client, "b", json!({ "n": 3 })).await["id"], 3);
    assert_eq!(client.push().await["data"].as_array().map(Vec::len), Some(3));
    // Older records are looked at when they are next updated.
    let update = json!({ "bucket": "b", "key": 1, "data": { "m": 1 } });
    client.err("store.update", update, "VALIDATION_ERROR").await;
    // A field that exists, and an index on one that does not.
    let again = json!({ "name": "b", "updates": updates });
    client.err("store.updateBucket", again, "VALIDATION_ERROR").await;
    let unknown = json!({ "name": "b", "updates": { "addIndexes": ["nowhere"] } });
    client.err("store.updateBucket", unknown, "VALIDATION_ERROR").await;
}

#[tokio::test]
async fn a_bucket_that_is_defined_anew_begins_anew() {
    let (_server, mut client) = with(json!({})).await;
    let define = json!({ "name": "b", "config": { "key": "id", "schema": {
        "id": { "type": "number", "generated": "autoincrement" } } } });
    client.ok("store.defineBucket", define.clone()).await;
    client.ok("store.defineQuery", json!({ "name": "all", "config": { "bucket": "b" } })).await;
    for _ in 0..3 {
        insert(&mut client, "b", json!({})).await;
    }
    client.ok("store.dropBucket", json!({ "name": "b" })).await;
    // Its query stays and says what is missing.
    let queries = client.ok("store.listQueries", json!({})).await;
    assert_eq!(queries["queries"][0]["name"], "all");
    client.err("store.subscribe", json!({ "query": "all" }), "BUCKET_NOT_DEFINED").await;
    client.ok("store.defineBucket", define).await;
    assert_eq!(ids(&mut client, "store.all", json!({})).await, json!([]));
    assert_eq!(insert(&mut client, "b", json!({})).await["id"], 1);
    let subscribed = client.ok("store.subscribe", json!({ "query": "all" })).await;
    assert_eq!(subscribed["data"][0]["id"], 1);
}

#[tokio::test]
async fn queries_filter_aggregate_sort_skip_limit_and_project_in_this_order() {
    let (_server, mut client) = with(json!({
        "b": { "key": "id", "schema": { "id": {}, "g": {}, "n": {} } },
    }))
    .await;
    for (id, g, n) in [
        (1, json!("x"), json!(5)),
        (2, json!("y"), json!(3)),
        (3, Value::Null, json!("?")),
        (4, json!("x"), json!(1)),
    ] {
        insert(&mut client, "b", json!({ "id": id, "g": g, "n": n })).await;
    }
    let mut n = 0;
    let mut result = async |config: Value, params: Value| {
        n += 1;
        let name = format!("q{n}");
        let mut config = config;
        config["bucket"] = "b".into();
        client.ok("store.defineQuery", json!({ "name": name, "config": config })).await;
        client.ok("store.subscribe", json!({ "query": name, "params": params })).await["data"]
            .clone()
    };
    let sorted = json!({ "filter": { "id": { "$lt": 4 } }, "sort": { "id": "desc" }, "offset": 1, "limit": 1, "fields": ["id"] });
    assert_eq!(result(sorted, json!({})).await, json!([{ "id": 2 }]));
    let fields = json!({ "fields": ["id", "_version"], "limit": 1 });
    assert_eq!(result(fields, json!({})).await, json!([{ "id": 1, "_version": 1 }]));
    let aggregate = json!({ "filter": { "g": "{{ params.g }}" }, "sort": { "id": "asc" }, "limit": 1, "aggregate": { "function": "sum", "field": "n" } });
    assert_eq!(result(aggregate.clone(), json!({ "g": "x" })).await, 6);
    // One that is not given is null.
    assert_eq!(result(aggregate, Value::Null).await, 0);
    let groups = json!({ "aggregate": { "function": "count", "groupBy": "g" } });
    assert_eq!(
        result(groups, json!({})).await,
        json!([{ "key": { "g": "x" }, "value": 2 }, { "key": { "g": "y" }, "value": 1 }, { "key": { "g": null }, "value": 1 }])
    );
    let nothing =
        json!({ "filter": { "id": 9 }, "aggregate": { "function": "min", "field": "n" } });
    assert_eq!(result(nothing, json!({})).await, Value::Null);
    let nested = json!({ "filter": { "$or": [{ "id": "{{ params.id }}" }, { "n": { "$in": "{{ params.list }}" } }] }, "fields": ["id"] });
    let params = json!({ "id": 2, "list": [1, "?"] });
    assert_eq!(result(nested, params).await, json!([{ "id": 2 }, { "id": 3 }, { "id": 4 }]));
}

#[tokio::test]
async fn subscription_ids_are_counted_for_the_whole_server() {
    let (server, mut one) = with(json!({ "b": { "key": "id", "schema": { "id": {} } } })).await;
    let mut two = Client::connect(&server).await;
    let id = |data: Value| data["subscriptionId"].clone();
    assert_eq!(id(one.ok("store.subscribeChanges", json!({})).await), "sub-1");
    assert_eq!(id(two.ok("store.subscribeChanges", json!({})).await), "sub-2");
    assert_eq!(id(one.ok("store.subscribeChanges", json!({})).await), "sub-3");
}

#[tokio::test]
async fn clear_and_cascades_are_pushed_like_any_commit() {
    let (_server, mut client) = with(json!({
        "a": { "key": "id", "schema": { "id": {} } },
        "b": { "key": "id", "schema": { "id": {}, "to": { "ref": "a", "onDelete": "cascade" } } },
    }))
    .await;
    client.ok("store.defineQuery", json!({ "name": "all", "config": { "bucket": "b" } })).await;
    insert(&mut client, "a", json!({ "id": 1 })).await;
    insert(&mut client, "b", json!({ "id": 1, "to": 1 })).await;
    insert(&mut client, "b", json!({ "id": 2 })).await;
    client.ok("store.subscribe", json!({ "query": "all" })).await;
    client.ok("store.delete", json!({ "bucket": "a", "key": 1 })).await;
    assert_eq!(client.push().await["data"][0]["id"], 2);
    client.ok("store.clear", json!({ "bucket": "b" })).await;
    assert_eq!(client.push().await["data"], json!([]));
}

#[tokio::test]
async fn a_text_frame_that_is_not_utf_8_closes_with_1007() {
    let (_server, mut client) = with(json!({})).await;
    let frame = Frame::message(vec![b'"', 0xff, b'"'], OpCode::Data(Data::Text), true);
    client.socket.send(Message::Frame(frame)).await.expect("sent");
    assert_eq!(client.closed().await, (1007, "invalid_utf8".to_owned()));
}

#[tokio::test]
async fn a_pong_is_not_answered() {
    let (_server, mut client) = with(json!({})).await;
    client.send(&json!({ "type": "pong", "timestamp": 1 })).await;
    client.ok("store.buckets", json!({})).await;
}

#[tokio::test]
async fn grace_is_announced_once_and_a_new_connection_is_turned_away() {
    let (server, mut client) = with(json!({})).await;
    let address = server.address();
    let stopping = tokio::spawn(server.shutdown(Duration::from_secs(600)));
    assert_eq!(
        client.frame().await,
        json!({ "type": "system", "event": "shutdown", "gracePeriodMs": 600_000 })
    );
    client.ok("store.buckets", json!({})).await;
    // The listener is closed first.
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
    drop(client);
    stopping.await.expect("no panic").expect("stopped before the grace is over");
}
