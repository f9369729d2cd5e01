use bytes::Bytes;
use tandem_base::{Code, Error, Result};

use crate::derive::{CommitState, ConflictCause, Derive};
use crate::guard::GuardCheck;
use crate::isolation::Isolation;
use crate::local::recent::RecentCommits;
use crate::read_set::ReadSet;
use crate::statistics::Statistics;
use crate::write_set::WriteSet;

/// Everything validation looks at.
pub(super) struct Validation<'a> {
    pub(super) recent: &'a RecentCommits,
    pub(super) state: &'a dyn CommitState,
    pub(super) derive: &'a dyn Derive,
    pub(super) statistics: &'a Statistics,
}

impl Validation<'_> {
    /// Whether the transaction may commit on top of `state`.
    pub(super) fn check(
        &self,
        isolation: Isolation,
        begin: u64,
        reads: &ReadSet,
        writes: &WriteSet,
    ) -> Result<()> {
        // A wait for a lock may have moved the view beyond what a guard saw.
        let oldest = writes.guards().map(|guard| guard.seen_at).fold(begin, u64::min);
        if oldest < self.recent.floor() {
            Statistics::add(&self.statistics.too_old, 1);
            return Err(too_old(oldest, self.recent.floor()));
        }
        if isolation >= Isolation::Snapshot
            && let Some((key, _)) = writes.rows().find(|(key, _)| self.recent.changed(key, begin))
        {
            Statistics::add(&self.statistics.write_conflicts, 1);
            return Err(self.derive.conflict(ConflictCause::Write, key));
        }
        if isolation == Isolation::Serializable
            && let Some(key) = changed_read(self.recent, reads, begin)
        {
            Statistics::add(&self.statistics.read_conflicts, 1);
            return Err(self.derive.conflict(ConflictCause::Read, &key));
        }
        self.check_guards(writes)
    }

    fn check_guards(&self, writes: &WriteSet) -> Result<()> {
        for guard in writes.guards() {
            let holds = match guard.check {
                GuardCheck::Unchanged => {
                    self.recent.changed_in(&guard.range, guard.seen_at).is_none()
                }
                GuardCheck::Exists => {
                    self.still_exists(&guard.range.start, guard.seen_at, writes)?
                }
            };
            if !holds {
                Statistics::add(&self.statistics.constraint_conflicts, 1);
                return Err(guard.violation());
            }
        }
        Ok(())
    }

    /// Whether nobody else has taken the row away. What this transaction itself
    /// did to it after the guard is its statements' affair.
    fn still_exists(&self, key: &Bytes, seen_at: u64, writes: &WriteSet) -> Result<bool> {
        if writes.row(key).is_some() || !self.recent.changed(key, seen_at) {
            return Ok(true);
        }
        Ok(self.state.get(key)?.is_some())
    }
}

/// A key that was read and has been written after `begin`.
pub(super) fn changed_read(recent: &RecentCommits, reads: &ReadSet, begin: u64) -> Option<Bytes> {
    let point = reads.points().find(|key| recent.changed(key, begin)).cloned();
    point.or_else(|| reads.ranges().find_map(|range| recent.changed_in(range, begin)))
}

fn too_old(begin: u64, floor: u64) -> Error {
    Error::new(
        Code::TransactionExpired,
        "Transaction too old: commits after its begin revision are no longer remembered",
    )
    .with("beginRevision", begin)
    .with("oldestRevision", floor)
}
