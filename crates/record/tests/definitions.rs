//! Definitions are data: transactional, isolated, rolled back; indexes are
//! built within a transaction or online, and checked both ways.

#![allow(clippy::unwrap_used, reason = "in tests, a failed step fails the test")]

mod support;

use serde_json::json;
use support::{Bench, fields};
use tandem_base::Code;
use tandem_record::{BuildStep, IndexState, Records};
use tandem_storage::{Direction, KeyRange};
use tandem_transaction::{CommitOptions, Isolation, Read};

fn bench() -> Bench {
    let bench = Bench::new();
    bench.define("t", json!({ "key": "id", "schema": { "id": { "type": "number" } } }));
    for id in 0..25 {
        bench.insert("t", json!({ "id": id, "g": id % 5, "u": id })).unwrap();
    }
    bench
}

fn index_entries(bench: &Bench, name: &str) -> usize {
    let view = bench.coordination.view().unwrap();
    let catalog = bench.records.catalog_at(&*view).unwrap();
    let index = catalog.bucket("t").unwrap().index(name).unwrap().id;
    let range = KeyRange::prefix(&tandem_record::keys::index_prefix(index));
    view.scan(&range, Direction::Forward).count()
}

#[test]
fn a_rolled_back_definition_leaves_nothing() {
    let bench = bench();
    let mut tx = bench.begin(Isolation::Serializable);
    let config = json!({ "key": "id", "schema": { "id": {} } });
    bench.records.define_bucket(&mut tx, "new", &config).unwrap();
    bench.records.insert(&mut tx, "new", fields(json!({ "id": 1 }))).unwrap();
    assert_eq!(bench.records.count(&mut tx, "new").unwrap(), 1);
    tx.rollback();
    let names = bench.run(|records, tx| records.bucket_names(tx)).unwrap();
    assert_eq!(names, ["t"]);
    assert_eq!(bench.insert("new", json!({ "id": 1 })).unwrap_err().code(), Code::BucketNotDefined);
}

#[test]
fn a_savepoint_undoes_a_definition() {
    let bench = bench();
    let mut tx = bench.begin(Isolation::Serializable);
    tx.savepoint("s").unwrap();
    bench.records.create_index(&mut tx, "t", &json!("g"), IndexState::Ready).unwrap();
    tx.rollback_to("s").unwrap();
    assert!(bench.records.catalog(&tx).unwrap().bucket("t").unwrap().index("g").is_none());
    bench.records.insert(&mut tx, "t", fields(json!({ "id": 99, "g": 1 }))).unwrap();
    tx.commit(CommitOptions::default()).unwrap();
    bench.check_clean();
}

#[test]
fn g3_an_index_defined_in_a_transaction_is_complete_with_its_commit() {
    let bench = bench();
    let mut tx = bench.begin(Isolation::Serializable);
    bench.records.insert(&mut tx, "t", fields(json!({ "id": 100, "g": 1 }))).unwrap();
    bench.records.delete(&mut tx, "t", &json!(0), None).unwrap();
    let name = bench.records.create_index(&mut tx, "t", &json!("g"), IndexState::Ready).unwrap();
    bench.records.insert(&mut tx, "t", fields(json!({ "id": 101, "g": 2 }))).unwrap();
    // Another commits rows that the index has to have too.
    bench.insert("t", json!({ "id": 200, "g": 3 })).unwrap();
    tx.commit(CommitOptions::default()).unwrap();
    assert_eq!(name, "g");
    assert_eq!(index_entries(&bench, "g"), 27);
    bench.check_clean();
}

#[test]
fn g5_a_unique_index_over_duplicates_is_refused_and_nothing_is_left() {
    let bench = bench();
    let config = json!({ "fields": ["g"], "unique": true });
    let error = bench
        .run(|records, tx| records.create_index(tx, "t", &config, IndexState::Ready))
        .unwrap_err();
    assert_eq!(error.code(), Code::AlreadyExists);
    assert!(error.detail("existingKey").is_some());
    let indexes = bench.run(|records, tx| records.indexes(tx, "t")).unwrap();
    assert!(indexes.is_empty());
}

fn build(bench: &Bench, rows: usize, mut between: impl FnMut(&Bench)) -> BuildStep {
    loop {
        let view = bench.coordination.view().unwrap();
        let unfinished = bench.records.unfinished_builds(&*view).unwrap();
        let [(_, index)] = unfinished[..] else { return BuildStep::Done };
        let step = bench.records.build_step(&*bench.coordination, index, rows).unwrap();
        if let BuildStep::Failed(_) = step {
            return step;
        }
        between(bench);
    }
}

