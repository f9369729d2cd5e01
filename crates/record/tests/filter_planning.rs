//! What a planner learns from a filter: its conjuncts, and what it implies.

mod common;

use common::{cases, numbers, records, values};
use proptest::prelude::*;
use serde_json::{Value, json};
use tandem_record::filter::Constraint;
use tandem_record::key::{encode_ascending, encode_key};
use tandem_record::value::compare;
use tandem_record::{Filter, Metadata, Position, Row};

fn parse(filter: &Value) -> Filter {
    Filter::parse(filter).unwrap_or_else(|error| panic!("{filter}: {error:?}"))
}

#[test]
fn conjuncts_are_the_conditions_of_which_each_must_hold() {
    let filter = parse(&json!({
        "a": 1, "b": null, "c": {"$gt": 1, "$lte": 5}, "d": {"$between": ["a", "b"]},
        "$and": [{"e": {"$in": [2, 1, 2]}}, {"$or": [{"f": {"$startsWith": "x"}}]}],
        "$or": [{"g": 1}, {"h": 1}], "$nor": [{"i": 1}],
        "j": {"$exists": false}, "k": {"$all": [1, 2]}, "l": {"$ne": 1}, "m.n": {"$exists": true},
    }));
    let shown: Vec<_> = filter
        .conjuncts()
        .iter()
        .map(|conjunct| {
            let constraint = match conjunct.constraint {
                Constraint::Equal(value) => format!("= {value}"),
                Constraint::In(values) => format!("in {}", json!(values)),
                Constraint::Range { lower, upper } => {
                    let lower = lower.map(|bound| format!("{} {}", bound.value, bound.inclusive));
                    let upper = upper.map(|bound| format!("{} {}", bound.value, bound.inclusive));
                    format!("{lower:?} to {upper:?}")
                }
                Constraint::Prefix(prefix) => format!("{prefix}…"),
                Constraint::IsNull => "is null".to_owned(),
                Constraint::Other => "other".to_owned(),
            };
            format!("{} {constraint}", conjunct.path)
        })
        .collect();
    assert_eq!(
        shown,
        [
            "a = 1",
            "b is null",
            r#"c Some("1 false") to None"#,
            r#"c None to Some("5 true")"#,
            r#"d Some("\"a\" true") to Some("\"b\" true")"#,
            "e in [1,2]",
            "f x…",
            "j is null",
            "k = 1",
            "k = 2",
            "l other",
            "m.n other",
        ]
    );
}

