use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use tandem_base::sync::atomic::{AtomicBool, AtomicU64};
use tandem_base::sync::{Condvar, Mutex, MutexGuard, OnceLock, RwLock};
use tandem_base::{Environment, Error, Result};
use tandem_storage::{Durability, Storage, WriteBatch};

use crate::cache::Caches;
use crate::coordination::{CommitRequest, Coordination, Receipt, Work};
use crate::derive::{CommitListener, Derive};
use crate::errand::{Errand, Errands, Then};
use crate::hash::Seeded;
use crate::keyspace;
use crate::limits::TransactionLimits;
use crate::local::absent::Absent;
use crate::local::pipeline::Pipeline;
use crate::local::recent::RecentCommits;
use crate::local::section::{Decided, decode_first_result};
use crate::local::stages::Decision;
use crate::local::validate::changed_read;
use crate::lock::LockManager;
use crate::read_set::ReadSet;
use crate::registry::{Registry, TransactionId};
use crate::statistics::Statistics;
use crate::view::{Read, View};

/// [`Coordination`] over a [`Storage`] in this process.
///
/// After a failed write the store is *poisoned*: every later commit answers
/// the same `STORE_FAILED` until the store is opened again, those included that
/// were decided on top of what failed. Reads go on at the last published
/// revision.
pub struct LocalCoordinator {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) derive: Arc<dyn Derive>,
    pub(super) listener: Arc<dyn CommitListener>,
    pub(super) environment: Environment,
    limits: TransactionLimits,
    pub(super) durability: Durability,
    published: RwLock<Arc<View>>,
    pub(super) caches: Arc<Caches>,
    pub(super) pipeline: Pipeline<Self>,
    sequencer: Mutex<Sequencer>,
    /// How many groups are published or have failed.
    finished: Mutex<u64>,
    group_finished: Condvar,
    /// Revisions up to this one may have been given out before the store was
    /// opened, to commits that a power cut has undone. They are not used again.
    pub(super) used: u64,
    /// Buffered commits may have revisions up to this one: it is stored, and
    /// synced, before any of them is given out.
    pub(super) reserved: AtomicU64,
    poison: OnceLock<Error>,
    /// A sync failed: what was written since is not published.
    pub(super) lost: AtomicBool,
    pub(super) registry: Registry,
    pub(super) locks: LockManager,
    pub(super) statistics: Statistics,
}

/// What deciding needs: held for as long as requests are decided, not while a
/// group is written.
pub(super) struct Sequencer {
    pub(super) recent: RecentCommits,
    /// The groups that were decided and may not be published, oldest first.
    pub(super) unpublished: VecDeque<Arc<Decided>>,
    /// How many groups were begun.
    pub(super) begun: u64,
}

impl Sequencer {
    /// The groups up to that number are published or have failed.
    pub(super) fn let_go_of(&mut self, finished: u64) {
        while self.unpublished.front().is_some_and(|group| group.number <= finished) {
            self.unpublished.pop_front();
        }
    }
}

