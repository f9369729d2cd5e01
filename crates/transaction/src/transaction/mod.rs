//! One connection's transaction: its view, write set, read set and savepoints.
//!
//! A transaction is used by one caller at a time and shares nothing with other
//! transactions but the [`Coordination`]. Its life:
//!
//! ```text
//! begin ──> open ──commit──> finished
//!             │ ├──rollback, drop──> finished     nothing was written
//!             │ └──conflict, deadlock──> aborted  only rollback is answered
//!             └──time limit──> expired            rolled back already
//! ```
//!
//! Work happens in *statements*: each begins by checking that the transaction
//! is usable (and, under read committed, by moving to the newest view) and
//! undoes itself when it fails, so that a failed statement leaves the
//! transaction as it was before that statement.

mod ending;
mod locking;
mod reading;

pub use ending::Ending;

use std::sync::Arc;
use std::time::Duration;
use tandem_base::sync::Mutex;

use bytes::Bytes;
use tandem_base::{Code, Error, Result};
use tandem_storage::KeyRange;

use crate::coordination::{CommitOptions, CommitRequest, Coordination, Receipt, Work};
use crate::errand::{Errand, Errands};
use crate::guard::GuardCheck;
use crate::isolation::Isolation;
use crate::read_set::ReadSet;
use crate::registry::{ActiveTransaction, TransactionId, expired_error};
use crate::statistics::Statistics;
use crate::view::{Read, View};
use crate::write_set::{DerivedEntries, Mark, RowWrite, WriteSet};

/// How a transaction is begun.
#[derive(Clone, Debug, Default)]
pub struct TransactionOptions {
    /// Which anomalies it may meet.
    pub isolation: Isolation,
    /// Refuse writes with `READ_ONLY`.
    pub read_only: bool,
    /// How long it may be open in all; `None` = the store's limit, which is
    /// also the most that can be asked for.
    pub total_time: Option<Duration>,
    /// How long it may be unused; as `total_time`.
    pub idle_time: Option<Duration>,
}

/// Index entries that follow from one row's change, for the own reads of a
/// transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexDelta {
    /// Entries that are not there any more.
    pub removes: Vec<Bytes>,
    /// Entries that are there now.
    pub puts: Vec<(Bytes, Bytes)>,
}

enum Status {
    Open,
    /// Handed over to be committed. It stays so only if that call panicked:
    /// then nobody can tell from here whether it happened.
    Committing,
    /// A conflict ended it; only rollback is answered.
    Aborted,
    /// A time limit ended it.
    Expired,
    /// Committed or rolled back.
    Finished,
}

/// What a transaction that is to be committed has for the commit section.
#[expect(clippy::large_enum_variant, reason = "it is taken apart at once")]
enum HandedOver {
    /// It wrote nothing.
    Nothing(Receipt),
    /// This, since then.
    Request(CommitRequest, Duration),
}

/// One connection's transaction. Dropped, it is rolled back.
pub struct Transaction {
    coordination: Arc<dyn Coordination>,
    /// `None` for a read that is over before anybody needs to know of it.
    active: Option<Arc<ActiveTransaction>>,
    isolation: Isolation,
    read_only: bool,
    view: Arc<View>,
    /// The view's revision when the write set was last seen empty.
    written_since: u64,
    writes: WriteSet,
    reads: Mutex<ReadSet>,
    has_read: tandem_base::sync::atomic::AtomicBool,
    status: Status,
    deferred: Option<u64>,
    /// Where the writes of the statement that is made of several begin.
    compound: Option<Mark>,
}

impl Transaction {
    /// Begins a transaction at the newest published revision.
    ///
    /// # Errors
    /// `LIMIT_EXCEEDED` when too many are open; `STORAGE_ERROR`.
    pub fn begin(
        coordination: Arc<dyn Coordination>,
        options: &TransactionOptions,
    ) -> Result<Self> {
        let limits = coordination.limits();
        let total =
            options.total_time.map_or(limits.total_time, |time| time.min(limits.total_time));
        let idle = options.idle_time.map_or(limits.idle_time, |time| time.min(limits.idle_time));
        let newest = coordination.view()?;
        let (active, view) = coordination.registry().begin(
            &*coordination.environment().clock,
            limits,
            total,
            idle,
            || coordination.view().unwrap_or(newest),
        )?;
        Statistics::add(&coordination.statistics().begun, 1);
        Ok(Self::new(coordination, Some(active), options.isolation, options.read_only, view))
    }