#[test]
fn a_filter_implies_what_its_form_says() {
    for (filter, other, expected) in [
        (json!({"a": 1}), json!({}), true),
        (json!({}), json!({"a": 1}), false),
        (json!({"a": 1, "b": 2}), json!({"b": 2}), true),
        (json!({"a": 1}), json!({"a": 1.0}), true),
        (json!({"a": 1}), json!({"a": {"$gte": 1}}), true),
        (json!({"a": 1}), json!({"a": {"$gt": 1}}), false),
        (json!({"a": 1}), json!({"a": {"$exists": true}}), true),
        (json!({"a": null}), json!({"a": {"$exists": true}}), false),
        (json!({"a": null}), json!({"a": {"$in": [1, null]}}), true),
        (json!({"a": {"$in": [1, 2]}}), json!({"a": {"$lt": 3}}), true),
        (json!({"a": {"$in": [1, "x"]}}), json!({"a": {"$lt": 3}}), false),
        (json!({"a": {"$in": [1, 2]}}), json!({"a": {"$in": [3, 2, 1]}}), true),
        (json!({"a": {"$gt": 5}}), json!({"a": {"$gte": 5}}), true),
        (json!({"a": {"$gte": 5}}), json!({"a": {"$gt": 5}}), false),
        (json!({"a": {"$gt": 5}}), json!({"a": {"$gt": "5"}}), false),
        (json!({"a": {"$between": [2, 3]}}), json!({"a": {"$gte": 1}}), true),
        (json!({"a": {"$between": [2, 3]}}), json!({"a": {"$between": [1, 4]}}), true),
        (json!({"a": {"$between": [2, 5]}}), json!({"a": {"$between": [1, 4]}}), false),
        // By two elements of an array, perhaps.
        (json!({"a": {"$gte": 2, "$lte": 3}}), json!({"a": {"$between": [2, 3]}}), false),
        (json!({"a": {"$gt": 5}}), json!({"a": {"$exists": true}}), true),
        (json!({"a": {"$gte": null}}), json!({"a": {"$exists": true}}), false),
        (json!({"a": {"$startsWith": "abc"}}), json!({"a": {"$startsWith": "ab"}}), true),
        (json!({"a": {"$startsWith": "a"}}), json!({"a": {"$startsWith": "ab"}}), false),
        (json!({"a": "abc"}), json!({"a": {"$regex": "b"}}), true),
        (json!({"a": {"$ne": 1}}), json!({"a": {"$ne": 1}}), true),
        (json!({"a": {"$ne": 1}}), json!({"a": {"$ne": 2}}), false),
        (json!({"a": {"$nin": [1, 2]}}), json!({"a": {"$ne": 2}}), true),
        (json!({"a": 1}), json!({"a": {"$ne": 2}}), false),
        (json!({"a": 1}), json!({"$or": [{"a": 1}, {"b": 1}]}), true),
        (json!({"$or": [{"a": 1}, {"a": 2}]}), json!({"a": {"$gt": 0}}), true),
        (json!({"$or": [{"a": 1}, {"b": 2}]}), json!({"a": {"$gt": 0}}), false),
        (json!({"$or": [{"a": 1}, {"b": 2}]}), json!({"$or": [{"b": 2}, {"a": 1}]}), true),
        (json!({"$nor": [{"a": 1}]}), json!({"$nor": [{"a": 1}]}), true),
        (json!({"a": {"$not": {"$ne": 1, "$neq": 2}}}), json!({"a": {"$not": {"$ne": 2}}}), false),
        (
            json!({"a": {"$elemMatch": {"b": {"x": 1, "y": 2}}}}),
            json!({"a": {"$elemMatch": {"b": {"y": 2, "x": 1}}}}),
            false,
        ),
        (json!({"a": {"$size": 2}}), json!({"a": {"$size": 2}}), true),
        (json!({"a.b": 1}), json!({"a": 1}), false),
    ] {
        assert_eq!(parse(&filter).implies(&parse(&other)), expected, "{filter} implies {other}");
    }
}

fn operators() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        (prop::sample::select(vec!["$eq", "$ne", "$gt", "$gte", "$lt", "$lte"]), plain())
            .prop_map(|(operator, operand)| json!({ operator: operand })),
        (prop::sample::select(vec!["$in", "$nin"]), prop::collection::vec(plain(), 0..4))
            .prop_map(|(operator, operand)| json!({ operator: operand })),
        (plain(), plain()).prop_map(|(lower, upper)| json!({"$between": [lower, upper]})),
        any::<bool>().prop_map(|exists| json!({ "$exists": exists })),
        (
            prop::sample::select(vec!["$startsWith", "$endsWith", "$contains", "$regex"]),
            prop::sample::select(vec!["", "a", "A", "b"])
        )
            .prop_map(|(operator, operand)| json!({ operator: operand })),
        (0..3).prop_map(|size| json!({ "$size": size })),
        prop::sample::select(vec!["string", "int", "array", "null", "object"])
            .prop_map(|name| json!({ "$type": name })),
        prop::collection::vec(plain(), 0..3).prop_map(|all| json!({ "$all": all })),
    ];
    leaf.prop_recursive(2, 4, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|operators| json!({ "$not": operators })),
            inner.clone().prop_map(|operators| json!({ "$elemMatch": operators })),
            inner.prop_map(|operators| json!({"$elemMatch": {"a": operators}})),
        ]
    })
}

/// Operands that records often have.
fn plain() -> impl Strategy<Value = Value> {
    prop_oneof![
        2 => prop::sample::select(vec![json!(null), json!(0), json!(1), json!(-1), json!("a"), json!(true), json!([]), json!([1])]),
        1 => numbers(),
        1 => values().prop_filter("operators", |value| !value.to_string().contains("\"$")),
    ]
}