impl LocalCoordinator {
    /// Takes up at the last revision that `storage` holds. A kill may have left commits
    /// that were written and not synced; everybody sees them from now on, so they are
    /// synced first.
    ///
    /// # Errors
    /// `STORAGE_ERROR` or `CORRUPTED` when the state cannot be read, `STORE_FAILED` when
    /// it cannot be synced.
    pub fn open(
        storage: Arc<dyn Storage>,
        derive: Arc<dyn Derive>,
        listener: Arc<dyn CommitListener>,
        environment: Environment,
        limits: TransactionLimits,
        durability: Durability,
    ) -> Result<Self> {
        storage.write(WriteBatch::new(), Durability::Sync)?;
        let revision = read_counter(&*storage, keyspace::LAST_REVISION)?;
        let schema_revision = read_counter(&*storage, keyspace::SCHEMA_REVISION)?;
        let reserved = read_counter(&*storage, keyspace::RESERVED_REVISION)?;
        let caches = Arc::new(Caches::new(&limits, &*environment.random, &derive));
        let view = View::new(revision, schema_revision, storage.snapshot()?);
        let hasher = Seeded::draw(&*environment.random);
        let recent = RecentCommits::new(revision, limits.recent_commit_bytes, hasher);
        Ok(Self {
            published: RwLock::new(Arc::new(view.reading_through(caches.clone()))),
            caches,
            pipeline: Pipeline::new(limits.group_size),
            sequencer: Mutex::new(Sequencer { recent, unpublished: VecDeque::new(), begun: 0 }),
            finished: Mutex::new(0),
            group_finished: Condvar::new(),
            used: reserved,
            reserved: AtomicU64::new(reserved),
            poison: OnceLock::new(),
            lost: AtomicBool::new(false),
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

    /// How many commits have been asked for and are not answered yet.
    #[must_use]
    pub fn commits_under_way(&self) -> usize {
        self.pipeline.under_way()
    }

    /// Whether a group is forming behind one that is being written: a commit that
    /// arrives now is written with it, unless the group is full.
    #[must_use]
    pub fn group_is_forming(&self) -> bool {
        self.pipeline.is_forming()
    }

    pub(super) fn published(&self) -> Arc<View> {
        self.published.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn publish(&self, view: View) {
        let view = Arc::new(view.reading_through(self.caches.clone()));
        let mut published = self.published.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *published, view);
        drop(published);
        // No reader waits for what the engine lets go of with it.
        drop(before);
    }

    pub(super) fn sequencer(&self) -> MutexGuard<'_, Sequencer> {
        self.sequencer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn finished(&self) -> MutexGuard<'_, u64> {
        self.finished.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The group of that number is published or has failed.
    pub(super) fn finish(&self, number: u64) {
        *self.finished() = number;
        self.group_finished.notify_all();
        // Whoever is deciding lets go of it by itself.
        if let Ok(mut sequencer) = self.sequencer.try_lock() {
            sequencer.let_go_of(number);
        }
    }

    /// Refuses every later commit; answers with the first cause there was.
    pub(super) fn set_poison(&self, cause: impl FnOnce() -> Error) -> Error {
        let error = self.poison.get_or_init(cause).clone();
        let finished = self.finished();
        drop(finished);
        self.group_finished.notify_all();
        error
    }

    /// Waits for the lock of another transaction that a request has met.
    fn pass_by(&self, request: &CommitRequest, key: &Bytes) -> Result<()> {
        let Work::Transaction { id, .. } = &request.work else { return Ok(()) };
        self.locks.pass_by(&*self.environment.clock, *id, key, self.limits.lock_wait)?;
        Ok(())
    }

    /// Waits for that lock, then commits.
    pub(super) fn commit_after(&self, request: CommitRequest, key: &Bytes) -> Result<Receipt> {
        self.pass_by(&request, key)?;
        self.commit(request)
    }

    /// Waits until every commit that has been decided by now is over.
    fn wait_for_decided(&self) {
        let begun = self.sequencer().begun;
        let mut finished = self.finished();
        while *finished < begun && self.poison.get().is_none() {
            finished = self.group_finished.wait(finished).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Coordination for LocalCoordinator {
    fn view(&self) -> Result<Arc<View>> {
        Ok(self.published())
    }

    fn view_at_hand(&self) -> Option<Arc<View>> {
        Some(Arc::new(self.published().at_hand()))
    }

    fn commit(&self, mut request: CommitRequest) -> Result<Receipt> {
        loop {
            let (decision, spent) = self.pipeline.submit(self, request);
            drop(spent);
            match decision {
                Decision::Done(result) => return result,
                Decision::Locked(returned, key) => {
                    self.pass_by(&returned, &key)?;
                    request = *returned;
                }
            }
        }
    }

    fn commit_then(
        self: Arc<Self>,
        request: CommitRequest,
        errands: &Arc<dyn Errands>,
        then: Then,
    ) -> Option<Errand> {
        let absent = Arc::new(Absent::new(self.clone(), errands.clone(), then));
        let leads = self.pipeline.enter(request, absent.clone());
        leads.then(|| absent.leading())
    }

    fn refresh(
        &self,
        advance: Option<TransactionId>,
        from: u64,
        reads: &ReadSet,
        keys: &mut dyn Iterator<Item = &Bytes>,
    ) -> Result<Option<Arc<View>>> {
        self.wait_for_decided();
        // Nothing is decided meanwhile, so that whatever is published has been
        // looked at.
        let sequencer = self.sequencer();
        let recent = &sequencer.recent;
        let unchanged = from >= recent.floor()
            && changed_read(recent, reads, from).is_none()
            && Iterator::all(&mut &mut *keys, |key| !recent.changed(key, from));
        if !unchanged {
            // What failed to be written counts as changed, and will for as long
            // as the store stays open: running again would not help.
            return self.poison().map_or(Ok(None), |error| Err(error.clone()));
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
