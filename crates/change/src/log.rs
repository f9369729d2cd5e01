//! Reading the change log from storage.
//!
//! The log holds every commit after the *trimmed-to* revision, which is stored
//! beside it and moves forward in the same atomic write that removes entries.
//! It is stored, and not derived from the first entry, because revisions need
//! not be adjacent: a gap before the first entry would be indistinguishable
//! from entries that were removed.
//!
//! A subscription from revision R needs every commit > R, so R is servable when
//! trimmed-to <= R <= newest. A revision beyond the newest comes from another
//! history of the store (memory that is gone, a restored copy): its holder has
//! to start over as well.

use std::sync::Arc;

use bytes::Bytes;
use tandem_base::{Code, Error, Result};
use tandem_storage::{Direction, KeyRange};
use tandem_transaction::{Commit, Read, keyspace};

/// The oldest revision that a subscription can start from in this state: every
/// commit after it is in the log. Cost: one point read.
///
/// # Errors
/// `STORAGE_ERROR` or `CORRUPTED`.
pub fn oldest_revision(state: &(impl Read + ?Sized)) -> Result<u64> {
    match state.get(keyspace::TRIMMED_REVISION)? {
        None => Ok(0),
        Some(bytes) => bytes[..]
            .try_into()
            .map(u64::from_be_bytes)
            .map_err(|_| Error::corrupted("The trimmed-to revision of the change log is damaged")),
    }
}

/// Checks that every commit after `revision` can be read in this state, and
/// that `revision` itself is part of it: a commit that was only buffered may
/// have been followed before a power cut undid it. Cost: two point reads.
///
/// # Errors
/// `RESYNC_REQUIRED` with `oldestRevision`, and with `newestRevision` when
/// `revision` is beyond it.
pub fn check_servable(state: &(impl Read + ?Sized), revision: u64) -> Result<()> {
    let (oldest, newest) = (oldest_revision(state)?, state.revision());
    if revision > newest {
        return Err(resync_required(oldest).with("newestRevision", newest));
    }
    let is_there = |revision| state.get(&keyspace::log_key(revision));
    if revision < oldest || (revision > oldest && is_there(revision)?.is_none()) {
        return Err(resync_required(oldest));
    }
    Ok(())
}

/// At most `max` commits after `revision`, oldest first; fewer only if there
/// are no more. All of them are in memory at once, so keep `max` small.
///
/// # Errors
/// `RESYNC_REQUIRED` when some of them were removed; `STORAGE_ERROR`;
/// `CORRUPTED`.
pub fn read_from(
    state: &(impl Read + ?Sized),
    revision: u64,
    max: usize,
) -> Result<Vec<Arc<Commit>>> {
    check_servable(state, revision)?;
    commits_after(state, revision).take(max).collect()
}

/// The commits after `revision`, lazily. The caller has checked that the log
/// reaches back that far.
pub(crate) fn commits_after(
    state: &(impl Read + ?Sized),
    revision: u64,
) -> impl Iterator<Item = Result<Arc<Commit>>> {
    state.scan(&range_after(revision), Direction::Forward).map(|entry| {
        let (key, value) = entry?;
        let revision = entry_revision(&key)?;
        Commit::decode(revision, value).map(Arc::new)
    })
}

/// The log's keys after `revision`.
pub(crate) fn range_after(revision: u64) -> KeyRange {
    let everything = KeyRange::prefix(&[keyspace::LOG]);
    match revision.checked_add(1) {
        Some(next) => KeyRange { start: keyspace::log_key(next), end: everything.end },
        None => KeyRange::new(Bytes::new(), Bytes::new()),
    }
}

pub(crate) fn entry_revision(key: &[u8]) -> Result<u64> {
    keyspace::log_revision(key).ok_or_else(|| Error::corrupted("A change log key is damaged"))
}

pub(crate) fn resync_required(oldest: u64) -> Error {
    Error::new(
        Code::ResyncRequired,
        "The change log does not hold every commit after the asked revision; read the data anew",
    )
    .with("oldestRevision", oldest)
}
