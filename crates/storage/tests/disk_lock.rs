//! One owner per directory.

use std::process::Command;
use std::sync::Arc;

use tandem_base::Code;
use tandem_storage::{DiskOptions, DiskStorage, Durability, Storage, WriteBatch};

fn open(path: &std::path::Path) -> tandem_base::Result<DiskStorage> {
    DiskStorage::open(path, &DiskOptions::default())
}

#[test]
fn a_second_opener_in_the_same_process_is_told_that_the_store_is_locked() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path()).unwrap();
    let error = open(directory.path()).expect_err("open already");
    assert_eq!(error.code(), Code::StoreLocked);
    first.write(WriteBatch::new(), Durability::Sync).expect("the first is not disturbed");
    drop(first);
    open(directory.path()).expect("free again");
}

#[test]
fn a_held_snapshot_keeps_the_directory_locked() {
    let directory = tempfile::tempdir().unwrap();
    let storage = Arc::new(open(directory.path()).unwrap());
    let snapshot = storage.snapshot().unwrap();
    drop(storage);
    assert_eq!(open(directory.path()).expect_err("still read").code(), Code::StoreLocked);
    drop(snapshot);
    open(directory.path()).expect("free again");
}

#[test]
fn a_second_opener_in_another_process_is_told_that_the_store_is_locked() {
    const NAME: &str = "a_second_opener_in_another_process_is_told_that_the_store_is_locked";
    if let Some(path) = std::env::var_os("TANDEM_TEST_DIRECTORY") {
        let code = open(path.as_ref()).map(drop).map_err(|error| error.code());
        println!("answer: {code:?};");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let answer = || {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", NAME, "--nocapture"])
            .env("TANDEM_TEST_DIRECTORY", directory.path())
            .output()
            .unwrap();
        let output = String::from_utf8_lossy(&output.stdout).into_owned();
        let (_, answer) = output.split_once("answer: ").expect("the child answers");
        answer.split(';').next().unwrap_or_default().to_owned()
    };
    let storage = open(directory.path()).unwrap();
    assert_eq!(answer(), "Err(StoreLocked)");
    drop(storage);
    assert_eq!(answer(), "Ok(())");
}

#[test]
fn a_closed_store_opens_again_while_other_threads_start_processes() {
    // A child process shares the parent's open files until it runs its own
    // program; it kept the lock of a store that had just been closed.
    let directory = tempfile::tempdir().unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    std::process::Command::new("true").status().unwrap();
                }
            });
        }
        let refused = (0..40)
            .map(|_| DiskStorage::open(directory.path(), &DiskOptions::default()))
            .find_map(Result::err);
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(refused.is_none(), "{refused:?}");
    });
}
