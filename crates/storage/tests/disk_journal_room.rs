//! Blocks that the disk engine writes ahead of its journal never reach into a
//! batch, however writers, new journals and kills fall together.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test")]

use std::path::Path;

use tandem_storage::{DiskOptions, DiskStorage, Durability, Storage, WriteBatch};

const WRITERS: u8 = 4;
const BATCHES: u32 = 400;

fn options() -> DiskOptions {
    // Small buffers: the library begins a new journal when it writes one to a table and
    // the journal holds 64 MB.
    DiskOptions { write_buffer_bytes: 1 << 20, ..DiskOptions::default() }
}

fn batch(writer: u8, number: u32) -> WriteBatch {
    let mut batch = WriteBatch::new();
    for part in 0..4u8 {
        let key = [&[writer][..], &number.to_be_bytes(), &[part]].concat();
        let length = 1 + (number as usize * 97 + usize::from(part) * 911) % 30_000;
        batch.put(key, vec![writer.wrapping_add(part).max(1); length]);
    }
    batch
}

fn check(storage: &DiskStorage) {
    for writer in 0..WRITERS {
        for number in 0..BATCHES {
            for operation in batch(writer, number).operations() {
                let stored = storage.get(operation.key()).unwrap();
                assert_eq!(stored.as_ref(), operation.value(), "{writer} {number}");
            }
        }
    }
}

/// What a kill leaves: the files as they are, without an orderly end.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn g2_blocks_written_ahead_never_cover_a_batch() {
    let directory = tempfile::tempdir().unwrap();
    let (first, second) = (directory.path().join("first"), directory.path().join("second"));
    let storage = DiskStorage::open(&first, &options()).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let storage = &storage;
            scope.spawn(move || {
                for number in 0..BATCHES {
                    let durability =
                        if number % 50 == 0 { Durability::Sync } else { Durability::Buffered };
                    storage.write(batch(writer, number), durability).unwrap();
                }
            });
        }
    });
    check(&storage);
    assert!(first.join("data/1.jnl").exists(), "a new journal was begun while they wrote");
    drop(storage);
    // Reopened journals are shorter: nothing may be written ahead in them.
    copy(&first, &second);
    let storage = DiskStorage::open(&second, &options()).unwrap();
    check(&storage);
    storage.write(batch(0, 0), Durability::Sync).unwrap();
    drop(storage);
    let storage = DiskStorage::open(&second, &options()).unwrap();
    check(&storage);
}
