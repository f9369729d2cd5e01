//! Regressions that the enumeration of power cuts and of rotten bytes found
//! (`proof/power-cuts`): the library below the disk engine would have dropped
//! data without a word, or refused a store in which nothing was wrong.
#![expect(clippy::disallowed_methods, reason = "the tests damage files")]
#![expect(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use std::fs;
use std::path::Path;

use tandem_base::{Code, Error};
use tandem_storage::{DiskOptions, DiskStorage, Durability, Storage, WriteBatch};
use tempfile::TempDir;

const JOURNAL: &str = "data/0.jnl";

fn open(path: &Path) -> Result<DiskStorage, Error> {
    DiskStorage::open(path, &DiskOptions::default())
}

/// So many values, each filled with `fill` + 100, under keys that begin with `fill`.
fn batch(fill: u8, operations: u8) -> WriteBatch {
    let mut batch = WriteBatch::new();
    for key in 0..operations {
        batch.put(vec![fill, key], vec![fill + 100; 600]);
    }
    batch
}

/// The files as they are while the store is open: as after a kill.
fn left_open(root: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    copy_files(root, copy.path());
    copy
}

fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_files(&path, &target);
        } else {
            let mut bytes = fs::read(&path).unwrap();
            bytes.truncate(1 << 20); // The room of the journal need not be copied.
            fs::write(target, bytes).unwrap();
        }
    }
}

/// Where the batch with these values begins.
fn start_of(journal: &[u8], fill: u8) -> usize {
    let value = journal.windows(600).position(|bytes| bytes == [fill + 100; 600]).unwrap();
    let key_and_item_head = 2 + 21;
    let item = value - key_and_item_head;
    assert_eq!((journal[item], journal[item - 13]), (2, 1), "an item after a batch's head");
    item - 13
}

fn change(root: &Path, file: &str, damage: impl FnOnce(&mut Vec<u8>)) {
    let path = root.join(file);
    let mut bytes = fs::read(&path).unwrap();
    damage(&mut bytes);
    fs::write(path, bytes).unwrap();
}

#[track_caller]
fn corrupted(root: &Path) {
    let before = fs::read(root.join(JOURNAL)).unwrap();
    for _ in 0..2 {
        let error = open(root).expect_err("damage must be noticed");
        assert_eq!(error.code(), Code::Corrupted, "{error:?}");
    }
    assert!(fs::read(root.join(JOURNAL)).unwrap() == before, "left as it was");
}

/// fjall 3.1.13 takes a byte that is no marker for the end of the journal, cuts
/// the file there and opens: every later batch is gone.
#[test]
fn g2_a_rotten_marker_between_batches_is_corruption() {
    let directory = tempfile::tempdir().unwrap();
    let storage = open(directory.path()).unwrap();
    for fill in 1..=4 {
        storage.write(batch(fill, 1), Durability::Sync).unwrap();
    }
    let killed = left_open(directory.path());
    drop(storage);
    for root in [directory.path(), killed.path()] {
        let sound = fs::read(root.join(JOURNAL)).unwrap();
        for fill in 1..=3 {
            let at = start_of(&sound, fill);
            for marker in [0, 3, 5, 255] {
                change(root, JOURNAL, |journal| journal[at] = marker);
                corrupted(root);
                change(root, JOURNAL, |journal| journal[at] = 1);
            }
        }
        open(root).expect("mended by hand");
    }
}

/// The library's checksum does not cover the sequence number; a batch with a
/// smaller one than its predecessor's would lose against older values.
#[test]
fn g2_a_rotten_sequence_number_is_corruption() {
    let directory = tempfile::tempdir().unwrap();
    let storage = open(directory.path()).unwrap();
    for fill in 1..=3 {
        storage.write(batch(fill, 2), Durability::Sync).unwrap();
    }
    let killed = left_open(directory.path());
    drop(storage);
    let at = start_of(&fs::read(killed.path().join(JOURNAL)).unwrap(), 2) + 5;
    change(killed.path(), JOURNAL, |journal| journal[at..at + 8].fill(0));
    corrupted(killed.path());
    // In the first batch there is no predecessor, but the closing mark knows.
    let first = start_of(&fs::read(directory.path().join(JOURNAL)).unwrap(), 1) + 5;
    change(directory.path(), JOURNAL, |journal| journal[first] ^= 4);
    corrupted(directory.path());
}

