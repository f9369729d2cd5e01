//! What one commit writes, announces and answers: what follows from its row
//! changes, and nothing else.

#![allow(clippy::unwrap_used, reason = "in tests, a failed step fails the test")]

mod support;

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use serde_json::{Value, json};
use support::{Bench, fields};
use tandem_base::{Code, Error, Result};
use tandem_record::{IndexState, Records, keys};
use tandem_storage::{Durability, MemoryStorage, Snapshot, Storage, WriteBatch};
use tandem_transaction::{
    CommitOptions, Isolation, Receipt, Transaction, TransactionLimits, keyspace,
};

/// A store in memory that remembers the keys of its last batch, removed ones
/// with a minus.
#[derive(Default)]
struct Noted {
    storage: MemoryStorage,
    last: Mutex<Vec<(char, Bytes)>>,
}

impl Storage for Noted {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.storage.get(key)
    }

    fn snapshot(&self) -> Result<Arc<dyn Snapshot>> {
        self.storage.snapshot()
    }

    fn write(&self, batch: WriteBatch, durability: Durability) -> Result<()> {
        if batch.is_empty() {
            // A sync.
            return self.storage.write(batch, durability);
        }
        let sign = |deleted| if deleted { '-' } else { '+' };
        let noted = batch
            .operations()
            .iter()
            .map(|operation| (sign(operation.value().is_none()), operation.key().clone()));
        *self.last.lock().unwrap() = noted.collect();
        self.storage.write(batch, durability)
    }

    fn name(&self) -> &'static str {
        "noted"
    }

    fn approximate_size(&self) -> Result<u64> {
        self.storage.approximate_size()
    }
}

/// A bucket `t` with an index on `g` and an order of insertion, and one whose
/// keys are numbered.
fn bench() -> (Bench, Arc<Noted>) {
    let storage = Arc::new(Noted::default());
    let bench = Bench::over(storage.clone(), TransactionLimits::default());
    bench.define(
        "t",
        json!({ "key": "id", "maxSize": 100, "indexes": ["g"],
        "schema": { "id": { "type": "number" }, "g": {} } }),
    );
    bench.define(
        "log",
        json!({ "key": "id", "schema": {
        "id": { "type": "number", "generated": "autoincrement" } } }),
    );
    (bench, storage)
}

/// The spaces of the keys that the last commit wrote, but the log and the revision.
fn written(storage: &Noted) -> Vec<String> {
    let noted = storage.last.lock().unwrap();
    let space = |key: &Bytes| {
        Some(match key[0] {
            keyspace::ROW => "row",
            keyspace::INDEX => "entry",
            keyspace::TOMBSTONE => "tombstone",
            keyspace::COUNTER if key[1] == b'c' => "count",
            keyspace::COUNTER if key[1] == b'a' => "autoincrement",
            keyspace::META | keyspace::LOG => return None,
            _ => "other",
        })
    };
    let mut written: Vec<_> =
        noted.iter().filter_map(|(sign, key)| Some(format!("{sign}{}", space(key)?))).collect();
    written.sort();
    written
}

fn commit(bench: &Bench, body: impl FnOnce(&Records, &mut Transaction) -> Result<()>) -> Receipt {
    let mut tx = bench.begin(Isolation::Serializable);
    body(&bench.records, &mut tx).unwrap();
    tx.commit(CommitOptions::default()).unwrap()
}

fn insert(bench: &Bench, bucket: &str, data: Value) -> Receipt {
    commit(bench, |records, tx| records.insert(tx, bucket, fields(data)).map(drop))
}

fn update(bench: &Bench, change: Value) -> Receipt {
    commit(bench, |records, tx| records.update(tx, "t", &json!(1), &fields(change), None).map(drop))
}

