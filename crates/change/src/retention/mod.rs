//! What is removed of the past, and when.
//!
//! Three things grow with every commit and lose their use with time: log
//! entries, the tombstones of deleted records, and first results kept under
//! idempotency keys. [`trim`](ChangeLogRetention::trim) removes them in bounded
//! steps; each step reads outside the commit section and hands it a short list
//! of keys, so that commits are delayed by one small write.
//!
//! * **Log entries** go from the oldest on while they are older than the age
//!   limit or the log is larger than the size limit; the newest stays. The
//!   trimmed-to revision moves in the same atomic write.
//! * **Tombstones** go when the log entry of their deletion has gone.
//! * **First results** go when they are older than their window.
//!
//! Nobody is waited for: a follower that is too slow is told to resync.

mod log_size;
mod sweep;

use std::sync::{Arc, PoisonError};
use tandem_base::sync::Mutex;

use bytes::Bytes;
use tandem_base::Result;
use tandem_storage::{Direction, Durability};
use tandem_transaction::{
    Commit, CommitOptions, CommitRequest, CommitState, Coordination, Derived, Read, View, Work,
    keyspace,
};

use self::log_size::LogSize;
use self::sweep::{Slice, Sweep};
use crate::hub::ChangeHub;
use crate::log::{entry_revision, oldest_revision, range_after};
use crate::options::ChangeLogOptions;

/// What one step removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trimmed {
    /// Log entries.
    pub log_entries: usize,
    /// Their bytes.
    pub log_bytes: u64,
    /// Tombstones of deleted records.
    pub tombstones: usize,
    /// First results under idempotency keys.
    pub idempotency_rows: usize,
    /// Whether the step stopped at its bounds: call again soon.
    pub more: bool,
}

/// Removes the past step by step. One per store; call
/// [`trim`](Self::trim) now and then, and again at once while it says `more`.
pub struct ChangeLogRetention {
    hub: Arc<ChangeHub>,
    options: ChangeLogOptions,
    state: Mutex<State>,
}

struct State {
    size: LogSize,
    tombstones: Sweep,
    /// The trimmed-to revision when the last walk over tombstones began.
    tombstones_swept: u64,
    first_results: Sweep,
}

/// Log entries that are to go, oldest first.
struct OldEntries {
    entries: Vec<(u64, u64)>,
    more: bool,
}

/// Tombstones and first results stand in no order of time, so finding the old
/// ones means walking over all; that is done so many times per window, and the
/// old ones stay for up to that fraction of it longer.
const WALKS_PER_WINDOW: u64 = 16;

impl ChangeLogRetention {
    /// Retention for the store whose commits `hub` is told of.
    #[must_use]
    pub fn new(hub: Arc<ChangeHub>, options: ChangeLogOptions) -> Self {
        let state = State {
            size: LogSize::default(),
            tombstones: Sweep::new(keyspace::TOMBSTONE),
            tombstones_swept: 0,
            first_results: Sweep::new(keyspace::IDEMPOTENCY),
        };
        Self { hub, options, state: Mutex::new(state) }
    }

    /// Does one step as of `now_ms` (milliseconds since the Unix epoch). When
    /// it fails nothing was removed, and the next call does the same step.
    ///
    /// # Errors
    /// `STORAGE_ERROR`, `CORRUPTED`; `STORE_FAILED` when the store is poisoned.
    pub fn trim(&self, coordination: &dyn Coordination, now_ms: u64) -> Result<Trimmed> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let view = coordination.view()?;
        let trimmed_to = oldest_revision(&*view)?;
        let measuring = state.size.measure(&view, trimmed_to, &self.hub, &self.options)?;
        let old = self.old_entries(&state.size, &view, trimmed_to, now_ms)?;
        let trims_to = old.entries.last().map_or(trimmed_to, |(revision, _)| *revision);
        let tombstones = self.old_tombstones(&mut state, &view, trims_to, old.more, now_ms)?;
        let first_results = self.old_first_results(&mut state, &view, now_ms)?;

        let mut swept = tombstones.expired.clone();
        swept.extend(first_results.expired.iter().cloned());
        self.remove(coordination, &old.entries, swept)?;

