//! Each operator of filters: null, missing, arrays, nested paths, mixed types.

use serde_json::{Value, json};
use tandem_record::{Filter, Metadata, Position, Row};

/// Checks the filter on records as JSON and as rows.
#[track_caller]
fn check(filter: Value, matching: &[Value], others: &[Value]) {
    let parsed = Filter::parse(&filter).unwrap_or_else(|error| panic!("{filter}: {error:?}"));
    let respelled = Filter::parse(&parsed.to_json()).expect("it parses again");
    assert_eq!(respelled.to_json(), parsed.to_json(), "{filter}");
    let position = Position { revision: 1, ordinal: 0 };
    let metadata = Metadata { version: 1, created_at: 5, updated_at: 5, position };
    for (records, expected) in [(matching, true), (others, false)] {
        for record in records {
            let row = Row::encode(record.as_object().expect("a record"), metadata).expect("a row");
            assert_eq!(parsed.matches_value(record), expected, "{filter} on {record}");
            assert_eq!(parsed.matches(&row), expected, "{filter} on the row {record}");
            assert_eq!(respelled.matches(&row), expected, "{parsed} on the row {record}");
        }
    }
}

macro_rules! records {
    ($($record:tt),* $(,)?) => { &[$(json!($record)),*] };
}

#[test]
fn an_empty_filter_matches_everything() {
    check(json!({}), records![{}, {"a": null}], &[]);
    assert!(Filter::all().is_all() && Filter::parse(&json!({})).unwrap().is_all());
}

#[test]
fn equality_is_by_value_across_numbers_arrays_and_objects() {
    for filter in [json!({"a": 1}), json!({"a": {"$eq": 1.0}})] {
        check(
            filter,
            records![{"a": 1}, {"a": 1.0}, {"a": [2, 1]}, {"b": 0, "a": 1}],
            records![{}, {"a": null}, {"a": "1"}, {"a": true}, {"a": [[1]]}, {"a": {"b": 1}}, {"b": 1}],
        );
    }
    check(
        json!({"a": 9_007_199_254_740_993_u64}),
        records![{"a": 9007199254740993u64}],
        records![{"a": 9007199254740992.0}, {"a": 9007199254740994u64}],
    );
    check(
        json!({"a": [1, 2]}),
        records![{"a": [1, 2]}, {"a": [1.0, 2]}, {"a": [[1, 2], 3]}],
        records![{"a": [2, 1]}, {"a": 1}, {"a": [1]}, {"a": [1, 2, 3]}],
    );
    check(
        json!({"a": {"x": 1, "y": 2}}),
        records![{"a": {"x": 1, "y": 2}}, {"a": [{"x": 1, "y": 2}]}],
        records![{"a": {"y": 2, "x": 1}}, {"a": {"x": 1}}, {"a": {"x": 1, "y": 2, "z": 3}}],
    );
    check(json!({"a": {}}), records![{"a": {}}], records![{}, {"a": []}, {"a": {"x": 1}}]);
    check(json!({"a": []}), records![{"a": []}, {"a": [[]]}], records![{}, {"a": [1]}, {"a": {}}]);
    check(json!({"a": "x\"é"}), records![{"a": "x\"é"}], records![{"a": "x"}]);
    check(
        json!({"a": false}),
        records![{"a": false}, {"a": [false]}],
        records![{"a": 0}, {"a": null}, {}],
    );
}

#[test]
fn null_is_null_and_missing() {
    check(
        json!({"a": null}),
        records![{}, {"a": null}, {"a": [1, null]}],
        records![{"a": 0}, {"a": ""}, {"a": []}, {"a": [1]}, {"a": {}}],
    );
    check(
        json!({"a.b": null}),
        records![{}, {"a": null}, {"a": 1}, {"a": {}}, {"a": {"b": null}}, {"a": [{"b": 1}, {}]}],
        records![{"a": {"b": 1}}, {"a": []}, {"a": [1]}, {"a": [{"b": 1}]}],
    );
}

