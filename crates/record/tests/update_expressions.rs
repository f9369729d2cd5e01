//! Update expressions against MongoDB's documented semantics, case by case:
//! what each operator does to what is there, to null, to nothing, to arrays
//! and through them; and what is impossible.
#![allow(clippy::unwrap_used, reason = "in tests, a failed step fails the test")]

mod support;

use serde_json::{Map, Value, json};
use support::{Bench, fields};
use tandem_base::Result;
use tandem_record::filter::Filter;
use tandem_record::{Row, key};

/// A bucket that takes anything, with one record.
fn with_record(record: &Value) -> Bench {
    let bench = Bench::new();
    bench.define("t", json!({ "key": "id", "schema": { "id": {}, "b": {} }, "indexes": ["b"] }));
    let mut record = fields(record.clone());
    record.insert("id".to_owned(), json!(1));
    bench.insert("t", Value::Object(record)).unwrap();
    bench
}

fn update(bench: &Bench, expression: &Value) -> Result<Row> {
    let changes = fields(expression.clone());
    bench.run(|records, tx| records.update(tx, "t", &json!(1), &changes, None))
}

/// The user's fields of the record, its key left out.
fn data(bench: &Bench) -> Value {
    let mut record = fields(bench.get("t", json!(1)).unwrap());
    for name in ["id", "_version", "_createdAt", "_updatedAt"] {
        record.shift_remove(name);
    }
    Value::Object(record)
}

/// Record, expression, what becomes of the record.
fn check(cases: impl IntoIterator<Item = (Value, Value, Value)>) {
    for (record, expression, expected) in cases {
        let bench = with_record(&record);
        match update(&bench, &expression) {
            Ok(row) => assert_eq!(row.version(), 2, "{expression}"),
            Err(error) => panic!("{expression} on {record}: {error:?}"),
        }
        assert_eq!(data(&bench), expected, "{expression} on {record}");
        // Byte for byte: `1` is not written as `1.0`, and the order is kept.
        assert_eq!(data(&bench).to_string(), expected.to_string(), "{expression} on {record}");
        bench.check_clean();
    }
}

