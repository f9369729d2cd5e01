//! Expressions against MongoDB's documented semantics, operator by operator:
//! null, missing, arrays, nested paths, mixed numbers and types.
#![allow(clippy::unwrap_used, reason = "in tests, a failed step fails the test")]

use serde_json::{Value, json};
use tandem_base::{Code, Error};
use tandem_record::expression::{Bindings, Expression, Work};
use tandem_record::filter::Filter;

fn evaluate(expression: &Value, record: &Value) -> Result<Option<Value>, Error> {
    let bindings = Bindings { now_ms: Some(1_700_000_000_000), variables: Vec::new() };
    Expression::parse(expression, &bindings)?.evaluate(record, &Work::unbounded())
}

/// What stands for a missing value in these tables.
fn missing() -> Value {
    json!("<missing>")
}

/// The record that the tables below are about.
fn record() -> Value {
    json!({
        "n": 5, "d": 2.5, "big": 9_007_199_254_740_993_i64, "s": "Hello", "empty": "",
        "z": null, "t": true, "f": false, "zero": 0,
        "o": { "x": 1, "y": { "z": [1, 2] } },
        "l": [3, 1, 2], "none": [],
        "items": [{ "v": 1 }, { "v": [2, 3] }, {}, 7, [{ "v": 9 }]],
    })
}

/// Expression and value, byte for byte: `2` is not `2.0`.
fn check(cases: impl IntoIterator<Item = (Value, Value)>) {
    for (expression, expected) in cases {
        let found = evaluate(&expression, &record());
        let found = found.unwrap_or_else(|error| panic!("{expression}: {error:?}"));
        let found = found.unwrap_or_else(missing);
        assert_eq!(found.to_string(), expected.to_string(), "{expression}");
    }
}

