//! Writes to the store in the directory that it is given, from several
//! threads, and prints `thread number` for each commit once it is acknowledged.
//! It never ends by itself: `tests/kill.rs` kills it.

use std::io::Write;

use serde_json::json;
use tandem::{BucketConfig, Field, IndexConfig, Result, Store};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(directory), Some(threads)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: kill_writer DIRECTORY THREADS");
        std::process::exit(2);
    };
    let threads: u64 = threads.parse().unwrap_or(4);
    let store = Store::open(directory)?;
    if store.bucket_names()?.is_empty() {
        define(&store, threads)?;
    }
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let store = &store;
            scope.spawn(move || {
                if let Err(error) = write(store, thread) {
                    eprintln!("thread {thread}: {error:?}");
                    std::process::exit(1);
                }
            });
        }
    });
    Ok(())
}

fn define(store: &Store, threads: u64) -> Result<()> {
    let counters = BucketConfig::new("thread").field("thread", Field::number());
    store.define_bucket("counters", counters)?;
    let entries = BucketConfig::new("id")
        .field("id", Field::string().generated_uuid())
        .field("name", Field::string().unique())
        .field("thread", Field::number())
        .field("n", Field::number())
        .index(IndexConfig::on("thread").then_descending("n"));
    store.define_bucket("entries", entries)?;
    let audit = BucketConfig::new("id")
        .field("id", Field::number().generated_autoincrement())
        .field("n", Field::number())
        .index(IndexConfig::on("n"));
    store.define_bucket("audit", audit)?;
    for thread in 0..threads {
        store.bucket("counters").insert(json!({ "thread": thread, "n": 0 }))?;
    }
    Ok(())
}

/// Each commit counts one up and leaves one row in two other buckets; an older
/// entry is deleted now and then, so that deletes are cut as well.
fn write(store: &Store, thread: u64) -> Result<()> {
    loop {
        let n = store.transaction(|tx| {
            let counters = tx.bucket("counters");
            let counter = counters.get(thread)?;
            let n = counter.and_then(|counter| counter.get("n")?.as_u64()).unwrap_or(0) + 1;
            counters.update(thread, json!({ "n": n }))?;
            let name = format!("{thread}-{n}");
            tx.bucket("entries").insert(json!({ "name": name, "thread": thread, "n": n }))?;
            tx.bucket("audit").insert(json!({ "thread": thread, "n": n }))?;
            if n % 3 == 0 {
                let name = format!("{thread}-{}", n - 1);
                tx.bucket("entries").delete_many(json!({ "name": name }))?;
            }
            Ok(n)
        })?;
        let mut out = std::io::stdout().lock();
        if writeln!(out, "{thread} {n}").and_then(|()| out.flush()).is_err() {
            return Ok(());
        }
    }
}
