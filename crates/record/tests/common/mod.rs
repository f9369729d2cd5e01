//! What several tests use: arbitrary JSON values that often meet.

#![allow(dead_code, reason = "each test uses its part")]

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use serde_json::{Map, Number, Value};

/// So many cases, the same in every run; `PROPTEST_RNG_SEED=n` draws others.
pub fn cases(count: u32) -> ProptestConfig {
    let config = ProptestConfig::with_cases(count);
    match config.rng_seed {
        RngSeed::Random => ProptestConfig { rng_seed: RngSeed::Fixed(1), ..config },
        RngSeed::Fixed(_) => config,
    }
}

/// Numbers around every edge, often equal to each other.
pub fn numbers() -> impl Strategy<Value = Value> {
    const EDGES: [i128; 12] = [
        0,
        1,
        -1,
        1 << 31,
        1 << 52,
        1 << 53,
        -(1 << 53),
        1 << 62,
        (1 << 63) - 1,
        -(1 << 63),
        1 << 63,
        (1 << 64) - 1,
    ];
    let near_edges = (0..EDGES.len(), -3_i128..=3).prop_map(|(edge, distance)| {
        let number = EDGES[edge] + distance;
        i64::try_from(number)
            .map(Number::from)
            .or_else(|_| u64::try_from(number).map(Number::from))
            .map_or_else(|_| Value::from(number as f64), Value::Number)
    });
    prop_oneof![
        4 => near_edges.clone(),
        2 => near_edges.prop_map(|number| Value::from(number.as_f64().unwrap_or(0.0))),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<u64>().prop_map(Value::from),
        1 => prop::num::f64::NORMAL.prop_map(Value::from),
        1 => prop::num::f64::SUBNORMAL.prop_map(Value::from),
        1 => prop_oneof![Just(-0.0), Just(1.5), Just(-1.5), Just(f64::MAX)].prop_map(Value::from),
    ]
}

/// Short strings with zero bytes, quotes and several planes.
pub fn texts() -> impl Strategy<Value = String> {
    let characters = prop::sample::select(vec![
        '\0',
        '\u{1}',
        'a',
        'b',
        'A',
        '"',
        '\\',
        '\n',
        'é',
        '\u{ffff}',
        '\u{10000}',
        '😀',
        '\u{ff}',
    ]);
    prop::collection::vec(characters, 0..4).prop_map(|characters| characters.into_iter().collect())
}

/// Field names that often coincide.
pub fn names() -> impl Strategy<Value = String> {
    prop_oneof![4 => prop::sample::select(vec!["a", "b", "c", "0", "1"]).prop_map(str::to_owned), 1 => texts()]
}

/// Any value, a few levels deep.
pub fn values() -> impl Strategy<Value = Value> {
    let leaves = prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::Bool),
        3 => numbers(),
        2 => texts().prop_map(Value::String),
    ];
    leaves.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            records_of(inner).prop_map(Value::Object),
        ]
    })
}

/// Records: objects of any values.
pub fn records() -> impl Strategy<Value = Map<String, Value>> {
    records_of(values())
}

fn records_of(values: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::vec((names(), values), 0..4).prop_map(|fields| fields.into_iter().collect())
}
