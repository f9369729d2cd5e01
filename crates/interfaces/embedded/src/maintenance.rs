//! Work that keeps a store in order: ending transactions whose time is over,
//! deleting expired records, trimming the change log, building indexes,
//! removing what dropped definitions leave behind, and giving back the room that
//! files take for what is no longer there.
//!
//! One background thread does a round every
//! [`Limits::maintenance_interval`](crate::Limits::maintenance_interval). A
//! deterministic run opens the store with `background(false)` and calls
//! [`Store::maintain`](crate::Store::maintain) when it wants a round. Every step is small and resumable,
//! so a crash or a close between two steps loses nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tandem_base::{Code, Error, Result};
use tandem_record::{BuildStep, Records};
use tandem_transaction::{CommitOptions, Isolation, Transaction as Engine, TransactionOptions};

use crate::store::Inner;

/// What one round of maintenance did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MaintenanceReport {
    /// Transactions rolled back because their time was over.
    pub expired_transactions: u64,
    /// Records deleted because their time to live was over.
    pub expired_records: u64,
    /// Commits removed from the change log.
    pub trimmed_commits: u64,
    /// Steps of index builds.
    pub build_steps: u64,
    /// Steps of removing what dropped buckets and indexes left behind.
    pub garbage_steps: u64,
    /// Whether the engine's files hold no more than they need to, as far as the
    /// engine can help it; otherwise the next round goes on.
    pub settled: bool,
}

impl Inner {
    /// One round, which ends early when `stop` says so.
    pub(crate) fn maintain(&self, stop: &dyn Fn() -> bool) -> Result<MaintenanceReport> {
        let expired_records = self.purge_expired_records(stop)?;
        let round = self.maintain_but_records(stop)?;
        Ok(MaintenanceReport { expired_records, ..round })
    }

    /// As [`maintain`](Self::maintain), leaving expired records where they are.
    fn maintain_but_records(&self, stop: &dyn Fn() -> bool) -> Result<MaintenanceReport> {
        let mut report = MaintenanceReport {
            expired_transactions: self.expire_transactions()?,
            trimmed_commits: self.trim_change_log(stop)?,
            ..MaintenanceReport::default()
        };
        while !stop() && self.build_one_step()? {
            report.build_steps += 1;
        }
        let coordination = self.coordination()?;
        while !stop() && Records::collect_garbage(&**coordination, self.limits.maintenance_step)? {
            report.garbage_steps += 1;
        }
        // A store that is being closed does not wait for a merge to begin.
        if !stop() {
            report.settled = self.reclaim_one_step()?;
        }
        Ok(report)
    }

    /// Gives back room in the engine's files, one step a round: the longest takes
    /// seconds, and transactions have to be ended meanwhile. Returns whether all
    /// is done.
    fn reclaim_one_step(&self) -> Result<bool> {
        let Some(storage) = &self.storage else { return Ok(true) };
        let settled = storage.reclaim()?;
        if !settled {
            Records::renew_view(&**self.coordination()?)?;
        }
        Ok(settled)
    }

    /// Ends transactions whose time is over, even if nobody uses them any more.
    fn expire_transactions(&self) -> Result<u64> {
        Ok(self.coordination()?.expire_transactions())
    }

