//! A disk that takes no more writes poisons the store until it is opened again.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use std::path::Path;
use std::process::Command;

use tandem_base::Code;
use tandem_storage::{DiskOptions, DiskStorage, Durability, Storage, WriteBatch};

const NAME: &str = "g9_a_full_disk_poisons_the_store_until_it_is_reopened";

fn open(path: &Path) -> DiskStorage {
    DiskStorage::open(path, &DiskOptions::default()).unwrap()
}

fn batch(number: u32, bytes: usize) -> WriteBatch {
    let mut batch = WriteBatch::new();
    batch.put(number.to_be_bytes().to_vec(), vec![number as u8; bytes]);
    batch
}

/// Runs where no file may grow beyond one megabyte.
fn fill(path: &Path) {
    let storage = open(path);
    let mut number = 1;
    let first = loop {
        match storage.write(batch(number, 64 << 10), Durability::Sync) {
            Ok(()) => number += 1,
            Err(error) => break error,
        }
        assert!(number < 100, "the limit of the file size does not work");
    };
    assert_eq!(first.code(), Code::StoreFailed);
    assert!(number > 3, "some writes fit");
    for durability in [Durability::Sync, Durability::Buffered] {
        // A small or an empty batch would fit, but must not be tried.
        for later in [batch(number, 1), WriteBatch::new()] {
            let error = storage.write(later, durability).expect_err("poisoned");
            assert_eq!(format!("{error:?}"), format!("{first:?}"), "the same error");
        }
    }
    let newest = storage.get(&(number - 1).to_be_bytes()).unwrap();
    assert!(newest.is_some(), "reads go on");
    println!("acknowledged: {number};");
}

#[test]
fn g9_a_full_disk_poisons_the_store_until_it_is_reopened() {
    if let Some(path) = std::env::var_os("TANDEM_TEST_DIRECTORY") {
        return fill(path.as_ref());
    }
    let directory = tempfile::tempdir().unwrap();
    // Opening again cuts the journal's preallocated room, so that the child
    // needs no large file.
    for _ in 0..2 {
        open(directory.path()).write(batch(0, 1), Durability::Sync).unwrap();
    }
    let output = Command::new("sh")
        .arg("-c")
        // Blocks are of 512 or 1,024 bytes, as the shell has it.
        .arg("trap '' XFSZ; ulimit -f 1024; exec \"$@\"")
        .arg("sh")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", NAME, "--nocapture"])
        .env("TANDEM_TEST_DIRECTORY", directory.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let (_, rest) = text.split_once("acknowledged: ").expect("the child reports");
    let acknowledged: u32 = rest.split(';').next().unwrap().parse().unwrap();

    let storage = open(directory.path());
    for number in 0..acknowledged {
        assert!(storage.get(&number.to_be_bytes()).unwrap().is_some(), "{number} is lost");
    }
    storage.write(batch(1_000, 1), Durability::Sync).expect("a reopened store takes writes");
}