/// Record, expression, a part of the message; nothing must change.
fn check_refused(cases: impl IntoIterator<Item = (Value, Value, &'static str)>) {
    for (record, expression, message) in cases {
        let bench = with_record(&record);
        let before = bench.get("t", json!(1));
        match update(&bench, &expression) {
            Ok(row) => panic!("{expression} on {record} became {row:?}"),
            Err(error) => {
                assert_eq!(error.code().as_str(), "VALIDATION_ERROR", "{expression}: {error:?}");
                assert!(error.message().contains(message), "{expression}: {error}");
            }
        }
        assert_eq!(bench.get("t", json!(1)), before, "{expression} on {record}");
        bench.check_clean();
    }
}

#[test]
fn set_replaces_makes_and_reaches_into_objects_and_arrays() {
    check([
        (json!({"a": 1}), json!({"$set": {"a": 2}}), json!({"a": 2})),
        (json!({"a": 1}), json!({"$set": {"b": null}}), json!({"a": 1, "b": null})),
        (json!({}), json!({"$set": {"a.b.c": 1}}), json!({"a": {"b": {"c": 1}}})),
        (json!({"a": {"x": 1}}), json!({"$set": {"a.b": 2}}), json!({"a": {"x": 1, "b": 2}})),
        (json!({"a": {"x": 1}}), json!({"$set": {"a": {"b": 2}}}), json!({"a": {"b": 2}})),
        (json!({"a": [1, 2]}), json!({"$set": {"a.1": 9}}), json!({"a": [1, 9]})),
        (json!({"a": [1]}), json!({"$set": {"a.3": 9}}), json!({"a": [1, null, null, 9]})),
        (json!({"a": [{"b": 1}]}), json!({"$set": {"a.0.b": 2}}), json!({"a": [{"b": 2}]})),
        (json!({"a": []}), json!({"$set": {"a.1.b": 2}}), json!({"a": [null, {"b": 2}]})),
        // A number is a name where there is no array.
        (json!({}), json!({"$set": {"a.0": 1}}), json!({"a": {"0": 1}})),
        (json!({"a": 1}), json!({"$set": {}}), json!({"a": 1})),
        (
            json!({}),
            json!({"$set": {"a": 1, "b": 2}, "$inc": {"c": 3}}),
            json!({"a": 1, "b": 2, "c": 3}),
        ),
    ]);
    check_refused([
        (json!({"a": 1}), json!({"$set": {"a.b": 2}}), "\"b\" cannot stand in what is there"),
        (json!({"a": null}), json!({"$set": {"a.b": 2}}), "cannot stand"),
        (json!({"a": "x"}), json!({"$set": {"a.0": 2}}), "cannot stand"),
        (json!({"a": [1]}), json!({"$set": {"a.b": 2}}), "cannot stand"),
        (json!({"a": [1]}), json!({"$set": {"a.99999999": 2}}), "too far beyond the end"),
    ]);
}

#[test]
fn unset_removes_fields_and_empties_positions() {
    check([
        (json!({"a": 1, "b": 2}), json!({"$unset": {"a": ""}}), json!({"b": 2})),
        (json!({"a": 1}), json!({"$unset": {"x": 1}}), json!({"a": 1})),
        (json!({"a": {"b": 1, "c": 2}}), json!({"$unset": {"a.b": 1}}), json!({"a": {"c": 2}})),
        (json!({"a": [1, 2]}), json!({"$unset": {"a.0": 1}}), json!({"a": [null, 2]})),
        (json!({"a": [1, 2]}), json!({"$unset": {"a.7": 1}}), json!({"a": [1, 2]})),
        (json!({"a": 1}), json!({"$unset": {"a.b.c": 1}}), json!({"a": 1})),
        (
            json!({"a": [{"b": 1}, {"b": 2, "c": 3}]}),
            json!({"$unset": {"a.$[].b": 1}}),
            json!({"a": [{}, {"c": 3}]}),
        ),
    ]);
}

#[test]
fn inc_and_mul_are_exact_and_never_round_silently() {
    check([
        (json!({"a": 1}), json!({"$inc": {"a": 2}}), json!({"a": 3})),
        (json!({"a": 1}), json!({"$inc": {"a": -2.5}}), json!({"a": -1.5})),
        (json!({"a": 1.0}), json!({"$inc": {"a": 1}}), json!({"a": 2.0})),
        (json!({}), json!({"$inc": {"a.b": 5}}), json!({"a": {"b": 5}})),
        (
            json!({"a": 9_007_199_254_740_993_i64}),
            json!({"$inc": {"a": 2}}),
            json!({"a": 9_007_199_254_740_995_i64}),
        ),
        (
            json!({"a": i64::MAX}),
            json!({"$inc": {"a": 1}}),
            json!({"a": 9_223_372_036_854_775_808_u64}),
        ),
        (json!({"a": u64::MAX}), json!({"$inc": {"a": -1}}), json!({"a": u64::MAX - 1})),
        (json!({"a": [1, 2]}), json!({"$inc": {"a.1": 1}}), json!({"a": [1, 3]})),
        (json!({"a": [1, 2]}), json!({"$inc": {"a.$[]": 10}}), json!({"a": [11, 12]})),
        (json!({"a": 6}), json!({"$mul": {"a": 7}}), json!({"a": 42})),
        (json!({"a": 3}), json!({"$mul": {"a": 0.5}}), json!({"a": 1.5})),
        (json!({}), json!({"$mul": {"a": 7}}), json!({"a": 0})),
        (json!({}), json!({"$mul": {"a": 7.5}}), json!({"a": 0.0})),
    ]);
    check_refused([
        (json!({"a": u64::MAX}), json!({"$inc": {"a": 1}}), "out of range"),
        (json!({"a": i64::MIN}), json!({"$inc": {"a": -1}}), "out of range"),
        (json!({"a": f64::MAX}), json!({"$mul": {"a": 2}}), "out of range"),
        (json!({"a": "1"}), json!({"$inc": {"a": 1}}), "needs a number"),
        (json!({"a": null}), json!({"$inc": {"a": 1}}), "needs a number"),
        (json!({"a": [1]}), json!({"$mul": {"a": 1}}), "needs a number"),
        (json!({"a": 1}), json!({"$inc": {"a": "1"}}), "expected number"),
        (json!({"a": 1}), json!({"$inc": {"a": null}}), "expected number"),
    ]);
}

#[test]
fn min_and_max_compare_in_the_order_of_all_values() {
    check([
        (json!({"a": 5}), json!({"$min": {"a": 3}}), json!({"a": 3})),
        (json!({"a": 5}), json!({"$min": {"a": 7}}), json!({"a": 5})),
        (json!({"a": 5}), json!({"$max": {"a": 7}}), json!({"a": 7})),
        (json!({"a": 5}), json!({"$max": {"a": 5.0}}), json!({"a": 5})),
        (json!({}), json!({"$min": {"a": 3}}), json!({"a": 3})),
        (json!({}), json!({"$max": {"a.b": "x"}}), json!({"a": {"b": "x"}})),
        // null < numbers < strings < objects < arrays < booleans
        (json!({"a": null}), json!({"$min": {"a": 3}}), json!({"a": null})),
        (json!({"a": null}), json!({"$max": {"a": 3}}), json!({"a": 3})),
        (json!({"a": 5}), json!({"$max": {"a": "0"}}), json!({"a": "0"})),
        (json!({"a": true}), json!({"$max": {"a": [1]}}), json!({"a": true})),
        (json!({"a": [1, 9]}), json!({"$max": {"a.$[]": 5}}), json!({"a": [5, 9]})),
    ]);
}

#[test]
fn rename_moves_and_overwrites_but_not_through_arrays() {
    check([
        (json!({"a": 1, "b": 2}), json!({"$rename": {"a": "c"}}), json!({"b": 2, "c": 1})),
        (json!({"a": 1, "b": 2}), json!({"$rename": {"a": "b"}}), json!({"b": 1})),
        (json!({"b": 2}), json!({"$rename": {"a": "b"}}), json!({"b": 2})),
        (
            json!({"a": {"x": 1}}),
            json!({"$rename": {"a.x": "b.y"}}),
            json!({"a": {}, "b": {"y": 1}}),
        ),
        (
            json!({"a": {"x": 1, "y": 2}}),
            json!({"$rename": {"a.x": "x"}}),
            json!({"a": {"y": 2}, "x": 1}),
        ),
        (json!({"a": 5}), json!({"$rename": {"a.x": "b"}}), json!({"a": 5})),
    ]);
    check_refused([
        (json!({"a": [{"x": 1}]}), json!({"$rename": {"a.x": "b"}}), "through an array"),
        (json!({"a": 1, "b": [{}]}), json!({"$rename": {"a": "b.x"}}), "through an array"),
        (json!({"a": 1, "b": 2}), json!({"$rename": {"a": "b.x"}}), "cannot stand"),
        (json!({"a": 1}), json!({"$rename": {"a": "a"}}), "in conflict"),
        (json!({"a": 1}), json!({"$rename": {"a": "a.b"}}), "in conflict"),
        (json!({"a": 1}), json!({"$rename": {"a": 7}}), "expected path"),
        (json!({"a": 1}), json!({"$rename": {"a": "b.$[]"}}), "without positional"),
        (json!({"a": 1}), json!({"$rename": {"a": "id"}}), "cannot be changed"),
    ]);
}

#[test]
fn push_appends_inserts_sorts_and_slices_in_that_order() {
    check([
        (json!({}), json!({"$push": {"a": 1}}), json!({"a": [1]})),
        (json!({"a": [1]}), json!({"$push": {"a": [2, 3]}}), json!({"a": [1, [2, 3]]})),
        (json!({"a": [1]}), json!({"$push": {"a": {"x": 1}}}), json!({"a": [1, {"x": 1}]})),
        (json!({"a": [1]}), json!({"$push": {"a": {"$each": [2, 3]}}}), json!({"a": [1, 2, 3]})),
        (json!({}), json!({"$push": {"a": {"$each": []}}}), json!({"a": []})),
        (
            json!({"a": [1, 2]}),
            json!({"$push": {"a": {"$each": [8, 9], "$position": 0}}}),
            json!({"a": [8, 9, 1, 2]}),
        ),
        (
            json!({"a": [1, 2, 3]}),
            json!({"$push": {"a": {"$each": [9], "$position": -1}}}),
            json!({"a": [1, 2, 9, 3]}),
        ),
        (
            json!({"a": [1]}),
            json!({"$push": {"a": {"$each": [9], "$position": 50}}}),
            json!({"a": [1, 9]}),
        ),
        (
            json!({"a": [1]}),
            json!({"$push": {"a": {"$each": [9], "$position": -50}}}),
            json!({"a": [9, 1]}),
        ),
        (
            json!({"a": [40, 60]}),
            json!({"$push": {"a": {"$each": [80, 78, 86], "$slice": -3}}}),
            json!({"a": [80, 78, 86]}),
        ),
        (
            json!({"a": [89, 90]}),
            json!({"$push": {"a": {"$each": [100, 20], "$slice": 3}}}),
            json!({"a": [89, 90, 100]}),
        ),
        (
            json!({"a": [1, 2]}),
            json!({"$push": {"a": {"$each": [3], "$slice": 0}}}),
            json!({"a": []}),
        ),
        (
            json!({"a": [89, 70, 89, 50]}),
            json!({"$push": {"a": {"$each": [40, 60], "$sort": 1}}}),
            json!({"a": [40, 50, 60, 70, 89, 89]}),
        ),
        (
            json!({"a": [{"id": 1, "s": 6}, {"id": 2, "s": 9}]}),
            json!({"$push": {"a": {"$each": [{"id": 3, "s": 8}, {"id": 4, "s": 7}, {"id": 5, "s": 6}],
                "$sort": {"s": 1}}}}),
            json!({"a": [{"id": 1, "s": 6}, {"id": 5, "s": 6}, {"id": 4, "s": 7}, {"id": 3, "s": 8},
                {"id": 2, "s": 9}]}),
        ),
        (
            json!({"a": [{"s": 1}]}),
            json!({"$push": {"a": {"$each": [{"s": 3}, {"s": 2}], "$sort": {"s": -1}, "$slice": 2}}}),
            json!({"a": [{"s": 3}, {"s": 2}]}),
        ),
        (
            json!({"a": ["b", null, 1, true]}),
            json!({"$push": {"a": {"$each": [], "$sort": 1}}}),
            json!({"a": [null, 1, "b", true]}),
        ),
        (json!({"a": [[1], [2]]}), json!({"$push": {"a.$[]": 0}}), json!({"a": [[1, 0], [2, 0]]})),
    ]);
    check_refused([
        (json!({"a": 1}), json!({"$push": {"a": 1}}), "needs an array"),
        (json!({"a": null}), json!({"$push": {"a": 1}}), "needs an array"),
        (json!({}), json!({"$push": {"a": {"$each": 1}}}), "array in \"$each\""),
        (json!({}), json!({"$push": {"a": {"$slice": 1}}}), "\"$each\" among"),
        (json!({}), json!({"$push": {"a": {"$each": [], "$slice": 1.5}}}), "integer in \"$slice\""),
        (json!({}), json!({"$push": {"a": {"$each": [], "$position": "x"}}}), "integer in"),
        (json!({}), json!({"$push": {"a": {"$each": [], "$sort": 2}}}), "in \"$sort\""),
        (json!({}), json!({"$push": {"a": {"$each": [], "$sort": {}}}}), "in \"$sort\""),
        (json!({}), json!({"$push": {"a": {"$each": [], "$frob": 1}}}), "\"$frob\""),
    ]);
}

#[test]
fn add_to_set_adds_what_is_not_there_by_value() {
    check([
        (json!({"a": [1, 2]}), json!({"$addToSet": {"a": 2}}), json!({"a": [1, 2]})),
        (json!({"a": [1]}), json!({"$addToSet": {"a": 1.0}}), json!({"a": [1]})),
        (json!({"a": [1]}), json!({"$addToSet": {"a": "1"}}), json!({"a": [1, "1"]})),
        (json!({}), json!({"$addToSet": {"a": [1, 2]}}), json!({"a": [[1, 2]]})),
        (
            json!({"a": ["c"]}),
            json!({"$addToSet": {"a": {"$each": ["d", "c", "d"]}}}),
            json!({"a": ["c", "d"]}),
        ),
        // Fields in another order are another object.
        (
            json!({"a": [{"x": 1, "y": 2}]}),
            json!({"$addToSet": {"a": {"y": 2, "x": 1}}}),
            json!({"a": [{"x": 1, "y": 2}, {"y": 2, "x": 1}]}),
        ),
        // What was there twice stays twice.
        (json!({"a": [1, 1]}), json!({"$addToSet": {"a": 1}}), json!({"a": [1, 1]})),
    ]);
    check_refused([
        (json!({"a": "x"}), json!({"$addToSet": {"a": 1}}), "needs an array"),
        (json!({}), json!({"$addToSet": {"a": {"$each": [1], "$slice": 1}}}), "nothing beside"),
    ]);
}

#[test]
fn pull_removes_by_value_by_operators_and_by_filter() {
    check([
        (json!({"a": [1, 2, 1]}), json!({"$pull": {"a": 1}}), json!({"a": [2]})),
        (json!({"a": [1, 2, 3]}), json!({"$pull": {"a": {"$gte": 2}}}), json!({"a": [1]})),
        (
            json!({"a": ["x", "y", "z"]}),
            json!({"$pull": {"a": {"$in": ["x", "z"]}}}),
            json!({"a": ["y"]}),
        ),
        (json!({"a": [1, null]}), json!({"$pull": {"a": null}}), json!({"a": [1]})),
        (json!({"a": [[1, 2], [2, 1]]}), json!({"$pull": {"a": [1, 2]}}), json!({"a": [[2, 1]]})),
        (
            json!({"r": [{"item": "A", "s": 5}, {"item": "B", "s": 8}]}),
            json!({"$pull": {"r": {"s": 8, "item": "B"}}}),
            json!({"r": [{"item": "A", "s": 5}]}),
        ),
        (
            json!({"r": [{"s": 5, "x": 1}, {"s": 8}]}),
            json!({"$pull": {"r": {"s": {"$lt": 6}}}}),
            json!({"r": [{"s": 8}]}),
        ),
        (
            json!({"r": [{"answers": [{"q": 1, "a": 4}]}, {"answers": [{"q": 1, "a": 9}]}]}),
            json!({"$pull": {"r": {"answers": {"$elemMatch": {"q": 1, "a": {"$gte": 8}}}}}}),
            json!({"r": [{"answers": [{"q": 1, "a": 4}]}]}),
        ),
        (json!({}), json!({"$pull": {"a": 1}}), json!({})),
        (json!({"a": 1}), json!({"$pull": {"a.b": 1}}), json!({"a": 1})),
        (
            json!({"a": [0, 2, 5, 5, 1, 0]}),
            json!({"$pullAll": {"a": [0, 5.0]}}),
            json!({"a": [2, 1]}),
        ),
        (
            json!({"l": [{"t": [1, 2]}, {"t": [2]}]}),
            json!({"$pull": {"l.$[].t": 2}}),
            json!({"l": [{"t": [1]}, {"t": []}]}),
        ),
    ]);
    check_refused([
        (json!({"a": 1}), json!({"$pull": {"a": 1}}), "needs an array"),
        (json!({"a": 1}), json!({"$pullAll": {"a": [1]}}), "needs an array"),
        (json!({"a": []}), json!({"$pullAll": {"a": 1}}), "expected array"),
        (json!({"a": []}), json!({"$pull": {"a": {"$frob": 1}}}), "Unknown operator \"$frob\""),
        (json!({"a": []}), json!({"$pull": {"a": {"$gt": 1, "x": 1}}}), "stands among operators"),
    ]);
}

#[test]
fn pop_takes_one_end_and_current_date_the_clock() {
    check([
        (json!({"a": [8, 9, 10]}), json!({"$pop": {"a": -1}}), json!({"a": [9, 10]})),
        (json!({"a": [9, 10]}), json!({"$pop": {"a": 1}}), json!({"a": [9]})),
        (json!({"a": []}), json!({"$pop": {"a": 1}}), json!({"a": []})),
        (json!({}), json!({"$pop": {"a": 1}}), json!({})),
    ]);
    check_refused([
        (json!({"a": [1]}), json!({"$pop": {"a": 2}}), "1 or -1"),
        (json!({"a": 1}), json!({"$pop": {"a": 1}}), "needs an array"),
        (json!({"a": 1}), json!({"$pop": {"a.b": 1}}), "cannot stand"),
        (json!({}), json!({"$currentDate": {"a": false}}), "expected true"),
        (json!({}), json!({"$currentDate": {"a": {"$type": "x"}}}), "expected true"),
    ]);
    let bench = with_record(&json!({}));
    let row =
        update(&bench, &json!({"$currentDate": {"a": true, "b": {"$type": "date"}}})).unwrap();
    assert_eq!(row.field("a"), Some(json!(row.updated_at())));
    assert_eq!(row.field("b"), Some(json!(row.updated_at())));
}

#[test]
fn malformed_and_conflicting_expressions_change_nothing() {
    let record = json!({"a": {"b": [1, 2]}, "c": 1});
    check_refused([
        (record.clone(), json!({"$set": {"c": 2}, "c": 3}), "\"c\" stands among operators"),
        (record.clone(), json!({"c": 3, "$set": {"c": 2}}), "\"c\" stands among operators"),
        (record.clone(), json!({"$frob": {"c": 2}}), "Unknown update operator \"$frob\""),
        (record.clone(), json!({"$set": 5}), "expected object of paths"),
        (record.clone(), json!({"$set": {"c": 2}, "$inc": {"c": 1}}), "in conflict"),
        (record.clone(), json!({"$set": {"a": 2}, "$inc": {"a.b.0": 1}}), "in conflict"),
        (record.clone(), json!({"$set": {"a.b.0": 2, "a.b.$[]": 1}}), "in conflict"),
        (record.clone(), json!({"$set": {"a.b.$": 2}}), "did not find the match"),
        (record.clone(), json!({"$set": {"a.$[x]": 2}}), "not supported"),
        (record.clone(), json!({"$set": {"$a": 2}}), "begins with"),
        (record.clone(), json!({"$set": {"a..b": 2}}), "is empty"),
        (record.clone(), json!({"$set": {"c.$[]": 2}}), "no array"),
        (record.clone(), json!({"$set": {"x.$[]": 2}}), "no array"),
        (record.clone(), json!({"$unset": {"x.$[]": 2}}), "no array"),
        // The first is possible, the second is not: neither happens.
        (record, json!({"$inc": {"c": 1}, "$push": {"a": 1}}), "needs an array"),
    ]);
}

#[test]
fn g6_key_metadata_and_generated_fields_stay_what_they_are() {
    let bench = Bench::new();
    let schema = json!({ "id": {}, "n": { "generated": "autoincrement" } });
    bench.define("t", json!({ "key": "id", "schema": schema }));
    bench.insert("t", json!({ "id": 1, "v": 0 })).unwrap();
    let whole = json!({ "id": 1.0, "n": 77, "v": 1, "_version": 9, "_createdAt": 0 });
    let row = update(&bench, &json!({ "$set": whole })).unwrap();
    assert_eq!((row.version(), row.field("v")), (2, Some(json!(1))));
    assert_eq!((row.field("id"), row.field("n")), (Some(json!(1)), Some(json!(1))));
    for refused in [
        json!({ "$set": { "id": 2 } }),
        json!({ "$set": { "id.x": 2 } }),
        json!({ "$unset": { "id": "" } }),
        json!({ "$inc": { "_version": 1 } }),
        json!({ "$inc": { "n": 1 } }),
        json!({ "$unset": { "_createdAt": 1 } }),
        json!({ "$currentDate": { "_updatedAt": true } }),
        json!({ "$rename": { "n": "m" } }),
        json!({ "$rename": { "v": "_version" } }),
    ] {
        let error = update(&bench, &refused).unwrap_err();
        assert_eq!(error.code().as_str(), "VALIDATION_ERROR", "{refused}");
        assert!(error.message().contains("cannot be changed"), "{refused}: {error}");
    }
}

#[test]
fn g9_schema_references_unique_indexes_and_versions_hold_for_expressions() {
    let bench = Bench::new();
    bench.define("teams", json!({ "key": "id", "schema": { "id": {} } }));
    bench.insert("teams", json!({ "id": "red" })).unwrap();
    let schema = json!({ "id": {}, "age": { "type": "number", "max": 100, "required": true },
        "mail": { "unique": true }, "team": { "ref": "teams" } });
    bench.define("t", json!({ "key": "id", "schema": schema, "ttl": 1000 }));
    bench.insert("t", json!({ "id": 1, "age": 99, "mail": "a" })).unwrap();
    bench.insert("t", json!({ "id": 2, "age": 1, "mail": "b" })).unwrap();
    for (expression, code) in [
        (json!({ "$inc": { "age": 2 } }), "VALIDATION_ERROR"),
        (json!({ "$unset": { "age": 1 } }), "VALIDATION_ERROR"),
        (json!({ "$rename": { "age": "years" } }), "VALIDATION_ERROR"),
        (json!({ "$push": { "age": 2 } }), "VALIDATION_ERROR"),
        (json!({ "$set": { "mail": "b" } }), "ALREADY_EXISTS"),
        (json!({ "$set": { "team": "blue" } }), "REFERENCE_VIOLATION"),
        (json!({ "$set": { "_expiresAt": "never" } }), "VALIDATION_ERROR"),
        (json!({ "$rename": { "mail": "team" } }), "REFERENCE_VIOLATION"),
    ] {
        let error = update(&bench, &expression).unwrap_err();
        assert_eq!(error.code().as_str(), code, "{expression}: {error:?}");
        assert_eq!(bench.get("t", json!(1)).unwrap()["_version"], 1, "{expression}");
    }
    update(&bench, &json!({ "$set": { "team": "red" }, "$inc": { "age": 1, "_expiresAt": 5 } }))
        .unwrap();
    let changes = fields(json!({ "$inc": { "age": -1 } }));
    let stale = bench.run(|records, tx| records.update(tx, "t", &json!(1), &changes, Some(1)));
    assert_eq!(stale.unwrap_err().code().as_str(), "CONFLICT");
    bench.run(|records, tx| records.update(tx, "t", &json!(1), &changes, Some(2))).unwrap();
    assert_eq!(bench.get("t", json!(1)).unwrap()["age"], 99);
    bench.check_clean();
}

#[test]
fn upsert_and_replace_take_no_expressions() {
    let bench = with_record(&json!({}));
    let expression = fields(json!({ "$set": { "a": 1 } }));
    let upsert = bench.run(|records, tx| records.upsert(tx, "t", expression.clone(), None));
    assert_eq!(upsert.unwrap_err().code().as_str(), "VALIDATION_ERROR");
    let replace = bench.run(|records, tx| records.replace(tx, "t", &json!(1), expression, None));
    assert_eq!(replace.unwrap_err().code().as_str(), "VALIDATION_ERROR");
}

/// Updates the record if it matches, as a statement over all that match does.
fn update_matching(bench: &Bench, filter: &Value, expression: &Value) -> Result<u64> {
    let (filter, changes) = (Filter::parse(filter)?, fields(expression.clone()));
    let primary_key = key::encode_key(&json!(1)).unwrap();
    bench.run(|records, tx| {
        records.update_selected(tx, "t", &changes, Some(&filter), |_| Ok(vec![primary_key.into()]))
    })
}

#[test]
fn the_positional_operator_is_the_element_that_the_filter_matched() {
    for (record, filter, expression, expected) in [
        (
            json!({"g": [85, 80, 80]}),
            json!({"g": 80}),
            json!({"$set": {"g.$": 82}}),
            json!({"g": [85, 82, 80]}),
        ),
        (
            json!({"g": [{"n": 80, "s": 8}, {"n": 85, "s": 5}]}),
            json!({"g.n": 85}),
            json!({"$set": {"g.$.s": 6}}),
            json!({"g": [{"n": 80, "s": 8}, {"n": 85, "s": 6}]}),
        ),
        (
            json!({"g": [{"n": 80, "m": 75}, {"n": 90, "m": 90}]}),
            json!({"g": {"$elemMatch": {"n": {"$gt": 85}, "m": {"$gt": 80}}}}),
            json!({"$inc": {"g.$.s": 1}}),
            json!({"g": [{"n": 80, "m": 75}, {"n": 90, "m": 90, "s": 1}]}),
        ),
        (
            json!({"a": {"b": [1, 5, 9]}}),
            json!({"x": null, "a.b": {"$gte": 5}}),
            json!({"$unset": {"a.b.$": 1}}),
            json!({"a": {"b": [1, null, 9]}}),
        ),
        (
            json!({"g": [1, 2]}),
            json!({"$or": [{"g": 7}, {"g": 2}]}),
            json!({"$set": {"g.$": 0}}),
            json!({"g": [1, 0]}),
        ),
        (
            json!({"g": [1, 2, 3]}),
            json!({"g": {"$in": [3, 2]}}),
            json!({"$mul": {"g.$": 10}}),
            json!({"g": [1, 20, 3]}),
        ),
        (
            json!({"g": [{"t": ["x"]}, {"t": ["y"]}]}),
            json!({"g.t": "y"}),
            json!({"$push": {"g.$.t": "z"}}),
            json!({"g": [{"t": ["x"]}, {"t": ["y", "z"]}]}),
        ),
    ] {
        let bench = with_record(&record);
        assert_eq!(update_matching(&bench, &filter, &expression).unwrap(), 1, "{expression}");
        assert_eq!(data(&bench), expected, "{filter} {expression}");
    }
    for (record, filter) in [
        (json!({"g": [1, 2]}), json!({})),
        (json!({"g": [1, 2]}), json!({"other": null})),
        (json!({"g": [1, 2]}), json!({"g": {"$ne": 7}})),
        (json!({"g": [1, 2]}), json!({"g": {"$size": 2}})),
        (json!({"g": 1}), json!({"g": 1})),
    ] {
        let bench = with_record(&record);
        let error = update_matching(&bench, &filter, &json!({"$set": {"g.$": 0}})).unwrap_err();
        assert_eq!(error.code().as_str(), "VALIDATION_ERROR", "{filter}");
        assert_eq!(data(&bench), record, "{filter}");
    }
}

#[test]
fn g10_what_an_update_adds_is_bounded_before_it_is_added() {
    let many = vec![json!([]); 2000];
    let text = "x".repeat(100_000);
    for (record, expression, limit) in [
        (json!({ "a": many }), json!({ "$set": { "a.$[]": text } }), "recordBytes"),
        (json!({ "a": many }), json!({ "$push": { "a.$[]": text } }), "recordBytes"),
        (json!({ "a": many }), json!({ "$addToSet": { "a.$[]": text } }), "recordBytes"),
        (json!({ "a": many }), json!({ "$set": { "a.$[].900000": 1 } }), "recordBytes"),
    ] {
        let bench = with_record(&record);
        let error = update(&bench, &expression).unwrap_err();
        assert_eq!(error.code().as_str(), "LIMIT_EXCEEDED");
        assert_eq!(error.detail("limit"), Some(&json!(limit)), "{error:?}");
    }
    let bench = with_record(&json!({}));
    let paths: Map<String, Value> = (0..1001).map(|n| (format!("f{n}"), json!(1))).collect();
    let error = update(&bench, &json!({ "$set": paths })).unwrap_err();
    assert_eq!(error.detail("limit"), Some(&json!("updatePaths")), "{error:?}");
    let deep = ["a"; 99].join(".");
    let error = update(&bench, &json!({ "$set": { deep: [[[1]]] } })).unwrap_err();
    assert_eq!(error.detail("limit"), Some(&json!("nestingDepth")), "{error:?}");
}
