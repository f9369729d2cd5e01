//! Filters, sorts, updates and pipelines: lines of JSON over a bucket with every
//! kind of index.
//!
//! ```text
//! line 1   filter
//! line 2   sort
//! line 3   update of the records that the filter matches: fields to be merged,
//!          or an expression; an array is a pipeline instead
//! line 4.. records (in two buckets: one that takes anything, one with a schema)
//! ```
//! The answer through the chosen plan must be the one of looking at every
//! record; a filter printed and parsed again must match the same; a statement
//! that fails must change nothing; a pipeline that begins with a `$match` must
//! make of the bucket what it makes of the records without an index.

use serde_json::{Value, json};
use tandem::{Bucket, BucketConfig, CheckOptions, Find, Record, Store};
use tandem_record::Filter;

use crate::verdict::coded;

/// Enough to make a plan choose; more would make each input slow.
const MOST_RECORDS: usize = 16;

/// See the [module](self).
///
/// # Panics
/// When a promise is broken.
pub fn target(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n').map(parse);
    let mut next = || lines.next().flatten();
    let (filter, sort, update) = (next(), next(), next());
    let Some(filter) = filter else { return };
    let (update, pipeline) = match update {
        Some(pipeline @ Value::Array(_)) => (None, Some(pipeline)),
        update => (update, None),
    };
    let records: Vec<Value> = lines.flatten().take(MOST_RECORDS).collect();
    let parsed = coded(Filter::parse(&filter));
    if let Some(parsed) = &parsed {
        let again = coded(Filter::parse(&parsed.to_json())).expect("a printed filter is a filter");
        for record in &records {
            assert_eq!(parsed.matches_value(record), again.matches_value(record), "{parsed}");
        }
        assert_eq!(again.to_json(), parsed.to_json(), "one spelling");
    }
    let store = store();
    for name in ["any", "typed"] {
        let bucket = store.bucket(name);
        for record in &records {
            coded(bucket.insert(record.clone()));
        }
        if let Some(parsed) = &parsed {
            if let Some(pipeline) = &pipeline {
                aggregate(&bucket, &filter, pipeline);
            }
            read(&bucket, &filter, sort.as_ref(), parsed);
            write(&bucket, &filter, update.as_ref(), parsed);
        } else {
            assert!(coded(bucket.find(filter.clone()).records()).is_none(), "{filter}");
        }
    }
    let report = store.check(&CheckOptions::new()).expect("the store can be read");
    assert!(report.is_clean(), "{report:?}");
}

fn parse(line: &[u8]) -> Option<Value> {
    serde_json::from_slice(line).ok()
}

fn all(bucket: &Bucket<'_>) -> Vec<Value> {
    let records = bucket.all().records().expect("the bucket can be read");
    records.iter().map(Record::to_json).collect()
}

fn read(bucket: &Bucket<'_>, filter: &Value, sort: Option<&Value>, parsed: &Filter) {
    let naive: Vec<Value> =
        all(bucket).into_iter().filter(|record| parsed.matches_value(record)).collect();
    let expected = keys(&naive);
    // A filter may be fine by itself and yet be refused by a limit of a read.
    let Some(found) = coded(bucket.find(filter.clone()).records()) else { return };
    let found: Vec<Value> = found.iter().map(Record::to_json).collect();
    assert_eq!(keys(&found), expected, "{filter} over {:?}", all(bucket));
    let count = coded(bucket.count(filter.clone())).expect("what can be read can be counted");
    assert_eq!(count, expected.len() as u64, "{filter}");
    let Some(find) = sort.and_then(|sort| sorted(bucket, filter, sort)) else { return };
    let Some(in_order) = coded(find.records()) else { return };
    let in_order: Vec<Value> = in_order.iter().map(Record::to_json).collect();
    assert_eq!(keys(&in_order), expected, "{filter} sorted by {sort:?}");
    pages(&find, &in_order);
}

