//! Changes as they happen: callbacks by topic, and a subscription that can be
//! left and taken up again.
//!
//! Run it: `cargo run -p tandem-examples --example events`

use std::time::Duration;

use serde_json::json;
use tandem::{BucketConfig, ChangeKind, Notice, Result, Store, SubscribeOptions};

fn main() -> Result<()> {
    let store = Store::memory()?;
    store.define_bucket("orders", BucketConfig::new("id"))?;
    store.define_bucket("audit", BucketConfig::new("entry"))?;

    // A callback runs after the commit, on a thread of its own, and may use
    // the store. It ends with its guard.
    let audit = store.clone();
    let guard = store.on("bucket.orders.*", move |event| {
        let entry = format!("{} {} at {}", event.topic, event.key, event.revision);
        if let Err(error) = audit.bucket("audit").insert(json!({ "entry": entry })) {
            eprintln!("not audited: {error}");
        }
    })?;

    // A subscription pulls at its own speed and costs the store nothing.
    let mut large = store.subscribe(
        SubscribeOptions::new().bucket("orders").filter(json!({ "total": { "$gte": 100 } })),
    )?;

    let orders = store.bucket("orders");
    orders.insert(json!({ "id": 1, "total": 20 }))?;
    store.transaction(|tx| {
        let orders = tx.bucket("orders");
        orders.insert(json!({ "id": 2, "total": 150 }))?;
        orders.insert(json!({ "id": 3, "total": 250 }))?;
        orders.update(1, json!({ "total": 30 }))
    })?;
    // Rolled back, so nobody hears of it.
    store.begin()?.bucket("orders").delete(2)?;

    let mut resume_from = 0;
    while let Some(notice) = large.try_next()? {
        if let Notice::Commit(commit) = notice {
            println!("revision {} has {} large orders", commit.revision, commit.changes.len());
            resume_from = commit.revision;
        }
    }

    // Left, and taken up again later: nothing is missed.
    drop(large);
    orders.delete(3)?;
    let later = SubscribeOptions::new().bucket("orders").from(resume_from);
    for change in store.subscribe(later)?.next_timeout(Duration::from_secs(1))?.into_iter() {
        if let Notice::Commit(commit) = change {
            assert_eq!(commit.changes[0].kind, ChangeKind::Deleted);
            println!("meanwhile: {}", commit.changes[0].to_json());
        }
    }

    store.settle_events(Duration::from_secs(5))?;
    drop(guard);
    for entry in store.bucket("audit").all().iter()? {
        println!("audit: {}", entry?.get("entry").unwrap_or_default());
    }
    Ok(())
}
