//! Which keys recent commits wrote, and when: what validation asks.
//!
//! An entry is needed as long as a transaction is open that began before it,
//! so the index is empty again as soon as nobody is. It is bounded all the
//! same: when its keys take too many bytes, the oldest commits are forgotten
//! and the *floor* rises above them. A transaction that began below the floor
//! can no longer be validated and is told that it is too old.
//!
//! Entries are kept in *generations*, each a map of what a run of commits wrote:
//!
//! ```text
//! oldest                                  newest
//! [ 5..90 ]  [ 91..160 ]  [ 161..240 ]  [ 241..  ]   revisions
//! ```
//!
//! Forgetting drops a whole generation instead of its keys one by one, and a
//! question about what happened after revision R looks at the generations that
//! end after R only: a short transaction asks one or two. A generation is
//! closed when it holds an eighth of everything, so that there are a few
//! dozen however long the oldest transaction is open.
//!
//! Most questions are about one key, so a generation finds its keys by hash. It
//! puts them in order when the first range is asked about, and from then on what
//! has come since, before each answer: who asks for no ranges pays for none.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, VecDeque};

use bytes::Bytes;
use tandem_storage::KeyRange;

use crate::hash::Seeded;
use crate::write_set::bounds;

pub(super) struct RecentCommits {
    /// Oldest first.
    generations: VecDeque<Generation>,
    bytes: usize,
    max_bytes: usize,
    floor: u64,
    hasher: Seeded,
    /// An empty map with room, of a generation that was forgotten: a lone client has a
    /// generation for each commit, and would make room for its keys step by step.
    spare: Option<LastWrite>,
}

type LastWrite = HashMap<Bytes, u64, Seeded>;

struct Generation {
    last_write: LastWrite,
    /// `None` until a range is asked about.
    order: RefCell<Option<Order>>,
    newest: u64,
    bytes: usize,
}

/// The keys of a generation in order, but for the last ones.
struct Order {
    keys: BTreeSet<Bytes>,
    unordered: Vec<Bytes>,
}

/// What one remembered key costs beyond its bytes.
const OVERHEAD: usize = 128;

/// The size below which a generation is not closed: about a thousand keys.
const SMALLEST_GENERATION: usize = 128 << 10;

/// A map with room for more keys is not kept as a spare one.
const LARGEST_SPARE: usize = 256;

impl RecentCommits {
    /// An index that knows everything after `revision`.
    pub(super) fn new(revision: u64, max_bytes: usize, hasher: Seeded) -> Self {
        let generations = VecDeque::new();
        Self { generations, bytes: 0, max_bytes, floor: revision, hasher, spare: None }
    }

    /// Every commit after this revision is remembered.
    pub(super) fn floor(&self) -> u64 {
        self.floor
    }

    /// Whether `key` was written after `revision`, which must not be below the
    /// floor.
    pub(super) fn changed(&self, key: &[u8], revision: u64) -> bool {
        self.after(revision)
            .any(|generation| generation.last_write.get(key).is_some_and(|at| *at > revision))
    }

    /// A key of `range` that was written after `revision`.
    pub(super) fn changed_in(&self, range: &KeyRange, revision: u64) -> Option<Bytes> {
        if is_point(range) {
            return self.changed(&range.start, revision).then(|| range.start.clone());
        }
        self.after(revision).find_map(|generation| generation.changed_in(range, revision))
    }

