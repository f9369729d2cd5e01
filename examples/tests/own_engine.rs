//! The example engine keeps the storage contract, recovers from a torn tail
//! and has one owner.
#![expect(clippy::disallowed_methods, reason = "the tests tear files")]

use std::fs;

use tandem_base::Code;
use tandem_storage::{Durability, Storage, WriteBatch};

#[path = "../log_factory.rs"]
mod log_factory;
#[path = "../log_storage.rs"]
mod log_storage;

use log_storage::LogStorage;

mod conformance {
    tandem_testkit::storage_conformance!(super::log_factory::LogFactory);
}

fn batch(fill: u8) -> WriteBatch {
    let mut batch = WriteBatch::new();
    batch.put(vec![fill, 1], vec![fill; 10]);
    batch.put(vec![fill, 2], vec![fill; 10]);
    batch
}

#[test]
fn g1_any_torn_tail_leaves_whole_batches_and_takes_new_ones() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.log");
    let mut ends = Vec::new();
    let storage = LogStorage::open(&path).unwrap();
    for fill in 1..=3 {
        storage.write(batch(fill), Durability::Sync).unwrap();
        ends.push(usize::try_from(storage.approximate_size().unwrap()).unwrap());
    }
    drop(storage);
    let log = fs::read(&path).unwrap();
    for length in 0..=log.len() {
        let mut torn = log[..length].to_vec();
        if length >= 8 && length % 3 == 0 {
            torn.extend([0; 100]); // Room that was allocated and never written.
        }
        fs::write(&path, torn).unwrap();
        let storage = LogStorage::open(&path).unwrap();
        let whole = ends.iter().filter(|end| **end <= length).count();
        for fill in 1..=3 {
            for key in 1..=2 {
                let there = storage.get(&[fill, key]).unwrap().is_some();
                assert_eq!(there, usize::from(fill) <= whole, "cut at {length}");
            }
        }
        storage.write(batch(9), Durability::Sync).unwrap();
        drop(storage);
        let storage = LogStorage::open(&path).unwrap();
        assert!(storage.get(&[9, 2]).unwrap().is_some(), "written after the cut at {length}");
    }
}

#[test]
fn g9_another_file_is_not_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("letter.txt");
    fs::write(&path, "Dear reader,").unwrap();
    let code = LogStorage::open(&path).map(drop).map_err(|error| error.code());
    assert_eq!(code, Err(Code::FormatUnsupported));
    assert_eq!(fs::read_to_string(&path).unwrap(), "Dear reader,");
}

#[test]
fn a_second_opener_is_told_that_the_log_is_locked() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.log");
    let first = LogStorage::open(&path).unwrap();
    let second = LogStorage::open(&path).map(drop).map_err(|error| error.code());
    assert_eq!(second, Err(Code::StoreLocked));
    drop(first);
    assert!(LogStorage::open(&path).is_ok());
}
