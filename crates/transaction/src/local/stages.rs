//! What happens to a group: validate, derive and append each member, then one
//! write, then one sync, shared with a group that was written ahead, then publish.
//!
//! The engine shows what is written before it is synced. Nobody else may see it yet:
//! what is published is the engine's state right after the group's own write, and it is
//! published after the sync.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tandem_base::{Code, Error, Result};
use tandem_storage::{Durability, WriteBatch};

use crate::cache::Learnt;
use crate::coordination::{CommitOptions, CommitRequest, Receipt, Work};
use crate::derive::{CommitState, Derived, Stamp};
use crate::isolation::Isolation;
use crate::keyspace;
use crate::local::coordinator::{LocalCoordinator, Sequencer};
use crate::local::pipeline::Stages;
use crate::local::section::{Deciding, Outcome, Section, decode_first_result};
use crate::local::validate::Validation;
use crate::read_set::ReadSet;
use crate::statistics::Statistics;
use crate::view::{Read, View};
use crate::write_set::WriteSet;

/// What became of a request.
pub(super) enum Decision {
    Done(Result<Receipt>),
    /// A record to be written is locked by another transaction: wait, then
    /// come again.
    Locked(Box<CommitRequest>, Bytes),
}

/// What a transaction has read and written, back with the thread that allocated
/// it: to free it there costs less, and no other waits meanwhile.
pub(crate) type Spent = Option<Box<(ReadSet, WriteSet)>>;

impl Decision {
    fn is_commit(&self) -> bool {
        matches!(self, Self::Done(Ok(Receipt { commit: Some(_), .. })))
    }
}

/// What is to be done with one member.
enum Verdict {
    /// It was committed before, under the same name.
    Replay(Receipt),
    /// It commits.
    Append(Stamp, Derived),
}

/// Revisions that are reserved at a time: one buffered commit in so many is
/// synced, and so many revisions are left out when the store is opened again. A
/// test uses a small one up.
pub(super) const RESERVE: u64 = if cfg!(test) { 1 << 8 } else { 1 << 16 };

/// A group on its way through the stages.
#[derive(Default)]
pub(super) struct Group {
    decisions: Vec<(Decision, Spent)>,
    /// The strongest that a member asked for.
    durability: Option<Durability>,
    section: Option<Section>,
    outcome: Option<Outcome>,
    written: Option<Result<Written>>,
}

/// A group that the engine has.
struct Written {
    view: View,
    /// What the caches have to learn.
    learnt: Learnt,
    /// Revisions up to this one are reserved with it.
    reserve: Option<u64>,
}

impl Stages for LocalCoordinator {
    type Request = CommitRequest;
    type Answer = (Decision, Spent);
    type Group = Group;

    fn decide(&self, group: &mut Group, requests: Vec<CommitRequest>) {
        if let Some(error) = self.poison() {
            let refused = requests.iter().map(|_| (Decision::Done(Err(error.clone())), None));
            group.decisions.extend(refused);
            return;
        }
        let timestamp = self.environment.clock.now_ms();
        let mut sequencer = self.sequencer();
        let section = group.section.get_or_insert_with(|| self.begin(&mut sequencer));
        let mut state = section.deciding(&mut sequencer.recent);
        for request in requests {
            let mut wish = request.options.durability.unwrap_or(self.durability);
            let is_background = matches!(request.work, Work::Maintenance(_));
            let (decision, spent) = self.commit_one(&mut state, request, timestamp);
            // Background work may be lost and done again as long as nobody can
            // notice. Once it takes a revision it is a commit like any other.
            if is_background && decision.is_commit() {
                wish = wish.max(self.durability);
            }
            group.durability = group.durability.max(Some(wish));
            group.decisions.push((decision, spent));
        }
    }

    fn seal(&self, group: &mut Group) {
        if let Some(section) = group.section.take() {
            let outcome = section.close();
            self.sequencer().unpublished.push_back(outcome.decided.clone());
            group.outcome = Some(outcome);
        }
    }

    fn is_brief(&self, group: &Group) -> bool {
        group.durability != Some(Durability::Sync)
    }

    fn write(&self, group: &mut Group) {
        let Some(outcome) = &group.outcome else { return };
        let durability = group.durability.get_or_insert_default();
        group.written = self.write_outcome(outcome, durability).transpose();
    }

