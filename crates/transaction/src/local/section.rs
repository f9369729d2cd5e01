//! The commit section: what one group of commits builds on and produces.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use tandem_base::{Error, Result};
use tandem_storage::{Direction, Durability, Entries, KeyRange, WriteBatch};

use crate::commit::Commit;
use crate::coordination::{CommitOptions, Receipt};
use crate::derive::{CommitState, Derived, Stamp};
use crate::keyspace;
use crate::local::recent::RecentCommits;
use crate::view::{Read, View};
use crate::write_set::bounds;

/// The state after the group's earlier members, and what they add to the batch.
pub(super) struct Section<'a> {
    base: Arc<View>,
    pending: BTreeMap<Bytes, Option<Bytes>>,
    recent: &'a mut RecentCommits,
    revision: u64,
    /// Revisions up to this one are not given out (again).
    used: u64,
    schema_revision: u64,
    commits: Vec<Arc<Commit>>,
    log: Vec<Bytes>,
}

impl<'a> Section<'a> {
    pub(super) fn new(base: Arc<View>, recent: &'a mut RecentCommits, used: u64) -> Self {
        let (revision, schema_revision) = (base.revision(), base.schema_revision());
        Self {
            base,
            pending: BTreeMap::new(),
            recent,
            revision,
            used,
            schema_revision,
            commits: Vec::new(),
            log: Vec::new(),
        }
    }

    pub(super) fn recent(&self) -> &RecentCommits {
        self.recent
    }

    /// The stamp that the next accepted commit gets.
    pub(super) fn stamp(&self, timestamp: u64) -> Stamp {
        Stamp { revision: self.revision.max(self.used) + 1, timestamp }
    }

    /// Runs `derive`; a panic in it fails this member and no other.
    pub(super) fn contain(
        &self,
        derive: impl FnOnce(&dyn CommitState) -> Result<Derived>,
    ) -> Result<Derived> {
        catch_unwind(AssertUnwindSafe(|| derive(self)))
            .unwrap_or_else(|_| Err(Error::internal("A commit panicked and was rolled back")))
    }

    /// Appends one accepted commit. Cannot fail, so nothing is half appended.
    pub(super) fn append(
        &mut self,
        stamp: Stamp,
        derived: Derived,
        options: &CommitOptions,
    ) -> Receipt {
        let Derived { writes, changes, record_changes } = derived;
        let schema_changed = writes.iter().any(|(key, _)| key.first() == Some(&keyspace::CATALOG));
        let mut keys = Vec::with_capacity(writes.len() + 1);
        for (key, value) in writes {
            keys.push(key.clone());
            self.pending.insert(key, value);
        }
        // Background work that changes neither records nor definitions is not
        // a commit that anybody waits for: it takes no revision.
        if changes.is_empty() && !schema_changed && options.idempotency.is_none() {
            return Receipt { revision: self.revision, changes: 0, commit: None, replayed: None };
        }
        self.revision = stamp.revision;
        if schema_changed {
            self.schema_revision = stamp.revision;
        }
        if let Some((name, payload)) = &options.idempotency {
            let key = keyspace::idempotency_key(name);
            let first = encode_first_result(stamp, record_changes, payload);
            keys.push(key.clone());
            self.pending.insert(key, Some(first));
        }
        let commit =
            Arc::new(Commit { revision: stamp.revision, timestamp: stamp.timestamp, changes });
        self.log.push(commit.encode());
        self.recent.record(stamp.revision, keys);
        self.commits.push(commit.clone());
        Receipt {
            revision: stamp.revision,
            changes: record_changes,
            commit: Some(commit),
            replayed: None,
        }
    }

