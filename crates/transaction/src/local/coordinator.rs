use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use bytes::Bytes;
use tandem_base::{Code, Environment, Error, Result};
use tandem_storage::{Durability, Storage};

use crate::coordination::{CommitOptions, CommitRequest, Coordination, Receipt, Work};
use crate::derive::{CommitListener, CommitState, Derive};
use crate::isolation::Isolation;
use crate::keyspace;
use crate::limits::TransactionLimits;
use crate::local::pipeline::Pipeline;
use crate::local::recent::RecentCommits;
use crate::local::section::{Section, decode_first_result, strongest};
use crate::local::validate::{Validation, changed_read};
use crate::lock::LockManager;
use crate::read_set::ReadSet;
use crate::registry::{Registry, TransactionId};
use crate::statistics::Statistics;
use crate::view::{Read, View};
use crate::write_set::WriteSet;

/// [`Coordination`] over a [`Storage`] in this process.
///
/// After a failed write the store is *poisoned*: every later commit answers
/// the same `STORE_FAILED` until the store is opened again. Reads go on at the
/// last published revision.
pub struct LocalCoordinator {
    storage: Arc<dyn Storage>,
    derive: Arc<dyn Derive>,
    listener: Arc<dyn CommitListener>,
    environment: Environment,
    limits: TransactionLimits,
    durability: Durability,
    published: RwLock<Arc<View>>,
    pipeline: Pipeline<CommitRequest, Outcome>,
    recent: Mutex<RecentCommits>,
    /// Revisions up to this one may have been given out before the store was
    /// opened, to commits that a power cut has undone. They are not used again.
    used: u64,
    /// Buffered commits may have revisions up to this one: it is stored, and
    /// synced, before any of them is given out.
    reserved: AtomicU64,
    poison: OnceLock<Error>,
    registry: Registry,
    locks: LockManager,
    statistics: Statistics,
}

/// Revisions that are reserved at a time: one buffered commit in so many is
/// synced, and so many revisions are left out when the store is opened again.
const RESERVE: u64 = 1 << 16;

enum Outcome {
    Done(Result<Receipt>),
    /// A record to be written is locked by another transaction: wait, then
    /// come again.
    Locked(Box<CommitRequest>, Bytes),
}

impl LocalCoordinator {
    /// Takes up at the last revision that `storage` holds.
    ///
    /// # Errors
    /// `STORAGE_ERROR` or `CORRUPTED` when the state cannot be read.
    pub fn open(
        storage: Arc<dyn Storage>,
        derive: Arc<dyn Derive>,
        listener: Arc<dyn CommitListener>,
        environment: Environment,
        limits: TransactionLimits,
        durability: Durability,
    ) -> Result<Self> {
        let revision = read_counter(&*storage, keyspace::LAST_REVISION)?;
        let schema_revision = read_counter(&*storage, keyspace::SCHEMA_REVISION)?;
        let reserved = read_counter(&*storage, keyspace::RESERVED_REVISION)?;
        let view = Arc::new(View::new(revision, schema_revision, storage.snapshot()?));
        Ok(Self {
            published: RwLock::new(view),
            pipeline: Pipeline::new(limits.group_size),
            recent: Mutex::new(RecentCommits::new(revision, limits.recent_commit_bytes)),
            used: reserved,
            reserved: AtomicU64::new(reserved),
            poison: OnceLock::new(),
            registry: Registry::default(),
            locks: LockManager::new(limits.lock_waiters, limits.locks_per_transaction),
            statistics: Statistics::default(),
            storage,
            derive,
            listener,
            environment,
            limits,
            durability,
        })
    }

    /// The engine below.
    #[must_use]
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// Why commits are refused, if they are.
    #[must_use]
    pub fn poison(&self) -> Option<&Error> {
        self.poison.get()
    }

