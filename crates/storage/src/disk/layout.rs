//! How tables are laid out.
//!
//! What is in no cache costs one block: the filter and the block index of every table
//! are in memory, and a block has a hash index. The library keeps those of the newest
//! levels alone in memory, so that a read from a merged table first had to fetch parts
//! of its filter and its index (5.4 µs, now 3.0; `docs/benchmarks.md`, "What was won").
//! The price is memory: 10 bits for each key, and a key and some 11 bytes for each
//! block. That is 1 % of rows of 200 bytes and 5 % of index entries of 25.
//!
//! The rest is as the library has it: blocks of 4 KiB, Bloom filters with one false
//! positive in 10,000 on the newest level and 10 bits per key below, and lz4 from the
//! third level down. JSON rows shrink to a half or less where most of the data lies,
//! while young tables are written and read uncompressed.

use fjall::KeyspaceCreateOptions;
use fjall::config::{HashRatioPolicy, PartitioningPolicy, PinningPolicy};

use super::{DiskOptions, compaction};

/// Hash slots of a block for each of its keys, one byte each; a key that shares its slot
/// with others is searched for.
const HASH_RATIO: f32 = 0.75;

/// The layout of the tables of a new tree; an existing one keeps its own.
pub(super) fn of_tables(options: &DiskOptions) -> KeyspaceCreateOptions {
    let (everywhere, nowhere) = (PinningPolicy::all(true), PartitioningPolicy::all(false));
    KeyspaceCreateOptions::default()
        .max_memtable_size(options.write_buffer_bytes)
        .compaction_strategy(compaction::nothing())
        .filter_block_pinning_policy(everywhere.clone())
        .index_block_pinning_policy(everywhere)
        .filter_block_partitioning_policy(nowhere.clone())
        .index_block_partitioning_policy(nowhere)
        .data_block_hash_ratio_policy(HashRatioPolicy::all(HASH_RATIO))
}

#[cfg(test)]
mod tests {
    use fjall::{AbstractTree, Database};

    use super::*;

    #[test]
    fn filters_and_indexes_are_in_memory_however_deep_a_table_lies() {
        let directory = tempfile::tempdir().expect("a directory");
        let database = Database::builder(directory.path()).open().expect("a database");
        let tree = database.keyspace("t", || of_tables(&DiskOptions::default())).expect("a tree");
        let (keys, mut row) = (20_000_u32, [b'x'; 200]);
        for n in 0..keys {
            row[..4].copy_from_slice(&n.to_be_bytes());
            tree.insert(n.to_be_bytes(), row).expect("written");
        }
        tree.rotate_memtable_and_wait().expect("a table");
        tree.major_compact().expect("merged");
        let (filters, indexes) =
            (tree.tree.pinned_filter_size(), tree.tree.pinned_block_index_size());
        assert_eq!(tree.tree.l0_run_count(), 0, "not among the newest");
        // 10 bits a key; an entry for each block of 4 KiB.
        let blocks = keys as usize * row.len() / 4_096;
        assert!((20_000..30_000).contains(&filters), "{filters}");
        assert!((10 * blocks..30 * blocks).contains(&indexes), "{indexes} for {blocks} blocks");
    }
}
