//! The commit section: what one group of commits builds on and produces.
//!
//! ```text
//! published view ── groups on their way ── this group's earlier members
//!      base               before                    pending
//! ```
//! A [`Section`] is one group while it is decided, a [`Decided`] group is on its
//! way to the disk, and [`Deciding`] is the state that the next member of a
//! section builds on.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use tandem_base::{Error, Result};
use tandem_storage::{Direction, Entries, KeyRange, WriteBatch};

use crate::commit::Commit;
use crate::coordination::{CommitOptions, Receipt};
use crate::derive::{CommitState, Derived, Stamp};
use crate::keyspace;
use crate::local::recent::RecentCommits;
use crate::view::{Read, View};
use crate::write_set::bounds;

/// New values by key; `None` = removed.
type Pending = BTreeMap<Bytes, Option<Bytes>>;

/// A store-wide state's place in history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Revisions {
    last: u64,
    schema: u64,
}

/// One group while its members are decided.
pub(super) struct Section {
    number: u64,
    base: Arc<View>,
    /// Oldest first.
    before: Vec<Arc<Decided>>,
    start: Revisions,
    now: Revisions,
    /// Revisions up to this one are not given out (again).
    used: u64,
    pending: Pending,
    commits: Vec<Arc<Commit>>,
    log: Vec<Bytes>,
}

/// A group whose members are decided and which is not published yet.
pub(super) struct Decided {
    /// Groups are numbered as they begin, and written in that order.
    pub(super) number: u64,
    start: Revisions,
    now: Revisions,
    pending: Pending,
}

/// What a decided group adds to the store.
pub(super) struct Outcome {
    pub(super) decided: Arc<Decided>,
    /// In revision order.
    pub(super) commits: Vec<Arc<Commit>>,
    log: Vec<Bytes>,
}

impl Section {
    /// A group on top of `base` and of the groups `before`, of which the oldest may be in
    /// it already.
    pub(super) fn new(number: u64, base: Arc<View>, before: Vec<Arc<Decided>>, used: u64) -> Self {
        let start = match before.last() {
            Some(before) => before.now,
            None => Revisions { last: base.revision(), schema: base.schema_revision() },
        };
        let (pending, commits, log) = (Pending::new(), Vec::new(), Vec::new());
        Self { number, base, before, start, now: start, used, pending, commits, log }
    }

    /// The state after the members so far.
    pub(super) fn deciding<'a>(&'a mut self, recent: &'a mut RecentCommits) -> Deciding<'a> {
        Deciding { section: self, recent }
    }

    /// No more members.
    pub(super) fn close(self) -> Outcome {
        let Self { number, start, now, pending, commits, log, .. } = self;
        Outcome { decided: Arc::new(Decided { number, start, now, pending }), commits, log }
    }
}

impl Outcome {
    /// The group's one batch.
    pub(super) fn batch(&self) -> WriteBatch {
        // And the two revisions, and a reserved one.
        let operations: usize = [self.commits.len(), self.decided.pending.len(), 3].iter().sum();
        let mut batch = WriteBatch::with_capacity(operations);
        for (commit, encoded) in self.commits.iter().zip(&self.log) {
            batch.put(keyspace::log_key(commit.revision), encoded.clone());
        }
        let Decided { start, now, pending, .. } = &*self.decided;
        for (key, value) in pending {
            match value {
                Some(value) => batch.put(key.clone(), value.clone()),
                None => batch.delete(key.clone()),
            }
        }
        if now.last != start.last {
            batch.put(keyspace::LAST_REVISION, now.last.to_be_bytes().to_vec());
        }
        if now.schema != start.schema {
            batch.put(keyspace::SCHEMA_REVISION, now.schema.to_be_bytes().to_vec());
        }
        batch
    }

    /// How much longer the change log is after the group.
    pub(super) fn log_bytes(&self) -> u64 {
        self.log.iter().map(|entry| (keyspace::LOG_KEY_BYTES + entry.len()) as u64).sum()
    }

    /// The revision and the schema revision after the group.
    pub(super) fn revisions(&self) -> (u64, u64) {
        (self.decided.now.last, self.decided.now.schema)
    }
}

/// What the next member of a section builds on: everything committed before
/// it, earlier members included.
pub(super) struct Deciding<'a> {
    section: &'a mut Section,
    recent: &'a mut RecentCommits,
}

