//! Which keys recent commits wrote, and when: what validation asks.
//!
//! An entry is needed as long as a transaction is open that began before it,
//! so the index is empty again as soon as nobody is. It is bounded all the
//! same: when its keys take too many bytes, the oldest commits are forgotten
//! and the *floor* rises above them. A transaction that began below the floor
//! can no longer be validated and is told that it is too old.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use tandem_storage::KeyRange;

use crate::write_set::bounds;

pub(super) struct RecentCommits {
    last_write: BTreeMap<Bytes, u64>,
    order: VecDeque<(u64, Vec<Bytes>)>,
    bytes: usize,
    max_bytes: usize,
    floor: u64,
}

/// What one remembered key costs beyond its bytes: two entries of the maps.
const OVERHEAD: usize = 96;

impl RecentCommits {
    /// An index that knows everything after `revision`.
    pub(super) fn new(revision: u64, max_bytes: usize) -> Self {
        Self {
            last_write: BTreeMap::new(),
            order: VecDeque::new(),
            bytes: 0,
            max_bytes,
            floor: revision,
        }
    }

    /// Every commit after this revision is remembered.
    pub(super) fn floor(&self) -> u64 {
        self.floor
    }

    /// The last commit that wrote `key`, as far as it is remembered.
    pub(super) fn last_write(&self, key: &[u8]) -> Option<u64> {
        self.last_write.get(key).copied()
    }

    /// Whether `key` was written after `revision`, which must not be below the
    /// floor.
    pub(super) fn changed(&self, key: &[u8], revision: u64) -> bool {
        self.last_write(key).is_some_and(|written| written > revision)
    }

    /// A key of `range` that was written after `revision`.
    pub(super) fn changed_in(&self, range: &KeyRange, revision: u64) -> Option<&Bytes> {
        self.last_write
            .range::<[u8], _>(bounds(range))
            .find(|(_, written)| **written > revision)
            .map(|(key, _)| key)
    }

    pub(super) fn record(&mut self, revision: u64, keys: Vec<Bytes>) {
        for key in &keys {
            self.bytes += key.len() + OVERHEAD;
            self.last_write.insert(key.clone(), revision);
        }
        self.order.push_back((revision, keys));
    }

    /// Forgets what nobody needs (commits up to `oldest_needed`) and what is
    /// over the bound.
    pub(super) fn trim(&mut self, oldest_needed: u64) {
        while let Some((revision, _)) = self.order.front()
            && (*revision <= oldest_needed || self.bytes > self.max_bytes)
        {
            let Some((revision, keys)) = self.order.pop_front() else { break };
            self.floor = self.floor.max(revision);
            for key in keys {
                self.bytes -= key.len() + OVERHEAD;
                if self.last_write.get(&key) == Some(&revision) {
                    self.last_write.remove(&key);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> Bytes {
        Bytes::copy_from_slice(&[n])
    }

    #[test]
    fn a_key_written_twice_is_remembered_until_its_last_commit_is_forgotten() {
        let mut recent = RecentCommits::new(0, usize::MAX);
        recent.record(1, vec![key(1), key(2)]);
        recent.record(2, vec![key(1)]);
        recent.trim(1);
        assert!(recent.changed(&key(1), 1));
        assert!(!recent.changed(&key(1), 2));
        assert_eq!(recent.last_write(&key(2)), None);
        recent.trim(2);
        assert_eq!((recent.bytes, recent.last_write.len()), (0, 0));
    }

    #[test]
    fn g10_the_index_is_bounded_and_its_floor_tells_what_was_forgotten() {
        let mut recent = RecentCommits::new(0, 10 * (1 + OVERHEAD));
        for revision in 1..=100 {
            recent.record(revision, vec![key(revision as u8)]);
            recent.trim(0);
        }
        assert_eq!(recent.floor(), 90);
        assert_eq!(recent.last_write.len(), 10);
        assert_eq!(recent.changed_in(&KeyRange::all(), 99), Some(&key(100)));
        assert_eq!(recent.changed_in(&KeyRange::all(), 100), None);
    }
}