#[test]
fn g1_a_commit_writes_what_follows_from_its_rows_and_nothing_else() {
    let (bench, storage) = bench();
    let keyed = json!({ "key": "id", "schema": { "id": { "type": "number" } } });
    bench.define("plain", keyed);
    insert(&bench, "plain", json!({ "id": 1 }));
    assert_eq!(written(&storage)[0], "+count");
    let order = written(&storage).iter().filter(|what| *what == "+entry").count();
    commit(&bench, |records, tx| {
        records.update(tx, "plain", &json!(1), &fields(json!({ "x": 1 })), None).map(drop)
    });
    assert_eq!(written(&storage), ["+row"], "a bucket without a limit keeps its count");
    assert!(order <= 1);

    insert(&bench, "t", json!({ "id": 1, "g": 1 }));
    assert_eq!(written(&storage), ["+count", "+entry", "+entry", "+row"]);
    update(&bench, json!({ "other": 1 }));
    assert_eq!(written(&storage), ["+count", "+row"], "its entries are as they were");
    update(&bench, json!({ "g": 2 }));
    assert_eq!(written(&storage), ["+count", "+entry", "+row", "-entry"]);
    commit(&bench, |records, tx| records.delete(tx, "t", &json!(1), None).map(drop));
    assert_eq!(written(&storage), ["+count", "+tombstone", "-entry", "-entry", "-row"]);
    insert(&bench, "t", json!({ "id": 1 }));
    assert_eq!(written(&storage), ["+count", "+entry", "+entry", "+row", "-tombstone"]);
}

#[test]
fn the_last_number_that_was_given_out_is_written_when_it_has_grown() {
    let (bench, storage) = bench();
    let numbered = || written(&storage).contains(&"+autoincrement".to_owned());
    insert(&bench, "log", json!({}));
    assert!(numbered());
    commit(&bench, |records, tx| {
        records.update(tx, "log", &json!(1), &fields(json!({ "x": 1 })), None).map(drop)
    });
    assert!(!numbered());
    insert(&bench, "t", json!({ "id": 1 }));
    assert!(!numbered(), "another bucket");
}

#[test]
fn a_receipt_says_how_many_records_changed_and_counts_no_definitions() {
    let (bench, _) = bench();
    let receipt = commit(&bench, |records, tx| {
        records.create_index(tx, "t", &json!("h"), IndexState::Ready)?;
        for id in 1..=3 {
            records.insert(tx, "t", fields(json!({ "id": id })))?;
        }
        records.delete(tx, "t", &json!(3), None).map(drop)
    });
    assert_eq!(receipt.changes, 2);
    let changes = &receipt.commit.as_ref().unwrap().changes;
    let buckets: Vec<_> = changes.iter().map(|change| &*change.bucket).collect();
    assert_eq!(buckets, ["_buckets", "t", "t"]);
    assert_eq!(changes[0].key, "t");
    assert!(changes[0].before.is_some() && changes[0].after.is_some());
}

/// The error of the later of two transactions that began together.
fn loser(
    bench: &Bench,
    isolation: Isolation,
    late: impl FnOnce(&Records, &mut Transaction) -> Result<()>,
    early: impl FnOnce(&Records, &mut Transaction) -> Result<()>,
) -> Error {
    let mut tx = bench.begin(isolation);
    late(&bench.records, &mut tx).unwrap();
    bench.run(early).unwrap();
    tx.commit(CommitOptions::default()).unwrap_err()
}

#[test]
fn a_conflict_names_the_record_that_was_written_or_read() {
    let bench = Bench::new();
    bench.define("t", json!({ "key": "id", "schema": { "id": { "type": "number" } } }));
    insert(&bench, "t", json!({ "id": 1, "g": 1 }));
    let change = |value: i64| fields(json!({ "x": value }));
    let written = loser(
        &bench,
        Isolation::Snapshot,
        |records, tx| records.update(tx, "t", &json!(1), &change(1), None).map(drop),
        |records, tx| records.update(tx, "t", &json!(1), &change(2), None).map(drop),
    );
    let read = loser(
        &bench,
        Isolation::Serializable,
        |records, tx| {
            records.get(tx, "t", &json!(1))?;
            records.insert(tx, "t", fields(json!({ "id": 2 }))).map(drop)
        },
        |records, tx| records.update(tx, "t", &json!(1), &change(3), None).map(drop),
    );
    for (error, said) in [
        (written, "was changed by another transaction after this one began"),
        (read, "was read, and then changed by another transaction"),
    ] {
        assert_eq!(error.code(), Code::Conflict);
        let message = error.message();
        assert!(message.contains("bucket \"t\" for key 1") && message.contains(said), "{message}");
        assert_eq!(error.detail("bucket"), Some(&json!("t")));
        assert_eq!(error.detail("key"), Some(&json!(1)));
        assert_eq!(error.detail("index"), None);
    }
}

