//! What a batch says of those before it.
//!
//! Nothing in the library's format says whether what came before was synced. But a batch
//! may list its operations in any order, so the order says it:
//!
//! ```text
//! a b c d    all batches before this one were synced when it was written
//! b a c d    all but one
//! d c b a    perhaps none
//! ```
//! What is written ahead while a sync is under way follows one that is not synced. A
//! batch of one operation lists it twice, which is the third, and so is the second of a
//! batch of two.

use crate::Operation;

/// How many batches before one were not synced when it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::disk) enum Follows {
    Synced,
    OneUnsynced,
    Unsynced,
}

impl Follows {
    /// So many keys tell which it is.
    pub(super) const MARKS: usize = 3;

    /// Of a batch after so many that are not synced.
    pub(in crate::disk) fn unsynced(batches: u64) -> Self {
        match batches {
            0 => Self::Synced,
            1 => Self::OneUnsynced,
            _ => Self::Unsynced,
        }
    }

    /// Orders operations that are in key order, each key there once.
    pub(in crate::disk) fn mark(self, operations: &mut Vec<Operation>) {
        match self {
            Self::Synced => {}
            Self::OneUnsynced if operations.len() >= Self::MARKS => operations.swap(0, 1),
            Self::OneUnsynced | Self::Unsynced => {
                operations.reverse();
                if let [only] = &operations[..] {
                    operations.push(only.clone());
                }
            }
        }
    }

    /// What the first keys say.
    pub(super) fn marked(keys: [Option<&[u8]>; Self::MARKS]) -> Self {
        match keys {
            [Some(a), Some(b), Some(c)] if a >= b && b < c => Self::OneUnsynced,
            [Some(a), Some(b), _] if a >= b => Self::Unsynced,
            _ => Self::Synced,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn the_order_says_what_was_synced_as_exactly_as_so_many_operations_can() {
        for operations in 1..6_u8 {
            for batches in 0..4 {
                let key = |n| Operation::Delete { key: Bytes::copy_from_slice(&[n]) };
                let mut marked = (0..operations).map(key).collect();
                let follows = Follows::unsynced(batches);
                follows.mark(&mut marked);
                let mut keys = [None; Follows::MARKS];
                keys.iter_mut().zip(&marked).for_each(|(place, it)| *place = Some(&it.key()[..]));
                let expected = match follows {
                    Follows::OneUnsynced if operations < 3 => Follows::Unsynced,
                    follows => follows,
                };
                assert_eq!(Follows::marked(keys), expected, "{operations} after {batches}");
                let mut all: Vec<_> = marked.iter().map(|it| it.key()[0]).collect();
                all.sort_unstable();
                all.dedup();
                assert!(all.into_iter().eq(0..operations), "none is lost");
            }
        }
    }
}
