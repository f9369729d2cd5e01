//! Every storage call of a workload fails once, and for ever, and the power is
//! cut at every one: the caller gets a coded error, acknowledged commits are
//! there after reopening, nothing is half, every index is exact.

#![allow(clippy::unwrap_used, reason = "in tests, a failed step fails the test")]

use std::sync::Arc;

use serde_json::json;
use tandem::{BucketConfig, CheckOptions, Code, Error, Field, IndexConfig, Result, Store};
use tandem_base::Environment;
use tandem_testkit::fault::{Fate, FaultStorage, Point, Times};

const COMMITS: u64 = 8;

fn open(storage: Arc<FaultStorage>) -> Result<Store> {
    let (environment, _) = Environment::simulated(1);
    Store::builder().storage(storage).environment(environment).background(false).open()
}

/// What the workload had been told when it ended.
struct Told {
    defined: bool,
    acknowledged: u64,
    error: Option<Error>,
}

fn workload(storage: Arc<FaultStorage>) -> Told {
    let mut told = Told { defined: false, acknowledged: 0, error: None };
    let outcome = (|| {
        let store = open(storage)?;
        store.transaction(|tx| {
            let counter = BucketConfig::new("id").field("id", Field::string());
            tx.define_bucket("counter", counter)?;
            let entries = BucketConfig::new("n")
                .field("n", Field::number())
                .field("name", Field::string().unique())
                .index(IndexConfig::on("parity").then_descending("n"));
            tx.define_bucket("entries", entries)?;
            tx.bucket("counter").insert(json!({ "id": "c", "n": 0 })).map(drop)
        })?;
        told.defined = true;
        for n in 1..=COMMITS {
            store.transaction(|tx| {
                tx.bucket("counter").update("c", json!({ "n": n }))?;
                let entries = tx.bucket("entries");
                entries.insert(json!({ "n": n, "name": format!("n{n}"), "parity": n % 2 }))?;
                if n > 2 {
                    entries.delete(n - 2)?;
                }
                Ok(())
            })?;
            told.acknowledged = n;
            store.statistics()?;
        }
        Ok(())
    })();
    told.error = outcome.err();
    told
}

fn verify(storage: FaultStorage, told: &Told, story: &str) {
    let store = open(Arc::new(storage)).unwrap();
    let report = store.check(&CheckOptions::new()).unwrap();
    assert!(report.is_clean(), "{story}: {report:?}");
    let names = store.bucket_names().unwrap();
    if names.is_empty() {
        assert!(!told.defined, "{story}: acknowledged definitions are lost");
        return;
    }
    assert_eq!(names, ["counter", "entries"], "{story}");
    let counter = store.bucket("counter").get("c").unwrap().expect("defined with its record");
    let last = counter.get("n").unwrap().as_u64().unwrap();
    assert!(last >= told.acknowledged, "{story}: commit {} is lost", told.acknowledged);
    assert!(last <= told.acknowledged + 1, "{story}: a commit nobody made");
    assert_eq!(counter.version(), last + 1, "{story}");
    let entries = store.bucket("entries").all().sort("n").records().unwrap();
    let found: Vec<_> =
        entries.iter().map(|entry| entry.get("n").unwrap().as_u64().unwrap()).collect();
    let expected: Vec<_> = (last.saturating_sub(1).max(1)..=last).collect();
    assert_eq!(found, expected, "{story}");
    // It takes up work again, at the revision after the last.
    let before = store.revision().unwrap();
    store.bucket("counter").update("c", json!({ "again": true })).unwrap();
    assert_eq!(store.revision().unwrap(), before + 1, "{story}");
}

fn rehearse(point: Point) -> u64 {
    let storage = Arc::new(FaultStorage::new());
    let told = workload(storage.clone());
    assert_eq!((told.acknowledged, told.error.is_none()), (COMMITS, true), "{:?}", told.error);
    storage.count(point)
}

#[test]
fn g1_g9_every_failing_write_and_sync_poisons_and_leaves_nothing_half() {
    for point in [Point::Write, Point::Sync] {
        for nth in 1..=rehearse(point) {
            for times in [Times::Once, Times::Forever] {
                let storage = Arc::new(FaultStorage::new());
                storage.fail(point, nth, times);
                let told = workload(storage.clone());
                let story = format!("{point:?} {nth} fails {times:?}");
                let code = told.error.as_ref().map(Error::code);
                assert_eq!(code, Some(Code::StoreFailed), "{story}");
                for seed in 0..4 {
                    verify(storage.restart(seed), &told, &story);
                }
            }
        }
    }
}