fn paths() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "0", "1"]), 1..4)
        .prop_map(|names| names.join("."))
}

fn filters() -> impl Strategy<Value = Value> {
    let leaf = prop::collection::vec((paths(), operators()), 0..3)
        .prop_map(|fields| fields.into_iter().collect::<Value>())
        .prop_map(|filter| if filter.is_object() { filter } else { json!({}) });
    leaf.prop_recursive(2, 6, 3, |inner| {
        (prop::sample::select(vec!["$and", "$or", "$nor"]), prop::collection::vec(inner, 0..3))
            .prop_map(|(operator, filters)| json!({ operator: filters }))
    })
}

const METADATA: Metadata = Metadata {
    version: 1,
    created_at: 0,
    updated_at: 0,
    position: Position { revision: 0, ordinal: 0 },
};

proptest! {
    #![proptest_config(cases(3000))]

    #[test]
    fn a_row_matches_when_its_value_does(filter in filters(), record in records()) {
        let filter = parse(&filter);
        let row = Row::encode(&record, METADATA).unwrap();
        let expected = filter.matches_value(&Value::Object(record));
        prop_assert_eq!(filter.matches(&row), expected);
        let respelled = parse(&filter.to_json());
        prop_assert_eq!(respelled.matches(&row), expected);
        prop_assert_eq!(respelled.to_json(), filter.to_json());
    }

    #[test]
    fn what_is_implied_holds(
        path in paths(), one in operators(), other in operators(),
        records in prop::collection::vec(records(), 8),
    ) {
        let (one, other) = (parse(&json!({ &path: one })), parse(&json!({ &path: other })));
        prop_assert!(one.implies(&one), "{} implies itself", one);
        if one.implies(&other) {
            for record in records {
                let record = Value::Object(record);
                prop_assert!(
                    !one.matches_value(&record) || other.matches_value(&record),
                    "{one} implies {other}, but not for {record}"
                );
            }
        }
    }

    /// What makes an index usable: a record that matches is found under the
    /// constraint by the value that the index sees, or by one of its elements,
    /// or among the arrays.
    #[test]
    fn g3_a_matching_record_is_where_its_conjuncts_look(filter in filters(), record in records()) {
        let filter = parse(&filter);
        if !filter.matches_value(&Value::Object(record.clone())) {
            return Ok(());
        }
        for conjunct in filter.conjuncts() {
            let value = conjunct.path.collect(&record).unwrap_or(Value::Null);
            let is_element = |test: &dyn Fn(&Value) -> bool| match &value {
                Value::Array(elements) => elements.iter().any(test),
                value => test(value),
            };
            let takes_arrays = |operand: &Value| operand.is_array();
            let found = match conjunct.constraint {
                Constraint::Equal(operand) => {
                    takes_arrays(operand) || is_element(&|value| compare(value, operand).is_eq())
                }
                Constraint::In(operands) => operands.iter().any(|operand| {
                    takes_arrays(operand) || is_element(&|value| compare(value, operand).is_eq())
                }),
                Constraint::Range { lower, upper } => {
                    lower.or(upper).is_some_and(|bound| takes_arrays(&bound.value))
                        || is_element(&|value| {
                            lower.is_none_or(|bound| compare(value, &bound.value).is_ge())
                                && upper.is_none_or(|bound| compare(value, &bound.value).is_le())
                        })
                }
                Constraint::Prefix(prefix) => {
                    is_element(&|value| value.as_str().is_some_and(|text| text.starts_with(prefix)))
                }
                Constraint::IsNull => is_element(&Value::is_null),
                Constraint::Other => true,
            };
            prop_assert!(found, "{} of {filter} in {value}", conjunct.path);
        }
    }
}

#[test]
fn a_prefix_is_a_range_of_encoded_keys() {
    let mut prefix = encode_key(&json!("ab")).unwrap();
    prefix.truncate(prefix.len() - 2);
    for (text, expected) in
        [("ab", true), ("ab\0", true), ("abz", true), ("a", false), ("b", false)]
    {
        let mut bytes = Vec::new();
        encode_ascending(&json!(text), &mut bytes);
        assert_eq!(bytes.starts_with(&prefix), expected, "{text:?}");
    }
}