impl Deciding<'_> {
    pub(super) fn recent(&self) -> &RecentCommits {
        self.recent
    }

    /// The stamp that the next accepted commit gets.
    pub(super) fn stamp(&self, timestamp: u64) -> Stamp {
        let Section { now, used, .. } = &*self.section;
        Stamp { revision: now.last.max(*used) + 1, timestamp }
    }

    /// Decides about one member; a panic in it fails this member and no other.
    pub(super) fn contain<T>(&self, decide: impl FnOnce(&Self) -> Result<T>) -> Result<T> {
        catch_unwind(AssertUnwindSafe(|| decide(self)))
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
        let Section { now, pending, commits, log, .. } = &mut *self.section;
        let schema_changed = writes.iter().any(|(key, _)| key.first() == Some(&keyspace::CATALOG));
        // Background work that changes neither records nor definitions is not
        // a commit that anybody waits for: it takes no revision.
        if changes.is_empty() && !schema_changed && options.idempotency.is_none() {
            pending.extend(writes);
            return Receipt { revision: now.last, changes: 0, commit: None, replayed: None };
        }
        now.last = stamp.revision;
        if schema_changed {
            now.schema = stamp.revision;
        }
        let kept = options.idempotency.as_ref().map(|(name, payload)| {
            let first = encode_first_result(stamp, record_changes, payload);
            (keyspace::idempotency_key(name), Some(first))
        });
        let keys = writes.iter().chain(&kept).map(|(key, _)| key);
        self.recent.record(stamp.revision, keys);
        let written = writes.into_iter().chain(kept);
        if pending.is_empty() {
            // Sorted at once: one by one they are a tenth of what a bulk insert's commit
            // takes.
            *pending = written.collect();
        } else {
            pending.extend(written);
        }
        let commit =
            Arc::new(Commit { revision: stamp.revision, timestamp: stamp.timestamp, changes });
        log.push(commit.encode());
        commits.push(commit.clone());
        Receipt {
            revision: stamp.revision,
            changes: record_changes,
            commit: Some(commit),
            replayed: None,
        }
    }
}

impl Read for Deciding<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        let Section { pending, before, base, .. } = &*self.section;
        let before = || before.iter().rev().find_map(|before| before.pending.get(key));
        match pending.get(key).or_else(before) {
            Some(value) => Ok(value.clone()),
            None => base.get(key),
        }
    }

    fn scan(&self, range: &KeyRange, direction: Direction) -> Entries<'_> {
        let Section { pending, before, base, .. } = &*self.section;
        let mut entries = base.scan(range, direction);
        for before in before {
            entries = overlaid(entries, &before.pending, range, direction);
        }
        overlaid(entries, pending, range, direction)
    }

    fn revision(&self) -> u64 {
        self.section.now.last
    }

    fn schema_revision(&self) -> u64 {
        self.section.now.schema
    }
}

impl CommitState for Deciding<'_> {
    fn changed_since(&self, key: &[u8], revision: u64) -> bool {
        revision < self.recent.floor() || self.recent.changed(key, revision)
    }
}

/// `base` with `pending` over it, in key order.
fn overlaid<'a>(
    base: Entries<'a>,
    pending: &'a Pending,
    range: &KeyRange,
    direction: Direction,
) -> Entries<'a> {
    if pending.is_empty() {
        return base;
    }
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

#[cfg(test)]
mod tests {
    use tandem_base::Code;
    use tandem_storage::{Durability, MemoryStorage, Storage};

    use crate::hash::Seeded;

    use super::*;
    use crate::commit::Change;

    type Rows = Vec<(Bytes, Bytes)>;

    fn key(n: usize) -> Bytes {
        vec![keyspace::ROW, n as u8].into()
    }