/// A write that fails half-way, on a full disk, leaves half a batch. The library
/// may begin a new journal all the same, so the half is not in the newest one.
#[test]
fn g9_half_a_batch_before_an_empty_journal_is_a_failed_write() {
    let directory = tempfile::tempdir().unwrap();
    let storage = open(directory.path()).unwrap();
    for fill in 1..=3 {
        storage.write(batch(fill, 2), Durability::Sync).unwrap();
    }
    let killed = left_open(directory.path());
    drop(storage);
    let root = killed.path();
    let half = start_of(&fs::read(root.join(JOURNAL)).unwrap(), 3) + 700;
    change(root, JOURNAL, |journal| journal[half..].fill(0));
    fs::write(root.join("data/1.jnl"), vec![0; 4096]).unwrap();
    let storage = open(root).unwrap();
    for (fill, there) in [(1, true), (2, true), (3, false)] {
        assert_eq!(storage.get(&[fill, 0]).unwrap().is_some(), there, "{fill}");
    }
    drop(storage);
    open(root).expect("and again");
}

/// A block of zeros at the end of the first quarter of a mebibyte, which is what is
/// read at once: what lay behind it was not looked at, and taken for room.
#[test]
fn g2_a_lost_block_before_sound_batches_is_corruption() {
    let directory = tempfile::tempdir().unwrap();
    let storage = open(directory.path()).unwrap();
    let mut large = WriteBatch::new();
    large.put("large", vec![9; (256 << 10) - 1_000]);
    storage.write(large, Durability::Sync).unwrap();
    for fill in 2..=4 {
        storage.write(batch(fill, 1), Durability::Sync).unwrap();
    }
    let killed = left_open(directory.path());
    let start = start_of(&fs::read(killed.path().join(JOURNAL)).unwrap(), 2);
    assert!((255 << 10..256 << 10).contains(&start));
    change(killed.path(), JOURNAL, |journal| journal[start..256 << 10].fill(0));
    corrupted(killed.path());
}

/// Damage to the last batch looks like a batch that the power cut short. A
/// store that was closed knows better.
#[test]
fn g2_the_last_batch_of_a_closed_store_is_not_taken_for_a_torn_one() {
    let directory = tempfile::tempdir().unwrap();
    let storage = open(directory.path()).unwrap();
    for fill in 1..=2 {
        storage.write(batch(fill, 2), Durability::Sync).unwrap();
    }
    let killed = left_open(directory.path());
    drop(storage);
    let at = start_of(&fs::read(killed.path().join(JOURNAL)).unwrap(), 2) + 100;
    for root in [directory.path(), killed.path()] {
        change(root, JOURNAL, |journal| journal[at] ^= 1);
    }
    corrupted(directory.path());
    let storage = open(killed.path()).expect("never acknowledged, for all one can know");
    assert!(storage.get(&[1, 0]).unwrap().is_some());
    assert!(storage.get(&[2, 0]).unwrap().is_none());
}

/// Several buffered batches were on their way and the disk kept the later ones:
/// the store could not be opened any more.
#[test]
fn g1_buffered_batches_that_a_power_cut_tore_out_of_order_are_cut_off() {
    for operations in [1, 3] {
        let directory = tempfile::tempdir().unwrap();
        let storage = open(directory.path()).unwrap();
        storage.write(batch(1, operations), Durability::Sync).unwrap();
        for fill in 2..=4 {
            storage.write(batch(fill, operations), Durability::Buffered).unwrap();
        }
        let torn = left_open(directory.path());
        let at = start_of(&fs::read(torn.path().join(JOURNAL)).unwrap(), 2) + 60;
        change(torn.path(), JOURNAL, |journal| journal[at..at + 512].fill(0));
        for _ in 0..2 {
            let storage = open(torn.path()).expect("nothing that was promised is lost");
            assert!(storage.get(&[1, 0]).unwrap().is_some());
            for fill in 2..=4 {
                assert!(storage.get(&[fill, 0]).unwrap().is_none(), "batch {fill} is half or late");
            }
        }

        // A sync promises all of them; then the same damage is damage.
        storage.write(WriteBatch::new(), Durability::Sync).unwrap();
        storage.write(batch(5, operations), Durability::Buffered).unwrap();
        let damaged = left_open(directory.path());
        change(damaged.path(), JOURNAL, |journal| journal[at..at + 512].fill(0));
        corrupted(damaged.path());
    }
}

