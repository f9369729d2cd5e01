//! A store on disk over its life: closed, opened again, flushed to tables,
//! merged, read through old snapshots all the while.
#![expect(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use std::collections::BTreeMap;

use tandem_base::{Random, Result, SeededRandom};
use tandem_storage::{
    Bytes, Direction, DiskOptions, DiskStorage, Durability, KeyRange, Snapshot, Storage, WriteBatch,
};

fn entries(snapshot: &dyn Snapshot) -> BTreeMap<Bytes, Bytes> {
    snapshot.scan(&KeyRange::all(), Direction::Forward).collect::<Result<_>>().unwrap()
}

#[test]
fn g2_reopening_keeps_everything() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("made/on/the/way");
    for round in 0..4u8 {
        let storage = DiskStorage::open(&path, &DiskOptions::default()).unwrap();
        for earlier in 0..round {
            assert_eq!(storage.get(&[earlier]).unwrap().as_deref(), Some(&[earlier; 9][..]));
        }
        let mut batch = WriteBatch::new();
        batch.put(vec![round], vec![round; 9]);
        let durability = if round % 2 == 0 { Durability::Sync } else { Durability::Buffered };
        storage.write(batch, durability).unwrap();
    }
}

/// Enough writes for dozens of tables and several merges, with the smallest
/// buffer; a model says what every snapshot has to hold.
#[test]
fn tables_and_merges_change_nothing_that_a_reader_sees() {
    many_tables(&[]);
}

/// The same where the first bytes of the keys, 0 to 23, go to several trees.
#[test]
fn tables_and_merges_of_several_trees_change_nothing_that_a_reader_sees() {
    many_tables(&[1, 4, 5, 20]);
}

fn many_tables(cuts: &[u8]) {
    let directory = tempfile::tempdir().unwrap();
    let options = DiskOptions { write_buffer_bytes: 0, cache_bytes: 0, ..DiskOptions::default() };
    let mut storage = DiskStorage::open_cut(directory.path(), &options, cuts).unwrap();
    let random = SeededRandom::new(5);
    let mut model = BTreeMap::new();
    let mut snapshots = Vec::new();
    for step in 0..1_200u32 {
        let mut batch = WriteBatch::new();
        for _ in 0..20 {
            let key = Bytes::copy_from_slice(&(random.next_u64() as u16 % 6_000).to_be_bytes());
            if random.next_u64().is_multiple_of(5) {
                batch.delete(key.clone());
                model.remove(&key);
            } else {
                // Half of it repeats, so that it compresses but does not vanish.
                let words: Vec<u8> =
                    (0..64).flat_map(|_| random.next_u64().to_be_bytes()).collect();
                let value = Bytes::from([&words[..], &[7; 512]].concat());
                batch.put(key.clone(), value.clone());
                model.insert(key, value);
            }
        }
        storage.write(batch, Durability::Buffered).unwrap();
        if step % 300 == 17 {
            snapshots.push((model.clone(), storage.snapshot().unwrap()));
        }
        if step == 700 {
            for (then, snapshot) in snapshots.drain(..) {
                assert!(entries(&*snapshot) == then, "a snapshot held over many tables");
            }
            drop(storage);
            storage = DiskStorage::open(directory.path(), &options).unwrap();
            assert!(entries(&*storage.snapshot().unwrap()) == model, "reopened in the middle");
        }
    }
    for (then, snapshot) in &snapshots {
        assert!(entries(&**snapshot) == *then, "a snapshot held over many tables");
    }
    let now = storage.snapshot().unwrap();
    assert!(entries(&*now) == model);
    for (key, value) in model.iter().step_by(50) {
        assert_eq!(storage.get(key).unwrap().as_ref(), Some(value));
    }
    let keyspaces = std::fs::read_dir(directory.path().join("data/keyspaces")).unwrap();
    let tables = keyspaces.map(|keyspace| keyspace.unwrap().path().join("tables"));
    let tables = tables.map(|tables| std::fs::read_dir(tables).map_or(0, Iterator::count));
    assert!(tables.sum::<usize>() > 1 + cuts.len(), "the test reaches tables");
    assert!(storage.approximate_size().unwrap() > 1 << 20);
}
