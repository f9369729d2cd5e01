//! A statement that waits for a lock goes on with a newer view of the store, in
//! which there may be other definitions than it began with. Histories found an
//! index without the entry of a record that was inserted so.

#![allow(clippy::unwrap_used, reason = "in tests, a failed step fails the test")]

mod support;

use bytes::Bytes;
use serde_json::{Value, json};
use support::{Bench, fields};
use tandem_base::{Code, Result};
use tandem_record::key::encode_key;
use tandem_record::{BuildStep, IndexState, Records, keys};
use tandem_storage::{Direction, KeyRange};
use tandem_transaction::{CommitOptions, Isolation, Transaction};

type Statement = fn(&Records, &mut Transaction) -> Result<()>;

/// Statements that write the record 1 or, where it is absent, 9, giving its
/// field `g` the value 2, but for the delete.
const STATEMENTS: [(&str, u64, Statement); 8] = [
    ("insert", 9, |records, tx| {
        records.insert(tx, "t", fields(json!({ "id": 9, "g": 2 }))).map(drop)
    }),
    ("insert many", 9, |records, tx| {
        let data = [json!({ "id": 8, "g": 8 }), json!({ "id": 9, "g": 2 })];
        records.insert_many(tx, "t", data.map(fields).into()).map(drop)
    }),
    ("upsert that inserts", 9, |records, tx| {
        records.upsert(tx, "t", fields(json!({ "id": 9, "g": 2 })), None).map(drop)
    }),
    ("upsert that updates", 1, |records, tx| {
        records.upsert(tx, "t", fields(json!({ "id": 1, "g": 2 })), None).map(drop)
    }),
    ("update", 1, |records, tx| {
        records.update(tx, "t", &json!(1), &fields(json!({ "g": 2 })), None).map(drop)
    }),
    ("update by an expression", 1, |records, tx| {
        records.update(tx, "t", &json!(1), &fields(json!({ "$inc": { "g": 1 } })), None).map(drop)
    }),
    ("replace", 1, |records, tx| {
        records.replace(tx, "t", &json!(1), fields(json!({ "g": 2 })), None).map(drop)
    }),
    ("delete", 1, |records, tx| records.delete(tx, "t", &json!(1), None).map(drop)),
];

/// A bucket with record 1 (`g` is 1) and record 2 (`g` is 2).
fn two_records(config: Value) -> Bench {
    let bench = Bench::new();
    bench.define("t", config);
    for n in 1..=2 {
        bench.insert("t", json!({ "id": n, "g": n })).unwrap();
    }
    bench
}

fn plain() -> Value {
    json!({ "key": "id", "etsType": "ordered_set", "schema": { "id": { "type": "number" } } })
}

/// Runs the statement while `key` is locked, changes the definitions while it
/// waits, and gives the transaction back, with what the statement answered.
fn wait_through(
    bench: &Bench,
    isolation: Isolation,
    key: u64,
    statement: Statement,
    change: impl FnOnce(),
) -> (Transaction, Result<()>) {
    let mut holder = bench.begin(Isolation::Serializable);
    bench.records.lock(&mut holder, "t", &json!(key), None).unwrap();
    let mut tx = bench.begin(isolation);
    std::thread::scope(|scope| {
        let waiter = scope.spawn(move || {
            let answer = statement(&bench.records, &mut tx);
            (tx, answer)
        });
        while bench.coordination.locks().waiters() == 0 {
            std::thread::yield_now();
        }
        change();
        holder.rollback();
        waiter.join().unwrap()
    })
}

fn create_index(bench: &Bench, config: &Value) {
    bench
        .run(|records, tx| records.create_index(tx, "t", config, IndexState::Ready))
        .expect("nothing is in its way");
}

#[test]
fn g2_a_new_index_has_the_entries_of_statements_that_waited() {
    for isolation in Isolation::ALL {
        for (name, key, statement) in STATEMENTS {
            let bench = two_records(plain());
            let (mut tx, answer) = wait_through(&bench, isolation, key, statement, || {
                create_index(&bench, &json!("g"));
            });
            answer.unwrap();
            tx.commit(CommitOptions::default()).unwrap();
            let report = bench.check();
            assert!(report.is_clean(), "{name} at {isolation}: {report:?}");
        }
    }
}

