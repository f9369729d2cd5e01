//! Under serializable, a read conflicts with what could have changed its
//! answer, by whatever access path it was served, and with nothing else.

#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod support;

use serde_json::{Value, json};
use support::{Store, commit, fields};
use tandem_query::{Hint, Query, count, explain, find_one, rows};
use tandem_transaction::{CommitOptions, Transaction};

/// How many bytes of rows a store keeps at hand: none, so that rows are read ahead of
/// their turn, or all.
const KEPT: [usize; 2] = [0, 1 << 20];

fn store(kept: usize) -> Store {
    let store = Store::keeping(kept).and_bucket(&json!({
        "key": "id",
        "schema": {"id": {}, "email": {"type": "string", "unique": true}, "n": {"type": "number"},
                   "m": {"type": "number"}, "tags": {}, "free": {}},
        "indexes": ["n", {"fields": ["m", "n"]}, {"fields": ["tags"], "multi": true}],
    }));
    let records: Vec<Value> = (0..100)
        .map(|n| {
            json!({"id": n, "email": format!("{n}@x"), "n": n, "m": n / 10, "tags": [n, n + 1],
                   "free": n})
        })
        .collect();
    store.insert_all(&records);
    store
}

/// Whether a transaction that does `read` (and a write elsewhere) can commit
/// although `write` was committed after its begin.
fn survives(
    read: impl FnOnce(&Store, &mut Transaction),
    write: impl FnOnce(&Store, &mut Transaction),
) -> bool {
    survives_in(&store(0), read, write)
}

fn survives_in(
    store: &Store,
    read: impl FnOnce(&Store, &mut Transaction),
    write: impl FnOnce(&Store, &mut Transaction),
) -> bool {
    let mut reader = store.begin();
    read(store, &mut reader);
    store.records.insert(&mut reader, "b", fields(&json!({"id": "own", "n": 5_000}))).unwrap();
    let mut writer = store.begin();
    write(store, &mut writer);
    commit(writer);
    reader.commit(CommitOptions::default()).is_ok()
}

fn insert(record: Value) -> impl FnOnce(&Store, &mut Transaction) {
    move |store, tx| drop(store.records.insert(tx, "b", fields(&record)).unwrap())
}

fn update(key: Value, changes: Value) -> impl FnOnce(&Store, &mut Transaction) {
    move |store, tx| drop(store.records.update(tx, "b", &key, &fields(&changes), None).unwrap())
}

fn read(
    filter: Value,
    limit: usize,
    access: &'static str,
) -> impl FnOnce(&Store, &mut Transaction) {
    move |store, tx| {
        let query = Query::new("b").filter_json(&filter).unwrap().limit(limit);
        let mut other = store.begin();
        let plan = explain(&store.records, &mut other, &query).unwrap();
        assert_eq!(plan.get("index").unwrap_or(&plan["access"]), access, "{plan}");
        rows(&store.records, tx, &query).unwrap();
    }
}

#[test]
fn g4_a_phantom_conflicts_through_every_access_path() {
    let phantom =
        || json!({"id": 1_000, "email": "new@x", "n": 50, "m": 5, "tags": [50], "free": 50});
    for (filter, access) in [
        (json!({"n": {"$gte": 50, "$lte": 52}}), "n"),
        (json!({"m": 5, "n": {"$gt": 48}}), "m_n"),
        (json!({"email": "new@x"}), "email"),
        (json!({"tags": 50}), "tags"),
        (json!({"free": 50}), "scan"),
        (json!({"id": {"$gt": 900}}), "keyRange"),
        (json!({"id": 1_000}), "primaryKey"),
    ] {
        assert!(!survives(read(filter.clone(), 0, access), insert(phantom())), "{filter}");
    }
    let counts = |store: &Store, tx: &mut Transaction| {
        count(&store.records, tx, "b", None).unwrap();
    };
    assert!(!survives(counts, insert(phantom())));
}

#[test]
fn g4_what_an_indexed_read_did_not_look_at_does_not_conflict() {
    let elsewhere =
        || json!({"id": 1_000, "email": "new@x", "n": 70, "m": 7, "tags": [70], "free": 1});
    for (filter, access) in [
        (json!({"n": {"$gte": 50, "$lte": 52}}), "n"),
        (json!({"m": 5, "n": {"$gt": 48}}), "m_n"),
        (json!({"email": "other@x"}), "email"),
        (json!({"tags": 50}), "tags"),
        (json!({"id": {"$lt": 3}}), "keyRange"),
        (json!({"id": 3}), "primaryKey"),
    ] {
        assert!(survives(read(filter.clone(), 0, access), insert(elsewhere())), "{filter}");
    }
    let only_other_row = update(json!(90), json!({"free": 0}));
    assert!(survives(read(json!({"n": {"$lt": 3}}), 0, "n"), only_other_row));
}