    /// Deletes records whose time to live is over, some per transaction. A
    /// conflict with a writer leaves the rest to the next round.
    fn purge_expired_records(&self, stop: &dyn Fn() -> bool) -> Result<u64> {
        let coordination = self.coordination()?;
        let catalog = self.records.catalog_at(&*coordination.view()?)?;
        let now = self.environment.clock.now_ms();
        let step = self.limits.maintenance_step;
        let options =
            TransactionOptions { isolation: Isolation::Snapshot, ..TransactionOptions::default() };
        let mut purged = 0;
        for bucket in catalog.buckets().into_iter().filter(|bucket| bucket.ttl_ms.is_some()) {
            while !stop() {
                let mut tx = Engine::begin(coordination.clone(), &options)?;
                let done = self
                    .records
                    .purge_expired(&mut tx, &bucket.name, now, step)
                    .and_then(|deleted| tx.commit(CommitOptions::default()).map(|_| deleted));
                match done {
                    Ok(deleted) => {
                        purged += deleted;
                        if deleted < step as u64 {
                            break;
                        }
                    }
                    Err(error) if passes(&error) => break,
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(purged)
    }

    /// Removes what of the past is beyond its window. Returns how many commits.
    fn trim_change_log(&self, stop: &dyn Fn() -> bool) -> Result<u64> {
        let coordination = self.coordination()?;
        let now = self.environment.clock.now_ms();
        let mut commits = 0;
        loop {
            let trimmed = self.retention.trim(&**coordination, now)?;
            commits += trimmed.log_entries as u64;
            if !trimmed.more || stop() {
                return Ok(commits);
            }
        }
    }

    /// One step of the first unfinished build; `false` if there is none, or a
    /// caller of `create_index` is at it.
    fn build_one_step(&self) -> Result<bool> {
        let Some(_builder) = self.builds.try_lock() else { return Ok(false) };
        let coordination = self.coordination()?;
        let unfinished = self.records.unfinished_builds(&*coordination.view()?)?;
        let Some((_, index)) = unfinished.first() else { return Ok(false) };
        let rows = self.limits.maintenance_step;
        match self.records.build_step(&**coordination, *index, rows)? {
            BuildStep::Building { .. } | BuildStep::Done | BuildStep::Failed(_) => Ok(true),
        }
    }
}

/// Whether the next round will do better without anybody's help.
fn passes(error: &Error) -> bool {
    error.retryable() || error.code() == Code::BucketNotDefined
}

/// Lets one caller at a time build indexes.
#[derive(Debug, Default)]
pub(crate) struct Builds(Mutex<()>);

impl Builds {
    pub(crate) fn lock(&self) -> MutexGuard<'_, ()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_lock(&self) -> Option<MutexGuard<'_, ()>> {
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            Err(std::sync::TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(std::sync::TryLockError::WouldBlock) => None,
        }
    }
}

/// The background thread.
pub(crate) struct Worker {
    signal: Arc<Signal>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Signal {
    state: Mutex<Wish>,
    changed: Condvar,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Wish {
    #[default]
    Rest,
    Round,
    Stop,
}

impl Worker {
    pub(crate) fn start(store: Arc<Inner>) -> Result<Self> {
        let signal = Arc::new(Signal::default());
        let threads = store.environment.threads.clone();
        let heard = signal.clone();
        let task = Box::new(move || run(&store, &heard));
        let thread = threads.spawn("tandem-maintenance", task).map_err(|error| {
            Error::internal("The maintenance thread cannot be started")
                .with("cause", error.to_string())
        })?;
        Ok(Self { signal, thread: Mutex::new(Some(thread)) })
    }

    pub(crate) fn wake(&self) {
        self.signal.set(Wish::Round);
    }

    /// Ends the thread after its current step.
    pub(crate) fn stop(&self) {
        self.signal.set(Wish::Stop);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // The last handle may be dropped by the thread itself.
        if let Some(thread) = thread
            && thread.thread().id() != std::thread::current().id()
        {
            // Its panic has been reported when it happened.
            let _ = thread.join();
        }
    }
}

impl Signal {
    fn set(&self, wish: Wish) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if *state != Wish::Stop {
            *state = wish;
        }
        self.changed.notify_all();
    }

    fn stopped(&self) -> bool {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) == Wish::Stop
    }

    /// Rests until the interval is over or somebody asks; `false` to stop.
    fn rest(&self, interval: Duration) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut state, _) = self
            .changed
            .wait_timeout_while(state, interval, |wish| *wish == Wish::Rest)
            .unwrap_or_else(PoisonError::into_inner);
        let go_on = *state != Wish::Stop;
        if go_on {
            *state = Wish::Rest;
        }
        go_on
    }
}

fn run(store: &Inner, signal: &Signal) {
    let clock = store.environment.clock.clone();
    let ttl_check = store.limits.ttl_check_interval;
    let interval = match store.limits.maintenance_interval {
        rounds if ttl_check.is_zero() => rounds,
        rounds => rounds.min(ttl_check),
    };
    let mut purged = clock.monotonic();
    while signal.rest(interval) {
        let now = clock.monotonic();
        // Half a round early is nearer than half a round late.
        let due = !ttl_check.is_zero() && now.saturating_sub(purged) + interval / 2 >= ttl_check;
        if due {
            purged = now;
        }
        // A failed store answers its users; maintenance has nobody to tell and
        // tries again. Nor may a panic below it end the thread: without it nobody
        // ends the transactions that their owners have forgotten.
        let _ = catch_unwind(AssertUnwindSafe(|| {
            if due {
                store.maintain(&|| signal.stopped())
            } else {
                store.maintain_but_records(&|| signal.stopped())
            }
        }));
    }
}