        for (revision, bytes) in &old.entries {
            state.size.removed(*revision, *bytes);
        }
        let trimmed = Trimmed {
            log_entries: old.entries.len(),
            log_bytes: old.entries.iter().map(|(_, bytes)| bytes).sum(),
            tombstones: tombstones.expired.len(),
            idempotency_rows: first_results.expired.len(),
            more: measuring || old.more || !tombstones.is_last() || !first_results.is_last(),
        };
        state.tombstones.advance(tombstones);
        state.first_results.advance(first_results);
        Ok(trimmed)
    }

    /// Roughly how many bytes the log takes. Too low until the entries from
    /// before this opening have been measured, a slice in each step.
    #[must_use]
    pub fn log_bytes(&self) -> u64 {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.size.bytes(&self.hub)
    }

    fn old_entries(
        &self,
        size: &LogSize,
        view: &View,
        trimmed_to: u64,
        now_ms: u64,
    ) -> Result<OldEntries> {
        let oldest_ms = now_ms.saturating_sub(self.options.max_age_ms);
        let mut log_bytes = size.bytes(&self.hub);
        let (mut entries, mut read) = (Vec::new(), 0);
        for entry in view.scan(&range_after(trimmed_to), Direction::Forward) {
            let (key, value) = entry?;
            let revision = entry_revision(&key)?;
            // A damaged entry has no age: the size limit removes it.
            let timestamp = Commit::timestamp_of(&value).unwrap_or(u64::MAX);
            let goes = timestamp < oldest_ms || log_bytes > self.options.max_bytes;
            if revision >= view.revision() || !goes {
                break;
            }
            if entries.len() >= self.options.step_entries || read >= self.options.step_bytes {
                return Ok(OldEntries { entries, more: true });
            }
            let bytes = (key.len() + value.len()) as u64;
            read += bytes;
            log_bytes = log_bytes.saturating_sub(bytes);
            entries.push((revision, bytes));
        }
        Ok(OldEntries { entries, more: false })
    }

    /// A walk begins when the log has been trimmed as far as it goes now.
    fn old_tombstones(
        &self,
        state: &mut State,
        view: &View,
        trimmed_to: u64,
        more_log: bool,
        now_ms: u64,
    ) -> Result<Slice> {
        let interval = self.options.max_age_ms / WALKS_PER_WINDOW;
        if !more_log
            && trimmed_to > state.tombstones_swept
            && state.tombstones.is_due(now_ms, interval)
        {
            state.tombstones.begin(now_ms);
            state.tombstones_swept = trimmed_to;
        }
        // u64 version | u64 revision of the deletion, big-endian
        state.tombstones.slice(view, &self.options, |value| {
            let revision = value.get(8..).and_then(|rest| rest.first_chunk());
            revision.is_some_and(|bytes| u64::from_be_bytes(*bytes) <= trimmed_to)
        })
    }

    fn old_first_results(&self, state: &mut State, view: &View, now_ms: u64) -> Result<Slice> {
        let window = self.options.idempotency_age_ms;
        if state.first_results.is_due(now_ms, window / WALKS_PER_WINDOW) {
            state.first_results.begin(now_ms);
        }
        let oldest_ms = now_ms.saturating_sub(window);
        // u64 revision | u64 changes | u64 timestamp ms | payload, little-endian
        state.first_results.slice(view, &self.options, |value| {
            let timestamp = value.get(16..).and_then(|rest| rest.first_chunk());
            timestamp.is_some_and(|bytes| u64::from_le_bytes(*bytes) < oldest_ms)
        })
    }

    /// One small maintenance commit. It takes no revision, and losing it in a
    /// power cut loses nothing: the same entries are old again.
    fn remove(
        &self,
        coordination: &dyn Coordination,
        log: &[(u64, u64)],
        swept: Vec<(Bytes, Bytes)>,
    ) -> Result<()> {
        if log.is_empty() && swept.is_empty() {
            return Ok(());
        }
        let revisions: Vec<u64> = log.iter().map(|(revision, _)| *revision).collect();
        let step = move |state: &dyn CommitState, _| removal(state, &revisions, swept);
        coordination.commit(CommitRequest {
            work: Work::Maintenance(Box::new(step)),
            options: CommitOptions { durability: Some(Durability::Buffered), idempotency: None },
        })?;
        Ok(())
    }
}

/// Runs in the commit section.
fn removal(
    state: &dyn CommitState,
    revisions: &[u64],
    swept: Vec<(Bytes, Bytes)>,
) -> Result<Derived> {
    let mut writes = Vec::with_capacity(revisions.len() + swept.len() + 1);
    if let Some(last) = revisions.last() {
        // Another server over the same storage may have trimmed further.
        let trimmed_to = oldest_revision(state)?.max(*last);
        let marker = Bytes::copy_from_slice(&trimmed_to.to_be_bytes());
        writes.push((Bytes::from_static(keyspace::TRIMMED_REVISION), Some(marker)));
    }
    writes.extend(revisions.iter().map(|revision| (keyspace::log_key(*revision), None)));
    for (key, seen) in swept {
        // A tombstone may have been replaced since it was looked at.
        if state.get(&key)?.as_ref() == Some(&seen) {
            writes.push((key, None));
        }
    }
    Ok(Derived { writes, ..Derived::default() })
}

impl std::fmt::Debug for ChangeLogRetention {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChangeLogRetention").field("options", &self.options).finish_non_exhaustive()
    }
}