#[test]
fn negations_match_where_the_condition_does_not() {
    for operator in ["$ne", "$neq"] {
        check(
            json!({"a": {operator: 1}}),
            records![{}, {"a": null}, {"a": "1"}, {"a": [2]}, {"a": []}],
            records![{"a": 1}, {"a": 1.0}, {"a": [1, 2]}],
        );
    }
    check(
        json!({"a": {"$ne": null}}),
        records![{"a": 1}, {"a": []}],
        records![{}, {"a": null}, {"a": [null]}],
    );
    check(
        json!({"a": {"$nin": [1, null]}}),
        records![{"a": 2}, {"a": [2, 3]}],
        records![{}, {"a": null}, {"a": 1}, {"a": [1, 2]}],
    );
    check(json!({"a": {"$nin": [1]}}), records![{}, {"a": null}, {"a": "1"}], records![{"a": 1}]);
    check(
        json!({"a": {"$not": {"$gt": 5}}}),
        records![{}, {"a": 5}, {"a": "x"}, {"a": null}],
        records![{"a": 6}, {"a": [1, 6]}],
    );
    check(
        json!({"a": {"$not": {"$gt": 1, "$lt": 5}}}),
        records![{"a": 1}, {"a": 5}, {}],
        records![{"a": 3}, {"a": [0, 9]}],
    );
    check(json!({"a": {"$not": {"$not": {"$eq": 1}}}}), records![{"a": 1}], records![{"a": 2}]);
    check(
        json!({"a": {"$not": {"$ne": 1, "$neq": 2}}}),
        records![{"a": 1}, {"a": 2}],
        records![{"a": 3}],
    );
}

#[test]
fn comparisons_match_only_the_type_of_their_operand() {
    check(
        json!({"a": {"$gt": 1}}),
        records![{"a": 1.5}, {"a": 18446744073709551615u64}, {"a": [0, 2]}],
        records![{}, {"a": null}, {"a": 1}, {"a": 1.0}, {"a": "2"}, {"a": true}, {"a": []}, {"a": {}}],
    );
    check(
        json!({"a": {"$gte": 1}}),
        records![{"a": 1}, {"a": 1.0}],
        records![{"a": 0.5}, {"a": "1"}],
    );
    check(
        json!({"a": {"$lt": 1}}),
        records![{"a": 0.5}, {"a": -1}],
        records![{}, {"a": null}, {"a": 1}],
    );
    check(
        json!({"a": {"$lte": "b"}}),
        records![{"a": ""}, {"a": "b"}, {"a": "B"}],
        records![{"a": "ba"}, {"a": 1}, {}],
    );
    check(json!({"a": {"$gt": false}}), records![{"a": true}], records![{"a": false}, {"a": 1}]);
    check(json!({"a": {"$gte": null}}), records![{}, {"a": null}], records![{"a": 1}]);
    check(json!({"a": {"$gt": null}}), &[], records![{}, {"a": null}, {"a": 1}]);
    check(
        json!({"a": {"$gt": [1]}}),
        records![{"a": [1, 0]}, {"a": [2]}, {"a": [[5]]}],
        records![{"a": [1]}, {"a": [0, 9]}, {"a": 5}],
    );
    check(
        json!({"a": {"$lt": {"x": 2}}}),
        records![{"a": {"x": 1}}, {"a": {}}],
        records![{"a": {"x": 2}}, {"a": 0}],
    );
    check(
        json!({"a": {"$gt": 9_007_199_254_740_992.0}}),
        records![{"a": 9007199254740993u64}],
        records![{"a": 9007199254740992u64}],
    );
}

#[test]
fn two_comparisons_may_hold_by_two_elements_but_between_needs_one() {
    check(
        json!({"a": {"$gt": 4, "$lt": 6}}),
        records![{"a": 5}, {"a": [1, 9]}],
        records![{"a": 4}, {"a": [1]}],
    );
    check(
        json!({"a": {"$between": [5, 6]}}),
        records![{"a": 5}, {"a": 6.0}, {"a": [1, 5]}],
        records![{"a": 4}, {"a": 6.5}, {"a": [1, 9]}, {"a": "5"}, {}, {"a": null}],
    );
    check(json!({"a": {"$between": [1, "z"]}}), &[], records![{"a": 5}, {"a": "a"}]);
}

#[test]
fn lists_match_any_of_their_values() {
    check(
        json!({"a": {"$in": [3, "x", 1, [7], {"k": 1}]}}),
        records![{"a": 1.0}, {"a": "x"}, {"a": [9, 3]}, {"a": [7]}, {"a": {"k": 1}}],
        records![{}, {"a": null}, {"a": 2}, {"a": "1"}, {"a": 7}],
    );
    check(json!({"a": {"$in": [null]}}), records![{}, {"a": null}], records![{"a": 0}]);
    check(json!({"a": {"$in": []}}), &[], records![{}, {"a": null}, {"a": []}]);
    check(json!({"a": {"$nin": []}}), records![{}, {"a": null}, {"a": []}], &[]);
}

