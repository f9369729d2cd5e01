//! Indexes built on buckets in use.

#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

use crate::support::{assert_clean, code};
use serde_json::json;
use tandem::{BucketConfig, Code, IndexConfig, Limits, Store};

/// 500 things, built 20 rows a step.
fn things(builder: tandem::StoreBuilder) -> Store {
    let limits = Limits { maintenance_step: 20, ..Limits::default() };
    let store = builder.background(false).limits(limits).open().unwrap();
    store.define_bucket("things", BucketConfig::new("id")).unwrap();
    let things = (0..500).map(|n| json!({ "id": n, "color": n % 5, "tags": [n % 3, n % 7] }));
    store.bucket("things").insert_many(things).unwrap();
    store
}

#[test]
fn g3_writers_go_on_while_an_index_is_built() {
    let store = things(Store::builder().memory());
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let things = store.bucket("things");
            for n in 0..100 {
                things.update(n * 5, json!({ "color": 9 })).unwrap();
                things.delete(n * 5 + 1).unwrap();
                things.insert(json!({ "id": 1000 + n, "color": 9 })).unwrap();
            }
        });
        store.create_index("things", IndexConfig::on("color").then_descending("id")).unwrap();
        store.create_index("things", IndexConfig::on("tags").multi()).unwrap();
        writer.join().unwrap();
    });
    assert_eq!(store.bucket("things").count(json!({ "color": 9 })).unwrap(), 200);
    let plan = store.bucket("things").find(json!({ "color": 9 })).explain().unwrap();
    assert_eq!(plan["access"], "index");
    assert!(
        store.indexes("things").unwrap().iter().all(|index| index.ready && index.progress == 1.0)
    );
    assert_clean(&store);
}

#[test]
fn a_unique_index_over_duplicates_fails_and_leaves_nothing() {
    let store = things(Store::builder().memory());
    let error = store.create_index("things", IndexConfig::on("color").unique()).unwrap_err();
    assert_eq!(error.code(), Code::AlreadyExists);
    assert!(error.detail("existingKey").is_some(), "{error:?}");
    assert!(store.indexes("things").unwrap().is_empty());
    assert_eq!(store.bucket_config("things").unwrap().get("indexes"), Some(&json!([])));
    store.bucket("things").insert(json!({ "id": 1000, "color": 1 })).unwrap();
    store.create_index("things", IndexConfig::on("color")).unwrap();
    assert_eq!(code(store.create_index("things", "color")), Code::AlreadyExists);
    assert_clean(&store);
}

#[test]
fn g1_a_build_that_was_interrupted_is_resumed_after_reopening() {
    let directory = tempfile::tempdir().unwrap();
    {
        let store = things(Store::builder().path(directory.path()));
        store.create_index_in_background("things", "color").unwrap();
        let index = &store.indexes("things").unwrap()[0];
        assert!(!index.ready);
    }
    let store = Store::builder().path(directory.path()).background(false).open().unwrap();
    assert!(!store.indexes("things").unwrap()[0].ready);
    store.bucket("things").update(0, json!({ "color": 77 })).unwrap();
    assert!(store.maintain().unwrap().build_steps > 0);
    assert!(store.indexes("things").unwrap()[0].ready);
    assert_eq!(store.bucket("things").count(json!({ "color": 77 })).unwrap(), 1);
    assert_clean(&store);
}

#[test]
fn the_background_thread_builds_too() {
    let store = Store::memory().unwrap();
    store.define_bucket("things", BucketConfig::new("id")).unwrap();
    store.bucket("things").insert_many((0..100).map(|n| json!({ "id": n, "color": n }))).unwrap();
    store.create_index_in_background("things", "color").unwrap();
    while !store.indexes("things").unwrap()[0].ready {
        std::thread::yield_now();
    }
    assert_clean(&store);
}

/// Two transactions each read through an index that nothing has a color; each
/// gives one thing that color. One must fail, also when the index is dropped
/// meanwhile: whoever commits after that writes no entry into it, so the
/// phantom did not show in the range that the other had read. A history found
/// it, as write skew between serializable transactions.
#[test]
fn g4_dropping_an_index_hides_no_phantom_from_those_who_read_through_it() {
    for dropped in [false, true] {
        let store = things(Store::builder().memory());
        let index = store.create_index("things", IndexConfig::on("color")).unwrap();
        let (one, two) = (store.begin().unwrap(), store.begin().unwrap());
        for (tx, color) in [(&one, 71), (&two, 72)] {
            let find = tx.bucket("things").find(json!({ "color": color }));
            assert_eq!(find.explain().unwrap()["access"], "index");
            assert!(find.records().unwrap().is_empty());
        }
        if dropped {
            store.drop_index("things", &index).unwrap();
        }
        one.bucket("things").insert(json!({ "id": 1001, "color": 72 })).unwrap();
        two.bucket("things").insert(json!({ "id": 1002, "color": 71 })).unwrap();
        let committed = [one.commit().is_ok(), two.commit().is_ok()];
        assert_ne!(committed, [true, true], "dropped: {dropped}");
        assert_clean(&store);
    }
}

/// Reading through an index that is kept conflicts with no change of others.
#[test]
fn dropping_an_index_disturbs_nobody_who_did_not_read_through_it() {
    let store = things(Store::builder().memory());
    store.create_index("things", IndexConfig::on("color")).unwrap();
    let other = store.create_index("things", IndexConfig::on("tags").multi()).unwrap();
    let tx = store.begin().unwrap();
    assert_eq!(tx.bucket("things").count(json!({ "color": 1 })).unwrap(), 100);
    store.drop_index("things", &other).unwrap();
    tx.bucket("things").insert(json!({ "id": 1001, "color": 2 })).unwrap();
    tx.commit().unwrap();
    assert_clean(&store);
}
