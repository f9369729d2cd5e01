//! A read through whatever plan gives the same answer as looking at every row:
//! random records, indexes, filters, sorts and limits, over committed rows and
//! with own writes pending, whole, page by page and as a stream.

#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod support;

use serde_json::{Map, Value, json};
use support::{Seeded, Store, commit, ids, naive};
use tandem_base::Code;
use tandem_query::{
    After, Function, Hint, Query, Stream, aggregate, count, explain, keys_inner, last, rows, run,
};
use tandem_record::filter::Filter;
use tandem_record::row::Row;
use tandem_record::value::Path;
use tandem_transaction::Transaction;

const ROUNDS: u64 = 150;
const QUERIES: usize = 40;

#[test]
fn g3_every_plan_gives_the_answer_of_a_scan() {
    let (from, to) = match std::env::var("SEED") {
        Ok(seed) => (seed.parse().unwrap(), seed.parse::<u64>().unwrap() + 1),
        Err(_) => (0, ROUNDS),
    };
    let mut accesses = std::collections::BTreeMap::<String, u32>::new();
    for seed in from..to {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut used = Vec::new();
            round(seed, &mut used);
            used
        }));
        match result {
            Ok(used) => used.into_iter().for_each(|plan| *accesses.entry(plan).or_default() += 1),
            Err(panic) => {
                eprintln!("run again with SEED={seed}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    if to - from == ROUNDS {
        for access in ["primaryKey", "keyRange", "index", "insertionOrder", "scan"] {
            assert!(accesses.keys().any(|key| key.starts_with(access)), "{access} never ran");
        }
        for sort in ["natural", "index", "indexGroups", "memory"] {
            assert!(accesses.keys().any(|key| key.ends_with(sort)), "{sort} never ran");
        }
    }
}

fn round(seed: u64, used: &mut Vec<String>) {
    let random = &mut Seeded::new(seed);
    let store = if random.chance(50) { Store::new() } else { Store::keeping(0) };
    let store = store.and_bucket(&random_bucket(random));
    for _ in 0..3 {
        let mut tx = store.begin();
        for _ in 0..random.below(25) {
            random_write(&store, &mut tx, random);
        }
        if random.chance(80) {
            commit(tx);
        }
    }
    let mut tx = store.begin();
    for _ in 0..QUERIES / 2 {
        check_query(&store, &mut tx, random, used);
    }
    for _ in 0..random.below(20) {
        random_write(&store, &mut tx, random);
    }
    for _ in 0..QUERIES / 2 {
        check_query(&store, &mut tx, random, used);
    }
}

fn random_bucket(random: &mut Seeded) -> Value {
    let pool = [
        json!("a"),
        json!("b"),
        json!("k"),
        json!("s"),
        json!({"fields": ["-a"]}),
        json!({"fields": ["-k"]}),
        json!({"fields": ["o.x"]}),
        json!({"fields": ["l.v"], "name": "l_whole"}),
        json!({"fields": ["l.v"], "multi": true, "name": "l_multi"}),
        json!({"fields": ["t"], "multi": true, "name": "t_multi"}),
        json!({"fields": ["t"], "name": "t_whole"}),
        json!({"fields": ["k", "t"], "multi": true, "name": "k_t_multi"}),
        json!({"fields": ["t", "-b"], "multi": true, "name": "t_b_multi"}),
        json!({"fields": ["k", "s"]}),
        json!({"fields": ["s", "-k"]}),
        json!({"fields": ["a", "b"]}),
        json!({"fields": ["-a", "k", "b"]}),
        json!({"fields": ["u"], "unique": true}),
        json!({"fields": ["u", "s"], "unique": true, "name": "u_s_unique"}),
        json!({"fields": ["k"], "filter": {"s": "x"}, "name": "k_partial"}),
        json!({"fields": ["b"], "filter": {"k": {"$gt": 2}}, "name": "b_partial"}),
        json!({"fields": ["s"], "filter": {"a": {"$exists": true}}, "name": "s_partial"}),
    ];
    let mut indexes: Vec<Value> = Vec::new();
    for _ in 0..random.below(7) {
        let index = random.pick(&pool);
        if !indexes.contains(index) {
            indexes.push(index.clone());
        }
    }
    let kind = *random.pick(&["set", "set", "ordered_set"]);
    json!({
        "key": "id", "etsType": kind, "indexes": indexes,
        "schema": {
            "id": {}, "a": {}, "b": {}, "t": {}, "o": {}, "l": {}, "u": {},
            "k": {"type": "number"}, "s": {"type": "string"},
        },
    })
}

fn random_scalar(random: &mut Seeded) -> Value {
    match random.below(12) {
        0 => json!(null),
        1 => json!(random.chance(50)),
        2 | 3 => json!(*random.pick(&["x", "xy", "", "y", "x\u{0}z", "é"])),
        4 => json!(*random.pick(&[0.5, -1.5, 3.0, 1e300, 9_007_199_254_740_992.0])),
        5 => json!(*random.pick(&[9_007_199_254_740_993_i64, i64::MAX, -3])),
        6 => json!(u64::MAX),
        _ => json!(random.below(5)),
    }
}

fn random_value(random: &mut Seeded) -> Value {
    match random.below(10) {
        0 => json!({"x": random_scalar(random)}),
        1 | 2 => {
            let length = random.below(4);
            Value::Array((0..length).map(|_| random_scalar(random)).collect())
        }
        3 => json!([[random_scalar(random)], random_scalar(random)]),
        4 => json!([{"v": random_scalar(random)}, {"v": [random_scalar(random)]}, {}]),
        _ => random_scalar(random),
    }
}

fn random_record(random: &mut Seeded) -> Map<String, Value> {
    let mut record = Map::new();
    for field in ["a", "b", "t", "l"] {
        if random.chance(80) {
            record.insert(field.to_owned(), random_value(random));
        }
    }
    if random.chance(60) {
        let value = if random.chance(80) { json!({"x": random_value(random)}) } else { json!(1) };
        record.insert("o".to_owned(), value);
    }
    if random.chance(60) {
        let element = |random: &mut Seeded| match random.below(5) {
            0 => json!({}),
            1 => json!({"v": [random_scalar(random), random_scalar(random)]}),
            _ => json!({"v": random_scalar(random)}),
        };
        let length = random.below(4);
        let list = (0..length).map(|_| element(random)).collect();
        record.insert("l".to_owned(), Value::Array(list));
    }
    if random.chance(85) {
        let value = if random.chance(10) { json!(null) } else { json!(random.below(5)) };
        record.insert("k".to_owned(), value);
    }
    if random.chance(85) {
        record.insert("s".to_owned(), json!(*random.pick(&["x", "y", "xy", "xz", ""])));
    }
    if random.chance(70) {
        record.insert("u".to_owned(), random_scalar(random));
    }
    record
}

fn random_key(random: &mut Seeded) -> Value {
    match random.below(8) {
        0 => json!(format!("k{}", random.below(5))),
        1 => json!(random.chance(50)),
        2 => json!(1.5),
        _ => json!(random.below(30)),
    }
}

fn random_write(store: &Store, tx: &mut Transaction, random: &mut Seeded) {
    let key = random_key(random);
    let result = match random.below(10) {
        0 | 1 => store.records.delete(tx, "b", &key, None).map(drop),
        2..=4 => store.records.update(tx, "b", &key, &random_record(random), None).map(drop),
        _ => {
            let mut record = random_record(random);
            record.insert("id".to_owned(), key);
            store.records.insert(tx, "b", record).map(drop)
        }
    };
    if let Err(error) = result {
        let expected = [Code::AlreadyExists, Code::NotFound, Code::ValidationError];
        assert!(expected.contains(&error.code()), "{error:?}");
    }
}

const PATHS: [&str; 10] = ["a", "b", "t", "o.x", "l.v", "k", "s", "u", "id", "a.0"];

fn random_condition(random: &mut Seeded) -> Value {
    let scalar = |random: &mut Seeded| random_scalar(random);
    match random.below(19) {
        0 => json!({ *random.pick(&["$gt", "$gte", "$lt", "$lte"]): scalar(random) }),
        1 => json!({"$gt": random.below(3), "$lte": random.below(6)}),
        2 => json!({"$gte": "x", "$lt": "y"}),
        3 => json!({"$in": [scalar(random), scalar(random), scalar(random)]}),
        4 => json!({"$in": [random_value(random), scalar(random)]}),
        5 => json!({"$startsWith": *random.pick(&["x", "", "xy"])}),
        6 => json!({"$between": [random.below(3), 2 + random.below(3)]}),
        7 => json!({"$exists": random.chance(60)}),
        8 => json!({"$neq": scalar(random)}),
        9 => json!({"$all": [scalar(random), scalar(random)]}),
        10 => json!({"$nin": [scalar(random), 1]}),
        11 => json!({"$not": {"$gt": random.below(4)}}),
        12 => json!({"$elemMatch": {"$gt": 0, "$lt": 4}}),
        13 => json!({"$size": random.below(3)}),
        14 => random_value(random),
        15 => json!({"$gt": 1, "$lt": "y"}),
        16 => json!({"$regex": *random.pick(&["^x", "^xy?", "^x$", "^x|y", "y", "^(?i)X"])}),
        _ => scalar(random),
    }
}

fn random_filter(random: &mut Seeded) -> Value {
    let mut filter = Map::new();
    for _ in 0..random.below(4) {
        filter.insert((*random.pick(&PATHS)).to_owned(), random_condition(random));
    }
    if random.chance(15) {
        filter.insert("$or".to_owned(), json!([random_filter(random), random_filter(random)]));
    }
    if random.chance(15) {
        filter.insert("$and".to_owned(), json!([random_filter(random), random_filter(random)]));
    }
    if random.chance(25) {
        filter.insert("id".to_owned(), random_key(random));
    }
    if random.chance(15) {
        filter.insert("s".to_owned(), json!("x"));
    }
    if random.chance(15) {
        filter.insert("k".to_owned(), json!({"$gt": 2 + random.below(2)}));
    }
    Value::Object(filter)
}

fn random_sort(random: &mut Seeded) -> Value {
    let count = if random.chance(35) { 0 } else { 1 + random.below(2) };
    let sort = (0..count).map(|_| {
        let path = *random.pick(&["a", "b", "k", "s", "u", "id", "o.x", "t", "k", "s", "_version"]);
        let direction = if random.chance(50) { json!("asc") } else { json!(-1) };
        (path.to_owned(), direction)
    });
    Value::Object(sort.collect())
}

fn texts(rows: &[Row]) -> Vec<String> {
    rows.iter().map(|row| format!("{row:?}")).collect()
}

fn check_query(store: &Store, tx: &mut Transaction, random: &mut Seeded, used: &mut Vec<String>) {
    let (filter_json, sort_json) = (random_filter(random), random_sort(random));
    let filter = Filter::parse(&filter_json).unwrap();
    let mut query = Query::new("b").filter(filter.clone()).sort_json(&sort_json).unwrap();
    if random.chance(75) {
        let catalog = store.records.catalog(tx).unwrap();
        let indexes = &catalog.bucket("b").unwrap().indexes;
        if !indexes.is_empty() {
            query = query.hint(Hint::Index(random.pick(indexes).name.clone()));
        }
    }
    let all = naive(store, tx, Some(&filter), &query.sort);
    if random.chance(70) {
        query = query.limit(1 + random.below(12));
    }
    if random.chance(30) {
        query = query.offset(random.below(5));
    }
    let explained = explain(&store.records, tx, &query).unwrap();
    let context = format!("{filter_json} sort {sort_json} {query:?}\n{explained}");
    used.push(format!(
        "{} {}",
        explained["access"].as_str().unwrap(),
        explained["sort"].as_str().unwrap()
    ));

    let expected: Vec<Row> =
        all.iter().skip(query.offset).take(query.limit.unwrap_or(usize::MAX)).cloned().collect();
    let answered = rows(&store.records, tx, &query).unwrap();
    assert_eq!(texts(&answered), texts(&expected), "{context}");
    assert_eq!(keys_inner(&store.records, tx, &query).unwrap().len(), expected.len(), "{context}");

    let scanned = rows(&store.records, tx, &Query { hint: Some(Hint::Scan), ..query.clone() });
    assert_eq!(texts(&scanned.unwrap()), texts(&expected), "by scan: {context}");

    let page = run(&store.records, tx, &query).unwrap();
    assert_eq!(texts(&page.rows), texts(&expected), "{context}");
    let has_more = query.limit.is_some_and(|limit| all.len() > query.offset + limit);
    assert_eq!(page.has_more, has_more, "{context}");

    let counted = count(&store.records, tx, "b", Some(&filter)).unwrap();
    assert_eq!(counted, all.len() as u64, "{context}");

    let n = 1 + random.below(6);
    let end = last(&store.records, tx, &query, n).unwrap();
    assert_eq!(texts(&end), texts(&all[all.len().saturating_sub(n)..]), "{context}");

    let sum = aggregate(
        &store.records,
        tx,
        "b",
        Function::Sum,
        Some(&Path::parse("k").unwrap()),
        Some(&filter),
    );
    let expected_sum: u64 =
        all.iter().filter_map(|row| row.field("k").and_then(|value| value.as_u64())).sum();
    assert_eq!(sum.unwrap(), json!(expected_sum), "{context}");

    paged_and_streamed(store, tx, random, &query, &all, &context);
}

fn paged_and_streamed(
    store: &Store,
    tx: &mut Transaction,
    random: &mut Seeded,
    query: &Query,
    all: &[Row],
    context: &str,
) {
    let mut page_query = Query { offset: 0, limit: Some(1 + random.below(5)), ..query.clone() };
    let mut paged = Vec::new();
    loop {
        let page = run(&store.records, tx, &page_query).unwrap();
        paged.extend(page.rows);
        match page.next_cursor {
            Some(cursor) if page.has_more => {
                let after = match random.below(3) {
                    0 => After::Cursor(cursor),
                    1 => After::Text(json!(cursor.to_string())),
                    _ => After::Text(paged.last().unwrap().field("id").unwrap()),
                };
                page_query = page_query.after(after);
            }
            _ => break,
        }
    }
    assert_eq!(ids(&paged), ids(all), "paged: {context}");

    let mut stream = Stream::new(query.clone());
    let mut streamed = Vec::new();
    loop {
        let chunk = stream.next_chunk(&store.records, tx, 1 + random.below(4)).unwrap();
        if chunk.is_empty() {
            break;
        }
        streamed.extend(chunk);
    }
    let expected: Vec<Row> =
        all.iter().skip(query.offset).take(query.limit.unwrap_or(usize::MAX)).cloned().collect();
    assert_eq!(ids(&streamed), ids(&expected), "streamed: {context}");
}