fn check_refused(cases: impl IntoIterator<Item = (Value, &'static str)>) {
    for (expression, message) in cases {
        match evaluate(&expression, &record()) {
            Ok(found) => panic!("{expression} is {found:?}"),
            Err(error) => {
                assert_eq!(error.code(), Code::ValidationError, "{expression}: {error:?}");
                assert!(error.message().contains(message), "{expression}: {error}");
            }
        }
    }
}

#[test]
fn paths_go_into_objects_and_into_each_object_of_an_array() {
    check([
        (json!("$n"), json!(5)),
        (json!("$nothing"), missing()),
        (json!("$z"), json!(null)),
        (json!("$n.x"), missing()),
        (json!("$o.y.z"), json!([1, 2])),
        (json!("$items.v"), json!([1, [2, 3]])),
        // No positions: "0" is a field's name.
        (json!("$l.0"), json!([])),
        (json!("$$ROOT.n"), json!(5)),
        (json!("$$CURRENT.o.x"), json!(1)),
        (json!("$$NOW"), json!(1_700_000_000_000_i64)),
        (json!("$$REMOVE"), missing()),
        (json!("plain"), json!("plain")),
        (json!({"$literal": "$n"}), json!("$n")),
        (json!({"a": "$n", "b": "$nothing", "c": {"d": "$z"}}), json!({"a": 5, "c": {"d": null}})),
        (json!(["$n", "$nothing"]), json!([5, null])),
    ]);
    check_refused([
        (json!("$"), "Invalid field path"),
        (json!("$a..b"), "Invalid field path"),
        (json!("$$unknown"), "Unknown variable \"$$unknown\""),
        (json!({"$frobnicate": 1}), "Unknown operator \"$frobnicate\""),
        (json!({"$add": [1], "x": 1}), "nothing beside an operator"),
        (json!({"a.b": 1}), "has a dot"),
    ]);
}

#[test]
fn arithmetic_keeps_integers_exact_and_null_makes_null() {
    check([
        (json!({"$add": ["$n", 1]}), json!(6)),
        (json!({"$add": ["$n", "$d"]}), json!(7.5)),
        (json!({"$add": []}), json!(0)),
        (json!({"$add": ["$big", 2]}), json!(9_007_199_254_740_995_i64)),
        (json!({"$add": [i64::MAX, 1]}), json!(9_223_372_036_854_775_808_u64)),
        (json!({"$add": [u64::MAX, 1]}), json!(18_446_744_073_709_551_616.0)),
        (json!({"$add": ["$n", "$z"]}), json!(null)),
        (json!({"$add": ["$n", "$nothing"]}), json!(null)),
        (json!({"$subtract": ["$n", 7]}), json!(-2)),
        (json!({"$multiply": ["$n", "$n", 2]}), json!(50)),
        (json!({"$multiply": [1e308, 10]}), json!(null)),
        (json!({"$divide": [10, 5]}), json!(2.0)),
        (json!({"$divide": ["$n", 2]}), json!(2.5)),
        (json!({"$mod": [-7, 3]}), json!(-1)),
        (json!({"$mod": [7.5, 2]}), json!(1.5)),
        (json!({"$abs": -5}), json!(5)),
        (json!({"$abs": i64::MIN}), json!(9_223_372_036_854_775_808_u64)),
        (json!({"$ceil": 2.1}), json!(3.0)),
        (json!({"$floor": -2.1}), json!(-3.0)),
        (json!({"$ceil": "$n"}), json!(5)),
        (json!({"$round": 2.5}), json!(2.0)),
        (json!({"$round": [3.5]}), json!(4.0)),
        (json!({"$round": [2.665, 2]}), json!(2.66)),
        (json!({"$round": [1250, -2]}), json!(1200)),
        (json!({"$round": [1350, -2]}), json!(1400)),
        (json!({"$trunc": [-7.89, 1]}), json!(-7.8)),
        (json!({"$trunc": [1299, -2]}), json!(1200)),
        (json!({"$pow": [2, 10]}), json!(1024)),
        (json!({"$pow": [3, 39]}), json!(4_052_555_153_018_976_267_u64)),
        (json!({"$pow": [2, -1]}), json!(0.5)),
        (json!({"$pow": [10, 400]}), json!(null)),
        (json!({"$sqrt": 25}), json!(5.0)),
        (json!({"$exp": 0}), json!(1.0)),
        (json!({"$ln": 1}), json!(0.0)),
        (json!({"$log10": 1000}), json!(3.0)),
        (json!({"$log": [8, 2]}), json!(3.0)),
        (json!({"$bitAnd": [12, 10]}), json!(8)),
        (json!({"$bitNot": 0}), json!(-1)),
    ]);
    check_refused([
        (json!({"$add": ["$s", 1]}), "\"$add\": expected numbers"),
        (json!({"$divide": [1, 0]}), "not 0"),
        (json!({"$mod": [1, 0]}), "not 0"),
        (json!({"$sqrt": -1}), "not negative"),
        (json!({"$ln": 0}), "positive"),
        (json!({"$pow": [0, -1]}), "not 0"),
        (json!({"$round": [1, 101]}), "place"),
        (json!({"$subtract": [1]}), "2 operands"),
        (json!({"$subtract": 1}), "array of 2"),
        (json!({"$abs": [1, 2]}), "1 operands"),
    ]);
}

#[test]
fn comparison_orders_all_types_and_missing_before_null() {
    check([
        (json!({"$eq": ["$n", 5.0]}), json!(true)),
        (json!({"$eq": ["$nothing", null]}), json!(false)),
        (json!({"$eq": ["$z", null]}), json!(true)),
        (json!({"$lt": ["$nothing", null]}), json!(true)),
        (json!({"$gt": ["$s", 99]}), json!(true)),
        (json!({"$gt": ["$l", "$o"]}), json!(true)),
        (json!({"$gt": ["$big", 9_007_199_254_740_992.0]}), json!(true)),
        (json!({"$cmp": ["$n", 7]}), json!(-1)),
        (json!({"$cmp": [1, 1.0]}), json!(0)),
        (json!({"$ne": [{"a": 1, "b": 2}, {"b": 2, "a": 1}]}), json!(true)),
        (json!({"$gte": [[1, 2], [1]]}), json!(true)),
        (json!({"$and": []}), json!(true)),
        (json!({"$or": []}), json!(false)),
        (json!({"$and": ["$n", "$s", "$none", "$empty"]}), json!(true)),
        (json!({"$or": ["$zero", "$f", "$z", "$nothing"]}), json!(false)),
        (json!({"$not": ["$zero"]}), json!(true)),
        (json!({"$not": "$l"}), json!(false)),
        // The second is not evaluated.
        (json!({"$and": [false, {"$divide": [1, 0]}]}), json!(false)),
        (json!({"$or": [true, {"$divide": [1, 0]}]}), json!(true)),
    ]);
}

#[test]
fn conditions_choose_and_evaluate_only_what_they_choose() {
    check([
        (json!({"$cond": ["$t", 1, {"$divide": [1, 0]}]}), json!(1)),
        (json!({"$cond": {"if": "$zero", "then": 1, "else": "$s"}}), json!("Hello")),
        (json!({"$cond": ["$t", "$nothing", 1]}), missing()),
        (json!({"$ifNull": ["$nothing", "$z", "$n", {"$divide": [1, 0]}]}), json!(5)),
        (json!({"$ifNull": ["$z", "$nothing"]}), missing()),
        (
            json!({"$switch": {"branches": [{"case": {"$gt": ["$n", 9]}, "then": "big"},
            {"case": {"$gt": ["$n", 3]}, "then": "middle"}], "default": "small"}}),
            json!("middle"),
        ),
        (json!({"$switch": {"branches": [{"case": "$f", "then": 1}], "default": 2}}), json!(2)),
        (
            json!({"$let": {"vars": {"a": "$n", "b": {"$add": ["$n", 1]}},
            "in": {"$multiply": ["$$a", "$$b"]}}}),
            json!(30),
        ),
        // A variable sees the surroundings, not its siblings.
        (
            json!({"$let": {"vars": {"a": 1}, "in":
            {"$let": {"vars": {"a": 2, "b": "$$a"}, "in": ["$$a", "$$b"]}}}}),
            json!([2, 1]),
        ),
    ]);
    check_refused([
        (json!({"$switch": {"branches": [{"case": false, "then": 1}]}}), "nor a default"),
        (json!({"$switch": {"branches": []}}), "at least one"),
        (json!({"$cond": [1, 2]}), "if, then and else"),
        (json!({"$cond": {"if": 1, "then": 2}}), "\"else\""),
        (json!({"$ifNull": ["$n"]}), "two or more"),
        (json!({"$let": {"vars": {"A": 1}, "in": 1}}), "variable's name"),
        (json!({"$let": {"vars": {"a": 1}, "in": "$$b"}}), "Unknown variable"),
    ]);
}

#[test]
fn text_is_counted_in_bytes_or_characters_as_the_name_says() {
    check([
        (json!({"$concat": ["$s", ", ", "you"]}), json!("Hello, you")),
        (json!({"$concat": ["$s", "$z"]}), json!(null)),
        (json!({"$toUpper": "$s"}), json!("HELLO")),
        (json!({"$toLower": "$z"}), json!("")),
        (json!({"$toUpper": "$n"}), json!("5")),
        (json!({"$strLenBytes": "cafét"}), json!(6)),
        (json!({"$strLenCP": "cafét"}), json!(5)),
        (json!({"$substrCP": ["cafétéria", 3, 3]}), json!("été")),
        (json!({"$substrBytes": ["$s", 1, 2]}), json!("el")),
        (json!({"$substrBytes": ["$s", 2, -1]}), json!("llo")),
        (json!({"$substrBytes": ["$s", 9, 2]}), json!("")),
        (json!({"$substr": ["$n", 0, 9]}), json!("5")),
        (json!({"$indexOfCP": ["cafeteria", "e"]}), json!(3)),
        (json!({"$indexOfCP": ["cafétéria", "é", 4]}), json!(5)),
        (json!({"$indexOfBytes": ["cafeteria", "e", 4, 5]}), json!(-1)),
        (json!({"$indexOfBytes": ["vanilla", "ll", 12]}), json!(-1)),
        (json!({"$indexOfBytes": ["$z", "x"]}), json!(null)),
        (json!({"$split": ["June-15-2013", "-"]}), json!(["June", "15", "2013"])),
        (json!({"$split": ["a", "-"]}), json!(["a"])),
        (json!({"$split": ["$z", "-"]}), json!(null)),
        (json!({"$strcasecmp": ["$s", "hELLO"]}), json!(0)),
        (json!({"$strcasecmp": ["a", "b"]}), json!(-1)),
        (json!({"$trim": {"input": " \n good  bye \t "}}), json!("good  bye")),
        (json!({"$trim": {"input": " ggggoodbyeeeee", "chars": "ge"}}), json!(" ggggoodby")),
        (json!({"$ltrim": {"input": "  x "}}), json!("x ")),
        (json!({"$rtrim": {"input": "xx-", "chars": "-"}}), json!("xx")),
        (json!({"$trim": {"input": "$z"}}), json!(null)),
        (json!({"$replaceOne": {"input": "a-a", "find": "a", "replacement": "b"}}), json!("b-a")),
        (json!({"$replaceAll": {"input": "a-a", "find": "a", "replacement": "b"}}), json!("b-b")),
        (json!({"$replaceAll": {"input": "$z", "find": "a", "replacement": "b"}}), json!(null)),
        (json!({"$regexMatch": {"input": "$s", "regex": "^h", "options": "i"}}), json!(true)),
        (json!({"$regexMatch": {"input": "$z", "regex": "^h"}}), json!(false)),
        (
            json!({"$regexFind": {"input": "Café 42", "regex": "(\\d)(\\d)"}}),
            json!({"match": "42", "idx": 5, "captures": ["4", "2"]}),
        ),
        (json!({"$regexFind": {"input": "$s", "regex": "z"}}), json!(null)),
        (
            json!({"$regexFindAll": {"input": "a1b22", "regex": "\\d+"}}),
            json!([{"match": "1", "idx": 1, "captures": []}, {"match": "22", "idx": 3, "captures": []}]),
        ),
        (json!({"$regexMatch": {"input": "$s", "regex": {"$concat": ["^", "H"]}}}), json!(true)),
    ]);
    check_refused([
        (json!({"$concat": ["$n"]}), "string"),
        (json!({"$strLenCP": "$z"}), "string"),
        (json!({"$split": ["a", ""]}), "not empty"),
        (json!({"$substrCP": ["a", -1, 1]}), "not negative"),
        (json!({"$substrBytes": ["é", 1, 1]}), "do not cut"),
        (json!({"$trim": {"input": "$n"}}), "string"),
        (json!({"$trim": {"input": "x", "char": "y"}}), "no \"char\""),
        (json!({"$regexMatch": {"input": "a", "regex": "("}}), "regular expression"),
        (json!({"$regexMatch": {"input": "a", "regex": "a", "options": "q"}}), "imsx"),
        (json!({"$replaceOne": {"input": "a", "find": 1, "replacement": "b"}}), "strings"),
    ]);
}

#[test]
fn arrays_are_made_searched_and_changed() {
    check([
        (json!({"$size": "$l"}), json!(3)),
        (json!({"$isArray": ["$l"]}), json!(true)),
        (json!({"$isArray": "$nothing"}), json!(false)),
        (json!({"$arrayElemAt": ["$l", -1]}), json!(2)),
        (json!({"$arrayElemAt": ["$l", 9]}), missing()),
        (json!({"$arrayElemAt": ["$z", 0]}), json!(null)),
        (json!({"$first": "$l"}), json!(3)),
        (json!({"$last": "$none"}), missing()),
        (json!({"$concatArrays": ["$l", [9]]}), json!([3, 1, 2, 9])),
        (json!({"$concatArrays": ["$l", "$z"]}), json!(null)),
        (json!({"$in": [1.0, "$l"]}), json!(true)),
        (json!({"$in": ["$nothing", [null]]}), json!(false)),
        (json!({"$indexOfArray": ["$l", 2]}), json!(2)),
        (json!({"$indexOfArray": ["$l", 3, 1]}), json!(-1)),
        (json!({"$range": [0, 10, 3]}), json!([0, 3, 6, 9])),
        (json!({"$range": [3, 0, -1]}), json!([3, 2, 1])),
        (json!({"$range": [0, 5, -1]}), json!([])),
        (json!({"$reverseArray": "$l"}), json!([2, 1, 3])),
        (json!({"$slice": ["$l", 2]}), json!([3, 1])),
        (json!({"$slice": ["$l", -2]}), json!([1, 2])),
        (json!({"$slice": ["$l", 1, 1]}), json!([1])),
        (json!({"$slice": ["$l", -9, 2]}), json!([3, 1])),
        (json!({"$firstN": {"n": 2, "input": "$l"}}), json!([3, 1])),
        (json!({"$lastN": {"n": 2, "input": "$l"}}), json!([1, 2])),
        (json!({"$maxN": {"n": 2, "input": "$l"}}), json!([3, 2])),
        (json!({"$minN": {"n": 2, "input": [3, null, 1]}}), json!([1, 3])),
        (json!({"$sortArray": {"input": "$l", "sortBy": 1}}), json!([1, 2, 3])),
        (
            json!({"$sortArray": {"input": [{"a": 1, "b": 2}, {"a": 2}, {"a": 1, "b": 3}],
            "sortBy": {"a": -1, "b": 1}}}),
            json!([{"a": 2}, {"a": 1, "b": 2}, {"a": 1, "b": 3}]),
        ),
        (
            json!({"$map": {"input": "$l", "as": "x", "in": {"$add": ["$$x", "$n"]}}}),
            json!([8, 6, 7]),
        ),
        (json!({"$map": {"input": "$z", "in": 1}}), json!(null)),
        (
            json!({"$map": {"input": "$items", "in": "$$this.v"}}),
            json!([1, [2, 3], null, null, [9]]),
        ),
        (json!({"$filter": {"input": "$l", "cond": {"$gte": ["$$this", 2]}}}), json!([3, 2])),
        (json!({"$filter": {"input": "$l", "as": "e", "cond": true, "limit": 2}}), json!([3, 1])),
        (
            json!({"$reduce": {"input": "$l", "initialValue": 0,
            "in": {"$add": ["$$value", "$$this"]}}}),
            json!(6),
        ),
        (
            json!({"$reduce": {"input": [[1], [2, 3]], "initialValue": [],
            "in": {"$concatArrays": ["$$value", "$$this"]}}}),
            json!([1, 2, 3]),
        ),
        (json!({"$zip": {"inputs": [["a", "b"], [1, 2, 3]]}}), json!([["a", 1], ["b", 2]])),
        (
            json!({"$zip": {"inputs": [["a"], [1, 2]], "useLongestLength": true,
            "defaults": ["-", 0]}}),
            json!([["a", 1], ["-", 2]]),
        ),
        (json!({"$setUnion": [["b", "a"], ["c", "a"]]}), json!(["a", "b", "c"])),
        (json!({"$setIntersection": [["b", "a"], ["c", "a", "a"]]}), json!(["a"])),
        (json!({"$setDifference": [["b", "a"], ["a"]]}), json!(["b"])),
        (json!({"$setEquals": [["a", "b", "a"], ["b", "a"]]}), json!(true)),
        (json!({"$setIsSubset": [["a"], ["b", "a"]]}), json!(true)),
        (json!({"$setUnion": [["a"], "$z"]}), json!(null)),
        (json!({"$allElementsTrue": [[1, "x"]]}), json!(true)),
        (json!({"$anyElementTrue": [[0, null]]}), json!(false)),
        (json!({"$sum": "$l"}), json!(6)),
        (json!({"$sum": ["$n", "$s", "$d"]}), json!(7.5)),
        (json!({"$sum": "$nothing"}), json!(0)),
        (json!({"$avg": "$l"}), json!(2)),
        (json!({"$avg": "$none"}), json!(null)),
        (json!({"$max": ["$n", "$z", "$d"]}), json!(5)),
        (json!({"$min": "$l"}), json!(1)),
        (json!({"$max": "$none"}), json!(null)),
        (json!({"$stdDevPop": [[2, 4, 4, 4, 5, 5, 7, 9]]}), json!(2.0)),
        (json!({"$stdDevSamp": [[1]]}), json!(null)),
    ]);
    check_refused([
        (json!({"$size": "$n"}), "array"),
        (json!({"$size": "$nothing"}), "array"),
        (json!({"$arrayElemAt": ["$l", 1.5]}), "integer"),
        (json!({"$in": [1, "$n"]}), "array"),
        (json!({"$range": [0, 1, 0]}), "not 0"),
        (json!({"$slice": ["$l", 1, 0]}), "positive"),
        (json!({"$map": {"input": "$n", "in": 1}}), "array"),
        (json!({"$firstN": {"n": 0, "input": "$l"}}), "positive"),
        (json!({"$zip": {"inputs": [[1]], "defaults": [1]}}), "longest"),
    ]);
}

#[test]
fn objects_become_arrays_and_back() {
    check([
        (
            json!({"$objectToArray": {"a": 1, "b": "$n"}}),
            json!([{"k": "a", "v": 1}, {"k": "b", "v": 5}]),
        ),
        (
            json!({"$arrayToObject": [[{"k": "a", "v": 1}, {"k": "b", "v": 2}]]}),
            json!({"a": 1, "b": 2}),
        ),
        (json!({"$arrayToObject": [[["a", 1], ["a", 2]]]}), json!({"a": 2})),
        (json!({"$mergeObjects": ["$o", {"x": 2}, "$z"]}), json!({"x": 2, "y": {"z": [1, 2]}})),
        (json!({"$mergeObjects": []}), json!({})),
        (json!({"$getField": "n"}), json!(5)),
        (json!({"$getField": {"field": "x", "input": "$o"}}), json!(1)),
        (json!({"$getField": {"field": "q", "input": "$o"}}), missing()),
        (
            json!({"$setField": {"field": "a.b", "input": {"x": 1}, "value": 2}}),
            json!({"x": 1, "a.b": 2}),
        ),
        (json!({"$setField": {"field": "x", "input": {"x": 1}, "value": "$$REMOVE"}}), json!({})),
        (json!({"$unsetField": {"field": "x", "input": "$o"}}), json!({"y": {"z": [1, 2]}})),
    ]);
    check_refused([
        (json!({"$mergeObjects": ["$n"]}), "objects"),
        (json!({"$objectToArray": "$l"}), "object"),
        (json!({"$arrayToObject": ["$l"]}), "pairs"),
    ]);
}

#[test]
fn types_are_told_and_converted() {
    check([
        (json!({"$type": "$n"}), json!("int")),
        (json!({"$type": "$big"}), json!("long")),
        (json!({"$type": "$d"}), json!("double")),
        (json!({"$type": "$nothing"}), json!("missing")),
        (json!({"$type": "$z"}), json!("null")),
        (json!({"$type": "$o"}), json!("object")),
        (json!({"$isNumber": "$d"}), json!(true)),
        (json!({"$isNumber": "$s"}), json!(false)),
        (json!({"$toInt": "42"}), json!(42)),
        (json!({"$toInt": 2.9}), json!(2)),
        (json!({"$toInt": true}), json!(1)),
        (json!({"$toLong": 9_007_199_254_740_993_i64}), json!(9_007_199_254_740_993_i64)),
        (json!({"$toDouble": "1.5"}), json!(1.5)),
        (json!({"$toDouble": 1}), json!(1.0)),
        (json!({"$toString": 1.5}), json!("1.5")),
        (json!({"$toString": false}), json!("false")),
        (json!({"$toBool": "false"}), json!(true)),
        (json!({"$toBool": 0}), json!(false)),
        (json!({"$toInt": "$z"}), json!(null)),
        (json!({"$toDate": "1970-01-01T00:00:01Z"}), json!(1000)),
        (json!({"$convert": {"input": "x", "to": "int", "onError": "bad"}}), json!("bad")),
        (json!({"$convert": {"input": "$nothing", "to": "int", "onNull": 7}}), json!(7)),
        (json!({"$convert": {"input": "7", "to": 16}}), json!(7)),
    ]);
    check_refused([
        (json!({"$toInt": "x"}), "can become"),
        (json!({"$toInt": 3_000_000_000_i64}), "can become"),
        (json!({"$toInt": "1.5"}), "can become"),
        (json!({"$toString": "$l"}), "can become"),
        (json!({"$convert": {"input": 1, "to": "decimal"}}), "one of double"),
    ]);
}

#[test]
fn dates_are_milliseconds_or_iso_texts_in_a_time_zone() {
    let date = "2024-02-29T23:30:15.250Z";
    let in_prague = json!({"date": date, "timezone": "Europe/Prague"});
    check([
        (json!({"$year": date}), json!(2024)),
        (json!({"$month": [date]}), json!(2)),
        (json!({"$month": in_prague}), json!(3)),
        (json!({"$dayOfMonth": in_prague}), json!(1)),
        (json!({"$hour": {"date": date, "timezone": "-0530"}}), json!(18)),
        (json!({"$minute": date}), json!(30)),
        (json!({"$second": date}), json!(15)),
        (json!({"$millisecond": date}), json!(250)),
        (json!({"$dayOfWeek": date}), json!(5)),
        (json!({"$isoDayOfWeek": date}), json!(4)),
        (json!({"$dayOfYear": date}), json!(60)),
        (json!({"$week": "2024-01-06"}), json!(0)),
        (json!({"$week": "2024-01-07"}), json!(1)),
        (json!({"$isoWeek": "2021-01-03"}), json!(53)),
        (json!({"$isoWeekYear": "2021-01-03"}), json!(2020)),
        (json!({"$year": 0}), json!(1970)),
        (json!({"$year": "$z"}), json!(null)),
        (json!({"$dateToString": {"date": 0}}), json!("1970-01-01T00:00:00.000Z")),
        (
            json!({"$dateToString": {"date": date, "format": "%Y/%m/%d %H:%M:%S.%L %j %u %V %G %%"}}),
            json!("2024/02/29 23:30:15.250 060 4 09 2024 %"),
        ),
        (
            json!({"$dateToString": {"date": date, "format": "%d %b %z", "timezone": "Europe/Prague"}}),
            json!("01 Mar +0100"),
        ),
        (json!({"$dateToString": {"date": "$z", "onNull": "-"}}), json!("-")),
        (
            json!({"$dateFromString": {"dateString": "2017-02-08T12:10:40.787Z"}}),
            json!(1_486_555_840_787_i64),
        ),
        (
            json!({"$dateFromString": {"dateString": "2017-02-08", "timezone": "America/New_York"}}),
            json!(1_486_530_000_000_i64),
        ),
        (json!({"$dateFromString": {"dateString": "nonsense", "onError": "?"}}), json!("?")),
        (
            json!({"$dateFromParts": {"year": 2017, "month": 14, "day": 1, "hour": 12}}),
            json!(1_517_486_400_000_i64),
        ),
        (
            json!({"$dateToParts": {"date": date}}),
            json!({"year": 2024, "month": 2, "day": 29,
            "hour": 23, "minute": 30, "second": 15, "millisecond": 250}),
        ),
        (
            json!({"$dateAdd": {"startDate": "2024-01-31", "unit": "month", "amount": 1}}),
            json!(1_709_164_800_000_i64),
        ),
        (
            json!({"$dateSubtract": {"startDate": 1000, "unit": "millisecond", "amount": 250}}),
            json!(750),
        ),
        // A day across the change of the clocks has 23 hours.
        (
            json!({"$subtract": [
            {"$dateAdd": {"startDate": "2024-03-30T23:00:00Z", "unit": "day", "amount": 1,
                "timezone": "Europe/Prague"}},
            {"$toDate": "2024-03-30T23:00:00Z"}]}),
            json!(23 * 3_600_000),
        ),
        (
            json!({"$dateDiff": {"startDate": "2010-12-31", "endDate": "2011-01-01", "unit": "year"}}),
            json!(1),
        ),
        (
            json!({"$dateDiff": {"startDate": "2021-01-01", "endDate": "2021-03-31", "unit": "quarter"}}),
            json!(0),
        ),
        (
            json!({"$dateDiff": {"startDate": "2021-01-02", "endDate": "2021-01-03", "unit": "week"}}),
            json!(1),
        ),
        (
            json!({"$dateDiff": {"startDate": "2021-01-03", "endDate": "2021-01-04", "unit": "week",
            "startOfWeek": "monday"}}),
            json!(1),
        ),
        (
            json!({"$dateDiff": {"startDate": date, "endDate": "2024-03-01T00:00:00Z", "unit": "day"}}),
            json!(1),
        ),
        (
            json!({"$dateDiff": {"startDate": "2024-01-01T00:59:59Z", "endDate": "2024-01-01T01:00:00Z",
            "unit": "hour"}}),
            json!(1),
        ),
        (json!({"$dateTrunc": {"date": date, "unit": "month"}}), json!(1_706_745_600_000_i64)),
        (
            json!({"$dateTrunc": {"date": date, "unit": "month", "timezone": "Europe/Prague"}}),
            json!(1_709_247_600_000_i64),
        ),
        (
            json!({"$dateToString": {"date": {"$dateTrunc": {"date": "2021-03-20T11:30:05Z",
            "unit": "week", "startOfWeek": "monday"}}, "format": "%Y-%m-%d"}}),
            json!("2021-03-15"),
        ),
        (
            json!({"$dateToString": {"date": {"$dateTrunc": {"date": "2021-03-20T11:30:05Z",
            "unit": "hour", "binSize": 2}}, "format": "%H:%M"}}),
            json!("10:00"),
        ),
    ]);
    check_refused([
        (json!({"$year": "$s"}), "a date"),
        (json!({"$year": "$t"}), "a date"),
        (json!({"$year": {"date": 0, "timezone": "Nowhere/Atlantis"}}), "time zone"),
        (json!({"$dateToString": {"date": 0, "format": "%q"}}), "a format"),
        (json!({"$dateAdd": {"startDate": 0, "unit": "fortnight", "amount": 1}}), "\"unit\""),
        (json!({"$dateAdd": {"startDate": 0, "unit": "year", "amount": 99999}}), "years"),
        (json!({"$dateAdd": {"startDate": 0, "unit": "year", "amount": i64::MIN}}), "years"),
        (json!({"$year": 9e17}), "years"),
    ]);
}

#[test]
fn expr_filters_by_an_expression() {
    let matches =
        |filter: Value, record: Value| Filter::parse(&filter).unwrap().try_matches_value(&record);
    let over = json!({"$expr": {"$gt": ["$spent", "$budget"]}});
    assert!(matches(over.clone(), json!({"spent": 5, "budget": 4})).unwrap());
    assert!(!matches(over.clone(), json!({"spent": 4, "budget": 4})).unwrap());
    // Unlike $gt of a filter: missing comes before everything.
    assert!(matches(over.clone(), json!({"spent": 4})).unwrap());
    let both = json!({"a": 1, "$or": [{"$expr": "$b"}, {"b": 0}], "$nor": [{"$expr": "$c"}]});
    assert!(matches(both.clone(), json!({"a": 1, "b": 0})).unwrap());
    assert!(!matches(both.clone(), json!({"a": 1, "b": 2, "c": 1})).unwrap());
    let printed = Filter::parse(&both).unwrap().to_json();
    assert_eq!(Filter::parse(&printed).unwrap().to_json(), printed);
    let error = matches(json!({"$expr": {"$divide": [1, "$n"]}}), json!({"n": 0})).unwrap_err();
    assert_eq!(error.code(), Code::ValidationError);
    for bad in [
        json!({"$expr": {"$nope": 1}}),
        json!({"$expr": "$$NOW"}),
        json!({"a": {"$elemMatch": {"$expr": true}}}),
        json!({"a": {"$elemMatch": {"$and": [{"$expr": true}]}}}),
        json!({"a": {"$expr": true}}),
    ] {
        assert_eq!(Filter::parse(&bad).unwrap_err().code(), Code::ValidationError, "{bad}");
    }
}

#[test]
fn g10_an_evaluation_is_bounded_in_what_it_does_and_makes() {
    let mut doubled = json!("x".repeat(1000));
    for _ in 0..20 {
        doubled = json!({"$let": {"vars": {"v": doubled}, "in": {"$concat": ["$$v", "$$v", "$$v", "$$v"]}}});
    }
    let nested = json!({"$map": {"input": {"$range": [0, 20_000]}, "in":
        {"$map": {"input": {"$range": [0, 20_000]}, "in": 1}}}});
    let comparing =
        json!({"$map": {"input": {"$range": [0, 30_000]}, "in": {"$eq": ["$list", "$same"]}}});
    let searching =
        json!({"$map": {"input": {"$range": [0, 30_000]}, "in": {"$in": ["no", "$list"]}}});
    for hostile in [
        doubled,
        comparing,
        searching,
        nested,
        json!({"$range": [0, 1_000_000_000_000_i64]}),
        json!({"$reduce": {"input": {"$range": [0, 1000]}, "initialValue": "xx",
            "in": {"$concat": ["$$value", "$$value"]}}}),
        json!({"$replaceAll": {"input": "$long", "find": "", "replacement": "$long"}}),
    ] {
        let list = vec!["x"; 2000];
        let record = json!({"long": "y".repeat(100_000), "list": list, "same": list});
        let error = evaluate(&hostile, &record).unwrap_err();
        assert_eq!(error.code(), Code::LimitExceeded, "{error:?}");
        assert_eq!(error.detail("limit"), Some(&json!("expressionWork")), "{error:?}");
    }
    let mut deep = json!("$n");
    for _ in 0..60 {
        deep = json!({"$not": deep});
    }
    let error = evaluate(&deep, &record()).unwrap_err();
    assert_eq!(error.detail("limit"), Some(&json!("expressionDepth")));
}