    /// The group's one batch, and its commits in revision order.
    pub(super) fn finish(self) -> (WriteBatch, u64, u64, Vec<Arc<Commit>>) {
        let mut batch = WriteBatch::new();
        for (commit, encoded) in self.commits.iter().zip(self.log) {
            batch.put(keyspace::log_key(commit.revision), encoded);
        }
        for (key, value) in self.pending {
            match value {
                Some(value) => batch.put(key, value),
                None => batch.delete(key),
            }
        }
        if self.revision != self.base.revision() {
            batch.put(keyspace::LAST_REVISION, self.revision.to_be_bytes().to_vec());
        }
        if self.schema_revision != self.base.schema_revision() {
            batch.put(keyspace::SCHEMA_REVISION, self.schema_revision.to_be_bytes().to_vec());
        }
        (batch, self.revision, self.schema_revision, self.commits)
    }
}

impl Read for Section<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        match self.pending.get(key) {
            Some(value) => Ok(value.clone()),
            None => self.base.get(key),
        }
    }

    fn scan(&self, range: &KeyRange, direction: Direction) -> Entries<'_> {
        if self.pending.is_empty() {
            return self.base.scan(range, direction);
        }
        overlaid(self.base.scan(range, direction), &self.pending, range, direction)
    }

    fn revision(&self) -> u64 {
        self.revision
    }

    fn schema_revision(&self) -> u64 {
        self.schema_revision
    }
}

impl CommitState for Section<'_> {
    fn changed_since(&self, key: &[u8], revision: u64) -> bool {
        revision < self.recent.floor() || self.recent.changed(key, revision)
    }
}

/// `base` with `pending` over it, in key order.
fn overlaid<'a>(
    base: Entries<'a>,
    pending: &'a BTreeMap<Bytes, Option<Bytes>>,
    range: &KeyRange,
    direction: Direction,
) -> Entries<'a> {
    let own = pending.range::<[u8], _>(bounds(range));
    let own: Box<dyn Iterator<Item = _> + Send + 'a> = match direction {
        Direction::Forward => Box::new(own),
        Direction::Reverse => Box::new(own.rev()),
    };
    let (mut base, mut own) = (base.peekable(), own.peekable());
    Box::new(std::iter::from_fn(move || {
        loop {
            let own_first = match (base.peek(), own.peek()) {
                (None, None) => return None,
                (Some(Err(_)), _) | (Some(_), None) => return base.next(),
                (None, Some(_)) => true,
                (Some(Ok((committed, _))), Some((key, _))) => {
                    let order = match direction {
                        Direction::Forward => committed.cmp(key),
                        Direction::Reverse => (*key).cmp(committed),
                    };
                    match order {
                        std::cmp::Ordering::Less => return base.next(),
                        std::cmp::Ordering::Greater => true,
                        std::cmp::Ordering::Equal => {
                            base.next();
                            true
                        }
                    }
                }
            };
            debug_assert!(own_first);
            if let Some((key, Some(value))) = own.next() {
                return Some(Ok((key.clone(), value.clone())));
            }
        }
    }))
}

/// `u64 revision | u64 changes | u64 timestamp ms | payload`, little-endian.
fn encode_first_result(stamp: Stamp, changes: usize, payload: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(24 + payload.len());
    out.extend_from_slice(&stamp.revision.to_le_bytes());
    out.extend_from_slice(&(changes as u64).to_le_bytes());
    out.extend_from_slice(&stamp.timestamp.to_le_bytes());
    out.extend_from_slice(payload);
    out.into()
}

/// Reads what [`encode_first_result`] wrote.
pub(super) fn decode_first_result(mut bytes: Bytes) -> Result<Receipt> {
    if bytes.len() < 24 {
        return Err(Error::corrupted("A kept commit result is damaged"));
    }
    let revision = bytes.get_u64_le();
    let changes = usize::try_from(bytes.get_u64_le()).unwrap_or(usize::MAX);
    let _timestamp = bytes.get_u64_le();
    Ok(Receipt { revision, changes, commit: None, replayed: Some(bytes) })
}

/// The stronger of the members' wishes counts for the group.
pub(super) fn strongest(wishes: impl Iterator<Item = Durability>) -> Durability {
    wishes.max().unwrap_or_default()
}
