//! What a store's files hold once writes have ended and maintenance has had its
//! rounds: the data, the stated part of the change log, one journal.
#![expect(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use std::path::Path;

use serde_json::{Value, json};
use tandem::{
    BucketConfig, ChangeLogOptions, CheckOptions, Field, IndexConfig, Store, StoreBuilder,
};
use tandem_storage::DiskOptions;

const RECORDS: usize = 2_000;
const LOG_BYTES: u64 = 1 << 20;
const JOURNAL_BYTES: u64 = 64 << 20;

fn builder(directory: &Path) -> StoreBuilder {
    let disk = DiskOptions { write_buffer_bytes: 0, journal_bytes: 0, ..DiskOptions::default() };
    let log = ChangeLogOptions { max_bytes: LOG_BYTES, ..ChangeLogOptions::default() };
    Store::builder().path(directory).disk(disk).change_log(log).background(false)
}

fn record(number: usize, round: usize) -> Value {
    // Digits that look random, so that they compress, but not to nothing.
    let note: String = (0..200)
        .map(|part| (number * 7_919 + round * 104_729 + part * 1_299_709) % 99_991)
        .map(|digits| format!("{digits:05}"))
        .collect();
    json!({ "id": format!("record {number:06}"), "city": format!("city {}", number % 50), "note": note })
}

/// Texts, keys and index entries, without any of the store's own bytes.
fn live_bytes() -> u64 {
    let record = record(0, 0).to_string().len() + "record 000000".len();
    ((record + "city 10".len() + "record 000000".len()) * RECORDS) as u64
}

/// Every record ten times, in transactions of a hundred.
fn overwrite_all(store: &Store) {
    let config =
        BucketConfig::new("id").field("city", Field::string()).index(IndexConfig::on("city"));
    store.define_bucket("records", config).unwrap();
    for round in 0..=10 {
        for first in (0..RECORDS).step_by(100) {
            store
                .transaction(|transaction| {
                    let records = transaction.bucket("records");
                    (first..first + 100).try_for_each(|number| match record(number, round) {
                        record if round == 0 => records.insert(record).map(|_| ()),
                        record => {
                            records.replace(format!("record {number:06}"), record).map(|_| ())
                        }
                    })
                })
                .unwrap();
        }
        store.maintain().unwrap();
    }
}

/// As the background thread does, round after round; the engine's own threads
/// are waited for by the rounds that find them at work.
fn settle(store: &Store) {
    while !store.maintain().unwrap().settled {
        std::thread::yield_now();
    }
}

/// Bytes of tables and lists, and of journals, holes left out.
fn files(directory: &Path) -> (u64, u64) {
    let (mut tables, mut journals) = (0, 0);
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let journal = path.extension().is_some_and(|extension| extension == "jnl");
        if path.is_dir() {
            let below = files(&path);
            (tables, journals) = (tables + below.0, journals + below.1);
        } else if journal {
            journals += bytes(&path);
        } else {
            tables += bytes(&path);
        }
    }
    (tables, journals)
}

#[cfg(unix)]
fn bytes(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let metadata = path.metadata().unwrap();
    (metadata.blocks() * 512).min(metadata.len())
}

#[cfg(not(unix))]
fn bytes(path: &Path) -> u64 {
    path.metadata().unwrap().len()
}

#[track_caller]
fn is_small(directory: &Path) {
    let (tables, journals) = files(directory);
    let (live, most) = (live_bytes(), 2 * live_bytes() + LOG_BYTES);
    assert!(tables <= most, "{tables} bytes in tables for {live} of data");
    assert!(journals <= JOURNAL_BYTES + (1 << 20), "{journals} bytes in journals");
}

fn is_whole(store: &Store) {
    let found = store.bucket("records").find(json!({})).sort("id").records().unwrap();
    assert_eq!(found.len(), RECORDS);
    for (number, found) in found.iter().enumerate() {
        assert_eq!(found.get("note").unwrap(), record(number, 10)["note"]);
    }
    assert!(store.check(&CheckOptions::default()).unwrap().problems.is_empty());
}

#[test]
fn g10_files_are_as_large_as_the_data_and_its_log_once_writes_have_ended() {
    let directory = tempfile::tempdir().unwrap();
    let store = builder(directory.path()).open().unwrap();
    overwrite_all(&store);
    settle(&store);
    is_small(directory.path());
    is_whole(&store);
    assert!(store.maintain().unwrap().settled, "and it stays so");
    drop(store);
    let store = builder(directory.path()).open().unwrap();
    is_whole(&store);
}

#[test]
fn g10_a_store_that_was_closed_before_it_settled_does_so_when_it_is_open_again() {
    let directory = tempfile::tempdir().unwrap();
    overwrite_all(&builder(directory.path()).open().unwrap());
    let store = builder(directory.path()).open().unwrap();
    settle(&store);
    is_small(directory.path());
    is_whole(&store);
}

#[test]
fn g4_what_an_open_transaction_reads_is_not_given_back() {
    let directory = tempfile::tempdir().unwrap();
    let store = builder(directory.path()).open().unwrap();
    overwrite_all(&store);
    let reader = store.begin().unwrap();
    let before = reader.bucket("records").get("record 000007").unwrap().unwrap();
    let deleted = store.bucket("records").delete_many(json!({})).unwrap();
    assert_eq!(deleted, RECORDS as u64);
    for _ in 0..50 {
        assert!(!store.maintain().unwrap().settled, "it is in the way");
    }
    let read = reader.bucket("records").find(json!({})).records().unwrap();
    assert_eq!(read.len(), RECORDS);
    let again = reader.bucket("records").get("record 000007").unwrap().unwrap();
    assert_eq!(again.get("note"), before.get("note"));
    drop(reader);
    settle(&store);
    let (tables, _) = files(directory.path());
    assert!(tables <= live_bytes() / 2 + LOG_BYTES, "{tables} bytes of nothing");
}
