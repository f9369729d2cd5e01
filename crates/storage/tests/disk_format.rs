//! What a directory says about itself is checked before anything else is read.
#![expect(clippy::disallowed_methods, reason = "the tests damage files")]
#![expect(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use std::fs;
use std::path::{Path, PathBuf};

use tandem_base::{Code, Error};
use tandem_storage::{
    Direction, DiskOptions, DiskStorage, Durability, KeyRange, Storage, WriteBatch,
};
use tempfile::TempDir;
use xxhash_rust::xxh3::xxh3_64;

/// A closed store with one entry.
fn store() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let mut batch = WriteBatch::new();
    batch.put("key", "value");
    open(directory.path()).unwrap().write(batch, Durability::Sync).unwrap();
    directory
}

fn open(path: &Path) -> Result<DiskStorage, Error> {
    DiskStorage::open(path, &DiskOptions::default())
}

#[track_caller]
fn refused(path: &Path, code: Code) {
    let error = open(path).expect_err("must not open");
    assert_eq!(error.code(), code, "{error:?}");
}

#[test]
fn a_newer_format_is_unsupported() {
    let directory = store();
    let head = "tandem disk format\nversion 3\nsomething new\n";
    let text = format!("{head}checksum {:016x}\n", xxh3_64(head.as_bytes()));
    fs::write(directory.path().join("FORMAT"), text).unwrap();
    refused(directory.path(), Code::FormatUnsupported);
}

#[test]
fn a_damaged_format_file_is_corruption() {
    for text in
        ["", "tandem disk format\nversion 1\n", "tandem disk format\nversion 2\nchecksum 0\n"]
    {
        let directory = store();
        fs::write(directory.path().join("FORMAT"), text).unwrap();
        refused(directory.path(), Code::Corrupted);
    }
}

#[test]
fn a_missing_format_file_beside_data_is_corruption() {
    let directory = store();
    fs::remove_file(directory.path().join("FORMAT")).unwrap();
    refused(directory.path(), Code::Corrupted);
}

#[test]
fn g9_lost_data_is_not_mistaken_for_a_new_store() {
    for lost in ["data", "data/keyspaces/1"] {
        let directory = store();
        fs::remove_dir_all(directory.path().join(lost)).unwrap();
        refused(directory.path(), Code::Corrupted);
    }
    let directory = store();
    fs::remove_file(directory.path().join("data/version")).unwrap();
    refused(directory.path(), Code::Corrupted);
}

#[test]
fn g9_a_lost_tree_of_several_is_noticed() {
    for lost in 1..=4 {
        let directory = tempfile::tempdir().unwrap();
        drop(cut(directory.path(), b"bdh"));
        fs::remove_dir_all(directory.path().join(format!("data/keyspaces/{lost}"))).unwrap();
        refused(directory.path(), Code::Corrupted);
        let directory = tempfile::tempdir().unwrap();
        drop(cut(directory.path(), b"bdh"));
        fs::remove_file(directory.path().join(format!("data/keyspaces/{lost}/current"))).unwrap();
        refused(directory.path(), Code::Corrupted);
    }
}

/// A store with an entry for each letter from a to j.
fn cut(path: &Path, cuts: &[u8]) -> DiskStorage {
    let storage = DiskStorage::open_cut(path, &DiskOptions::default(), cuts).unwrap();
    let mut batch = WriteBatch::new();
    (b'a'..=b'j').for_each(|letter| batch.put(vec![letter], vec![letter]));
    storage.write(batch, Durability::Sync).unwrap();
    storage
}

#[test]
fn a_store_stays_cut_as_it_was_created() {
    let directory = tempfile::tempdir().unwrap();
    drop(cut(directory.path(), b"bdh"));
    for cuts in [&[][..], b"cx", b"bdh"] {
        let storage = cut(directory.path(), cuts);
        let snapshot = storage.snapshot().unwrap();
        for direction in [Direction::Forward, Direction::Reverse] {
            for (start, end) in [(b'a', b'k'), (b'b', b'd'), (b'c', b'e'), (b'd', b'e')] {
                let range = KeyRange::new(vec![start], vec![end]);
                let keys = snapshot.scan(&range, direction).map(|entry| entry.unwrap().0[0]);
                let mut expected: Vec<u8> = (start..end).collect();
                if direction == Direction::Reverse {
                    expected.reverse();
                }
                assert_eq!(keys.collect::<Vec<_>>(), expected);
            }
        }
    }
}

#[test]
fn an_unknown_version_of_the_library_is_not_opened() {
    let directory = store();
    for (marker, code) in [(b"FJL\x02", Code::FormatUnsupported), (b"FJL\x63", Code::Corrupted)] {
        fs::write(directory.path().join("data/version"), marker).unwrap();
        refused(directory.path(), code);
    }
}

/// The process ended while a store was being created for the first time.
#[test]
fn g9_a_creation_cut_short_starts_over() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir_all(directory.path().join("data/keyspaces")).unwrap();
    fs::write(directory.path().join("data/0.jnl"), "").unwrap();
    open(directory.path()).expect("nothing was ever acknowledged here");

    let empty = tempfile::tempdir().unwrap();
    open(empty.path()).unwrap();
    fs::remove_file(empty.path().join("FORMAT")).unwrap();
    open(empty.path()).expect("created but for its format file");
}

/// Whatever file is damaged, opening and reading answer with a code or with
/// the right data, never with a panic.
#[test]
fn g9_damage_in_any_file_never_panics() {
    let sound = store();
    for file in files(sound.path()) {
        let damages: [fn(&mut Vec<u8>); 3] =
            [cut_in_half, |bytes| flip_the_middle(bytes), |bytes| flip_the_start(bytes)];
        for damage in damages {
            let copy = copy_of(sound.path());
            let path = copy.path().join(&file);
            let mut bytes = fs::read(&path).unwrap();
            damage(&mut bytes);
            fs::write(&path, bytes).unwrap();
            match open(copy.path()).and_then(|storage| storage.get(b"key")) {
                Ok(value) => assert!(value.is_none_or(|value| value == "value"), "{file:?}"),
                Err(error) => assert!(
                    matches!(
                        error.code(),
                        Code::Corrupted | Code::StorageError | Code::FormatUnsupported
                    ),
                    "{file:?}: {error:?}"
                ),
            }
        }
    }
}

fn cut_in_half(bytes: &mut Vec<u8>) {
    bytes.truncate(bytes.len() / 2);
}

fn flip_the_middle(bytes: &mut [u8]) {
    let middle = bytes.len() / 2;
    bytes.iter_mut().skip(middle).take(1).for_each(|byte| *byte ^= 0x55);
}

fn flip_the_start(bytes: &mut [u8]) {
    bytes.iter_mut().take(2).for_each(|byte| *byte ^= 0x55);
}

fn files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.push(path.strip_prefix(root).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

fn copy_of(root: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for file in files(root) {
        let target = copy.path().join(&file);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        let mut bytes = fs::read(root.join(&file)).unwrap();
        // The journal's preallocated room need not be copied.
        if file.extension().is_some_and(|extension| extension == "jnl") {
            bytes.truncate(4_096);
        }
        fs::write(target, bytes).unwrap();
    }
    copy
}