/// The same, two at a time.
fn pages(find: &Find<'_>, in_order: &[Value]) {
    let mut after: Option<String> = None;
    let mut seen = Vec::new();
    for _ in 0..=in_order.len() {
        let mut page = find.clone().limit(2);
        if let Some(after) = &after {
            page = page.after(after);
        }
        let Some(page) = coded(page.page()) else { return };
        seen.extend(page.records.iter().map(Record::to_json));
        after = page.next_cursor;
        if !page.has_more {
            break;
        }
    }
    assert_eq!(seen, in_order, "pages");
}

/// The same documents with the filter in front, where an index may serve it,
/// and behind a stage that keeps it from that.
fn aggregate(bucket: &Bucket<'_>, filter: &Value, pipeline: &Value) {
    let stages = pipeline.as_array().map_or(&[][..], Vec::as_slice);
    let behind = |first: Option<Value>| -> Vec<Value> {
        let matching = json!({ "$match": filter });
        first.into_iter().chain([matching]).chain(stages.iter().cloned()).collect()
    };
    let front = coded(bucket.aggregate(Value::Array(behind(None))));
    let scanned = behind(Some(json!({ "$unset": "no such field" })));
    let scanned = coded(bucket.aggregate(Value::Array(scanned)));
    // What one plan looks at and another does not may fail, or reach a limit.
    if let (Some(front), Some(scanned)) = (front, scanned) {
        assert_eq!(front, scanned, "{filter} {pipeline}");
    }
}

fn sorted<'a>(bucket: &Bucket<'a>, filter: &Value, sort: &Value) -> Option<Find<'a>> {
    let mut find = bucket.find(filter.clone());
    for field in sort.as_array()? {
        find = find.sort(field.as_str()?);
    }
    Some(find)
}

fn write(bucket: &Bucket<'_>, filter: &Value, update: Option<&Value>, parsed: &Filter) {
    let before = all(bucket);
    let matching = before.iter().filter(|record| parsed.matches_value(record)).count() as u64;
    if let Some(update) = update {
        match coded(bucket.update_many(filter.clone(), update.clone())) {
            Some(changed) => assert_eq!(changed, matching, "{filter} {update}"),
            None => assert_eq!(all(bucket), before, "{filter} {update}"),
        }
    }
    let before = all(bucket);
    let matching = before.iter().filter(|record| parsed.matches_value(record)).count() as u64;
    match coded(bucket.delete_many(filter.clone())) {
        Some(deleted) => {
            assert_eq!(deleted, matching, "{filter}");
            assert_eq!(all(bucket).len() as u64, before.len() as u64 - matching);
        }
        None => assert_eq!(all(bucket), before, "{filter}"),
    }
}

/// The keys, as text in order: what a set of records is told by.
fn keys(records: &[Value]) -> Vec<String> {
    let mut keys: Vec<String> = records.iter().map(|record| record["id"].to_string()).collect();
    keys.sort_unstable();
    keys
}

fn store() -> Store {
    let store = Store::builder().memory().background(false).open().expect("memory opens");
    let any = json!({ "key": "id",
        "schema": { "id": { "type": "number", "generated": "autoincrement" },
                    "a": {}, "b": {}, "t": {}, "o": {}, "l": {}, "s": {} },
        "indexes": ["a", { "fields": ["-b", "a"] }, { "fields": ["o.x"] },
            { "fields": ["t"], "multi": true, "name": "t_multi" },
            { "fields": ["l.v"], "name": "l_whole" },
            { "fields": ["l.v", "-a"], "multi": true, "name": "l_multi" },
            { "fields": ["b"], "filter": { "a": { "$gt": 2 } }, "name": "b_partial" }] });
    let typed = json!({ "key": "id", "etsType": "ordered_set",
        "schema": { "id": { "type": "number", "generated": "autoincrement" },
                    "a": { "type": "number" }, "b": { "type": "string", "pattern": "^x" },
                    "t": { "type": "array" }, "o": { "type": "object" },
                    "s": { "type": "string", "unique": true } },
        "indexes": ["a", { "fields": ["b", "-a"] }] });
    for (name, config) in [("any", any), ("typed", typed)] {
        let config = BucketConfig::from_json(config).expect("a definition");
        store.define_bucket(name, config).expect("the bucket is new");
    }
    store
}