#[test]
fn text_operators_look_at_strings_only() {
    check(
        json!({"a": {"$contains": "ÉX"}}),
        records![{"a": "téxt"}, {"a": "TÉXT"}, {"a": ["no", "éx"]}],
        records![{}, {"a": null}, {"a": "te"}, {"a": 1}, {"a": {"b": "éx"}}],
    );
    check(json!({"a": {"$contains": ""}}), records![{"a": ""}, {"a": "x"}], records![{"a": 1}, {}]);
    check(
        json!({"a": {"$startsWith": "ab"}}),
        records![{"a": "ab"}, {"a": "abc"}, {"a": ["x", "abx"]}],
        records![{"a": "Ab"}, {"a": "xab"}, {"a": 1}, {}],
    );
    check(
        json!({"a": {"$endsWith": "é"}}),
        records![{"a": "é"}, {"a": "xé"}],
        records![{"a": "éx"}, {"a": null}],
    );
    check(
        json!({"a": {"$regex": "^a.*z$"}}),
        records![{"a": "az"}, {"a": ["b", "abz"]}],
        records![{"a": "Az"}, {"a": "az!"}, {"a": 1}, {}, {"a": null}],
    );
    check(
        json!({"a": {"$regex": "^b", "$options": "im"}}),
        records![{"a": "x\nBc"}],
        records![{"a": "xb"}],
    );
}

#[test]
fn existing_is_being_neither_missing_nor_null() {
    check(
        json!({"a": {"$exists": true}}),
        records![{"a": 0}, {"a": ""}, {"a": []}, {"a": [null]}],
        records![{}, {"a": null}],
    );
    check(
        json!({"a": {"$exists": false}}),
        records![{}, {"a": null}],
        records![{"a": false}, {"a": []}],
    );
    check(
        json!({"a.b": {"$exists": true}}),
        records![{"a": {"b": 1}}, {"a": [{}, {"b": 1}]}],
        records![{}, {"a": 1}, {"a": {"b": null}}, {"a": []}, {"a": [1]}],
    );
}

#[test]
fn array_operators_look_at_arrays() {
    check(
        json!({"a": {"$size": 2}}),
        records![{"a": [1, 2]}, {"a": [[], []]}],
        records![{}, {"a": 2}, {"a": [1]}, {"a": [[1, 2]]}, {"a": "ab"}],
    );
    check(json!({"a": {"$size": 0.0}}), records![{"a": []}], records![{"a": [1]}, {}]);
    check(
        json!({"a": {"$all": [1, "x"]}}),
        records![{"a": [1, 2, "x"]}],
        records![{"a": [1]}, {"a": 1}, {}],
    );
    check(json!({"a": {"$all": [1]}}), records![{"a": 1}, {"a": [1]}], records![{"a": 2}]);
    check(json!({"a": {"$all": [[1]]}}), records![{"a": [1]}, {"a": [[1], 2]}], records![{"a": 1}]);
    check(json!({"a": {"$all": []}}), &[], records![{"a": []}, {}]);
    check(
        json!({"a": {"$all": [{"$elemMatch": {"x": 1}}, {"$elemMatch": {"x": 2}}]}}),
        records![{"a": [{"x": 1}, {"x": 2}]}],
        records![{"a": [{"x": 1}]}],
    );
    check(
        json!({"a": {"$elemMatch": {"$gt": 4, "$lt": 6}}}),
        records![{"a": [1, 5]}],
        records![{"a": [1, 9]}, {"a": 5}, {"a": [[5]]}, {}],
    );
    check(
        json!({"a": {"$elemMatch": {"x": 1, "y": {"$gt": 1}}}}),
        records![{"a": [{"x": 1, "y": 2}]}],
        records![{"a": [{"x": 1}, {"y": 2}]}, {"a": {"x": 1, "y": 2}}, {"a": [1]}],
    );
    check(
        json!({"a": {"$elemMatch": {"$or": [{"x": 1}, {"y": 1}]}}}),
        records![{"a": [{"y": 1}]}],
        records![{"a": [{"x": 2}]}],
    );
    check(
        json!({"a": {"$elemMatch": {"$elemMatch": {"$eq": 1}}}}),
        records![{"a": [[1]]}],
        records![{"a": [1]}],
    );
    check(
        json!({"a": {"$elemMatch": {}}}),
        records![{"a": [{}]}, {"a": [{"x": 1}]}],
        records![{"a": []}, {"a": [1]}],
    );
}