#[test]
fn g1_g2_every_power_cut_keeps_what_was_acknowledged() {
    let mut cuts = 0;
    for point in [Point::Write, Point::Sync] {
        for nth in 1..=rehearse(point) {
            let storage = Arc::new(FaultStorage::new());
            storage.freeze_at(point, nth);
            let told = workload(storage.clone());
            for fate in [Fate::LoseUnsynced, Fate::KeepPrefix, Fate::KeepAll] {
                for seed in 0..4 {
                    let story = format!("power cut at {point:?} {nth}, {fate:?}, seed {seed}");
                    verify(storage.cut(fate, seed), &told, &story);
                    cuts += 1;
                }
            }
        }
    }
    println!("{cuts} power cuts");
}

#[test]
fn g9_every_failing_read_is_a_coded_error_and_changes_nothing() {
    for point in [Point::Read, Point::Size] {
        for nth in 1..=rehearse(point) {
            for times in [Times::Once, Times::Forever] {
                let storage = Arc::new(FaultStorage::new());
                storage.fail(point, nth, times);
                let told = workload(storage.clone());
                let story = format!("{point:?} {nth} fails {times:?}");
                let code = told.error.as_ref().map(Error::code);
                assert_eq!(code, Some(Code::StorageError), "{story}");
                storage.disarm();
                verify(storage.restart(nth), &told, &story);
            }
        }
    }
}

/// The snapshot after a write is what the commit is published with: without
/// one, nobody can tell whether the commit is there, until it is opened again.
#[test]
fn g1_g9_a_failing_snapshot_poisons_once_something_is_written() {
    let snapshots = rehearse(Point::Snapshot);
    let mut poisoned = 0;
    for nth in 1..=snapshots {
        for times in [Times::Once, Times::Forever] {
            let storage = Arc::new(FaultStorage::new());
            storage.fail(Point::Snapshot, nth, times);
            let told = workload(storage.clone());
            let story = format!("snapshot {nth} of {snapshots} fails {times:?}");
            let code = told.error.as_ref().map(Error::code).expect(&story);
            // Opening the store syncs what is there, which is a call of write as well.
            let wrote = storage.count(Point::Write) > 1;
            let expected = if wrote { Code::StoreFailed } else { Code::StorageError };
            assert_eq!(code, expected, "{story}");
            poisoned += u32::from(wrote);
            for seed in 0..4 {
                verify(storage.restart(seed), &told, &story);
            }
        }
    }
    assert!(poisoned > 0 && poisoned < 2 * u32::try_from(snapshots).unwrap());
}

/// The last step of a build was only buffered: `create_index` had answered, and
/// after a power cut the index was unfinished and its revision given to another
/// commit.
#[test]
fn g2_an_index_that_was_built_is_ready_after_a_power_cut() {
    let storage = Arc::new(FaultStorage::new());
    let store = open(storage.clone()).unwrap();
    store.define_bucket("things", BucketConfig::new("id")).unwrap();
    store.bucket("things").insert(json!({ "id": 1, "color": 2 })).unwrap();
    store.create_index("things", "color").unwrap();
    let revision = store.revision().unwrap();
    let store = open(Arc::new(storage.cut(Fate::LoseUnsynced, 1))).unwrap();
    assert_eq!(store.revision().unwrap(), revision);
    assert!(store.indexes("things").unwrap().iter().all(|index| index.ready));
}

#[test]
fn g1_a_torn_batch_would_be_noticed() {
    // The engine breaks its contract here, to prove that these tests can fail.
    let mut noticed = 0;
    for nth in 1..=rehearse(Point::Sync) {
        let storage = Arc::new(FaultStorage::new());
        storage.freeze_at(Point::Sync, nth);
        let told = workload(storage.clone());
        for seed in 0..4 {
            let torn = storage.cut(Fate::TornBatch, seed);
            let verdict = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                verify(torn, &told, "torn");
            }));
            noticed += u32::from(verdict.is_err());
        }
    }
    assert!(noticed > 0, "half a batch went unnoticed everywhere");
}
