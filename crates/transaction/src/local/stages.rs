//! What happens to a group: validate, derive and append each member, then one
//! write with one sync, then publish.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use tandem_base::{Code, Error, Result};
use tandem_storage::{Durability, WriteBatch};

use crate::cache::CommittedCache;
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
pub(super) type Spent = Option<Box<(ReadSet, WriteSet)>>;

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
            self.sequencer().head = Some(outcome.decided.clone());
            group.outcome = Some(outcome);
        }
    }

    fn is_brief(&self, group: &Group) -> bool {
        group.durability != Some(Durability::Sync)
    }

    fn write(&self, group: Group) -> Vec<(Decision, Spent)> {
        let Group { mut decisions, durability, outcome, .. } = group;
        let Some(outcome) = outcome else { return decisions };
        let durable_revision = self.published().revision();
        if let Err(error) = self.write_and_publish(&outcome, durability.unwrap_or_default()) {
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
        self.finish(outcome.decided.number);
        decisions
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
        sequencer.head.take_if(|head| head.number <= finished);
        // In this order: a transaction that begins meanwhile has this view or a
        // newer one.
        let base = self.published();
        let oldest = self.registry.oldest_revision().unwrap_or(base.revision());
        sequencer.recent.trim(oldest.min(base.revision()));
        Section::new(sequencer.begun, base, sequencer.head.clone(), self.used)
    }

    fn write_and_publish(&self, outcome: &Outcome, durability: Durability) -> Result<()> {
        if let Some(error) = self.poison() {
            return Err(error.clone());
        }
        let mut batch = outcome.batch();
        if batch.is_empty() {
            return Ok(());
        }
        let (revision, schema_revision) = outcome.revisions();
        let reserve = durability == Durability::Buffered
            && !outcome.commits.is_empty()
            && revision > self.reserved.load(Ordering::Relaxed);
        let durability = if reserve {
            batch.put(keyspace::RESERVED_REVISION, (revision + RESERVE).to_be_bytes().to_vec());
            Durability::Sync
        } else {
            durability
        };
        Statistics::add(&self.statistics.groups, 1);
        self.statistics.group_size.record(outcome.commits.len() as u64);
        let written = self.cacheable(&batch);
        let snapshot = self
            .timed_write(batch, durability)
            .and_then(|()| self.storage.snapshot())
            .map_err(|cause| self.set_poison(|| store_failed(&cause)))?;
        if reserve {
            self.reserved.store(revision + RESERVE, Ordering::Relaxed);
        }
        if let Some(cache) = &self.cache {
            written.into_iter().for_each(|(key, value)| cache.commit(revision, &key, value));
        }
        self.publish(View::new(revision, schema_revision, snapshot));
        Statistics::add(&self.statistics.commits, outcome.commits.len() as u64);
        self.listener.committed(&outcome.commits, outcome.log_bytes());
        Ok(())
    }

    fn timed_write(&self, batch: WriteBatch, durability: Durability) -> Result<()> {
        let clock = &*self.environment.clock;
        let begun = clock.monotonic();
        let written = self.storage.write(batch, durability);
        let times = match durability {
            Durability::Sync => &self.statistics.sync_time,
            Durability::Buffered => &self.statistics.buffered_write_time,
        };
        times.record_duration(clock.monotonic().saturating_sub(begun));
        written
    }

    /// What the cache has to learn of a batch.
    fn cacheable(&self, batch: &WriteBatch) -> Vec<(Bytes, Option<Bytes>)> {
        if self.cache.is_none() {
            return Vec::new();
        }
        let operations = batch.operations().iter();
        operations
            .filter(|operation| CommittedCache::is_cacheable(operation.key()))
            .map(|operation| (operation.key().clone(), operation.value().cloned()))
            .collect()
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
