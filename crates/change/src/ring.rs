use std::collections::VecDeque;
use std::sync::Arc;

use tandem_transaction::Commit;

/// The newest commits in memory: all of them after the *floor*.
///
/// A commit larger than the whole ring empties it; its followers read the log.
#[derive(Debug)]
pub(crate) struct Ring {
    commits: VecDeque<(Arc<Commit>, usize)>,
    bytes: usize,
    max_bytes: usize,
    max_commits: usize,
    /// The revision of the first commit that was ever pushed, less one, grown
    /// by what fell out: every commit after it is here. `None` until the first.
    floor: Option<u64>,
    newest: u64,
}

/// What a commit and each of its changes cost beyond their bytes.
const COMMIT_OVERHEAD: usize = 128;
const CHANGE_OVERHEAD: usize = 160;

impl Ring {
    pub(crate) fn new(max_bytes: usize, max_commits: usize) -> Self {
        let commits = VecDeque::new();
        Self { commits, bytes: 0, max_bytes, max_commits, floor: None, newest: 0 }
    }

    /// The newest revision that was pushed; 0 = none yet.
    pub(crate) fn newest(&self) -> u64 {
        self.newest
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds the next commit; what falls out is handed to `evicted`, to be
    /// freed where no lock is held.
    pub(crate) fn push(&mut self, commit: Arc<Commit>, evicted: &mut Vec<Arc<Commit>>) {
        self.floor.get_or_insert(commit.revision.saturating_sub(1));
        self.newest = commit.revision;
        let bytes = memory_bytes(&commit);
        self.bytes += bytes;
        self.commits.push_back((commit, bytes));
        while self.bytes > self.max_bytes || self.commits.len() > self.max_commits {
            let Some((commit, bytes)) = self.commits.pop_front() else { break };
            self.bytes -= bytes;
            self.floor = Some(commit.revision);
            evicted.push(commit);
        }
    }

    /// Whether all commits after `position` are here, no more than so many of them
    /// and of so many bytes.
    pub(crate) fn has_few_after(&self, position: u64, commits: usize, bytes: usize) -> bool {
        if self.floor.is_none_or(|floor| position < floor) {
            return false;
        }
        // From the newest on: who is far behind costs no more than who is not.
        let (mut seen, mut held) = (0, 0);
        for (commit, bytes_of_it) in self.commits.iter().rev() {
            if commit.revision <= position {
                break;
            }
            seen += 1;
            held += bytes_of_it;
            if seen > commits || held > bytes {
                return false;
            }
        }
        true
    }

    /// At most `max` commits after `position`, oldest first; `None` when some
    /// of them are no longer here.
    pub(crate) fn after(&self, position: u64, max: usize) -> Option<Vec<Arc<Commit>>> {
        if position < self.floor? {
            return None;
        }
        let first = self.commits.partition_point(|(commit, _)| commit.revision <= position);
        Some(self.commits.range(first..).take(max).map(|(commit, _)| commit.clone()).collect())
    }
}

fn memory_bytes(commit: &Commit) -> usize {
    let side = |row: &Option<bytes::Bytes>| row.as_ref().map_or(0, bytes::Bytes::len);
    let changes = commit.changes.iter().map(|change| {
        CHANGE_OVERHEAD + change.key.len() + side(&change.before) + side(&change.after)
    });
    COMMIT_OVERHEAD + changes.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tandem_transaction::Change;

    use super::*;

    fn commit(revision: u64, row_bytes: usize) -> Arc<Commit> {
        let change = Change {
            bucket: "users".into(),
            key: Bytes::from_static(b"k"),
            before: None,
            after: Some(vec![0; row_bytes].into()),
        };
        Arc::new(Commit { revision, timestamp: 0, changes: vec![change] })
    }

    fn revisions(ring: &Ring, position: u64) -> Option<Vec<u64>> {
        let found = ring.after(position, usize::MAX)?;
        Some(found.iter().map(|commit| commit.revision).collect())
    }

    #[test]
    fn g10_the_ring_keeps_the_newest_commits_within_both_bounds() {
        let one = memory_bytes(&commit(1, 10));
        let mut ring = Ring::new(4 * one, 3);
        assert_eq!(revisions(&ring, 0), None);
        let mut evicted = Vec::new();
        for revision in 5..=9 {
            ring.push(commit(revision, 10), &mut evicted);
        }
        assert_eq!(evicted.len(), 2);
        assert_eq!(revisions(&ring, 5), None);
        assert_eq!(revisions(&ring, 6), Some(vec![7, 8, 9]));
        assert_eq!(revisions(&ring, 9), Some(vec![]));
        ring.push(commit(10, 5 * one), &mut evicted);
        assert_eq!((ring.bytes(), ring.floor, ring.newest()), (0, Some(10), 10));
    }

    #[test]
    fn few_are_those_within_both_bounds_and_all_in_memory() {
        let one = memory_bytes(&commit(1, 10));
        let mut ring = Ring::new(usize::MAX, 3);
        assert!(!ring.has_few_after(0, 9, usize::MAX), "nothing is known yet");
        for revision in 5..=8 {
            ring.push(commit(revision, 10), &mut Vec::new());
        }
        assert!(!ring.has_few_after(4, 9, usize::MAX), "5 is not here any more");
        assert!(ring.has_few_after(5, 3, 3 * one));
        assert!(!ring.has_few_after(5, 2, 3 * one) && ring.has_few_after(6, 2, 3 * one));
        assert!(!ring.has_few_after(5, 3, 3 * one - 1) && ring.has_few_after(6, 3, 3 * one - 1));
        assert!(ring.has_few_after(8, 0, 0) && ring.has_few_after(9, 0, 0));
    }

    #[test]
    fn revisions_need_not_be_adjacent() {
        let mut ring = Ring::new(usize::MAX, usize::MAX);
        for revision in [10, 20, 30] {
            ring.push(commit(revision, 0), &mut Vec::new());
        }
        assert_eq!(revisions(&ring, 8), None);
        assert_eq!(revisions(&ring, 9), Some(vec![10, 20, 30]));
        assert_eq!(revisions(&ring, 15), Some(vec![20, 30]));
    }
}