    pub(super) fn record<'a>(&mut self, revision: u64, keys: impl Iterator<Item = &'a Bytes>) {
        let full = (self.bytes / 8).max(SMALLEST_GENERATION).min(self.max_bytes / 8);
        if self.generations.back().is_none_or(|newest| newest.bytes >= full) {
            let spare = self.spare.take();
            let last_write = spare.unwrap_or_else(|| LastWrite::with_hasher(self.hasher.clone()));
            self.generations.push_back(Generation::new(last_write));
        }
        let Some(generation) = self.generations.back_mut() else { return };
        let before = generation.bytes;
        generation.newest = revision;
        for key in keys {
            if generation.last_write.insert(key.clone(), revision).is_none() {
                if let Some(order) = generation.order.get_mut() {
                    order.unordered.push(key.clone());
                }
                generation.bytes += key.len() + OVERHEAD;
            }
        }
        self.bytes += generation.bytes - before;
    }

    /// Forgets what nobody needs (commits up to `oldest_needed`) and what is
    /// over the bound.
    pub(super) fn trim(&mut self, oldest_needed: u64) {
        while let Some(oldest) = self.generations.front()
            && (oldest.newest <= oldest_needed || self.bytes > self.max_bytes)
        {
            let Some(oldest) = self.generations.pop_front() else { break };
            self.floor = self.floor.max(oldest.newest);
            self.bytes -= oldest.bytes;
            let mut last_write = oldest.last_write;
            if last_write.capacity() <= LARGEST_SPARE {
                last_write.clear();
                self.spare = Some(last_write);
            }
        }
    }

    /// The generations with commits after `revision`, newest first.
    fn after(&self, revision: u64) -> impl Iterator<Item = &Generation> {
        self.generations.iter().rev().take_while(move |generation| generation.newest > revision)
    }
}

impl Generation {
    fn new(last_write: LastWrite) -> Self {
        Self { last_write, order: RefCell::new(None), newest: 0, bytes: 0 }
    }

    fn changed_in(&self, range: &KeyRange, revision: u64) -> Option<Bytes> {
        let mut order = self.order.borrow_mut();
        let Order { keys, unordered } = order.get_or_insert_with(|| Order {
            keys: self.last_write.keys().cloned().collect(),
            unordered: Vec::new(),
        });
        keys.extend(unordered.drain(..));
        keys.range::<[u8], _>(bounds(range))
            .find(|key| self.last_write.get(*key).is_some_and(|written| *written > revision))
            .cloned()
    }
}

