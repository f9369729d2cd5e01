//! What the simulation has found, one story each, without the simulation.

use std::sync::Arc;

use serde_json::json;
use tandem::{BucketConfig, Code, Durability, Field, IndexConfig, Notice, Store, SubscribeOptions};
use tandem_testkit::fault::{Fate, FaultStorage};

fn open(engine: &Arc<FaultStorage>) -> Store {
    Store::builder().storage(engine.clone()).background(false).open().expect("it opens")
}

fn buffered(engine: &Arc<FaultStorage>) -> Store {
    let builder = Store::builder().storage(engine.clone()).durability(Durability::Buffered);
    builder.background(false).open().expect("it opens")
}

/// Found by seed 14. The last step of an online build makes the index readable,
/// which is a commit with a revision of its own; like the steps before it, it
/// was only buffered. So `create_index` answered, a power cut took it back, and
/// the revision was given out a second time: whoever had followed the changes up
/// to it missed the other commit of that number.
#[test]
fn g2_an_index_that_was_answered_is_there_after_a_power_cut() {
    let engine = Arc::new(FaultStorage::new());
    let store = open(&engine);
    let config = BucketConfig::new("id").field("size", Field::any());
    store.define_bucket("items", config).expect("defined");
    store.bucket("items").insert(json!({ "id": 1, "size": 2 })).expect("inserted");
    store.create_index("items", IndexConfig::on("size")).expect("created");
    let (revision, before) =
        (store.revision().expect("read"), store.indexes("items").expect("read"));
    drop(store);

    let store = open(&Arc::new(engine.cut(Fate::LoseUnsynced, 0)));
    assert_eq!(store.revision().expect("read"), revision);
    let after = store.indexes("items").expect("read");
    assert_eq!(after[0].to_json()["state"], before[0].to_json()["state"]);
}

/// Found by power cuts over buffered commits. What a power cut took back had
/// been followed already; the revisions were given out again, so a follower
/// that resumed from one of them missed the commits that have it now.
#[test]
fn g8_a_revision_that_a_power_cut_undid_cannot_be_resumed_from() {
    let engine = Arc::new(FaultStorage::new());
    let store = buffered(&engine);
    store.define_bucket("items", BucketConfig::new("id")).expect("defined");
    store.flush().expect("flushed");
    let durable = store.revision().expect("read");
    for id in 0..3 {
        store.bucket("items").insert(json!({ "id": id })).expect("inserted");
    }
    let lost = store.revision().expect("read");
    drop(store);

    let store = buffered(&Arc::new(engine.cut(Fate::LoseUnsynced, 0)));
    assert_eq!(store.revision().expect("read"), durable);
    for id in 10..20 {
        store.bucket("items").insert(json!({ "id": id })).expect("inserted");
    }
    for revision in durable + 1..=lost {
        let resumed = store.subscribe(SubscribeOptions::new().from(revision));
        let refused = resumed.expect_err("that revision was lost").code();
        assert_eq!(refused, Code::ResyncRequired);
    }
    let mut resumed = store.subscribe(SubscribeOptions::new().from(durable)).expect("it is there");
    let mut followed = Vec::new();
    while let Some(notice) = resumed.try_next().expect("read") {
        if let Notice::Commit(commit) = notice {
            assert!(commit.revision > lost, "revision {} was given out twice", commit.revision);
            followed.push(commit.changes[0].key.clone());
        }
    }
    assert_eq!(followed, (10..20).map(|id| json!(id)).collect::<Vec<_>>());
}
