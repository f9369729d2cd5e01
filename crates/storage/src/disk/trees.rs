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
        .map(|cut| u8::from_str_radix(cut, 16).ok().filter(|_| cut.len() == 2))
        .collect::<Option<_>>()?;
    (cuts.is_sorted_by(|a, b| a < b) && cuts.first() != Some(&0)).then_some(cuts)
}
