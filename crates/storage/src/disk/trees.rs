//! One ordered key space over several trees.
//!
//! The key space is cut at some first bytes. Each piece is a tree of its own,
//! with its own buffer and tables, so that what is never rewritten is not merged
//! together with what always is, and a search for a key goes through its own
//! kind only:
//!
//! ```text
//! first byte   00 .. 03 | 04 | 05 .. 0f | 10 .. 1f | 20 .. ff      cut at 04 05 10 20
//! tree            0     | 1  |    2     |    3     |    4
//! ```
//! All trees share one journal, so a batch is whole or not there in all of them,
//! and a snapshot is of all of them at once.

use fjall::{Database, Keyspace, KeyspaceCreateOptions};

use crate::KeyRange;

/// See the [module](self). In key order, never empty.
pub(super) struct Trees {
    keyspaces: Vec<Keyspace>,
    /// By first byte.
    tree_of: [u8; 256],
}

impl Trees {
    /// Opens the trees of a key space that is cut at `cuts` (ascending), those
    /// created that are missing.
    pub(super) fn open(
        database: &Database,
        cuts: &[u8],
        options: impl Fn() -> KeyspaceCreateOptions,
    ) -> fjall::Result<Self> {
        let keyspaces = names(cuts).map(|name| database.keyspace(&name, &options));
        let keyspaces = keyspaces.collect::<fjall::Result<_>>()?;
        let mut tree_of = [0; 256];
        for cut in cuts {
            tree_of[usize::from(*cut)..].iter_mut().for_each(|tree| *tree += 1);
        }
        Ok(Self { keyspaces, tree_of })
    }

    pub(super) fn len(&self) -> usize {
        self.keyspaces.len()
    }

    /// All of them, in key order.
    pub(super) fn all(&self) -> &[Keyspace] {
        &self.keyspaces
    }

    /// The tree of that number.
    pub(super) fn at(&self, number: usize) -> &Keyspace {
        &self.keyspaces[number]
    }

    /// The tree that `key` belongs to.
    pub(super) fn of(&self, key: &[u8]) -> &Keyspace {
        self.at(self.number(key))
    }

    /// The trees that may hold keys of a range that is not empty, in key order.
    pub(super) fn over(&self, range: &KeyRange) -> &[Keyspace] {
        let first = self.number(&range.start);
        let last = match range.end.as_deref() {
            None => self.keyspaces.len() - 1,
            // Nothing at or after the end belongs to the range.
            Some([cut]) => self.number(&[cut.saturating_sub(1)]),
            Some(end) => self.number(end),
        };
        &self.keyspaces[first..=last.max(first)]
    }

    /// Bytes of all tables.
    pub(super) fn disk_space(&self) -> u64 {
        self.keyspaces.iter().map(Keyspace::disk_space).sum()
    }

    /// The number of the tree that `key` belongs to, from 0 in key order.
    pub(super) fn number(&self, key: &[u8]) -> usize {
        key.first().map_or(0, |byte| self.tree_of[usize::from(*byte)].into())
    }
}

/// The library's names for the trees, in key order.
pub(super) fn names(cuts: &[u8]) -> impl Iterator<Item = String> {
    let cuts = cuts.iter().map(|cut| format!("entries-{cut:02x}"));
    std::iter::once("entries".to_owned()).chain(cuts)
}

/// A list of first bytes as the format file has it: ascending, two hexadecimal
/// digits each.
pub(super) fn parse_cuts(text: &str) -> Option<Vec<u8>> {
    let cuts: Vec<u8> = text
        .split_whitespace()
        .map(|cut| {
            // A sign is part of a number, too.
            let digits = cut.len() == 2 && cut.bytes().all(|byte| byte.is_ascii_hexdigit());
            u8::from_str_radix(cut, 16).ok().filter(|_| digits)
        })
        .collect::<Option<_>>()?;
    (cuts.is_sorted_by(|a, b| a < b) && cuts.first() != Some(&0)).then_some(cuts)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tempfile::TempDir;

    use super::*;

    /// Trees cut at `04 10 20`, and what they are in.
    fn trees(directory: &TempDir) -> (Database, Trees) {
        let database = Database::builder(directory.path()).open().expect("a database");
        let cuts = parse_cuts("04 10 20").expect("cuts");
        let trees = Trees::open(&database, &cuts, KeyspaceCreateOptions::default).expect("trees");
        (database, trees)
    }

    #[test]
    fn a_key_belongs_to_the_tree_of_its_first_byte() {
        let directory = tempfile::tempdir().expect("a directory");
        let (_database, trees) = trees(&directory);
        assert_eq!(trees.len(), 4);
        let expected =
            [(0x00, 0), (0x03, 0), (0x04, 1), (0x0F, 1), (0x10, 2), (0x20, 3), (0xFF, 3)];
        let found = names(&[0x04, 0x10, 0x20]).collect::<Vec<_>>();
        assert_eq!(found, ["entries", "entries-04", "entries-10", "entries-20"]);
        for (first, number) in expected {
            let key = [first, 0xFF];
            assert_eq!(trees.number(&key), number, "{first:02x}");
            assert_eq!(**trees.of(&key).name(), *found[number], "{first:02x}");
            assert_eq!(**trees.at(number).name(), *found[number]);
        }
        assert_eq!(trees.number(b""), 0);
    }

    #[test]
    fn g3_a_range_is_looked_for_in_every_tree_that_may_hold_its_keys() {
        let directory = tempfile::tempdir().expect("a directory");
        let (_database, trees) = trees(&directory);
        let numbers = |start: &'static [u8], end: Option<&'static [u8]>| {
            let start = Bytes::from_static(start);
            let over = trees.over(&KeyRange { start, end: end.map(Bytes::from_static) });
            let first = (0..trees.len()).find(|at| trees.at(*at).name() == over[0].name());
            first.map(|first| first..first + over.len())
        };
        assert_eq!(numbers(b"", None), Some(0..4));
        assert_eq!(numbers(b"\x10", None), Some(2..4));
        assert_eq!(numbers(b"\x20a", None), Some(3..4));
        assert_eq!(numbers(b"\x03", Some(b"\x11")), Some(0..3));
        assert_eq!(numbers(b"\x03", Some(b"\x10")), Some(0..2), "nothing at the cut itself");
        assert_eq!(numbers(b"\x03", Some(b"\x10\0")), Some(0..3), "the cut's own key");
        assert_eq!(numbers(b"", Some(b"\0")), Some(0..1), "the empty key");
        assert_eq!(numbers(b"\x20", Some(b"\x03")), Some(3..4), "an empty range");
    }

    #[test]
    fn the_space_of_all_trees_counts() {
        let directory = tempfile::tempdir().expect("a directory");
        let (_database, trees) = trees(&directory);
        let mut expected = 0;
        for number in 0..trees.len() {
            let tree = trees.at(number);
            tree.insert(b"key", b"value").expect("written");
            tree.rotate_memtable_and_wait().expect("a table");
            assert!(tree.disk_space() > 1);
            expected += tree.disk_space();
            assert_eq!(trees.disk_space(), expected);
        }
    }

    #[test]
    fn cuts_are_ascending_first_bytes_of_two_digits() {
        assert_eq!(parse_cuts("04 10 ff"), Some(vec![0x04, 0x10, 0xFF]));
        assert_eq!(parse_cuts(""), Some(vec![]), "one tree");
        for damaged in ["10 04", "04 04", "00 04", "00", "4", "004", "04 1g", "+4"] {
            assert_eq!(parse_cuts(damaged), None, "{damaged}");
        }
    }
}