#[test]
fn g2_a_dropped_index_gets_no_entries_from_statements_that_waited() {
    for isolation in Isolation::ALL {
        for (name, key, statement) in STATEMENTS {
            let bench = two_records(plain());
            create_index(&bench, &json!("g"));
            let (mut tx, answer) = wait_through(&bench, isolation, key, statement, || {
                bench.run(|records, tx| records.drop_index(tx, "t", "g")).unwrap();
                while Records::collect_garbage(&*bench.coordination, 10).unwrap() {}
            });
            answer.unwrap();
            tx.commit(CommitOptions::default()).unwrap();
            let entries = bench.keys_with_prefix(tandem_transaction::keyspace::INDEX);
            assert_eq!(entries, 0, "{name} at {isolation}");
        }
    }
}

/// An update of other fields leaves an entry as it is: the index shows the record
/// although nothing of it is the transaction's own.
#[test]
fn an_index_is_withheld_only_from_those_whose_writes_it_misses() {
    for (own, is_used) in [(json!({ "x": 1 }), true), (json!({ "g": 7 }), false)] {
        let bench = two_records(plain());
        let mut holder = bench.begin(Isolation::Serializable);
        bench.records.lock(&mut holder, "t", &json!(9), None).unwrap();
        let mut tx = bench.begin(Isolation::Serializable);
        bench.records.update(&mut tx, "t", &json!(1), &fields(own), None).unwrap();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                bench.records.insert(&mut tx, "t", fields(json!({ "id": 9, "g": 9 }))).unwrap();
            });
            while bench.coordination.locks().waiters() == 0 {
                std::thread::yield_now();
            }
            create_index(&bench, &json!("g"));
            holder.rollback();
            waiter.join().unwrap();
        });
        let catalog = bench.records.catalog(&tx).unwrap();
        let index = catalog.bucket("t").unwrap().index("g").unwrap();
        assert_eq!(index.is_ready(), is_used);
        tx.commit(CommitOptions::default()).unwrap();
        bench.check_clean();
    }
}

/// A unique index is built over two records with one value, one of which this
/// transaction takes the value from. Its own view of the index, once it is ready,
/// has the other.
#[test]
fn g4_an_own_write_during_a_build_hides_no_entry_of_another_record() {
    for built in [0, 1] {
        let bench = two_records(plain());
        bench.insert("t", json!({ "id": 3, "g": 1 })).unwrap();
        let unique = json!({ "fields": ["g"], "unique": true });
        bench
            .run(|records, tx| records.create_index(tx, "t", &unique, IndexState::Building))
            .unwrap();
        let view = bench.coordination.view().unwrap();
        let (_, index) = bench.records.unfinished_builds(&*view).unwrap().remove(0);
        let step = |rows| bench.records.build_step(&*bench.coordination, index, rows).unwrap();
        if built > 0 {
            step(built);
        }
        let mut holder = bench.begin(Isolation::Serializable);
        bench.records.lock(&mut holder, "t", &json!(9), None).unwrap();
        let mut tx = bench.begin(Isolation::Serializable);
        let twin = fields(json!({ "g": 7 }));
        bench.records.update(&mut tx, "t", &json!(3), &twin, None).unwrap();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let one = fields(json!({ "id": 9, "g": 9 }));
                bench.records.insert(&mut tx, "t", one).unwrap();
            });
            while bench.coordination.locks().waiters() == 0 {
                std::thread::yield_now();
            }
            // Of the rows, only those up to the twin are built.
            step(2 - built);
            holder.rollback();
            waiter.join().unwrap();
        });
        let entries = tx.scan(&KeyRange::prefix(&keys::index_prefix(index)), Direction::Forward);
        let holders: Vec<_> = entries.map(|entry| entry.unwrap().value).collect();
        let key = |id: u64| Bytes::from(encode_key(&json!(id)).unwrap());
        assert_eq!(holders, [1, 2, 3, 9].map(key), "{built} built before");
        tx.commit(CommitOptions::default()).unwrap();
        while !matches!(step(9), BuildStep::Done) {}
        bench.check_clean();
    }
}