/// The library's version marker was created and not yet written: creation cut
/// short, by a power cut or just by a kill, made a store that never opened.
#[test]
fn g1_a_creation_cut_before_the_version_marker_was_written_starts_over() {
    for marker in ["", "FJ"] {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("data/keyspaces")).unwrap();
        fs::write(directory.path().join(JOURNAL), vec![0; 100_000]).unwrap();
        fs::write(directory.path().join("data/version"), marker).unwrap();
        let storage = open(directory.path()).expect("nothing was ever acknowledged here");
        storage.write(batch(1, 1), Durability::Sync).unwrap();
    }
}

/// The library does not check the checksum of its list of tables, and removes a
/// keyspace whose `current` file is missing.
#[test]
fn g2_a_damaged_list_of_tables_is_corruption_and_nothing_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    open(directory.path()).unwrap().write(batch(1, 1), Durability::Sync).unwrap();
    for keyspace in ["data/keyspaces/0", "data/keyspaces/1"] {
        let copy = left_open(directory.path());
        let current = format!("{keyspace}/current");
        let version = fs::read(copy.path().join(&current)).unwrap()[0];
        let list = format!("{keyspace}/v{version}");
        for at in 0..fs::read(copy.path().join(&list)).unwrap().len() {
            change(copy.path(), &list, |bytes| bytes[at] ^= 0x10);
            corrupted(copy.path());
            change(copy.path(), &list, |bytes| bytes[at] ^= 0x10);
        }
        let kept = fs::read(copy.path().join(&current)).unwrap();
        fs::remove_file(copy.path().join(&current)).unwrap();
        corrupted(copy.path());
        assert!(copy.path().join("data/keyspaces/1").is_dir(), "the evidence is still there");
        fs::write(copy.path().join(&current), kept).unwrap();
        open(copy.path()).expect("mended by hand");
    }
}

/// The library makes room for as many sections as a table says that it has before
/// it compares checksums: one wrong bit asked for 90 GB, and the process was gone.
#[test]
fn g9_a_rotten_count_in_a_table_does_not_end_the_process() {
    let directory = tempfile::tempdir().unwrap();
    let options = DiskOptions { write_buffer_bytes: 0, ..DiskOptions::default() };
    let tables = directory.path().join("data/keyspaces/1/tables");
    let storage = DiskStorage::open(directory.path(), &options).unwrap();
    let names = || fs::read_dir(&tables).map_or(0, Iterator::count);
    for step in 0..4_000u32 {
        let mut batch = WriteBatch::new();
        batch.put(step.to_be_bytes().to_vec(), xorshift(step, 4_096));
        storage.write(batch, Durability::Buffered).unwrap();
        if names() > 1 {
            break;
        }
    }
    drop(storage);
    let mut struck = 0;
    for table in fs::read_dir(&tables).unwrap() {
        let path = table.unwrap().path();
        let sound = fs::read(&path).unwrap();
        let count = sound.windows(4).rposition(|bytes| bytes == b"TOC!").unwrap() + 4;
        let mut rotten = sound.clone();
        rotten[count + 3] ^= 0x40;
        fs::write(&path, rotten).unwrap();
        // One that no list names any more is the library's to remove.
        match open(directory.path()) {
            Err(error) => {
                assert_eq!(error.code(), Code::Corrupted, "{error:?}");
                struck += 1;
                fs::write(&path, sound).unwrap();
            }
            Ok(_) => assert!(!path.exists(), "it was read as if it were sound"),
        }
    }
    assert!(struck > 0, "the test reaches tables");
    open(directory.path()).expect("mended by hand");
}

/// Bytes that do not compress.
fn xorshift(seed: u32, length: usize) -> Vec<u8> {
    let mut state = seed | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state.to_le_bytes()[0]
        })
        .collect()
}
