//! What the simulation has found, one story each, without the simulation.

use serde_json::json;
use tandem::{BucketConfig, Field, IndexConfig, Store};
use tandem_testkit::fault::{Fate, FaultStorage};

use std::sync::Arc;

fn open(engine: &Arc<FaultStorage>) -> Store {
    Store::builder().storage(engine.clone()).background(false).open().expect("it opens")
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