    fn sync(&self, groups: Vec<Group>) -> Vec<Vec<(Decision, Spent)>> {
        // Left behind by whatever panics here.
        let lost = self.lost.swap(true, Ordering::AcqRel);
        let synced = if lost { self.answer_lost() } else { self.sync_storage(&groups) };
        let answers = groups.into_iter().map(|group| self.publish_group(group, &synced)).collect();
        self.lost.store(synced.is_err(), Ordering::Release);
        answers
    }

    fn failure(&self) -> (Decision, Spent) {
        let error = self.set_poison(|| {
            Error::new(Code::StoreFailed, "The commit section failed; open the store again")
        });
        (Decision::Done(Err(error)), None)
    }
}

impl LocalCoordinator {
    /// A new group on top of everything decided so far.
    fn begin(&self, sequencer: &mut Sequencer) -> Section {
        sequencer.begun += 1;
        let finished = *self.finished();
        sequencer.let_go_of(finished);
        // In this order: a transaction that begins meanwhile has this view or a
        // newer one.
        let base = self.published();
        let oldest = self.registry.oldest_revision().unwrap_or(base.revision());
        sequencer.recent.trim(oldest.min(base.revision()));
        let before = sequencer.unpublished.iter().cloned().collect();
        Section::new(sequencer.begun, base, before, self.used)
    }

    /// Hands the group's batch to the engine; `None` if there is nothing to write.
    /// `durability` is raised if the group has to be synced for another reason.
    fn write_outcome(
        &self,
        outcome: &Outcome,
        durability: &mut Durability,
    ) -> Result<Option<Written>> {
        if let Some(error) = self.poison() {
            return Err(error.clone());
        }
        let mut batch = outcome.batch();
        if batch.is_empty() {
            return Ok(None);
        }
        let (revision, schema_revision) = outcome.revisions();
        let reserve = (*durability == Durability::Buffered
            && !outcome.commits.is_empty()
            && revision > self.reserved.load(Ordering::Relaxed))
        .then_some(revision + RESERVE);
        if let Some(until) = reserve {
            batch.put(keyspace::RESERVED_REVISION, until.to_be_bytes().to_vec());
            *durability = Durability::Sync;
        }
        Statistics::add(&self.statistics.groups, 1);
        self.statistics.group_size.record(outcome.commits.len() as u64);
        let learnt = self.caches.note(&batch);
        let begun = self.environment.clock.monotonic();
        let written = self.storage.write(batch, Durability::Buffered);
        self.statistics.write_time.record_duration(self.since(begun));
        let snapshot = written
            .and_then(|()| self.storage.snapshot())
            .map_err(|cause| self.set_poison(|| store_failed(&cause)))?;
        let view = View::new(revision, schema_revision, snapshot);
        Ok(Some(Written { view, learnt, reserve }))
    }

    /// Makes everything durable that is written, if one of these groups needs that.
    fn sync_storage(&self, groups: &[Group]) -> Result<()> {
        let is_written = |group: &Group| matches!(group.written, Some(Ok(_)));
        let needs_sync = |group| is_written(group) && group.durability == Some(Durability::Sync);
        if !groups.iter().any(needs_sync) {
            return Ok(());
        }
        let begun = self.environment.clock.monotonic();
        let synced = self.storage.write(WriteBatch::new(), Durability::Sync);
        self.statistics.sync_time.record_duration(self.since(begun));
        synced.map_err(|cause| self.set_poison(|| store_failed(&cause)))
    }

    /// What was written after a sync that failed was decided on top of what that lost.
    fn answer_lost(&self) -> Result<()> {
        Err(self
            .set_poison(|| Error::new(Code::StoreFailed, "A sync failed; open the store again")))
    }

    fn since(&self, begun: Duration) -> Duration {
        self.environment.clock.monotonic().saturating_sub(begun)
    }