/// Histories found it: of the first transactions of a store, more conflicted than
/// had to, because in an empty bucket a scan costs less than a look into an index.
#[test]
fn g4_what_an_indexed_read_did_not_look_at_does_not_conflict_in_an_empty_bucket_either() {
    let filters = [
        json!({"n": 1}),
        json!({"id": {"$in": [1, 2]}}),
        json!({"tags": 7}),
        json!({"m": 4, "n": {"$gte": 2}}),
        json!({"id": {"$gte": 1, "$lt": 3}}),
    ];
    for filter in filters {
        let store = Store::with_bucket(&json!({
            "key": "id",
            "schema": {"id": {}, "n": {"type": "number"}, "m": {"type": "number"}, "tags": {}},
            "indexes": ["n", {"fields": ["m", "n"]}, {"fields": ["tags"], "multi": true}],
        }));
        let mut reader = store.begin();
        let query = Query::new("b").filter_json(&filter).unwrap();
        assert!(rows(&store.records, &mut reader, &query).unwrap().is_empty());
        let own = json!({"id": 10, "n": 10, "m": 10, "tags": [10]});
        store.records.insert(&mut reader, "b", fields(&own)).unwrap();
        let mut writer = store.begin();
        let other = json!({"id": 20, "n": 20, "m": 20, "tags": [20]});
        store.records.insert(&mut writer, "b", fields(&other)).unwrap();
        commit(writer);
        reader.commit(CommitOptions::default()).expect("nothing that was read has changed");
    }
}

#[test]
fn g4_a_row_found_through_an_index_conflicts_when_its_other_fields_change() {
    let found = read(json!({"n": {"$lt": 3}}), 0, "n");
    assert!(!survives(found, update(json!(1), json!({"free": "changed"}))));
}

#[test]
fn g4_a_limit_stops_reading_and_with_it_conflicting() {
    let first_ten = |store: &Store, tx: &mut Transaction| {
        assert_eq!(rows(&store.records, tx, &Query::new("b").limit(10)).unwrap().len(), 10);
    };
    assert!(survives(first_ten, insert(json!({"id": 1_000, "email": "new@x"}))));
    assert!(survives(first_ten, update(json!(50), json!({"free": 0}))));
    assert!(!survives(first_ten, update(json!(9), json!({"free": 0}))));
    let first_by_n = |store: &Store, tx: &mut Transaction| {
        let query = Query::new("b").sort_json(&json!(["n"])).unwrap();
        assert!(find_one(&store.records, tx, &query).unwrap().is_some());
    };
    assert!(survives(first_by_n, update(json!(50), json!({"free": 0}))));
    assert!(!survives(first_by_n, insert(json!({"id": 1_000, "email": "new@x", "n": -1}))));
}

/// Entries are read before their rows are, so that rows are asked for together.
#[test]
fn g4_what_is_read_ahead_is_no_more_than_would_have_been_read() {
    let page = |filter: Value, sort: &'static str, limit: usize| {
        move |store: &Store, tx: &mut Transaction| {
            let query = Query::new("b").filter_json(&filter).unwrap().limit(limit);
            let query = query.sort_json(&json!([sort])).unwrap();
            let query = Query { hint: Some(Hint::Index("n".to_owned())), ..query };
            assert_eq!(rows(&store.records, tx, &query).unwrap().len(), limit);
        }
    };
    let other = |n: f64| json!({"id": 1_000, "email": "new@x", "n": n, "free": 1});
    for kept in KEPT {
        let survives = |read: &dyn Fn(&Store, &mut Transaction), write: &dyn Fn() -> Value| {
            let write = write();
            let change = |store: &Store, tx: &mut Transaction| match write["free"] == "changed" {
                true => update(write["id"].clone(), json!({"free": "changed"}))(store, tx),
                false => insert(write.clone())(store, tx),
            };
            survives_in(&store(kept), read, change)
        };
        let change = |id: usize| move || json!({"id": id, "free": "changed"});
        for limit in [1, 2, 7, 20] {
            // That the last record has no equal is seen by the one after it.
            let forward = page(json!({}), "n", limit);
            assert!(survives(&forward, &change(limit + 1)), "{limit}");
            assert!(survives(&forward, &|| other(limit as f64 + 0.5)), "{limit}");
            assert!(!survives(&forward, &change(limit - 1)), "{limit}");
            assert!(!survives(&forward, &|| other(limit as f64 - 0.5)), "{limit}");
            let back = page(json!({}), "-n", limit);
            assert!(survives(&back, &change(98 - limit)), "{limit}");
            assert!(survives(&back, &|| other(98.5 - limit as f64)), "{limit}");
            assert!(!survives(&back, &change(100 - limit)), "{limit}");
            assert!(!survives(&back, &|| other(99.5 - limit as f64)), "{limit}");
        }
        // Of the first ten none matches.
        let some = page(json!({"free": {"$gte": 10}}), "n", 5);
        assert!(survives(&some, &change(16)) && survives(&some, &|| other(15.5)));
        assert!(!survives(&some, &change(14)) && !survives(&some, &|| other(14.5)));
    }
}
