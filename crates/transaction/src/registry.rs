//! The transactions that are open now.
//!
//! The registry answers three questions of the shared side: below which
//! revision nobody needs the recent commits any more, which transactions have
//! run out of time, and how many there are. A transaction's state itself stays
//! with its connection.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tandem_base::sync::Mutex;
use tandem_base::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use tandem_base::{Clock, Code, Error, Result};

use crate::limits::TransactionLimits;
use crate::view::{Read, View};

/// Identifies an open transaction within its store.
pub type TransactionId = u64;

const OPEN: u8 = 0;
const ENDING: u8 = 1;
const EXPIRED: u8 = 2;

/// Last used: now. A statement is running, and may run or wait for long.
const IN_USE: u64 = u64::MAX;

/// The shared face of one open transaction.
#[derive(Debug)]
pub struct ActiveTransaction {
    id: TransactionId,
    phase: AtomicU8,
    last_used_ms: AtomicU64,
    begun: Duration,
    deadline: Duration,
    idle: Duration,
}

impl ActiveTransaction {
    /// The transaction's id.
    #[must_use]
    pub fn id(&self) -> TransactionId {
        self.id
    }

    /// When it was begun, by the monotonic clock.
    #[must_use]
    pub fn begun(&self) -> Duration {
        self.begun
    }

    /// When it will have been open for too long, by the monotonic clock.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Whether a time limit has ended it.
    #[must_use]
    pub fn is_expired(&self) -> bool {
        self.phase.load(Ordering::Acquire) == EXPIRED
    }

    /// A statement begins: until the next [`touch`](Self::touch), only the whole
    /// time counts.
    pub(crate) fn start_use(&self) {
        self.last_used_ms.store(IN_USE, Ordering::Relaxed);
    }

    pub(crate) fn touch(&self, now: Duration) {
        self.last_used_ms.store(millis(now), Ordering::Relaxed);
    }