    fn published(&self) -> Arc<View> {
        self.published.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn recent(&self) -> MutexGuard<'_, RecentCommits> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The commit section, for one group.
    fn process(&self, group: Vec<CommitRequest>) -> Vec<Outcome> {
        if let Some(error) = self.poison.get() {
            return group.iter().map(|_| Outcome::Done(Err(error.clone()))).collect();
        }
        let mut recent = self.recent();
        let base = self.published();
        let durable_revision = base.revision();
        recent.trim(self.registry.oldest_revision().unwrap_or_else(|| base.revision()));
        let wishes: Vec<_> = group
            .iter()
            .map(|request| {
                let is_background = matches!(request.work, Work::Maintenance(_));
                (is_background, request.options.durability.unwrap_or(self.durability))
            })
            .collect();
        let timestamp = self.environment.clock.now_ms();

        let mut section = Section::new(base, &mut recent, self.used);
        let mut outcomes: Vec<_> = group
            .into_iter()
            .map(|request| self.commit_one(&mut section, request, timestamp))
            .collect();

        // Background work may be lost and done again as long as nobody can
        // notice. Once it takes a revision it is a commit like any other.
        let wishes = wishes.into_iter().zip(&outcomes).map(|((is_background, wish), outcome)| {
            let is_commit = matches!(outcome, Outcome::Done(Ok(Receipt { commit: Some(_), .. })));
            if is_background && is_commit { wish.max(self.durability) } else { wish }
        });
        let durability = strongest(wishes);
        let (mut batch, revision, schema_revision, commits) = section.finish();
        if batch.is_empty() {
            return outcomes;
        }
        let reserve = durability == Durability::Buffered
            && !commits.is_empty()
            && revision > self.reserved.load(Ordering::Relaxed);
        let durability = if reserve {
            let reserved = (revision + RESERVE).to_be_bytes().to_vec();
            batch.put(keyspace::RESERVED_REVISION, reserved);
            Durability::Sync
        } else {
            durability
        };
        Statistics::add(&self.statistics.groups, 1);
        let published = self
            .storage
            .write(batch, durability)
            .and_then(|()| self.storage.snapshot())
            .map(|snapshot| Arc::new(View::new(revision, schema_revision, snapshot)));
        match published {
            Ok(view) => {
                if reserve {
                    self.reserved.store(revision + RESERVE, Ordering::Relaxed);
                }
                *self.published.write().unwrap_or_else(PoisonError::into_inner) = view;
                Statistics::add(&self.statistics.commits, commits.len() as u64);
                self.listener.committed(&commits);
            }
            Err(error) => {
                let error = self.poison.get_or_init(|| store_failed(&error)).clone();
                // A first result that was kept before this group stands; one
                // that was to be written with it is as lost as its commit.
                let stands = |receipt: &Receipt| {
                    receipt.replayed.is_some() && receipt.revision <= durable_revision
                };
                for outcome in &mut outcomes {
                    if matches!(outcome, Outcome::Done(Ok(receipt)) if !stands(receipt)) {
                        *outcome = Outcome::Done(Err(error.clone()));
                    }
                }
            }
        }
        outcomes
    }

    /// Validate, derive, append: one member of a group.
    fn commit_one(
        &self,
        section: &mut Section<'_>,
        request: CommitRequest,
        timestamp: u64,
    ) -> Outcome {
        if let Some(key) = self.locked_by_another(&request) {
            return Outcome::Locked(Box::new(request), key);
        }
        let CommitRequest { work, options } = request;
        Outcome::Done(match self.first_result(section, &options) {
            Err(error) => Err(error),
            Ok(Some(first)) => Ok(first),
            Ok(None) => {
                let stamp = section.stamp(timestamp);
                let derived = match work {
                    Work::Maintenance(step) => section.contain(|state| step(state, stamp)),
                    Work::Transaction { isolation, begin, reads, writes, .. } => {
                        self.validate(section, isolation, begin, &reads, &writes).and_then(|()| {
                            section.contain(|state| self.derive.derive(state, &writes, stamp))
                        })
                    }
                };
                derived.map(|derived| section.append(stamp, derived, &options))
            }
        })
    }

    fn validate(
        &self,
        section: &Section<'_>,
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
            recent: section.recent(),
            state: section,
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

impl Coordination for LocalCoordinator {
    fn view(&self) -> Result<Arc<View>> {
        Ok(self.published())
    }

    fn commit(&self, mut request: CommitRequest) -> Result<Receipt> {
        loop {
            let outcome = self.pipeline.submit(
                request,
                |group| self.process(group),
                || Outcome::Done(Err(self.poison.get_or_init(panicked).clone())),
            );
            match outcome {
                Outcome::Done(result) => return result,
                Outcome::Locked(returned, key) => {
                    if let Work::Transaction { id, .. } = &returned.work {
                        let (clock, wait) = (&*self.environment.clock, self.limits.lock_wait);
                        self.locks.pass_by(clock, *id, &key, wait)?;
                    }
                    request = *returned;
                }
            }
        }
    }

    fn refresh(
        &self,
        advance: Option<TransactionId>,
        from: u64,
        reads: &ReadSet,
        keys: &mut dyn Iterator<Item = &Bytes>,
    ) -> Result<Option<Arc<View>>> {
        // Holding the recent commits keeps the commit section out.
        let recent = self.recent();
        let unchanged = from >= recent.floor()
            && changed_read(&recent, reads, from).is_none()
            && Iterator::all(&mut &mut *keys, |key| !recent.changed(key, from));
        if !unchanged {
            return Ok(None);
        }
        Ok(Some(match advance {
            Some(id) => self.registry.move_to(id, || self.published()),
            None => self.published(),
        }))
    }

    fn replay(&self, idempotency_key: &[u8]) -> Result<Option<Receipt>> {
        let key = keyspace::idempotency_key(idempotency_key);
        self.published().get(&key)?.map(decode_first_result).transpose()
    }

    fn registry(&self) -> &Registry {
        &self.registry
    }

    fn locks(&self) -> &LockManager {
        &self.locks
    }

    fn limits(&self) -> &TransactionLimits {
        &self.limits
    }

    fn environment(&self) -> &Environment {
        &self.environment
    }

    fn statistics(&self) -> &Statistics {
        &self.statistics
    }
}

fn read_counter(storage: &dyn Storage, key: &[u8]) -> Result<u64> {
    match storage.get(key)? {
        None => Ok(0),
        Some(bytes) => bytes[..]
            .try_into()
            .map(u64::from_be_bytes)
            .map_err(|_| Error::corrupted("A store-wide counter is damaged")),
    }
}

fn store_failed(cause: &Error) -> Error {
    Error::new(Code::StoreFailed, "A write to storage failed; open the store again")
        .with("cause", cause.message())
        .with("causeCode", cause.code().as_str())
}

fn panicked() -> Error {
    Error::new(Code::StoreFailed, "The commit section failed; open the store again")
}

#[cfg(test)]
mod tests {
    use tandem_base::Environment;
    use tandem_storage::{MemoryStorage, Snapshot, WriteBatch};

    use super::*;
    use crate::commit::Commit;
    use crate::derive::{ConflictCause, Derived, Stamp};

    /// Reads like an empty store and cannot write.
    struct Broken(MemoryStorage);

    impl Storage for Broken {
        fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
            self.0.get(key)
        }

        fn snapshot(&self) -> Result<Arc<dyn Snapshot>> {
            self.0.snapshot()
        }

        fn write(&self, _: WriteBatch, _: Durability) -> Result<()> {
            Err(Error::new(Code::StorageError, "on purpose"))
        }

        fn name(&self) -> &'static str {
            "broken"
        }

        fn approximate_size(&self) -> Result<u64> {
            self.0.approximate_size()
        }
    }

    struct Nothing;

    impl Derive for Nothing {
        fn derive(&self, _: &dyn CommitState, _: &WriteSet, _: Stamp) -> Result<Derived> {
            Ok(Derived::default())
        }

        fn conflict(&self, _: ConflictCause, _: &[u8]) -> Error {
            Error::new(Code::Conflict, "conflict")
        }
    }

    impl CommitListener for Nothing {
        fn committed(&self, _: &[Arc<Commit>]) {}
    }

    #[test]
    fn g2_a_first_result_that_was_lost_with_its_group_is_not_replayed() {
        let coordinator = LocalCoordinator::open(
            Arc::new(Broken(MemoryStorage::new())),
            Arc::new(Nothing),
            Arc::new(Nothing),
            Environment::simulated(1).0,
            TransactionLimits::default(),
            Durability::Sync,
        )
        .unwrap();
        let request = |id| CommitRequest {
            work: Work::Transaction {
                id,
                isolation: Isolation::Serializable,
                begin: 0,
                reads: ReadSet::new(1),
                writes: WriteSet::default(),
            },
            options: CommitOptions {
                idempotency: Some((Bytes::from_static(b"k"), Bytes::new())),
                ..CommitOptions::default()
            },
        };
        for outcome in coordinator.process(vec![request(1), request(2)]) {
            let Outcome::Done(result) = outcome else { panic!("nothing is locked") };
            assert_eq!(result.unwrap_err().code(), Code::StoreFailed);
        }
    }
}