/// Record 2 has the value already.
#[test]
fn g2_a_new_unique_index_is_kept_by_statements_that_waited() {
    for isolation in Isolation::ALL {
        for (name, key, statement) in STATEMENTS {
            let bench = two_records(plain());
            let unique = json!({ "fields": ["g"], "unique": true });
            let (mut tx, answer) = wait_through(&bench, isolation, key, statement, || {
                create_index(&bench, &unique);
            });
            if name == "delete" {
                answer.unwrap();
                tx.commit(CommitOptions::default()).unwrap();
            } else {
                assert_eq!(
                    answer.unwrap_err().code(),
                    Code::AlreadyExists,
                    "{name} at {isolation}"
                );
                tx.rollback();
            }
            bench.check_clean();
        }
    }
}

/// What a full bucket deletes to make room may be locked, too.
#[test]
fn g2_a_new_index_has_the_record_that_waited_for_room() {
    for isolation in Isolation::ALL {
        let bench = two_records(
            json!({ "key": "id", "maxSize": 2, "schema": { "id": { "type": "number" } } }),
        );
        let insert: Statement =
            |records, tx| records.insert(tx, "t", fields(json!({ "id": 9, "g": 9 }))).map(drop);
        let (mut tx, answer) = wait_through(&bench, isolation, 1, insert, || {
            create_index(&bench, &json!("g"));
        });
        answer.unwrap();
        tx.commit(CommitOptions::default()).unwrap();
        bench.check_clean();
        assert!(bench.get("t", json!(1)).is_none() && bench.get("t", json!(9)).is_some());
    }
}

/// The bucket is another one, or none: nothing is written by the old one's
/// definition.
#[test]
fn g5_a_bucket_that_is_dropped_meanwhile_gets_nothing() {
    for isolation in Isolation::ALL {
        for (name, key, statement) in STATEMENTS {
            for again in [false, true] {
                let bench = two_records(plain());
                let (mut tx, answer) = wait_through(&bench, isolation, key, statement, || {
                    bench.run(|records, tx| records.drop_bucket(tx, "t")).unwrap();
                    if again {
                        bench.define("t", plain());
                    }
                });
                let ended = answer.and_then(|()| tx.commit(CommitOptions::default()).map(drop));
                // There is nothing to delete in the new bucket.
                let refused = ended.is_err() || (name == "delete" && again);
                assert!(refused, "{name} at {isolation}, defined again: {again}");
                tx.rollback();
                while Records::collect_garbage(&*bench.coordination, 10).unwrap() {}
                bench.check_clean();
                assert_eq!(bench.keys_with_prefix(tandem_transaction::keyspace::ROW), 0);
            }
        }
    }
}

/// A lock belongs to the record that it was asked for.
#[test]
fn a_lock_that_waited_is_of_the_bucket_of_that_name_now() {
    let lock: Statement =
        |records, tx| records.lock(tx, "t", &json!(1), None).map(|row| assert!(row.is_none()));
    for isolation in Isolation::ALL {
        for again in [false, true] {
            let bench = two_records(plain());
            let (tx, answer) = wait_through(&bench, isolation, 1, lock, || {
                bench.run(|records, tx| records.drop_bucket(tx, "t")).unwrap();
                if again {
                    bench.define("t", plain());
                }
            });
            if again {
                answer.unwrap();
                let taken = wait_is_needed(&bench);
                assert!(taken, "the lock of the new record is held at {isolation}");
            } else {
                assert!(answer.is_err(), "at {isolation}");
            }
            drop(tx);
        }
    }
}

fn wait_is_needed(bench: &Bench) -> bool {
    let mut other = bench.begin(Isolation::Serializable);
    let wait = Some(std::time::Duration::ZERO);
    let refused = bench.records.lock(&mut other, "t", &json!(1), wait);
    refused.is_err_and(|error| error.code() == Code::LockTimeout)
}
