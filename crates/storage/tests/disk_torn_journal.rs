//! A power cut may leave the later pages of a batch and not the earlier ones.
//! Such a batch was never acknowledged; the store must open without it.
#![expect(clippy::disallowed_methods, reason = "the tests play the power cut")]
#![expect(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use std::fs;
use std::path::Path;

use tandem_base::{Code, Error};
use tandem_storage::{DiskOptions, DiskStorage, Durability, Storage, WriteBatch};

const JOURNAL: &str = "data/0.jnl";

fn open(path: &Path) -> Result<DiskStorage, Error> {
    DiskStorage::open(path, &DiskOptions::default())
}

/// Three values of two pages each, filled with `fill`.
fn batch(fill: u8) -> WriteBatch {
    let mut batch = WriteBatch::new();
    for key in 0..3u8 {
        batch.put(vec![fill, key], vec![fill; 8_192]);
    }
    batch
}

/// As if the power had gone: a store that is closed says what it holds.
fn not_closed(directory: &Path) {
    match fs::remove_file(directory.join("CLOSED")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
        _ => {}
    }
}

/// A store with the batches 1, 2 and 3, of which `torn` loses a page in its
/// middle.
fn store_with_torn(torn: u8) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let storage = open(directory.path()).unwrap();
    for fill in 1..=3 {
        storage.write(batch(fill), Durability::Sync).unwrap();
    }
    drop(storage);
    not_closed(directory.path());
    tear(directory.path(), torn);
    directory
}

/// The batch loses a page in its middle.
fn tear(directory: &Path, torn: u8) {
    let path = directory.join(JOURNAL);
    let mut journal = fs::read(&path).unwrap();
    let start = journal.windows(64).position(|bytes| bytes == [torn; 64]).unwrap();
    journal[start + 100..start + 4_196].fill(0);
    fs::write(&path, journal).unwrap();
}

#[test]
fn g1_a_batch_torn_in_its_middle_is_dropped_whole() {
    let directory = store_with_torn(3);
    for round in 0..3u8 {
        let storage = open(directory.path()).expect("the torn batch was never acknowledged");
        for fill in 1..=2 {
            for key in 0..3 {
                assert_eq!(storage.get(&[fill, key]).unwrap().as_deref(), Some(&[fill; 8_192][..]));
            }
        }
        for key in 0..3 {
            assert_eq!(storage.get(&[3, key]).unwrap(), None, "no part of the torn batch");
        }
        for earlier in 0..round {
            assert!(storage.get(&[100 + earlier, 0]).unwrap().is_some(), "written after mending");
        }
        storage.write(batch(100 + round), Durability::Sync).unwrap();
    }
}

#[test]
fn g2_a_damaged_batch_before_a_sound_one_is_corruption() {
    for torn in [1, 2] {
        let directory = store_with_torn(torn);
        let before = fs::read(directory.path().join(JOURNAL)).unwrap();
        for _ in 0..2 {
            let error = open(directory.path()).expect_err("synced data is damaged");
            assert_eq!(error.code(), Code::Corrupted, "{error:?}");
        }
        assert!(fs::read(directory.path().join(JOURNAL)).unwrap() == before, "left as it was");
    }
}

/// Whatever prefix of the journal a power cut left, whole batches are there.
#[test]
fn g1_every_prefix_of_the_journal_holds_whole_batches() {
    let directory = tempfile::tempdir().unwrap();
    let storage = open(directory.path()).unwrap();
    let mut ends = Vec::new();
    let path = directory.path().join(JOURNAL);
    for number in 0..4u8 {
        let mut batch = WriteBatch::new();
        batch.put(vec![number, 0], vec![number + 1; 9]);
        batch.delete(vec![number.wrapping_sub(1), 0]);
        batch.put(vec![number, 1], vec![number + 1; 9]);
        storage.write(batch, Durability::Sync).unwrap();
        let used = fs::read(&path).unwrap();
        ends.push(used.iter().rposition(|byte| *byte != 0).unwrap() + 1);
    }
    drop(storage);
    not_closed(directory.path());
    let journal = fs::read(&path).unwrap();
    for length in (0..=ends[3]).step_by(7).chain(ends.clone()) {
        let mut cut = journal[..length].to_vec();
        cut.resize(journal.len().min(8_192), 0);
        fs::write(&path, cut).unwrap();
        not_closed(directory.path());
        let storage = open(directory.path()).unwrap();
        let whole = ends.iter().filter(|end| **end <= length).count();
        for number in 0..4u8 {
            let there = usize::from(number) < whole;
            let last = usize::from(number) + 1 == whole;
            assert_eq!(storage.get(&[number, 0]).unwrap().is_some(), last, "at {length}");
            assert_eq!(storage.get(&[number, 1]).unwrap().is_some(), there, "at {length}");
        }
    }
}

/// A batch that is written while the one before it is synced may be on the disk when the
/// power goes, and the other torn.
#[test]
fn g1_what_was_written_behind_a_torn_batch_goes_with_it() {
    for (torn, behind) in [(2, 1), (2, 2), (2, 3), (3, 1)] {
        let directory = tempfile::tempdir().unwrap();
        let storage = open(directory.path()).unwrap();
        for fill in 1..torn {
            storage.write(batch(fill), Durability::Sync).unwrap();
        }
        for fill in torn..=torn + behind {
            storage.write(batch(fill), Durability::Buffered).unwrap();
        }
        drop(storage);
        not_closed(directory.path());
        tear(directory.path(), torn);
        let storage = open(directory.path()).expect("nobody was promised it");
        for fill in 1..=torn + behind {
            let there = storage.get(&[fill, 0]).unwrap().is_some();
            assert_eq!(there, fill < torn, "{fill} of {behind} behind {torn}");
        }
    }
}

/// A sync of its own, as of a group that was written ahead, counts as much as one with a
/// batch.
#[test]
fn g2_a_damaged_batch_is_corruption_once_something_was_written_after_its_sync() {
    let directory = tempfile::tempdir().unwrap();
    let storage = open(directory.path()).unwrap();
    for fill in 1..=3 {
        storage.write(batch(fill), Durability::Buffered).unwrap();
        storage.write(WriteBatch::new(), Durability::Sync).unwrap();
    }
    drop(storage);
    not_closed(directory.path());
    tear(directory.path(), 2);
    assert_eq!(open(directory.path()).expect_err("2 was synced").code(), Code::Corrupted);
}