    /// A read-only transaction for one read: it takes the newest view and is
    /// not registered, so beginning and ending it costs next to nothing. It
    /// has no time limit.
    ///
    /// # Errors
    /// `STORAGE_ERROR`.
    pub fn read(coordination: Arc<dyn Coordination>) -> Result<Self> {
        let view = coordination.view()?;
        Ok(Self::new(coordination, None, Isolation::Snapshot, true, view))
    }

    /// As [`read`](Self::read), where nothing may wait: it reads what is in memory
    /// and nothing else. When it [fell short](Self::fell_short), its answers mean
    /// nothing. `None` where even the newest view is not near.
    #[must_use]
    pub fn read_at_hand(coordination: Arc<dyn Coordination>) -> Option<Self> {
        let view = coordination.view_at_hand()?;
        Some(Self::new(coordination, None, Isolation::Snapshot, true, view))
    }

    /// Whether a read was refused because its answer is not in memory; only in one
    /// [at hand](Self::read_at_hand).
    #[must_use]
    pub fn fell_short(&self) -> bool {
        self.view.fell_short()
    }

    fn new(
        coordination: Arc<dyn Coordination>,
        active: Option<Arc<ActiveTransaction>>,
        isolation: Isolation,
        read_only: bool,
        view: Arc<View>,
    ) -> Self {
        let reads = Mutex::new(ReadSet::new(coordination.limits().read_set_entries));
        Self {
            coordination,
            active,
            isolation,
            read_only,
            written_since: view.revision(),
            view,
            writes: WriteSet::default(),
            reads,
            has_read: false.into(),
            status: Status::Open,
            deferred: None,
            compound: None,
        }
    }

    /// The transaction's id in the registry; 0 for a [`read`](Self::read).
    #[must_use]
    pub fn id(&self) -> TransactionId {
        self.active.as_ref().map_or(0, |active| active.id())
    }

    /// The chosen level.
    #[must_use]
    pub fn isolation(&self) -> Isolation {
        self.isolation
    }