#[test]
fn a_conflict_in_an_index_names_the_bucket_and_the_index() {
    let (bench, _) = bench();
    let conflict = |index: Option<&str>| {
        let bucket = bench.run(|records, tx| records.bucket(tx, "t")).unwrap();
        let id = match index {
            Some(name) => bucket.index(name).unwrap().id,
            None => bucket.order_index.unwrap(),
        };
        loser(
            &bench,
            Isolation::Serializable,
            |records, tx| {
                tx.track_range(tandem_storage::KeyRange::prefix(&keys::index_prefix(id)));
                records.insert(tx, "log", fields(json!({}))).map(drop)
            },
            |records, tx| {
                let next = records.count(tx, "t")?;
                records.insert(tx, "t", fields(json!({ "id": next }))).map(drop)
            },
        )
    };
    let error = conflict(Some("g"));
    assert_eq!(error.detail("bucket"), Some(&json!("t")));
    assert_eq!(error.detail("index"), Some(&json!("g")));
    assert_eq!(error.detail("key"), None);
    let error = conflict(None);
    assert_eq!(error.detail("bucket"), Some(&json!("t")), "the order of insertion is an index too");
    assert_eq!(error.detail("index"), None);
}

#[test]
fn g5_a_record_that_two_insert_is_a_conflict_that_names_it() {
    let bench = Bench::new();
    bench.define("t", json!({ "key": "id", "schema": { "id": { "type": "number" } } }));
    let insert = |records: &Records, tx: &mut Transaction| {
        records.insert(tx, "t", fields(json!({ "id": 7 }))).map(drop)
    };
    let error = loser(&bench, Isolation::ReadCommitted, insert, insert);
    assert_eq!(error.code(), Code::Conflict);
    assert!(error.message().contains("Record with key 7 already exists"), "{}", error.message());
    assert_eq!(error.detail("key"), Some(&json!(7)));
    assert_eq!(bench.count("t"), 1);
    bench.check_clean();
}

#[test]
fn g4_two_changes_of_one_definition_conflict_at_every_level() {
    for isolation in Isolation::ALL {
        let (bench, _) = bench();
        let index = |name: &'static str| {
            move |records: &Records, tx: &mut Transaction| {
                records.create_index(tx, "t", &json!(name), IndexState::Ready).map(drop)
            }
        };
        let error = loser(&bench, isolation, index("x"), index("y"));
        assert_eq!(error.code(), Code::Conflict, "{isolation}");
        let bucket = bench.run(|records, tx| records.bucket(tx, "t")).unwrap();
        assert!(bucket.index("y").is_some() && bucket.index("x").is_none());
    }
}

/// No new id is needed for it, so that nothing but the definition itself can tell.
#[test]
fn g4_two_drops_of_indexes_of_one_bucket_conflict_at_every_level() {
    for isolation in Isolation::ALL {
        let (bench, _) = bench();
        commit(&bench, |records, tx| {
            records.create_index(tx, "t", &json!("x"), IndexState::Ready).map(drop)
        });
        let error = loser(
            &bench,
            isolation,
            |records, tx| records.drop_index(tx, "t", "g"),
            |records, tx| records.drop_index(tx, "t", "x"),
        );
        assert_eq!(error.code(), Code::Conflict, "{isolation}");
        let bucket = bench.run(|records, tx| records.bucket(tx, "t")).unwrap();
        assert!(bucket.index("g").is_some() && bucket.index("x").is_none());
    }
}

#[test]
fn a_definition_that_is_again_what_it_was_is_no_conflict_under_read_committed() {
    let (bench, _) = bench();
    let mut tx = bench.begin(Isolation::ReadCommitted);
    bench.records.drop_index(&mut tx, "t", "g").unwrap();
    commit(&bench, |records, tx| {
        records.create_index(tx, "t", &json!("x"), IndexState::Ready).map(drop)
    });
    commit(&bench, |records, tx| records.drop_index(tx, "t", "x"));
    tx.commit(CommitOptions::default()).unwrap();
    let bucket = bench.run(|records, tx| records.bucket(tx, "t")).unwrap();
    assert!(bucket.index("g").is_none() && bucket.index("x").is_none());
    bench.check_clean();
}

