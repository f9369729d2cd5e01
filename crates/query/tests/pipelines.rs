//! Pipelines against MongoDB's documented semantics, stage by stage: null,
//! missing, arrays, nested paths, mixed numbers and types; what they read of
//! indexes; what bounds them.

#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod support;

use serde_json::{Value, json};
use support::Store;
use tandem_base::{Code, Error};
use tandem_query::{Pipeline, QueryLimits, explain_pipeline, run_pipeline};
use tandem_transaction::Isolation;

const NOW: u64 = 1_700_000_000_000;

fn with_records(config: &Value, records: &[Value]) -> Store {
    let store = Store::with_bucket(config);
    store.insert_all(records);
    store
}

fn bucket() -> Value {
    json!({"key": "id", "schema": {"id": {}, "a": {}, "k": {}}, "indexes": ["a", "k"]})
}

fn aggregate(store: &Store, pipeline: &Value, limits: QueryLimits) -> Result<Vec<Value>, Error> {
    let pipeline = Pipeline::parse(pipeline, NOW)?;
    run_pipeline(&store.records, &mut store.begin(), "b", &pipeline, &limits)
}

/// Documents without the metadata of records.
fn plain(documents: Vec<Value>) -> Value {
    let strip = |mut document: Value| {
        if let Value::Object(fields) = &mut document {
            for name in ["_version", "_createdAt", "_updatedAt"] {
                fields.shift_remove(name);
            }
        }
        document
    };
    documents.into_iter().map(strip).collect()
}

/// Records, pipeline and documents, byte for byte.
fn check(cases: impl IntoIterator<Item = (Value, Value, Value)>) {
    for (records, pipeline, expected) in cases {
        let store = with_records(&bucket(), records.as_array().unwrap());
        let found = aggregate(&store, &pipeline, QueryLimits::default());
        let found = found.unwrap_or_else(|error| panic!("{pipeline}: {error:?}"));
        assert_eq!(plain(found).to_string(), expected.to_string(), "{pipeline}");
    }
}

