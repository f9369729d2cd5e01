use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

use crate::value::ValueRef;

/// Compares two values in the order of the module's head. Cost: the common
/// part of the two.
#[must_use]
pub fn compare(a: &Value, b: &Value) -> Ordering {
    compare_refs(a.into(), b.into())
}

/// Whether two values are the same: `1` and `1.0` are, objects with their
/// fields in another order are not.
#[must_use]
pub fn equal(a: &Value, b: &Value) -> bool {
    compare(a, b).is_eq()
}

/// As [`compare`], for borrowed values.
#[must_use]
pub fn compare_refs(a: ValueRef<'_>, b: ValueRef<'_>) -> Ordering {
    match (a, b) {
        (ValueRef::Number(a), ValueRef::Number(b)) => compare_numbers(a, b),
        (ValueRef::String(a), ValueRef::String(b)) => a.cmp(b),
        (ValueRef::Object(a), ValueRef::Object(b)) => compare_objects(a, b),
        (ValueRef::Array(a), ValueRef::Array(b)) => {
            let differing = a.iter().zip(b).map(|(a, b)| compare(a, b)).find(|order| order.is_ne());
            differing.unwrap_or_else(|| a.len().cmp(&b.len()))
        }
        (ValueRef::Bool(a), ValueRef::Bool(b)) => a.cmp(&b),
        _ => a.kind().cmp(&b.kind()),
    }
}

fn compare_objects(a: &Map<String, Value>, b: &Map<String, Value>) -> Ordering {
    let differing = a
        .iter()
        .zip(b)
        .map(|((name, value), (other_name, other))| {
            let (value, other) = (ValueRef::from(value), ValueRef::from(other));
            value
                .kind()
                .cmp(&other.kind())
                .then_with(|| name.cmp(other_name))
                .then_with(|| compare_refs(value, other))
        })
        .find(|order| order.is_ne());
    differing.unwrap_or_else(|| a.len().cmp(&b.len()))
}

/// Compares two numbers by their exact values.
#[must_use]
pub fn compare_numbers(a: &Number, b: &Number) -> Ordering {
    match (integer(a), integer(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        (Some(a), None) => compare_with_float(a, float(b)),
        (None, Some(b)) => compare_with_float(b, float(a)).reverse(),
        (None, None) => float(a).partial_cmp(&float(b)).unwrap_or(Ordering::Equal),
    }
}

fn integer(number: &Number) -> Option<i128> {
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
}

fn float(number: &Number) -> f64 {
    number.as_f64().unwrap_or(0.0)
}

fn compare_with_float(integer: i128, float: f64) -> Ordering {
    const TWO_POW_64: f64 = 18_446_744_073_709_551_616.0;
    if float >= TWO_POW_64 {
        Ordering::Less
    } else if float <= -TWO_POW_64 {
        Ordering::Greater
    } else {
        #[expect(clippy::cast_possible_truncation, reason = "in range; the fraction comes next")]
        let whole = float.trunc() as i128;
        integer
            .cmp(&whole)
            .then_with(|| 0.0_f64.partial_cmp(&float.fract()).unwrap_or(Ordering::Equal))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_of_all_types_stand_in_the_documented_order() {
        let ascending = [
            json!(null),
            json!(-1e300),
            json!(i64::MIN),
            json!(-1.5),
            json!(-1),
            json!(0),
            json!(5e-324),
            json!(1),
            json!(1.5),
            json!(9_007_199_254_740_992.0),
            json!(9_007_199_254_740_993_i64),
            json!(i64::MAX),
            json!(u64::MAX),
            json!(18_446_744_073_709_551_616.0),
            json!(1e300),
            json!(""),
            json!("A"),
            json!("a"),
            json!("a\u{0}"),
            json!("aa"),
            json!("\u{ffff}"),
            json!("\u{10000}"),
            json!({}),
            json!({"b": null}),
            json!({"a": 1}),
            json!({"a": 1, "b": null}),
            json!({"a": 2}),
            json!({"b": 1}),
            json!({"a": "x"}),
            json!({"a": false}),
            json!({"b": false}),
            json!({"b": true}),
            json!([]),
            json!([null]),
            json!([1]),
            json!([1, 2]),
            json!([2]),
            json!(["a"]),
            json!([[]]),
            json!(false),
            json!(true),
        ];
        for (i, a) in ascending.iter().enumerate() {
            for (j, b) in ascending.iter().enumerate() {
                assert_eq!(compare(a, b), i.cmp(&j), "{a} and {b}");
            }
        }
    }

    #[test]
    fn equal_numbers_are_equal_however_they_are_written() {
        for (a, b) in [
            (json!(1), json!(1.0)),
            (json!(0), json!(-0.0)),
            (json!(-0.0), json!(0.0)),
            (json!(9_007_199_254_740_992_i64), json!(9_007_199_254_740_992.0)),
            (json!({"a": [1]}), json!({"a": [1.0]})),
        ] {
            assert!(equal(&a, &b), "{a} and {b}");
        }
        assert!(!equal(&json!({"a": 1, "b": 2}), &json!({"b": 2, "a": 1})));
    }
}