    /// Publishes a group that is as durable as its members want, and answers them.
    fn publish_group(&self, group: Group, synced: &Result<()>) -> Vec<(Decision, Spent)> {
        let Group { mut decisions, outcome, written, .. } = group;
        let Some(outcome) = outcome else { return decisions };
        let durable_revision = self.published().revision();
        match written.transpose().and_then(|written| synced.clone().map(|()| written)) {
            Ok(None) => {}
            Ok(Some(written)) => self.publish_written(written, &outcome),
            Err(error) => {
                // A first result that was kept before this group stands; one that
                // was to be written with it, or with the failed group before it, is
                // as lost as its commit.
                let stands = |receipt: &Receipt| {
                    receipt.replayed.is_some() && receipt.revision <= durable_revision
                };
                for (decision, _) in &mut decisions {
                    if matches!(decision, Decision::Done(Ok(receipt)) if !stands(receipt)) {
                        *decision = Decision::Done(Err(error.clone()));
                    }
                }
            }
        }
        self.finish(outcome.decided.number);
        decisions
    }

    fn publish_written(&self, written: Written, outcome: &Outcome) {
        let Written { view, learnt, reserve } = written;
        if let Some(until) = reserve {
            self.reserved.store(until, Ordering::Relaxed);
        }
        self.caches.learn(learnt);
        self.publish(view);
        Statistics::add(&self.statistics.commits, outcome.commits.len() as u64);
        self.listener.committed(&outcome.commits, outcome.log_bytes());
    }

    /// Validate, derive, append: one member of a group.
    fn commit_one(
        &self,
        state: &mut Deciding<'_>,
        request: CommitRequest,
        timestamp: u64,
    ) -> (Decision, Spent) {
        if let Some(key) = self.locked_by_another(&request) {
            return (Decision::Locked(Box::new(request), key), None);
        }
        let CommitRequest { work, options } = request;
        let mut spent = None;
        // Nothing is appended in there, so whatever breaks has changed nothing.
        let verdict = state.contain(|state| match self.first_result(state, &options)? {
            Some(first) => Ok(Verdict::Replay(first)),
            None => {
                let stamp = state.stamp(timestamp);
                let derived = match work {
                    Work::Maintenance(step) => step(state, stamp)?,
                    Work::Transaction { isolation, begin, reads, writes, .. } => {
                        let (reads, writes) = &**spent.insert(Box::new((reads, writes)));
                        self.validate(state, isolation, begin, reads, writes)?;
                        let derived = self.derive.derive(state, writes, stamp);
                        derived.inspect_err(|error| self.count_refusal(error))?
                    }
                };
                Ok(Verdict::Append(stamp, derived))
            }
        });
        let result = verdict.map(|verdict| match verdict {
            Verdict::Replay(first) => first,
            Verdict::Append(stamp, derived) => state.append(stamp, derived, &options),
        });
        (Decision::Done(result), spent)
    }

    /// What only deriving finds: a unique value that somebody else has taken, a
    /// record that somebody else has deleted.
    fn count_refusal(&self, error: &Error) {
        if error.code() == Code::Conflict && error.retryable() {
            Statistics::add(&self.statistics.constraint_conflicts, 1);
        }
    }

    fn validate(
        &self,
        state: &Deciding<'_>,
        isolation: Isolation,
        begin: u64,
        reads: &ReadSet,
        writes: &WriteSet,
    ) -> Result<()> {
        if writes.is_empty() {
            // Committed for its idempotency key only: what it read was true
            // when it began.
            return Ok(());
        }
        Validation {
            recent: state.recent(),
            state,
            derive: &*self.derive,
            statistics: &self.statistics,
        }
        .check(isolation, begin, reads, writes)
    }

    fn first_result(
        &self,
        state: &dyn CommitState,
        options: &CommitOptions,
    ) -> Result<Option<Receipt>> {
        let Some((name, _)) = &options.idempotency else { return Ok(None) };
        state.get(&keyspace::idempotency_key(name))?.map(decode_first_result).transpose()
    }

    fn locked_by_another(&self, request: &CommitRequest) -> Option<Bytes> {
        let Work::Transaction { id, writes, .. } = &request.work else { return None };
        self.locks.held_by_another(*id, writes.rows().map(|(key, _)| key))
    }
}

fn store_failed(cause: &Error) -> Error {
    Error::new(Code::StoreFailed, "A write to storage failed; open the store again")
        .with("cause", cause.message())
        .with("causeCode", cause.code().as_str())
}