/// Pipelines that are refused as such, and a part of the message.
fn check_refused(cases: impl IntoIterator<Item = (Value, &'static str)>) {
    for (pipeline, message) in cases {
        let error = Pipeline::parse(&pipeline, NOW).unwrap_err();
        assert_eq!(error.code(), Code::ValidationError, "{pipeline}: {error:?}");
        assert!(error.message().contains(message), "{pipeline}: {error}");
    }
}

#[test]
fn match_sort_skip_and_limit_mean_the_same_in_front_and_behind() {
    let records = json!([{"id": 1, "a": 3}, {"id": 2, "a": 1}, {"id": 3, "a": 2}, {"id": 4}]);
    let projection = json!({"$project": {"id": 1}});
    let ids = |ids: &[i64]| -> Value { ids.iter().map(|id| json!({"id": id})).collect() };
    for (stages, expected) in [
        (json!([]), ids(&[1, 2, 3, 4])),
        (json!([{"$match": {"a": {"$gte": 2}}}]), ids(&[1, 3])),
        (json!([{"$match": {"a": null}}]), ids(&[4])),
        (json!([{"$sort": {"a": 1}}]), ids(&[4, 2, 3, 1])),
        (json!([{"$sort": {"a": -1}}, {"$limit": 2}]), ids(&[1, 3])),
        (json!([{"$sort": {"a": -1}}, {"$skip": 1}, {"$limit": 2}]), ids(&[3, 2])),
        (json!([{"$limit": 3}, {"$skip": 1}]), ids(&[2, 3])),
        (json!([{"$skip": 9}]), ids(&[])),
        (json!([{"$limit": 2}, {"$match": {"a": 1}}]), ids(&[2])),
        (json!([{"$match": {"$expr": {"$lt": ["$a", "$id"]}}}]), ids(&[2, 3, 4])),
        (json!([{"$sort": {"a": 1}}, {"$match": {"id": {"$lt": 4}}}, {"$limit": 1}]), ids(&[2])),
    ] {
        let stages = stages.as_array().unwrap().clone();
        // As the source of the read, and as stages behind one that does nothing.
        let mut front = stages.clone();
        front.push(projection.clone());
        let mut behind = vec![json!({"$addFields": {"x": 1}})];
        behind.extend(stages);
        behind.push(projection.clone());
        check([
            (records.clone(), Value::Array(front), expected.clone()),
            (records.clone(), Value::Array(behind), expected),
        ]);
    }
    check_refused([
        (json!({}), "expected array"),
        (json!([{"$match": {}, "$limit": 1}]), "pipeline[0]: expected object of one stage"),
        (json!([{"$match": {}}, {"$frob": 1}]), "pipeline[1]: Unknown stage \"$frob\""),
        (json!([{"$match": {"a": {"$frob": 1}}}]), "\"$frob\""),
        (json!([{"$limit": 0}]), "positive integer"),
        (json!([{"$skip": -1}]), "non-negative"),
        (json!([{"$sort": {}}]), "paths and directions"),
        (json!([{"$sort": {"a": 2}}]), "direction"),
        (json!([{"$out": "x"}]), "Unknown stage \"$out\""),
    ]);
}

#[test]
fn project_keeps_leaves_out_and_computes() {
    let record = json!([{"id": 1, "a": 1, "o": {"x": 1, "y": 2}, "l": [{"v": 1, "w": 2}, 7]}]);
    let case = |projection: Value, expected: Value| {
        (record.clone(), json!([{"$project": projection}]), json!([expected]))
    };
    check([
        case(json!({"a": 1, "nothing": true}), json!({"a": 1})),
        case(json!({"o.x": 1}), json!({"o": {"x": 1}})),
        case(json!({"o": {"x": 1, "y": 1}}), json!({"o": {"x": 1, "y": 2}})),
        case(json!({"l.v": 1}), json!({"l": [{"v": 1}]})),
        case(json!({"a.x": 1}), json!({})),
        case(json!({"o": 0, "l": 0}), json!({"id": 1, "a": 1})),
        case(
            json!({"o.x": 0, "l.v": false}),
            json!({"id": 1, "a": 1, "o": {"y": 2}, "l": [{"w": 2}, 7]}),
        ),
        case(json!({"sum": {"$add": ["$a", "$o.y"]}, "id": 1}), json!({"id": 1, "sum": 3})),
        case(
            json!({"a": "$o.x", "t": "text", "l": {"$literal": 1}}),
            json!({"a": 1, "t": "text", "l": 1}),
        ),
        case(json!({"n.m": "$a", "gone": "$nothing"}), json!({"n": {"m": 1}})),
        case(json!({"list": ["$a", "$nothing"]}), json!({"list": [1, null]})),
    ]);
    // What $group calls _id is kept unless it is left out.
    check([
        (
            record.clone(),
            json!([{"$group": {"_id": "$a", "n": {"$count": {}}}}, {"$project": {"n": 1}}]),
            json!([{"_id": 1, "n": 1}]),
        ),
        (
            record.clone(),
            json!([{"$group": {"_id": "$a", "n": {"$count": {}}}},
            {"$project": {"n": 1, "_id": 0}}]),
            json!([{"n": 1}]),
        ),
        (
            record.clone(),
            json!([{"$group": {"_id": "$a", "n": {"$count": {}}}}, {"$project": {"_id": 0}}]),
            json!([{"n": 1}]),
        ),
    ]);
    check_refused([
        (json!([{"$project": {}}]), "object of fields"),
        (json!([{"$project": {"a": 1, "b": 0}}]), "not both"),
        (json!([{"$project": {"a": 1, "a.b": 1}}]), "collide"),
        (json!([{"$project": {"a.b": 1, "a": 1}}]), "collide"),
        (json!([{"$project": {"a": {"$nope": 1}}}]), "Unknown operator"),
        (json!([{"$project": {"$a": 1}}]), "a path"),
    ]);
}

#[test]
fn add_fields_unset_and_replace_change_documents() {
    let record = json!([{"id": 1, "a": 1, "o": {"x": 1}, "l": [{"v": 1}, 7]}]);
    let case = |stage: Value, expected: Value| (record.clone(), json!([stage]), json!([expected]));
    check([
        case(
            json!({"$addFields": {"a": {"$add": ["$a", 1]}, "b": "$a"}}),
            json!({"id": 1, "a": 2, "o": {"x": 1}, "l": [{"v": 1}, 7], "b": 1}),
        ),
        case(
            json!({"$set": {"o.y": 5, "o.z.q": "$a"}}),
            json!({"id": 1, "a": 1, "o": {"x": 1, "y": 5, "z": {"q": 1}}, "l": [{"v": 1}, 7]}),
        ),
        case(
            json!({"$addFields": {"a.b": 1}}),
            json!({"id": 1, "a": {"b": 1}, "o": {"x": 1}, "l": [{"v": 1}, 7]}),
        ),
        case(
            json!({"$addFields": {"l.n": 0}}),
            json!({"id": 1, "a": 1, "o": {"x": 1}, "l": [{"v": 1, "n": 0}, {"n": 0}]}),
        ),
        case(
            json!({"$addFields": {"a": "$$REMOVE", "l": "$nothing"}}),
            json!({"id": 1, "o": {"x": 1}}),
        ),
        case(json!({"$unset": ["l", "o.x"]}), json!({"id": 1, "a": 1, "o": {}})),
        case(json!({"$unset": "l.v"}), json!({"id": 1, "a": 1, "o": {"x": 1}, "l": [{}, 7]})),
        case(json!({"$replaceRoot": {"newRoot": "$o"}}), json!({"x": 1})),
        case(json!({"$replaceWith": {"$mergeObjects": [{"n": 1}, "$o"]}}), json!({"n": 1, "x": 1})),
    ]);
    let store = with_records(&bucket(), record.as_array().unwrap());
    let error = aggregate(&store, &json!([{"$replaceWith": "$a"}]), QueryLimits::default());
    assert_eq!(error.unwrap_err().code(), Code::ValidationError);
    check_refused([
        (json!([{"$addFields": {}}]), "object of fields"),
        (json!([{"$unset": []}]), "paths"),
        (json!([{"$replaceRoot": {"root": "$a"}}]), "newRoot"),
    ]);
}

#[test]
fn group_computes_over_null_missing_and_mixed_numbers() {
    let records = json!([
        {"id": 1, "g": "x", "n": 1}, {"id": 2, "g": "y", "n": 2.5}, {"id": 3, "g": "x", "n": 3},
        {"id": 4, "g": null, "n": "text"}, {"id": 5, "n": null}, {"id": 6, "g": "x"},
    ]);
    let case =
        |group: Value, expected: Value| (records.clone(), json!([{"$group": group}]), expected);
    check([
        case(
            json!({"_id": "$g", "n": {"$sum": "$n"}}),
            json!([{"_id": null, "n": 0}, {"_id": "x", "n": 4}, {"_id": "y", "n": 2.5}]),
        ),
        case(
            json!({"_id": null, "count": {"$sum": 1}, "all": {"$count": {}}}),
            json!([{"_id": null, "count": 6, "all": 6}]),
        ),
        case(
            json!({"_id": "$g", "avg": {"$avg": "$n"}}),
            json!([{"_id": null, "avg": null}, {"_id": "x", "avg": 2}, {"_id": "y", "avg": 2.5}]),
        ),
        // The smallest and largest of all types, null and missing passed over.
        case(
            json!({"_id": 1, "min": {"$min": "$n"}, "max": {"$max": "$n"}, "no": {"$min": "$q"}}),
            json!([{"_id": 1, "min": 1, "max": "text", "no": null}]),
        ),
        case(
            json!({"_id": "$g", "first": {"$first": "$n"}, "last": {"$last": "$n"}}),
            json!([{"_id": null, "first": "text", "last": null}, {"_id": "x", "first": 1, "last": null},
                {"_id": "y", "first": 2.5, "last": 2.5}]),
        ),
        // $push leaves out what is missing, keeps null.
        case(
            json!({"_id": "$g", "all": {"$push": "$n"}}),
            json!([{"_id": null, "all": ["text", null]}, {"_id": "x", "all": [1, 3]}, {"_id": "y", "all": [2.5]}]),
        ),
        case(
            json!({"_id": null, "set": {"$addToSet": "$g"}}),
            json!([{"_id": null, "set": [null, "x", "y"]}]),
        ),
        case(
            json!({"_id": {"g": "$g", "big": {"$gt": ["$n", 2]}}, "ids": {"$push": "$id"}}),
            json!([{"_id": {"g": null, "big": true}, "ids": [4]}, {"_id": {"g": "x", "big": false}, "ids": [1, 6]},
                {"_id": {"g": "x", "big": true}, "ids": [3]}, {"_id": {"g": "y", "big": true}, "ids": [2]},
                {"_id": {"big": false}, "ids": [5]}]),
        ),
        case(
            json!({"_id": null, "f": {"$firstN": {"input": "$id", "n": 2}},
            "l": {"$lastN": {"input": "$id", "n": 2}}, "m": {"$maxN": {"input": "$id", "n": 2}},
            "n": {"$minN": {"input": "$id", "n": 2}}}),
            json!([{"_id": null, "f": [1, 2], "l": [5, 6], "m": [6, 5], "n": [1, 2]}]),
        ),
        // The last of each field that is there.
        case(
            json!({"_id": null, "m": {"$mergeObjects": {"a": "$g", "b": "$n"}}}),
            json!([{"_id": null, "m": {"a": "x", "b": null}}]),
        ),
        case(
            json!({"_id": "$g", "d": {"$stdDevPop": {"$literal": 2}}, "s": {"$stdDevSamp": "$n"}}),
            json!([{"_id": null, "d": 0.0, "s": null}, {"_id": "x", "d": 0.0, "s": 2.0_f64.sqrt()},
                {"_id": "y", "d": 0.0, "s": null}]),
        ),
    ]);
    // 1 and 1.0 are one group, and exact integers are told apart.
    check([
        (
            json!([{"id": 1, "n": 1.0}, {"id": 2, "n": 1}]),
            json!([{"$group": {"_id": "$n", "c": {"$count": {}}}}]),
            json!([{"_id": 1, "c": 2}]),
        ),
        (
            json!([{"id": 1, "n": 9_007_199_254_740_993_i64}, {"id": 2, "n": 9_007_199_254_740_992.0}]),
            json!([{"$group": {"_id": "$n", "c": {"$count": {}}}}, {"$count": "groups"}]),
            json!([{"groups": 2}]),
        ),
        (
            json!([{"id": 1, "n": i64::MAX}, {"id": 2, "n": i64::MAX}]),
            json!([{"$group": {"_id": null, "s": {"$sum": "$n"}}}]),
            json!([{"_id": null, "s": 18_446_744_073_709_551_614_u64}]),
        ),
        (json!([]), json!([{"$group": {"_id": null, "s": {"$sum": 1}}}]), json!([])),
        (
            json!([{"id": 1, "t": "b"}, {"id": 2, "t": "a"}, {"id": 3, "t": "b"}, {"id": 4, "t": "c"}]),
            json!([{"$sortByCount": "$t"}]),
            json!([{"_id": "b", "count": 2}, {"_id": "a", "count": 1}, {"_id": "c", "count": 1}]),
        ),
    ]);
    check_refused([
        (json!([{"$group": {"n": {"$sum": 1}}}]), "\"_id\""),
        (json!([{"$group": {"_id": 1, "n": {"$frob": 1}}}]), "Unknown accumulator \"$frob\""),
        (json!([{"$group": {"_id": 1, "n": 1}}]), "one accumulator"),
        (json!([{"$group": {"_id": 1, "a.b": {"$sum": 1}}}]), "a field's name"),
        (json!([{"$group": {"_id": 1, "n": {"$count": 1}}}]), "{}"),
        (json!([{"$group": {"_id": 1, "n": {"$firstN": {"input": 1}}}}]), "input and n"),
        (json!([{"$sortByCount": "t"}]), "field path"),
        (json!([{"$count": "a.b"}]), "a field's name"),
    ]);
}

#[test]
fn unwind_makes_a_document_of_each_element() {
    let records = json!([
        {"id": 1, "s": ["S", "M"]}, {"id": 2, "s": []}, {"id": 3, "s": "L"}, {"id": 4},
        {"id": 5, "s": null}, {"id": 6, "s": [[1, 2], null]},
    ]);
    check([
        (
            records.clone(),
            json!([{"$unwind": "$s"}]),
            json!([{"id": 1, "s": "S"}, {"id": 1, "s": "M"}, {"id": 3, "s": "L"},
                {"id": 6, "s": [1, 2]}, {"id": 6, "s": null}]),
        ),
        (
            records.clone(),
            json!([{"$match": {"id": {"$lte": 5}}},
            {"$unwind": {"path": "$s", "preserveNullAndEmptyArrays": true, "includeArrayIndex": "at"}}]),
            json!([{"id": 1, "s": "S", "at": 0}, {"id": 1, "s": "M", "at": 1}, {"id": 2, "at": null},
                {"id": 3, "s": "L", "at": null}, {"id": 4, "at": null}, {"id": 5, "s": null, "at": null}]),
        ),
        (
            json!([{"id": 1, "o": {"l": [1, 2], "x": 0}}]),
            json!([{"$unwind": "$o.l"}]),
            json!([{"id": 1, "o": {"l": 1, "x": 0}}, {"id": 1, "o": {"l": 2, "x": 0}}]),
        ),
        (
            json!([{"id": 1, "l": [1, 2, 3]}]),
            json!([{"$unwind": "$l"}, {"$limit": 2}, {"$count": "n"}]),
            json!([{"n": 2}]),
        ),
    ]);
    check_refused([
        (json!([{"$unwind": "s"}]), "begins with \"$\""),
        (json!([{"$unwind": {"path": "$s", "x": 1}}]), "no \"x\""),
        (json!([{"$unwind": {"path": "$s", "includeArrayIndex": "$i"}}]), "includeArrayIndex"),
        (json!([{"$unwind": {"path": "$s", "preserveNullAndEmptyArrays": 1}}]), "boolean"),
    ]);
}

#[test]
fn lookup_joins_by_equality_by_variables_and_not_at_all() {
    let store = Store::new();
    let mut tx = store.begin();
    for name in ["b", "items"] {
        let config = json!({"key": "id", "schema": {"id": {}, "sku": {}}, "indexes": ["sku"]});
        store.records.define_bucket(&mut tx, name, &config).unwrap();
    }
    for record in [
        json!({"id": 1, "item": "pen"}),
        json!({"id": 2, "item": ["ink", "pen"]}),
        json!({"id": 3, "item": null}),
        json!({"id": 4}),
        json!({"id": 5, "item": "none"}),
    ] {
        store.records.insert(&mut tx, "b", support::fields(&record)).unwrap();
    }
    for record in [
        json!({"id": "p", "sku": "pen", "stock": 5}),
        json!({"id": "i", "sku": "ink", "stock": 1}),
        json!({"id": "n", "sku": null}),
        json!({"id": "m"}),
    ] {
        store.records.insert(&mut tx, "items", support::fields(&record)).unwrap();
    }
    support::commit(tx);
    let found =
        |pipeline: Value| plain(aggregate(&store, &pipeline, QueryLimits::default()).unwrap());
    let ids = json!({"$project": {"id": 1, "found": "$found.id"}});
    assert_eq!(
        found(json!([{"$lookup": {"from": "items", "localField": "item", "foreignField": "sku",
            "as": "found"}}, ids])),
        json!([{"id": 1, "found": ["p"]}, {"id": 2, "found": ["p", "i"]}, {"id": 3, "found": ["n", "m"]},
            {"id": 4, "found": ["n", "m"]}, {"id": 5, "found": []}])
    );
    assert_eq!(
        found(json!([{"$match": {"id": {"$lte": 2}}}, {"$lookup": {"from": "items",
            "let": {"wanted": "$item", "me": "$id"},
            "pipeline": [{"$match": {"$expr": {"$eq": ["$sku", "$$wanted"]}}},
                {"$addFields": {"by": "$$me"}}, {"$project": {"id": 1, "by": 1}}],
            "as": "o.found"}}, {"$project": {"o": 1}}])),
        json!([{"o": {"found": [{"id": "p", "by": 1}]}}, {"o": {"found": []}}])
    );
    assert_eq!(
        found(json!([{"$match": {"id": {"$gte": 4}}},
            {"$lookup": {"from": "items", "pipeline": [{"$count": "n"}], "as": "all"}},
            {"$project": {"all": 1}}])),
        json!([{"all": [{"n": 4}]}, {"all": [{"n": 4}]}])
    );
    // Both: by equality, and then what is left of them.
    assert_eq!(
        found(json!([{"$match": {"id": 2}}, {"$lookup": {"from": "items", "localField": "item",
            "foreignField": "sku", "pipeline": [{"$match": {"stock": {"$gt": 2}}}], "as": "found"}}, ids])),
        json!([{"id": 2, "found": ["p"]}])
    );
    let unknown = json!([{"$lookup": {"from": "nowhere", "pipeline": [], "as": "x"}}]);
    let error = aggregate(&store, &unknown, QueryLimits::default()).unwrap_err();
    assert_eq!(error.code(), Code::BucketNotDefined);
    let parsed = Pipeline::parse(
        &json!([{"$facet": {"f": [{"$lookup": {"from": "x", "as": "y",
        "pipeline": [{"$lookup": {"from": "z", "as": "q", "pipeline": []}}]}}]}}]),
        NOW,
    )
    .unwrap();
    assert_eq!(parsed.other_buckets(), ["x", "z"]);
    check_refused([
        (json!([{"$lookup": {"from": "x", "as": "y"}}]), "or \"pipeline\""),
        (json!([{"$lookup": {"from": "x", "as": "y", "localField": "a"}}]), "both"),
        (json!([{"$lookup": {"from": "x", "pipeline": []}}]), "\"as\""),
        (json!([{"$lookup": {"as": "x", "pipeline": []}}]), "\"from\""),
        (
            json!([{"$lookup": {"from": "x", "as": "y", "pipeline": [{"$match": {"$expr": "$$v"}}]}}]),
            "Unknown variable \"$$v\"",
        ),
    ]);
}

#[test]
fn facet_runs_several_pipelines_over_the_same_documents() {
    let records = json!([{"id": 1, "a": 1}, {"id": 2, "a": 2}, {"id": 3, "a": 2}]);
    check([
        (
            records.clone(),
            json!([{"$match": {"a": {"$gte": 1}}}, {"$facet": {
            "count": [{"$count": "n"}], "top": [{"$sort": {"id": -1}}, {"$limit": 1}, {"$project": {"id": 1}}],
            "none": [{"$match": {"a": 9}}], "groups": [{"$group": {"_id": "$a"}}]}}]),
            json!([{"count": [{"n": 3}], "top": [{"id": 3}], "none": [], "groups": [{"_id": 1}, {"_id": 2}]}]),
        ),
        (
            json!([]),
            json!([{"$facet": {"count": [{"$count": "n"}], "all": []}}]),
            json!([{"count": [], "all": []}]),
        ),
    ]);
    check_refused([
        (json!([{"$facet": {}}]), "object of pipelines"),
        (json!([{"$facet": {"a": [{"$facet": {"b": []}}]}}]), "no \"$facet\""),
        (json!([{"$facet": {"a": {}}}]), "expected array"),
    ]);
}

#[test]
fn a_leading_match_and_sort_use_indexes_and_explain_tells() {
    let records: Vec<Value> = (0..500).map(|n| json!({"id": n, "a": n % 100, "k": n})).collect();
    let store = with_records(&bucket(), &records);
    let explain = |pipeline: Value| {
        let pipeline = Pipeline::parse(&pipeline, NOW).unwrap();
        let limits = QueryLimits::default();
        explain_pipeline(&store.records, &mut store.begin(), "b", &pipeline, &limits).unwrap()
    };
    let explained =
        explain(json!([{"$match": {"a": 7}}, {"$group": {"_id": null, "s": {"$sum": "$k"}}}]));
    assert_eq!((&explained["access"], &explained["index"]), (&json!("index"), &json!("a")));
    assert_eq!(explained["rowsExamined"], 5);
    assert_eq!((&explained["rowsReturned"], &explained["stages"]), (&json!(1), &json!(["$group"])));
    let explained = explain(json!([{"$sort": {"k": -1}}, {"$limit": 3}, {"$project": {"k": 1}}]));
    assert_eq!((&explained["index"], &explained["sort"]), (&json!("k"), &json!("indexGroups")));
    assert!(explained["rowsExamined"].as_u64().unwrap() <= 4, "{explained}");
    let explained = explain(json!([{"$addFields": {"x": 1}}, {"$match": {"a": 7}}]));
    assert_eq!((&explained["rowsExamined"], &explained["rowsReturned"]), (&json!(500), &json!(5)));
}

#[test]
fn g4_what_a_pipeline_read_is_validated_in_a_serializable_transaction() {
    for (pipeline, conflicts) in [
        (json!([{"$match": {"a": 1}}, {"$group": {"_id": null, "s": {"$sum": "$k"}}}]), true),
        (json!([{"$match": {"a": 9}}, {"$count": "n"}]), false),
        (
            json!([{"$match": {"a": 9}}, {"$lookup": {"from": "b", "pipeline": [], "as": "x"}}]),
            false,
        ),
        (
            json!([{"$match": {"a": 2}}, {"$lookup": {"from": "b", "pipeline": [{"$match": {"a": 1}}],
            "as": "x"}}]),
            true,
        ),
    ] {
        // Enough for the index to be worth its while.
        let mut records: Vec<Value> =
            (10..300).map(|n| json!({"id": n, "a": 100 + n, "k": n})).collect();
        records.extend([json!({"id": 1, "a": 1, "k": 1}), json!({"id": 2, "a": 2, "k": 2})]);
        let store = with_records(&bucket(), &records);
        let mut tx = store.begin_at(Isolation::Serializable);
        let parsed = Pipeline::parse(&pipeline, NOW).unwrap();
        run_pipeline(&store.records, &mut tx, "b", &parsed, &QueryLimits::default()).unwrap();
        store.records.insert(&mut tx, "b", support::fields(&json!({"id": 3}))).unwrap();
        store.insert_all(&[json!({"id": 4, "a": 1, "k": 7})]);
        let outcome = tx.commit(tandem_transaction::CommitOptions::default());
        assert_eq!(outcome.is_err(), conflicts, "{pipeline}");
    }
}

#[test]
fn own_writes_are_part_of_what_a_pipeline_reads() {
    let store = with_records(&bucket(), &[json!({"id": 1, "a": 1}), json!({"id": 2, "a": 1})]);
    let mut tx = store.begin();
    store.records.insert(&mut tx, "b", support::fields(&json!({"id": 3, "a": 1}))).unwrap();
    store.records.delete(&mut tx, "b", &json!(1), None).unwrap();
    let pipeline =
        json!([{"$match": {"a": 1}}, {"$group": {"_id": "$a", "ids": {"$push": "$id"}}}]);
    let pipeline = Pipeline::parse(&pipeline, NOW).unwrap();
    let found = run_pipeline(&store.records, &mut tx, "b", &pipeline, &QueryLimits::default());
    assert_eq!(found.unwrap(), [json!({"_id": 1, "ids": [2, 3]})]);
}

#[test]
fn g10_a_pipeline_is_bounded_in_bytes_work_rows_groups_stages_and_depth() {
    let records: Vec<Value> = (0..200)
        .map(|n| json!({"id": n, "l": (0..50).collect::<Vec<u32>>(), "t": "x".repeat(1000)}))
        .collect();
    let store = with_records(&bucket(), &records);
    let few = QueryLimits {
        result_rows: 100,
        groups: 10,
        pipeline_bytes: 100_000,
        pipeline_work: 2_000_000,
        ..QueryLimits::default()
    };
    let unwinding: Vec<Value> =
        std::iter::repeat_n([json!({"$addFields": {"m": "$l"}}), json!({"$unwind": "$m"})], 5)
            .flatten()
            .chain([json!({"$count": "n"})])
            .collect();
    let mut growing: Vec<Value> =
        (0..40).map(|_| json!({"$set": {"t": {"$concat": ["$t", "$t"]}}})).collect();
    growing.push(json!({"$count": "n"}));
    for (pipeline, limit) in [
        (json!([{"$addFields": {"x": 1}}, {"$sort": {"t": 1}}]), "pipelineBytes"),
        (json!([{"$group": {"_id": null, "all": {"$push": "$$ROOT"}}}]), "pipelineBytes"),
        (json!([{"$facet": {"a": [], "b": []}}]), "pipelineBytes"),
        (json!([{"$project": {"id": 1}}]), "resultRows"),
        (json!([{"$group": {"_id": "$id"}}]), "groups"),
        (Value::Array(unwinding), "pipelineWork"),
        (Value::Array(growing), "pipelineWork"),
        (
            json!([{"$lookup": {"from": "b", "pipeline": [], "as": "x"}}, {"$count": "n"}]),
            "pipelineBytes",
        ),
    ] {
        let error = aggregate(&store, &pipeline, few).unwrap_err();
        assert_eq!(error.code(), Code::LimitExceeded, "{pipeline}: {error:?}");
        assert_eq!(error.detail("limit"), Some(&json!(limit)), "{pipeline}: {error:?}");
    }
    // Rows that pass through are not held, however they are read.
    let passing = json!([{"$match": {"id": {"$gte": 0}}}, {"$addFields": {"y": 1}}, {"$skip": 199},
        {"$project": {"id": 1}}]);
    let found = aggregate(&store, &passing, QueryLimits { sort_rows: 10, ..few });
    assert_eq!(found.unwrap(), [json!({"id": 199})]);
    // What is not held does not count: 10 000 documents pass through.
    let passing = json!([{"$unwind": "$l"}, {"$group": {"_id": null, "n": {"$sum": "$l"}}}]);
    let found = aggregate(
        &store,
        &passing,
        QueryLimits { pipeline_bytes: 100_000, ..QueryLimits::default() },
    );
    assert_eq!(found.unwrap(), [json!({"_id": null, "n": 200 * 1225})]);
    let top = json!([{"$addFields": {"y": 1}}, {"$sort": {"id": -1}}, {"$limit": 1}, {"$project": {"id": 1}}]);
    let found = aggregate(
        &store,
        &top,
        QueryLimits { pipeline_bytes: 2_000_000, ..QueryLimits::default() },
    );
    assert_eq!(found.unwrap(), [json!({"id": 199})]);

    let many = vec![json!({"$limit": 1}); 201];
    let error = Pipeline::parse(&Value::Array(many), NOW).unwrap_err();
    assert_eq!(error.detail("limit"), Some(&json!("pipelineStages")), "{error:?}");
    let mut deep = json!([]);
    for _ in 0..7 {
        deep = json!([{"$lookup": {"from": "b", "pipeline": deep, "as": "x"}}]);
    }
    let error = Pipeline::parse(&deep, NOW).unwrap_err();
    assert_eq!(error.detail("limit"), Some(&json!("pipelineDepth")), "{error:?}");
    // A document must not outgrow what a record may be.
    let wide = json!([{"$limit": 1}, {"$set": {"t": {"$reduce": {"input": {"$range": [0, 13]},
        "initialValue": "$t", "in": {"$concat": ["$$value", "$$value"]}}}}},
        {"$set": {"a": "$t", "b": "$t", "c": "$t"}}]);
    let error = aggregate(&store, &wide, QueryLimits::default()).unwrap_err();
    assert_eq!(error.detail("limit"), Some(&json!("recordBytes")), "{error:?}");
    let mut nesting: Vec<Value> = vec![json!({"$limit": 1})];
    nesting.extend(vec![json!({"$replaceWith": {"x": "$$ROOT"}}); 120]);
    let error = aggregate(&store, &Value::Array(nesting), QueryLimits::default()).unwrap_err();
    assert_eq!(error.detail("limit"), Some(&json!("nestingDepth")), "{error:?}");
}