/// Whether the range is that of one key.
fn is_point(range: &KeyRange) -> bool {
    range.end.as_deref().and_then(|end| end.strip_suffix(&[0])) == Some(&range.start[..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> Bytes {
        Bytes::copy_from_slice(&[n])
    }

    #[test]
    fn a_key_written_twice_is_remembered_until_its_last_commit_is_forgotten() {
        let mut recent = RecentCommits::new(0, usize::MAX, Seeded::fixed());
        recent.record(1, [key(1), key(2)].iter());
        recent.record(2, [key(1)].iter());
        recent.trim(1);
        assert!(recent.changed(&key(1), 1));
        assert!(!recent.changed(&key(1), 2));
        assert!(!recent.changed(&key(2), 1));
        recent.trim(2);
        assert_eq!((recent.bytes, recent.generations.len()), (0, 0));
    }

    #[test]
    fn a_write_shows_whichever_generation_it_is_in() {
        let mut recent = RecentCommits::new(0, 32 * (1 + OVERHEAD), Seeded::fixed());
        for revision in 1..=60 {
            recent.record(revision, [key(revision as u8 % 7)].iter());
        }
        assert!(recent.generations.len() > 1);
        for begin in 0..60u64 {
            for n in 0..7 {
                let last = (1..=60).rfind(|revision| revision % 7 == n).unwrap_or_default();
                assert_eq!(recent.changed(&key(n as u8), begin), last > begin, "{n} after {begin}");
                let point = KeyRange::point(&key(n as u8));
                assert_eq!(recent.changed_in(&point, begin).is_some(), last > begin);
                let range = KeyRange::new(vec![n as u8], vec![n as u8 + 1]);
                assert_eq!(recent.changed_in(&range, begin).is_some(), last > begin);
            }
        }
    }

    #[test]
    fn g4_a_key_that_comes_after_a_range_was_asked_about_shows_in_the_next_answer() {
        let mut recent = RecentCommits::new(0, usize::MAX, Seeded::fixed());
        let range = KeyRange::new(key(3), key(9));
        for revision in 1..=20u8 {
            recent.record(revision.into(), [key(revision)].iter());
            let expected = (3..9).contains(&revision).then(|| key(revision));
            assert_eq!(recent.changed_in(&range, u64::from(revision) - 1), expected);
        }
        assert_eq!(recent.changed_in(&range, 0), Some(key(3)), "the first in key order");
        assert_eq!(recent.changed_in(&range, 8), None);
    }

    #[test]
    fn g10_the_index_is_bounded_and_its_floor_tells_what_was_forgotten() {
        let max = 16 * (1 + OVERHEAD);
        let mut recent = RecentCommits::new(0, max, Seeded::fixed());
        for revision in 1..=100 {
            recent.record(revision, [key(revision as u8)].iter());
            recent.trim(0);
            assert!(recent.bytes <= max);
        }
        assert!((84..100).contains(&recent.floor()), "{}", recent.floor());
        for revision in 1..=100 {
            let known = recent.changed(&key(revision as u8), revision - 1);
            assert_eq!(known, revision > recent.floor(), "{revision}");
        }
        assert_eq!(recent.changed_in(&KeyRange::all(), 99), Some(key(100)));
        assert_eq!(recent.changed_in(&KeyRange::all(), 100), None);
    }

    #[test]
    fn there_are_a_few_dozen_generations_however_much_is_remembered() {
        let mut recent = RecentCommits::new(0, usize::MAX, Seeded::fixed());
        let long = |revision: u64| {
            let mut key = vec![0; 10_000 - OVERHEAD];
            key[..8].copy_from_slice(&revision.to_be_bytes());
            Bytes::from(key)
        };
        let mut most = 0;
        for revision in 1..=1_000 {
            recent.record(revision, [long(revision)].iter());
            let held: usize = recent.generations.iter().map(|generation| generation.bytes).sum();
            assert_eq!([recent.bytes, held], [revision as usize * 10_000; 2]);
            most = most.max(recent.generations.len());
        }
        assert!(recent.bytes > 64 * SMALLEST_GENERATION);
        assert!((12..48).contains(&most), "{most}");
        // Forgetting is by whole generations, so little is kept too long.
        recent.trim(500);
        assert!((400..=500).contains(&recent.floor()), "{}", recent.floor());
        assert!(recent.changed(&long(501), 500) && !recent.changed(&long(501), 501));
    }

    #[test]
    fn few_commits_are_one_generation() {
        let mut recent = RecentCommits::new(0, usize::MAX, Seeded::fixed());
        for revision in 1..=1_000 {
            recent.record(revision, [key(revision as u8)].iter());
        }
        assert_eq!((recent.generations.len(), recent.bytes), (1, 256 * (1 + OVERHEAD)));
    }

    #[test]
    fn g10_the_bound_is_what_may_be_held() {
        let max = 16 * (1 + OVERHEAD);
        let mut recent = RecentCommits::new(0, max, Seeded::fixed());
        for revision in 1..=16 {
            recent.record(revision, [key(revision as u8)].iter());
        }
        recent.trim(0);
        assert_eq!((recent.bytes, recent.floor()), (max, 0), "as much as allowed");
    }

    #[test]
    fn a_range_that_was_written_is_found_at_any_age() {
        let mut recent = RecentCommits::new(0, usize::MAX, Seeded::fixed());
        recent.record(1, [key(1), key(5)].iter());
        recent.record(2, [key(9)].iter());
        let range = |start: u8, end: u8| KeyRange::new(vec![start], vec![end]);
        assert_eq!(recent.changed_in(&range(2, 9), 0), Some(key(5)));
        assert_eq!(recent.changed_in(&range(2, 9), 1), None);
        assert_eq!(recent.changed_in(&range(2, 5), 0), None);
        assert_eq!(recent.changed_in(&range(9, 2), 0), None, "an empty range");
        let open = KeyRange { start: key(6), end: None };
        assert_eq!(recent.changed_in(&open, 1), Some(key(9)));
        assert_eq!(recent.changed_in(&open, 2), None);
    }

    #[test]
    fn keys_are_put_in_order_for_who_asks_about_a_range_only() {
        let mut recent = RecentCommits::new(0, usize::MAX, Seeded::fixed());
        recent.record(1, [key(1)].iter());
        let in_order = |recent: &RecentCommits| recent.generations[0].order.borrow().is_some();
        assert_eq!(recent.changed_in(&KeyRange::point(&key(1)), 0), Some(key(1)));
        assert!(!in_order(&recent), "a range of one key is a key");
        assert_eq!(recent.changed_in(&KeyRange::all(), 1), None);
        assert!(!in_order(&recent), "nothing was written after that");
        assert_eq!(recent.changed_in(&KeyRange::all(), 0), Some(key(1)));
        assert!(in_order(&recent));
    }
}