#[test]
fn types_are_told_apart_by_name_and_code() {
    check(
        json!({"a": {"$type": "string"}}),
        records![{"a": "x"}, {"a": [1, "x"]}],
        records![{"a": 1}, {}, {"a": null}],
    );
    check(json!({"a": {"$type": "null"}}), records![{"a": null}], records![{}, {"a": 0}]);
    check(
        json!({"a": {"$type": "array"}}),
        records![{"a": []}, {"a": [1]}],
        records![{"a": 1}, {}],
    );
    check(
        json!({"a": {"$type": ["bool", 16]}}),
        records![{"a": true}, {"a": 5}],
        records![{"a": 5.5}, {"a": "x"}],
    );
    check(json!({"a": {"$type": "number"}}), records![{"a": 5}, {"a": 5.5}], records![{"a": "5"}]);
    check(json!({"a": {"$type": "object"}}), records![{"a": {}}, {"a": [{}]}], records![{"a": []}]);
}

#[test]
fn modulo_is_of_the_whole_part() {
    check(
        json!({"a": {"$mod": [4, 0]}}),
        records![{"a": 8}, {"a": 8.7}, {"a": 0}, {"a": -4}, {"a": [1, 4]}],
        records![{"a": 6}, {"a": "8"}, {}, {"a": null}, {"a": 1e300}],
    );
    check(json!({"a": {"$mod": [4, -1]}}), records![{"a": -5}], records![{"a": 3}]);
    check(
        json!({"a": {"$mod": [2, 1]}}),
        records![{"a": 18446744073709551615u64}],
        records![{"a": 2}],
    );
    check(json!({"a": {"$mod": [-1, 0]}}), records![{"a": (i64::MIN)}], &[]);
}

#[test]
fn logic_combines_filters() {
    check(
        json!({"$or": [{"a": 1}, {"b": 1}]}),
        records![{"a": 1}, {"b": 1}],
        records![{}, {"a": 2}],
    );
    check(
        json!({"$and": [{"a": {"$gt": 1}}, {"a": {"$lt": 3}}], "b": 1}),
        records![{"a": 2, "b": 1}],
        records![{"a": 2}, {"a": 3, "b": 1}],
    );
    check(
        json!({"$nor": [{"a": 1}, {"b": 1}]}),
        records![{}, {"a": 2}],
        records![{"a": 1}, {"b": 1}],
    );
    check(json!({"$or": []}), &[], records![{}]);
    check(json!({"$and": [], "$nor": []}), records![{}], &[]);
    check(
        json!({"$and": [{"a": {"$gt": 1}}, {"a": {"$gt": 2}}]}),
        records![{"a": 3}],
        records![{"a": 2}],
    );
    check(
        json!({"$or": [{"a": 1}], "$and": [{"$or": [{"b": 1}, {"c": 1}]}]}),
        records![{"a": 1, "c": 1}],
        records![{"a": 1}, {"b": 1}],
    );
}

#[test]
fn paths_lead_into_objects_and_arrays() {
    check(
        json!({"a.b": 1}),
        records![{"a": {"b": 1}}, {"a": [{"b": 1}]}, {"a": {"b": [1, 2]}}, {"a": [{"b": [1]}]}],
        records![{"a.b": 1}, {"a": [[{"b": 1}]]}, {"a": 1}],
    );
    check(
        json!({"a.0": 1}),
        records![{"a": [1]}, {"a": {"0": 1}}, {"a": [{"0": 1}]}],
        records![{"a": [2, 1]}, {"a": 1}],
    );
    check(json!({"a.1.b": 1}), records![{"a": [0, {"b": 1}]}], records![{"a": [{"b": 1}, 0]}]);
    check(json!({"a.0.0": 1}), records![{"a": [[1]]}], records![{"a": [1]}]);
}

#[test]
fn metadata_reads_like_fields_of_a_row() {
    let position = Position { revision: 1, ordinal: 0 };
    let row = Row::encode(
        json!({"a": 1}).as_object().unwrap(),
        Metadata { version: 7, created_at: 5, updated_at: 6, position },
    )
    .unwrap();
    for (filter, expected) in [
        (json!({"_version": 7}), true),
        (json!({"_version": {"$gt": 7}}), false),
        (json!({"_createdAt": 5, "_updatedAt": {"$exists": true}}), true),
        (json!({"_version.x": null}), true),
    ] {
        assert_eq!(Filter::parse(&filter).unwrap().matches(&row), expected, "{filter}");
    }
}

