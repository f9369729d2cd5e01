//! Cursors hold their place while others write.

#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod support;

use serde_json::{Value, json};
use support::{Seeded, Store, commit, fields, ids};
use tandem_base::Code;
use tandem_query::{After, Query, run};

fn store(kind: &str) -> Store {
    let store = Store::with_bucket(&json!({
        "key": "id", "etsType": kind, "schema": {"id": {}, "n": {"type": "number"}},
        "indexes": ["n"],
    }));
    let records: Vec<Value> = (0..20).map(|n| json!({"id": n, "n": n / 4})).collect();
    store.insert_all(&records);
    store
}

fn page_ids(store: &Store, query: &Query) -> (Vec<Value>, bool, Option<String>) {
    let page = run(&store.records, &mut store.begin(), query).unwrap();
    (ids(&page.rows), page.has_more, page.next_cursor.map(|cursor| cursor.to_string()))
}

fn after(query: &Query, text: impl Into<Value>) -> Query {
    query.clone().after(After::Text(text.into()))
}

#[test]
fn a_cursor_goes_on_behind_a_record_that_was_deleted_changed_or_inserted_meanwhile() {
    for (kind, sort) in [("set", json!(null)), ("ordered_set", json!(null)), ("set", json!(["-n"]))]
    {
        let store = store(kind);
        let query = Query::new("b").sort_json(&sort).unwrap().limit(6);
        let (first, more, cursor) = page_ids(&store, &query);
        assert!(more);
        let mut tx = store.begin();
        store.records.delete(&mut tx, "b", first.last().unwrap(), None).unwrap();
        store.records.insert(&mut tx, "b", fields(&json!({"id": 99, "n": 0}))).unwrap();
        commit(tx);
        let (second, _, cursor) = page_ids(&store, &after(&query, cursor.unwrap()));
        let (third, _, cursor) = page_ids(&store, &after(&query, cursor.unwrap()));
        let (fourth, more, _) = page_ids(&store, &after(&query, cursor.unwrap()));
        assert!(!more);
        let mut seen = [first, second, third, fourth].concat();
        seen.sort_by_key(|id| id.as_i64());
        let expected: Vec<Value> = (0..20).chain([99]).map(|n| json!(n)).collect();
        assert_eq!(seen, expected, "{kind} {sort}: everything once");
    }
}

#[test]
fn a_page_of_pending_records_is_followed_after_their_commit() {
    let store = store("set");
    let query = Query::new("b").limit(22);
    let mut tx = store.begin();
    for id in 20..25 {
        store.records.insert(&mut tx, "b", fields(&json!({"id": id}))).unwrap();
    }
    let page = run(&store.records, &mut tx, &query).unwrap();
    commit(tx);
    let (rest, more, _) = page_ids(&store, &query.after(After::Cursor(page.next_cursor.unwrap())));
    assert_eq!((rest, more), (vec![json!(22), json!(23), json!(24)], false));
}

#[test]
fn a_key_is_a_cursor_and_an_unknown_one_leads_nowhere() {
    let store = store("set");
    let query = Query::new("b").limit(3);
    assert_eq!(page_ids(&store, &after(&query, 4)).0, vec![json!(5), json!(6), json!(7)]);
    for unknown in [json!(null), json!(500), json!("tc"), json!("nothing"), json!([1])] {
        assert_eq!(page_ids(&store, &after(&query, unknown)), (Vec::new(), false, None));
    }
}

#[test]
fn g9_a_cursor_that_is_damaged_or_of_another_query_is_refused() {
    let store = store("set");
    let query = Query::new("b").limit(3);
    let cursor = page_ids(&store, &query).2.unwrap();
    let mut damaged = cursor.clone().into_bytes();
    damaged[12] = if damaged[12] == b'A' { b'B' } else { b'A' };
    let damaged = String::from_utf8(damaged).unwrap();
    let sorted = query.clone().sort_json(&json!("n")).unwrap();
    for wrong in [after(&query, damaged), after(&sorted, cursor)] {
        let error = run(&store.records, &mut store.begin(), &wrong).unwrap_err();
        assert_eq!(error.code(), Code::ValidationError);
    }
}

#[test]
fn an_empty_page_has_no_cursor() {
    let store = store("set");
    let query = Query::new("b").filter_json(&json!({"n": 77})).unwrap().limit(3);
    assert_eq!(page_ids(&store, &query), (Vec::new(), false, None));
}

#[test]
fn whatever_others_write_between_pages_a_record_that_stays_is_seen_once_and_in_order() {
    for seed in 0..40 {
        let random = &mut Seeded::new(seed);
        let kind = *random.pick(&["set", "ordered_set"]);
        let sorts = [json!(null), json!("n"), json!("-n"), json!({"n": 1, "id": -1})];
        let sort = random.pick(&sorts);
        let store = store(kind);
        let query = Query::new("b").sort_json(sort).unwrap().limit(1 + random.below(6));
        let mut page = query.clone();
        let (mut seen, mut moved) = (Vec::new(), Vec::new());
        loop {
            let (found, more, cursor) = page_ids(&store, &page);
            seen.extend(found);
            let Some(cursor) = cursor.filter(|_| more) else { break };
            page = after(&query, cursor);
            let mut tx = store.begin();
            for _ in 0..random.below(4) {
                let id = json!(random.below(26));
                let change = fields(&json!({"n": random.below(6)}));
                let result = match random.below(3) {
                    0 => store.records.delete(&mut tx, "b", &id, None).map(drop),
                    1 => store.records.update(&mut tx, "b", &id, &change, None).map(drop),
                    _ => store
                        .records
                        .insert(&mut tx, "b", fields(&json!({"id": id, "n": 2})))
                        .map(drop),
                };
                drop(result);
                moved.push(id);
            }
            commit(tx);
        }
        let stays = |id: &&Value| !moved.contains(id);
        let seen: Vec<&Value> = seen.iter().filter(stays).collect();
        let whole = Query { limit: None, ..query };
        let (all, _, _) = page_ids(&store, &whole);
        let expected: Vec<&Value> = all.iter().filter(stays).collect();
        assert_eq!(seen, expected, "seed {seed}: {kind} {sort}");
    }
}
