//! The bytes of a batch, put together per tree.
//!
//! What is written stays in the engine's buffer until it goes to a table, long after
//! its writer is done with it. Kept as it came, each key and value is an allocation of
//! its own, or two, made by one thread and freed much later, cold, by another. Copied
//! side by side they are one per batch and tree, the memory of their writer is free
//! again at once, and dropping a buffer is short. A transfer of the benchmark, one client
//! and `buffered`, took 168 to 201 µs of processor time and takes 114 to 144; its slowest
//! in a thousand took 4.3 ms and takes 0.7 to 1.4 (`docs/benchmarks.md`, "What was won").
//!
//! Per tree, because trees are written to tables at different times, and memory that is
//! shared goes when its last part does.

use bytes::{Bytes, BytesMut};

use super::trees::Trees;
use crate::Operation;

/// What is longer is kept as it came: copying would cost more than it saves.
const LONGEST: usize = 4 << 10;

/// Room for the bytes of one batch, by tree.
pub(super) struct Packed {
    rooms: Vec<BytesMut>,
}

impl Packed {
    /// Room for the keys and values of `operations`.
    pub(super) fn new(trees: &Trees, operations: &[Operation]) -> Self {
        let mut bytes = vec![0; trees.len()];
        for operation in operations {
            let parts = [Some(operation.key()), operation.value()];
            let short = parts.into_iter().flatten().map(Bytes::len).filter(|len| *len <= LONGEST);
            bytes[trees.number(operation.key())] += short.sum::<usize>();
        }
        Self { rooms: bytes.into_iter().map(BytesMut::with_capacity).collect() }
    }

    /// `bytes`, for the tree of that number.
    pub(super) fn pack(&mut self, tree: usize, bytes: Bytes) -> Bytes {
        if bytes.len() > LONGEST {
            return bytes;
        }
        let room = &mut self.rooms[tree];
        room.extend_from_slice(&bytes);
        room.split().freeze()
    }
}

#[cfg(test)]
mod tests {
    use fjall::{Database, KeyspaceCreateOptions};

    use super::*;

    fn put(key: &'static str, value: Bytes) -> Operation {
        Operation::Put { key: key.into(), value }
    }

    #[test]
    fn what_one_batch_writes_to_one_tree_lies_together_and_long_values_are_not_copied() {
        let directory = tempfile::tempdir().expect("a directory");
        let database = Database::builder(directory.path()).open().expect("a database");
        let trees = Trees::open(&database, b"m", KeyspaceCreateOptions::default).expect("trees");
        let long = Bytes::from(vec![b'x'; LONGEST + 1]);
        let longest = Bytes::from(vec![b'y'; 4_096]);
        let operations = [
            put("a1", longest.clone()),
            put("a2", long.clone()),
            Operation::Delete { key: "a3".into() },
            put("z1", "other tree".into()),
        ];
        let mut packed = Packed::new(&trees, &operations);
        let mut places = vec![Vec::new(); trees.len()];
        for operation in &operations {
            let tree = trees.number(operation.key());
            for bytes in [Some(operation.key()), operation.value()].into_iter().flatten() {
                let kept = packed.pack(tree, bytes.clone());
                assert_eq!(kept, bytes);
                if *bytes == long {
                    assert_eq!(kept.as_ptr(), long.as_ptr());
                } else {
                    places[tree].push(kept);
                }
            }
        }
        let texts: Vec<Vec<&[u8]>> =
            places.iter().map(|tree| tree.iter().map(|bytes| &bytes[..]).collect()).collect();
        assert_eq!(texts, [vec![&b"a1"[..], &longest, b"a2", b"a3"], vec![b"z1", b"other tree"]]);
        for tree in &places {
            let mut end = tree[0].as_ptr();
            for bytes in tree {
                assert_eq!(bytes.as_ptr(), end, "next to the one before");
                end = bytes.as_ptr_range().end;
            }
        }
    }
}