#[test]
fn wrong_filters_are_refused_by_operator_and_field() {
    for (filter, operator) in [
        (json!({"a": {"$foo": 1}}), "$foo"),
        (json!({"$foo": 1}), "$foo"),
        (json!({"$not": {"a": 1}}), "$not"),
        (json!({"a": {"$and": []}}), "$and"),
        (json!({"$or": {}}), "$or"),
        (json!({"$and": 1}), "$and"),
        (json!({"a": {"$in": 1}}), "$in"),
        (json!({"a": {"$nin": {}}}), "$nin"),
        (json!({"a": {"$in": [{"$gt": 1}]}}), "$in"),
        (json!({"a": {"$all": 1}}), "$all"),
        (json!({"a": {"$all": [{"$gt": 1}]}}), "$all"),
        (json!({"a": {"$between": [1]}}), "$between"),
        (json!({"a": {"$between": 1}}), "$between"),
        (json!({"a": {"$contains": 1}}), "$contains"),
        (json!({"a": {"$startsWith": null}}), "$startsWith"),
        (json!({"a": {"$endsWith": ["a"]}}), "$endsWith"),
        (json!({"a": {"$exists": 1}}), "$exists"),
        (json!({"a": {"$not": 5}}), "$not"),
        (json!({"a": {"$not": {}}}), "$not"),
        (json!({"a": {"$not": {"$foo": 1}}}), "$foo"),
        (json!({"a": {"$regex": 5}}), "$regex"),
        (json!({"a": {"$regex": "("}}), "$regex"),
        (json!({"a": {"$regex": "a", "$options": "q"}}), "$options"),
        (json!({"a": {"$options": "i"}}), "$options"),
        (json!({"a": {"$elemMatch": 1}}), "$elemMatch"),
        (json!({"a": {"$elemMatch": {"$gt": 1, "b": 1}}}), "$elemMatch"),
        (json!({"a": {"$size": -1}}), "$size"),
        (json!({"a": {"$size": 1.5}}), "$size"),
        (json!({"a": {"$type": "date"}}), "$type"),
        (json!({"a": {"$type": []}}), "$type"),
        (json!({"a": {"$mod": [0, 1]}}), "$mod"),
        (json!({"a": {"$mod": [1]}}), "$mod"),
        (json!({"a": {"$mod": ["1", 0]}}), "$mod"),
    ] {
        let error = Filter::parse(&filter).unwrap_err();
        assert_eq!(error.code().as_str(), "VALIDATION_ERROR", "{filter}");
        assert_eq!(error.detail("operator"), Some(&json!(operator)), "{filter}");
        assert!(error.message().contains(operator), "{filter}");
    }
    for filter in
        [json!(1), json!([]), json!(null), json!({"a..b": 1}), json!({"a": {"$gt": 1, "b": 2}})]
    {
        assert_eq!(
            Filter::parse(&filter).unwrap_err().code().as_str(),
            "VALIDATION_ERROR",
            "{filter}"
        );
    }
}

#[test]
fn g10_filters_have_a_largest_depth_and_size() {
    let nested =
        |depth: usize| (1..depth).fold(json!({"a": 1}), |inner, _| json!({ "$and": [inner] }));
    assert!(Filter::parse(&nested(32)).is_ok());
    let negated = (0..40).fold(json!({"$eq": 1}), |inner, _| json!({ "$not": inner }));
    let element = (0..40).fold(json!({"b": 1}), |inner, _| json!({"a": {"$elemMatch": inner}}));
    let wide: Value = (0..1001).map(|n| (format!("f{n}"), json!(1))).collect();
    let empty = vec![json!({}); 1001];
    for (filter, limit) in [
        (nested(33), "filterDepth"),
        (json!({ "a": negated }), "filterDepth"),
        (element, "filterDepth"),
        (wide, "filterConditions"),
        (json!({ "$or": empty }), "filterConditions"),
        (json!({"a": {"$in": vec![1; 10_001]}}), "filterListValues"),
    ] {
        let error = Filter::parse(&filter).unwrap_err();
        assert_eq!(error.code().as_str(), "LIMIT_EXCEEDED");
        assert_eq!(error.detail("limit"), Some(&json!(limit)));
    }
    assert!(Filter::parse(&json!({"a": {"$in": vec![1; 10_000]}})).is_ok());
}