#[test]
fn g3_an_online_build_keeps_up_with_writers_and_shows_its_progress() {
    let bench = bench();
    bench
        .run(|records, tx| records.create_index(tx, "t", &json!("g"), IndexState::Building))
        .unwrap();
    let mut round = 0;
    let mut shown = Vec::new();
    let done = build(&bench, 4, |bench| {
        round += 1;
        shown.push(bench.run(|records, tx| records.indexes(tx, "t")).unwrap()[0].progress);
        // Behind and before the build's position.
        bench.insert("t", json!({ "id": 1_000 + round, "g": 9 })).unwrap();
        let change = fields(json!({ "g": 7 }));
        for id in [1, 15] {
            bench.run(|records, tx| records.update(tx, "t", &json!(id), &change, None)).unwrap();
        }
        bench.run(|records, tx| records.delete(tx, "t", &json!(24 - round), None)).unwrap();
    });
    assert!(matches!(done, BuildStep::Done));
    assert!(shown[0] > 0.0 && shown[0] < 1.0 && shown.last() == Some(&1.0), "{shown:?}");
    assert_eq!(index_entries(&bench, "g") as u64, bench.count("t"));
    bench.check_clean();
}

#[test]
fn g5_an_online_unique_build_over_duplicates_fails_and_leaves_nothing() {
    let bench = bench();
    let config = json!({ "fields": ["g"], "unique": true });
    bench.run(|records, tx| records.create_index(tx, "t", &config, IndexState::Building)).unwrap();
    let BuildStep::Failed(error) = build(&bench, 4, |_| {}) else { panic!("not refused") };
    assert_eq!(error.code(), Code::AlreadyExists);
    assert!(bench.run(|records, tx| records.indexes(tx, "t")).unwrap().is_empty());
    while Records::collect_garbage(&*bench.coordination, 10).unwrap() {}
    bench.check_clean();
}

#[test]
fn a_dropped_bucket_leaves_no_key_behind_and_its_name_is_free() {
    let bench = bench();
    let used = |bench: &Bench| {
        let view = bench.coordination.view().unwrap();
        let rows = [0x03, 0x05, 0x06, 0x10, 0x20];
        rows.iter()
            .map(|space| view.scan(&KeyRange::prefix(&[*space]), Direction::Forward).count())
            .sum::<usize>()
    };
    bench.run(|records, tx| records.delete(tx, "t", &json!(1), None)).unwrap();
    assert!(used(&bench) > 0);
    bench.run(|records, tx| records.drop_bucket(tx, "t")).unwrap();
    assert_eq!(bench.insert("t", json!({ "id": 1 })).unwrap_err().code(), Code::BucketNotDefined);
    bench.define("t", json!({ "key": "id", "schema": { "id": { "type": "number" } } }));
    assert_eq!(bench.count("t"), 0);
    assert!(bench.get("t", json!(2)).is_none());
    bench.run(|records, tx| records.drop_bucket(tx, "t")).unwrap();
    while Records::collect_garbage(&*bench.coordination, 7).unwrap() {}
    assert_eq!(used(&bench), 0);
}

#[test]
fn a_writer_to_a_bucket_that_was_changed_meanwhile_runs_again_at_every_level() {
    for isolation in Isolation::ALL {
        let bench = bench();
        let mut tx = bench.begin(isolation);
        bench.records.insert(&mut tx, "t", fields(json!({ "id": 500 }))).unwrap();
        let updates = json!({ "addFields": { "must": { "type": "string", "required": true } } });
        bench
            .run(|records, tx| records.update_bucket(tx, "t", &updates, IndexState::Ready))
            .unwrap();
        let error = tx.commit(CommitOptions::default()).unwrap_err();
        assert_eq!((error.code(), error.retryable()), (Code::Conflict, true), "{isolation}");
        assert_eq!(
            bench.insert("t", json!({ "id": 501 })).unwrap_err().code(),
            Code::ValidationError
        );
    }
}

#[test]
fn a_new_index_does_not_disturb_open_transactions_and_has_their_rows() {
    for isolation in Isolation::ALL {
        let bench = bench();
        let mut tx = bench.begin(isolation);
        bench.records.insert(&mut tx, "t", fields(json!({ "id": 500, "g": 1 }))).unwrap();
        bench
            .run(|records, tx| records.create_index(tx, "t", &json!("g"), IndexState::Ready))
            .unwrap();
        tx.commit(CommitOptions::default()).unwrap();
        assert_eq!(index_entries(&bench, "g"), 26);
        bench.check_clean();
    }
}

#[test]
fn wrong_definitions_are_refused_by_name_of_the_setting() {
    let bench = bench();
    let id = json!({ "id": { "type": "number" } });
    for (config, setting) in [
        (json!({ "key": "nope", "schema": id }), "key"),
        (json!({ "key": "id", "schema": id, "colour": 1 }), "colour"),
        (json!({ "key": "id", "schema": id, "ttl": "soon" }), "ttl"),
        (json!({ "key": "id", "schema": id, "maxSize": 0 }), "maxSize"),
        (json!({ "key": "id", "schema": id, "indexes": ["nope"] }), "indexes"),
        (json!({ "key": "id", "schema": { "id": { "type": "numbr" } } }), "numbr"),
    ] {
        let error =
            bench.run(|records, tx| records.define_bucket(tx, "bad", &config)).expect_err(setting);
        assert_eq!(error.code(), Code::ValidationError, "{setting}");
        assert!(error.message().contains(setting), "{setting}: {}", error.message());
    }
    assert_eq!(bench.run(|records, tx| records.bucket_names(tx)).unwrap(), ["t"]);
}