    /// Whether writes are refused.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Whether statements are still accepted.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.status, Status::Open)
            && self.active.as_ref().is_none_or(|active| !active.is_expired())
    }

    /// What the transaction reads.
    #[must_use]
    pub fn view(&self) -> &Arc<View> {
        &self.view
    }

    /// No own write was made at a view older than this revision. Under read
    /// committed, and after a wait for a lock, the view may be newer.
    #[must_use]
    pub fn written_since(&self) -> u64 {
        self.written_since
    }

    /// What the transaction writes.
    #[must_use]
    pub fn writes(&self) -> &WriteSet {
        &self.writes
    }

    /// How much of its total time is left.
    #[must_use]
    pub fn remaining_time(&self) -> Option<Duration> {
        let active = self.active.as_ref()?;
        Some(active.deadline().saturating_sub(self.coordination.environment().clock.monotonic()))
    }

    /// The shared side.
    #[must_use]
    pub fn coordination(&self) -> &Arc<dyn Coordination> {
        &self.coordination
    }

    // ------------------------------------------------------------ statements

    /// Runs a reading statement.
    ///
    /// # Errors
    /// `TRANSACTION_ABORTED`, `TRANSACTION_EXPIRED`, `TRANSACTION_NOT_FOUND`
    /// when the transaction is over; otherwise what `body` answers.
    pub fn read_statement<T>(&mut self, body: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.begin_statement()?;
        let result = body(self);
        self.end_statement(result)
    }

    /// Runs a writing statement; when it fails, everything that it wrote is
    /// undone.
    ///
    /// # Errors
    /// As [`read_statement`](Self::read_statement); `READ_ONLY`;
    /// `LIMIT_EXCEEDED` when the write set has become too large.
    pub fn write_statement<T>(&mut self, body: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.begin_statement()?;
        if self.read_only {
            let refused = Error::new(Code::ReadOnly, "The transaction is read-only");
            return self.end_statement(Err(refused));
        }
        let mark = self.writes.mark();
        let result = body(self).and_then(|value| {
            let (max, actual) = (self.coordination.limits().write_set_bytes, self.writes.bytes());
            if actual > max {
                return Err(Error::limit("transactionBytes", max as u64, actual as u64));
            }
            Ok(value)
        });
        if result.is_err() {
            self.writes.undo_to(mark);
        }
        self.end_statement(result)
    }

    fn begin_statement(&mut self) -> Result<()> {
        self.ensure_open()?;
        let renews = self.isolation == Isolation::ReadCommitted && self.compound.is_none();
        if renews && self.active.is_some() {
            self.renew_statement_view()?;
        }
        // However long the statement runs or waits, the transaction is not idle.
        if let Some(active) = &self.active {
            active.start_use();
        }
        Ok(())
    }

    /// Begins a statement that is made of several, as one of SQL may be: they
    /// see one state, at read committed too, and can be undone together. Until
    /// [`end_compound`](Self::end_compound) no other may begin.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` when another one has not ended; as
    /// [`read_statement`](Self::read_statement).
    pub fn begin_compound(&mut self) -> Result<()> {
        if self.compound.is_some() {
            return Err(Error::validation("Another statement of the transaction is running"));
        }
        self.begin_statement()?;
        self.compound = Some(self.writes.mark());
        Ok(())
    }

    /// Ends it; unless `keep`, what its statements wrote is undone. Does nothing
    /// if the transaction has ended meanwhile.
    pub fn end_compound(&mut self, keep: bool) {
        let Some(mark) = self.compound.take() else { return };
        if !keep {
            self.writes.undo_to(mark);
        }
        self.touch();
    }

    /// Read committed: each statement sees what is committed when it begins.
    fn renew_statement_view(&mut self) -> Result<()> {
        // With writes or guards pending, the registry keeps the older pin,
        // so that what they were derived from can still be compared at
        // commit.
        let nothing_to_compare = self.writes.is_empty() && self.writes.guards().next().is_none();
        if nothing_to_compare {
            let newest = self.coordination.view()?;
            let coordination = &self.coordination;
            self.view = coordination
                .registry()
                .move_to(self.id(), || coordination.view().unwrap_or(newest));
            self.written_since = self.view.revision();
        } else {
            self.view = self.coordination.view()?;
        }
        Ok(())
    }

    fn end_statement<T>(&mut self, result: Result<T>) -> Result<T> {
        self.touch();
        if let Err(error) = &result
            && matches!(error.code(), Code::Conflict | Code::Deadlock)
        {
            self.abort();
        }
        result
    }

    /// Ends it, and counts it, if its time is over and it is still open. Answers the
    /// time.
    fn expire_if_due(&self) -> Duration {
        let now = self.now();
        if let Some(active) = self.active.as_ref().filter(|_| matches!(self.status, Status::Open))
            && active.expire_if_due(now)
        {
            Statistics::add(&self.coordination.statistics().expired, 1);
        }
        now
    }

    fn ensure_open(&mut self) -> Result<()> {
        if matches!(self.status, Status::Open)
            && let Some(active) = &self.active
        {
            let now = self.expire_if_due();
            if active.is_expired() {
                self.release(Status::Expired);
            } else {
                active.touch(now);
            }
        }
        match self.status {
            Status::Open => Ok(()),
            Status::Committing => Err(Error::new(
                Code::TransactionAborted,
                "The commit of this transaction broke off; roll it back, and look whether it \
                 happened",
            )),
            Status::Aborted => Err(Error::new(
                Code::TransactionAborted,
                "The transaction was aborted by an earlier conflict; roll it back",
            )),
            Status::Expired => Err(expired_error()),
            Status::Finished => {
                Err(Error::new(Code::TransactionNotFound, "The transaction has already ended"))
            }
        }
    }

    fn touch(&self) {
        if let Some(active) = &self.active {
            active.touch(self.coordination.environment().clock.monotonic());
        }
    }

    // ---------------------------------------------------------------- writes

    /// Writes one row and the index entries that follow, for the own reads of
    /// this transaction. `current` is the row as [`get_untracked`] shows it;
    /// `derived` is what the commit may use again.
    ///
    /// Call it inside a [`write_statement`](Self::write_statement).
    ///
    /// [`get_untracked`]: Self::get_untracked
    pub fn write(
        &mut self,
        key: &Bytes,
        current: Option<&Bytes>,
        after: Option<Bytes>,
        expected_version: Option<u64>,
        delta: IndexDelta,
        derived: Option<DerivedEntries>,
    ) {
        let seen_at = self.view.revision();
        if self.writes.write_row(key, current, seen_at, after, expected_version, derived) {
            self.overlay(delta);
        } else {
            for entry in &delta.removes {
                self.writes.uncover(entry);
            }
            // No write is left to be validated, but that the record did not
            // exist is known.
            self.track_point(key);
        }
    }

    /// Adds derived entries to the own reads without a row change: the entries
    /// of an index that this transaction has just defined.
    pub fn overlay(&mut self, delta: IndexDelta) {
        for entry in delta.removes {
            self.writes.write_overlay(entry, None);
        }
        for (entry, value) in delta.puts {
            self.writes.write_overlay(entry, Some(value));
        }
    }

    /// The net effect of this transaction on the row at `key`.
    #[must_use]
    pub fn own_write(&self, key: &[u8]) -> Option<&RowWrite> {
        self.writes.row(key)
    }

    /// Demands that nothing in `range` changes between now and the commit, at
    /// every isolation level.
    pub fn guard_unchanged(
        &mut self,
        range: KeyRange,
        error: impl Fn() -> Error + Send + Sync + 'static,
    ) {
        let seen_at = self.view.revision();
        self.writes.add_guard(GuardCheck::Unchanged, range, seen_at, error);
    }

    /// Demands that `key` exists when the transaction commits, at every
    /// isolation level.
    pub fn guard_exists(&mut self, key: &[u8], error: impl Fn() -> Error + Send + Sync + 'static) {
        let seen_at = self.view.revision();
        self.writes.add_guard(GuardCheck::Exists, KeyRange::point(key), seen_at, error);
    }

    /// A number for the next inserted row, rising within the transaction:
    /// rows of one commit keep their order of insertion by it.
    pub fn allocate_ordinal(&mut self) -> u32 {
        self.writes.allocate_ordinal()
    }

    /// From now on, statements let unique values collide within the
    /// transaction; whoever defers checks at the end, before the commit, which
    /// checks in any case.
    pub fn defer_constraints(&mut self) {
        self.deferred.get_or_insert(0);
    }

    /// Whether statements let unique values collide.
    #[must_use]
    pub fn defers_constraints(&self) -> bool {
        self.deferred.is_some()
    }

    /// A statement has let unique values collide.
    pub fn note_collision(&mut self) {
        if let Some(collisions) = &mut self.deferred {
            *collisions += 1;
        }
    }

    /// Whether unique values may collide in the write set: then a unique index
    /// may show only one of the records.
    #[must_use]
    pub fn has_collisions(&self) -> bool {
        self.deferred.is_some_and(|collisions| collisions > 0)
    }

    // ------------------------------------------------------------ savepoints

    /// Opens a savepoint. Savepoints nest; the same name may be open twice.
    ///
    /// # Errors
    /// `LIMIT_EXCEEDED` for too many; and when the transaction is over.
    pub fn savepoint(&mut self, name: &str) -> Result<()> {
        self.ensure_open()?;
        let (max, open) = (self.coordination.limits().savepoints, self.writes.savepoint_count());
        if open >= max {
            return Err(Error::limit("savepoints", max as u64, open as u64));
        }
        self.writes.savepoint(name);
        Ok(())
    }

    /// Undoes what was written after the innermost savepoint of that name. The
    /// savepoint stays open. Cost: what is undone.
    ///
    /// # Errors
    /// `SAVEPOINT_NOT_FOUND`; and when the transaction is over.
    pub fn rollback_to(&mut self, name: &str) -> Result<()> {
        self.ensure_open()?;
        self.writes.rollback_to(name)
    }

    /// Forgets the innermost savepoint of that name; its writes stay.
    ///
    /// # Errors
    /// `SAVEPOINT_NOT_FOUND`; and when the transaction is over.
    pub fn release_savepoint(&mut self, name: &str) -> Result<()> {
        self.ensure_open()?;
        self.writes.release(name)
    }

    // ------------------------------------------------------------------- end

    /// Commits. Whatever the answer, the transaction is over afterwards: a
    /// failed commit leaves it aborted.
    ///
    /// # Errors
    /// `CONFLICT`, `ALREADY_EXISTS` and other violations: nothing happened.
    /// `STORE_FAILED`: reopen the store to learn whether it happened.
    pub fn commit(&mut self, options: CommitOptions) -> Result<Receipt> {
        match self.hand_over(options)? {
            HandedOver::Nothing(receipt) => Ok(receipt),
            HandedOver::Request(request, begun) => {
                let result = self.coordination.commit(request);
                self.count_commit(begun);
                self.end_as(&result);
                result
            }
        }
    }

    /// As [`commit`](Self::commit), for a caller that does not wait: `then` takes what
    /// came of it, on whatever thread there is, and has to be quick. If others wait for
    /// the caller meanwhile, it is given an errand to do; those that come later are for
    /// `errands`.
    pub fn commit_then(
        mut self,
        options: CommitOptions,
        errands: &Arc<dyn Errands>,
        then: impl FnOnce(Ending) + Send + 'static,
    ) -> Option<Errand> {
        match self.hand_over(options) {
            Ok(HandedOver::Nothing(receipt)) => then(Ending::without_commit(self, Ok(receipt))),
            Err(error) => then(Ending::without_commit(self, Err(error))),
            Ok(HandedOver::Request(request, begun)) => {
                let coordination = self.coordination.clone();
                let then = move |answer| {
                    // Here, because nobody may be there to hear of it.
                    self.count_commit(begun);
                    then(Ending { transaction: self, answer });
                };
                return coordination.commit_then(request, errands, Box::new(then));
            }
        }
        None
    }

    /// Ends the statements, and makes of what was read and written a request, with the
    /// time at which the commit begins.
    fn hand_over(&mut self, options: CommitOptions) -> Result<HandedOver> {
        self.ensure_open()?;
        if self.writes.is_empty() && options.idempotency.is_none() {
            let revision = self.view.revision();
            self.release(Status::Finished);
            let receipt = Receipt { revision, changes: 0, commit: None, replayed: None };
            return Ok(HandedOver::Nothing(receipt));
        }
        if self.active.as_ref().is_some_and(|active| !active.start_ending()) {
            self.release(Status::Expired);
            return Err(expired_error());
        }
        let (id, begin) = (self.id(), self.begin_revision());
        let writes = std::mem::take(&mut self.writes);
        let reads = std::mem::replace(&mut *self.read_set(), ReadSet::new(1));
        let work = Work::Transaction { id, isolation: self.isolation, begin, reads, writes };
        // If it panics, an empty write set must not be taken for a commit.
        self.status = Status::Committing;
        Ok(HandedOver::Request(CommitRequest { work, options }, self.now()))
    }

    fn count_commit(&self, begun: Duration) {
        let took = self.now().saturating_sub(begun);
        self.coordination.statistics().commit_time.record_duration(took);
    }

    fn end_as(&mut self, committed: &Result<Receipt>) {
        self.release(if committed.is_ok() { Status::Finished } else { Status::Aborted });
    }

    fn begin_revision(&self) -> u64 {
        match self.isolation {
            // Its reads are not validated; what matters is the oldest row that
            // an intent was built on.
            Isolation::ReadCommitted => self
                .writes
                .rows()
                .map(|(_, write)| write.seen_at)
                .chain(self.writes.guards().map(|guard| guard.seen_at))
                .min()
                .unwrap_or_else(|| self.view.revision()),
            Isolation::Snapshot | Isolation::Serializable => self.view.revision(),
        }
    }

    /// Forgets everything. Safe to call in any state.
    pub fn rollback(&mut self) {
        // Whoever holds it may look at the clock, too, and let go of it for that.
        self.expire_if_due();
        self.release(Status::Finished);
    }

    /// Ends the transaction after a conflict: its locks and memory are freed,
    /// and only rollback is answered.
    pub fn abort(&mut self) {
        if self.is_under_way() {
            self.release(Status::Aborted);
        }
    }

    /// Neither ended nor aborted.
    fn is_under_way(&self) -> bool {
        matches!(self.status, Status::Open | Status::Committing)
    }

    fn now(&self) -> Duration {
        self.coordination.environment().clock.monotonic()
    }

    fn release(&mut self, status: Status) {
        if let Some(active) = self.active.as_ref().filter(|_| self.is_under_way()) {
            let open = self.now().saturating_sub(active.begun());
            self.coordination.statistics().transaction_time.record_duration(open);
        }
        self.status = status;
        self.compound = None;
        self.writes = WriteSet::default();
        *self.read_set() = ReadSet::new(1);
        if let Some(active) = &self.active {
            self.coordination.registry().end(active.id());
            self.coordination.locks().release_all(active.id());
        }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if self.is_under_way() {
            self.rollback();
        }
    }
}

impl std::fmt::Debug for Transaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transaction")
            .field("id", &self.id())
            .field("isolation", &self.isolation)
            .field("revision", &self.view.revision())
            .finish_non_exhaustive()
    }
}