    /// Ends it if a limit has passed. From then on it cannot commit.
    pub(crate) fn expire_if_due(&self, now: Duration) -> bool {
        let is_idle = match self.last_used_ms.load(Ordering::Relaxed) {
            IN_USE => false,
            since => now.saturating_sub(Duration::from_millis(since)) >= self.idle,
        };
        let due = now >= self.deadline || is_idle;
        due && self
            .phase
            .compare_exchange(OPEN, EXPIRED, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// Claims the right to commit; fails when a time limit was faster.
    pub(crate) fn start_ending(&self) -> bool {
        self.phase.compare_exchange(OPEN, ENDING, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// All open transactions of a store.
#[derive(Debug, Default)]
pub struct Registry {
    state: Mutex<State>,
    next_id: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    open: BTreeMap<TransactionId, (Arc<ActiveTransaction>, u64)>,
    pinned: BTreeSet<(u64, TransactionId)>,
}

impl Registry {
    /// Registers a transaction that begins at the view that `current` returns.
    /// The view is taken under the registry's lock, so that no commit after it
    /// can be forgotten before the transaction is known.
    ///
    /// # Errors
    /// `LIMIT_EXCEEDED` when too many transactions are open.
    pub fn begin(
        &self,
        clock: &dyn Clock,
        limits: &TransactionLimits,
        total: Duration,
        idle: Duration,
        current: impl FnOnce() -> Arc<View>,
    ) -> Result<(Arc<ActiveTransaction>, Arc<View>)> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed) + 1;
        let now = clock.monotonic();
        let active = Arc::new(ActiveTransaction {
            id,
            phase: AtomicU8::new(OPEN),
            last_used_ms: AtomicU64::new(millis(now)),
            begun: now,
            deadline: now.saturating_add(total),
            idle,
        });
        let mut state = self.lock();
        if state.open.len() >= limits.open_transactions {
            let (max, actual) = (limits.open_transactions as u64, state.open.len() as u64);
            return Err(Error::limit("openTransactions", max, actual));
        }
        let view = current();
        state.open.insert(id, (active.clone(), view.revision()));
        state.pinned.insert((view.revision(), id));
        Ok((active, view))
    }

    /// Moves the transaction to a newer view.
    pub fn move_to(&self, id: TransactionId, current: impl FnOnce() -> Arc<View>) -> Arc<View> {
        let mut state = self.lock();
        let view = current();
        if let Some((active, pinned)) = state.open.get(&id).cloned() {
            state.pinned.remove(&(pinned, id));
            state.pinned.insert((view.revision(), id));
            state.open.insert(id, (active, view.revision()));
        }
        view
    }

    /// Forgets the transaction.
    pub fn end(&self, id: TransactionId) {
        let mut state = self.lock();
        if let Some((_, pinned)) = state.open.remove(&id) {
            state.pinned.remove(&(pinned, id));
        }
    }

    /// The oldest revision that an open transaction began at.
    #[must_use]
    pub fn oldest_revision(&self) -> Option<u64> {
        self.lock().pinned.first().map(|(revision, _)| *revision)
    }

    /// When the transaction that holds the oldest snapshot was begun, by the
    /// monotonic clock.
    #[must_use]
    pub fn oldest_begun(&self) -> Option<Duration> {
        let state = self.lock();
        let (_, id) = state.pinned.first()?;
        state.open.get(id).map(|(active, _)| active.begun)
    }

    /// How many transactions are open.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().open.len()
    }

    /// Whether no transaction is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ends every transaction whose time is over and returns their ids.
    pub fn expire(&self, now: Duration) -> Vec<TransactionId> {
        let mut state = self.lock();
        let due: Vec<_> = state
            .open
            .values()
            .filter(|(active, _)| active.expire_if_due(now))
            .map(|(active, revision)| (active.id, *revision))
            .collect();
        for (id, pinned) in &due {
            state.open.remove(id);
            state.pinned.remove(&(*pinned, *id));
        }
        due.into_iter().map(|(id, _)| id).collect()
    }

    fn lock(&self) -> tandem_base::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The answer to any use of a transaction that a time limit has ended.
pub(crate) fn expired_error() -> Error {
    Error::new(
        Code::TransactionExpired,
        "The transaction exceeded its time limit and was rolled back",
    )
}

#[cfg(test)]
mod tests {
    use tandem_base::SimulatedClock;
    use tandem_storage::{MemoryStorage, Storage};

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    struct Fixture {
        registry: Registry,
        clock: SimulatedClock,
        limits: TransactionLimits,
    }

    fn fixture() -> Fixture {
        let limits = TransactionLimits { open_transactions: 3, ..TransactionLimits::default() };
        Fixture { registry: Registry::default(), clock: SimulatedClock::new(0), limits }
    }

    fn view(revision: u64) -> Arc<View> {
        Arc::new(View::new(revision, 0, MemoryStorage::new().snapshot().expect("in memory")))
    }

    impl Fixture {
        /// Open for 100 ms in all and for 40 ms unused.
        fn begin(&self, revision: u64) -> Result<Arc<ActiveTransaction>> {
            let Self { registry, clock, limits } = self;
            let begun = registry.begin(clock, limits, 100 * MS, 40 * MS, || view(revision))?;
            assert_eq!(begun.1.revision(), revision);
            Ok(begun.0)
        }
    }

    #[test]
    fn g9_a_transaction_expires_when_its_whole_time_is_over_and_not_before() {
        let fixture = fixture();
        fixture.clock.advance(1_000 * MS);
        let active = fixture.begin(1).unwrap();
        assert_eq!(active.deadline(), 1_100 * MS);
        active.touch(1_090 * MS);
        assert!(!active.expire_if_due(1_099 * MS) && !active.is_expired());
        assert!(active.expire_if_due(1_100 * MS) && active.is_expired());
        assert!(!active.expire_if_due(1_100 * MS), "only once");
        assert!(!active.start_ending(), "it cannot commit any more");
    }

    #[test]
    fn g9_a_transaction_expires_when_it_is_unused_for_too_long() {
        let fixture = fixture();
        let active = fixture.begin(1).unwrap();
        assert!(!active.expire_if_due(39 * MS));
        active.touch(39 * MS);
        assert!(!active.expire_if_due(78 * MS), "it was used meanwhile");
        assert!(active.expire_if_due(79 * MS));
    }

    #[test]
    fn g9_a_transaction_is_not_idle_while_a_statement_runs() {
        let fixture = fixture();
        let active = fixture.begin(1).unwrap();
        active.start_use();
        assert!(!active.expire_if_due(99 * MS));
        active.touch(50 * MS);
        assert!(!active.expire_if_due(89 * MS) && active.expire_if_due(90 * MS));
        let active = fixture.begin(1).unwrap();
        active.start_use();
        assert!(active.expire_if_due(100 * MS), "the whole time counts all the same");
    }

    #[test]
    fn g9_a_transaction_that_is_committing_does_not_expire() {
        let fixture = fixture();
        let active = fixture.begin(1).unwrap();
        assert!(active.start_ending());
        assert!(!active.expire_if_due(1_000 * MS) && !active.is_expired());
        assert!(!active.start_ending(), "it ends once");
        assert!(fixture.registry.expire(1_000 * MS).is_empty());
        assert_eq!(fixture.registry.len(), 1);
    }

    #[test]
    fn g9_expired_transactions_are_forgotten_and_the_others_stay() {
        let fixture = fixture();
        let (first, second) = (fixture.begin(5).unwrap(), fixture.begin(7).unwrap());
        second.touch(30 * MS);
        assert_eq!(fixture.registry.expire(40 * MS), [first.id()]);
        assert_eq!((fixture.registry.len(), fixture.registry.oldest_revision()), (1, Some(7)));
        assert_eq!(fixture.registry.expire(70 * MS), [second.id()]);
        assert!(fixture.registry.is_empty());
        assert_eq!(fixture.registry.oldest_revision(), None);
    }

    #[test]
    fn g4_the_oldest_revision_is_that_of_the_oldest_view_in_use() {
        let fixture = fixture();
        let (old, new) = (fixture.begin(3).unwrap(), fixture.begin(8).unwrap());
        assert_ne!(old.id(), new.id());
        assert_ne!(old.id(), 0, "that is a read which is registered nowhere");
        let oldest = || fixture.registry.oldest_revision();
        assert_eq!((fixture.registry.len(), oldest()), (2, Some(3)));
        assert!(!fixture.registry.is_empty());
        assert_eq!(fixture.registry.move_to(old.id(), || view(9)).revision(), 9);
        assert_eq!(oldest(), Some(8));
        fixture.registry.end(new.id());
        assert_eq!(oldest(), Some(9));
        fixture.registry.end(old.id());
        assert_eq!(oldest(), None);
        // One that is over pins nothing, wherever it is moved to.
        fixture.registry.move_to(old.id(), || view(10));
        assert_eq!((fixture.registry.len(), oldest()), (0, None));
    }

    #[test]
    fn the_oldest_snapshot_is_as_old_as_the_transaction_that_holds_it() {
        let fixture = fixture();
        let oldest = || fixture.registry.oldest_begun();
        assert_eq!(oldest(), None);
        fixture.clock.advance(10 * MS);
        let first = fixture.begin(3).unwrap();
        fixture.clock.advance(10 * MS);
        let second = fixture.begin(8).unwrap();
        assert_eq!((first.begun(), second.begun(), oldest()), (10 * MS, 20 * MS, Some(10 * MS)));
        // It reads at a newer view now, though it has been open for longer.
        fixture.registry.move_to(first.id(), || view(9));
        assert_eq!(oldest(), Some(20 * MS));
    }

    #[test]
    fn g10_open_transactions_are_bounded_and_the_bound_is_named() {
        let fixture = fixture();
        let open: Vec<_> = (0..3).map(|_| fixture.begin(1).unwrap()).collect();
        let refused = fixture.begin(1).unwrap_err();
        assert_eq!(refused.code(), Code::LimitExceeded);
        assert_eq!(
            refused.detail("limit").and_then(|limit| limit.as_str()),
            Some("openTransactions")
        );
        fixture.registry.end(open[1].id());
        fixture.begin(1).unwrap();
    }

    #[test]
    fn g9_the_caller_learns_that_time_ended_the_transaction() {
        assert_eq!(expired_error().code(), Code::TransactionExpired);
    }
}