#[test]
fn a_query_that_is_defined_and_undefined_is_announced() {
    let (bench, _) = bench();
    let defined = commit(&bench, |records, tx| {
        records.define_query(tx, "all", &json!({ "bucket": "t" }), |_| Ok(()))
    });
    let undefined = commit(&bench, |records, tx| records.undefine_query(tx, "all"));
    for (receipt, is_there) in [(defined, true), (undefined, false)] {
        let changes = &receipt.commit.unwrap().changes;
        let of: Vec<_> = changes.iter().map(|change| (&*change.bucket, &change.key[..])).collect();
        assert_eq!(of, [("_queries", &b"all"[..])]);
        assert_eq!(changes[0].after.is_some(), is_there);
        assert_eq!(changes[0].before.is_some(), !is_there);
    }
}

#[test]
fn g3_each_value_of_an_array_has_one_entry_however_often_it_is_there() {
    let (bench, _) = bench();
    let before = bench.keys_with_prefix(keyspace::INDEX);
    commit(&bench, |records, tx| {
        let tags = json!({ "fields": ["tags"], "multi": true });
        records.create_index(tx, "t", &tags, IndexState::Ready).map(drop)
    });
    // Besides: one entry of `g`, one of the order of insertion.
    let numbers = |tags: Value| {
        insert(&bench, "t", json!({ "id": 1, "tags": tags }));
        let entries = bench.keys_with_prefix(keyspace::INDEX) - before - 2;
        bench.check_clean();
        commit(&bench, |records, tx| records.delete(tx, "t", &json!(1), None).map(drop));
        assert_eq!(bench.keys_with_prefix(keyspace::INDEX), before);
        entries
    };
    assert_eq!(numbers(json!([3, 1, 2])), 3);
    assert_eq!(numbers(json!([2, 1, 2, 3, 1, 1, 3])), 3);
    assert_eq!(numbers(json!([7, 7])), 1);
    assert_eq!(numbers(json!([])), 0);
    assert_eq!(numbers(json!(7)), 1);
}

#[test]
fn g3_an_index_defined_beside_others_has_the_rows_that_are_there() {
    let (bench, _) = bench();
    insert(&bench, "t", json!({ "id": 1, "g": 1, "x": 1 }));
    commit(&bench, |records, tx| {
        records.create_index(tx, "t", &json!("x"), IndexState::Ready).map(drop)
    });
    bench.check_clean();
}

#[test]
fn g3_an_index_that_another_defined_meanwhile_has_what_was_written_before() {
    for isolation in Isolation::ALL {
        let (bench, _) = bench();
        insert(&bench, "t", json!({ "id": 1 }));
        let mut tx = bench.begin(isolation);
        let late = fields(json!({ "late": 7 }));
        bench.records.update(&mut tx, "t", &json!(1), &late, None).unwrap();
        let index = |records: &Records, tx: &mut Transaction| {
            records.create_index(tx, "t", &json!("late"), IndexState::Ready)
        };
        bench.run(index).unwrap();
        tx.commit(CommitOptions::default()).unwrap();
        bench.check_clean();
    }
}

#[test]
fn g3_rows_of_a_bucket_that_the_transaction_drops_go_with_it() {
    let (bench, _) = bench();
    commit(&bench, |records, tx| {
        records.insert(tx, "t", fields(json!({ "id": 1, "g": 1 })))?;
        records.drop_bucket(tx, "t")
    });
    bench.check_clean();
    bench.define("t", json!({ "key": "id", "schema": { "id": { "type": "number" } } }));
    assert_eq!(bench.count("t"), 0);
}

#[test]
fn a_record_that_is_replaced_moves_to_the_end_of_the_insertion_order() {
    let (bench, _) = bench();
    for id in 1..=2 {
        insert(&bench, "t", json!({ "id": id }));
    }
    let position = |id: i64| {
        bench.run(|records, tx| Ok(records.get(tx, "t", &json!(id))?.unwrap().position())).unwrap()
    };
    let first = position(1);
    update(&bench, json!({ "x": 1 }));
    assert_eq!(position(1), first, "an update keeps it");
    let receipt = commit(&bench, |records, tx| {
        records.delete(tx, "t", &json!(1), None)?;
        records.insert(tx, "t", fields(json!({ "id": 1 }))).map(drop)
    });
    assert!(position(1) > position(2));
    assert_eq!(position(1).revision, receipt.revision);
    bench.check_clean();
}