    /// Of 81 keys, each in one of three states in the published view, in the two
    /// groups before and in this group: missing or untouched, written, and (but
    /// in the view) removed.
    fn states() -> (Section, Rows) {
        let storage = MemoryStorage::new();
        let mut batch = WriteBatch::new();
        let mut layers = [Pending::new(), Pending::new(), Pending::new()];
        let mut rows = Rows::new();
        for n in 0..81 {
            let mut value = None;
            if n % 3 > 0 {
                value = Some(Bytes::from_static(b"base"));
                batch.put(key(n), "base");
            }
            for (layer, (change, text)) in
                layers.iter_mut().zip([(n / 3, "first"), (n / 9, "before"), (n / 27, "pending")])
            {
                let change = match change % 3 {
                    0 => continue,
                    1 => Some(Bytes::from(text)),
                    _ => None,
                };
                value.clone_from(&change);
                layer.insert(key(n), change);
            }
            rows.extend(value.map(|value| (key(n), value)));
        }
        storage.write(batch, Durability::Sync).expect("in memory");
        let view = Arc::new(View::new(1, 1, storage.snapshot().expect("in memory")));
        let revisions = Revisions { last: 2, schema: 5 };
        let [first, before, pending] = layers;
        let before = [(1, first), (2, before)].map(|(number, pending)| {
            Arc::new(Decided { number, start: revisions, now: revisions, pending })
        });
        let mut section = Section::new(3, view, before.into(), 0);
        section.pending = pending;
        (section, rows)
    }

    #[test]
    fn g1_a_member_builds_on_the_view_the_groups_before_and_the_members_before_it() {
        let (mut section, rows) = states();
        let mut recent = RecentCommits::new(0, usize::MAX, Seeded::fixed());
        let state = section.deciding(&mut recent);
        for n in 0..81 {
            let row = rows.iter().find(|(at, _)| *at == key(n)).map(|(_, value)| value.clone());
            assert_eq!(state.get(&key(n)).unwrap(), row, "{n}");
        }
        assert_eq!((state.revision(), state.schema_revision()), (2, 5));
        for (start, end) in [(0, 81), (4, 60), (9, 10), (13, 13), (20, 5)] {
            let range = KeyRange::new(key(start), key(end));
            let mut expected: Rows =
                rows.iter().filter(|(key, _)| range.contains(key)).cloned().collect();
            for direction in [Direction::Forward, Direction::Reverse] {
                let found: Result<Rows> = state.scan(&range, direction).collect();
                assert_eq!(found.unwrap(), expected, "{start}..{end} {direction:?}");
                expected.reverse();
            }
        }
    }

    #[test]
    fn the_log_is_longer_by_what_the_batch_writes_to_it() {
        let (mut section, _) = states();
        let mut recent = RecentCommits::new(0, usize::MAX, Seeded::fixed());
        let mut state = section.deciding(&mut recent);
        for n in 1..=2 {
            let after = Some(Bytes::from(vec![b'x'; 10 * n]));
            let change = Change { bucket: "t".into(), key: key(n), before: None, after };
            let derived = Derived {
                writes: vec![(key(n), Some("row".into()))],
                changes: vec![change],
                record_changes: 1,
            };
            let stamp = state.stamp(7);
            state.append(stamp, derived, &CommitOptions::default());
        }
        let outcome = section.close();
        let batch = outcome.batch();
        let logged = batch.operations().iter().filter(|it| it.key()[0] == keyspace::LOG);
        let sizes: Vec<_> =
            logged.map(|it| it.key().len() + it.value().map_or(0, Bytes::len)).collect();
        assert_eq!(sizes.len(), 2);
        assert_eq!(outcome.log_bytes(), sizes.iter().sum::<usize>() as u64);
    }

    #[test]
    fn what_is_no_longer_remembered_may_have_changed() {
        let (mut section, _) = states();
        let mut recent = RecentCommits::new(10, usize::MAX, Seeded::fixed());
        recent.record(12, [key(1)].iter());
        let state = section.deciding(&mut recent);
        assert!(state.changed_since(&key(2), 9), "before the floor");
        assert!(!state.changed_since(&key(2), 10));
        assert!(state.changed_since(&key(1), 11) && !state.changed_since(&key(1), 12));
    }

    #[test]
    fn g9_a_first_result_is_read_as_it_was_kept_and_a_damaged_one_is_noticed() {
        let stamp = Stamp { revision: 5, timestamp: 9 };
        let kept = encode_first_result(stamp, 3, b"payload");
        let receipt = decode_first_result(kept.clone()).unwrap();
        assert_eq!((receipt.revision, receipt.changes), (5, 3));
        assert_eq!(receipt.replayed.as_deref(), Some(&b"payload"[..]));
        assert_eq!(kept[16..24], 9u64.to_le_bytes());
        let empty = encode_first_result(stamp, 3, b"");
        assert_eq!(decode_first_result(empty.clone()).unwrap().replayed, Some(Bytes::new()));
        for length in 0..empty.len() {
            let error = decode_first_result(empty.slice(..length)).unwrap_err();
            assert_eq!(error.code(), Code::Corrupted);
        }
    }
}
