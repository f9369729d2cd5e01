//! From row changes to everything that a commit writes.
//!
//! This is the one pure function of Tandem. It runs in the commit section and
//! sees, for each row of the write set, the row *actually* replaced; from old
//! and new row follow the index entries to remove and to add, the record
//! count, the tombstone and the change. Nothing else in the store writes any
//! of these.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use tandem_base::{Code, Error, Result};
use tandem_storage::{Direction, KeyRange};
use tandem_transaction::{
    Change, CommitState, ConflictCause, Derive, Derived, DerivedEntries, RowWrite, Stamp, WriteSet,
    keyspace,
};

use crate::catalog::{Bucket, Catalog, Index, with_own_definitions};
use crate::entries::{self, IndexEntry, all_entries, unique_violation};
use crate::key;
use crate::keys;
use crate::records::Records;
use crate::row::{Position, Row};
use crate::tombstone::Tombstone;

impl Derive for Records {
    fn derive(&self, state: &dyn CommitState, writes: &WriteSet, stamp: Stamp) -> Result<Derived> {
        let committed = self.catalogs().at(state)?;
        let catalog = with_own_definitions(committed.clone(), writes)?;
        let mut derivation = Derivation {
            records: self,
            state,
            stamp,
            committed,
            catalog,
            removes: Vec::new(),
            puts: Vec::new(),
            exclusive: Vec::new(),
            counts: BTreeMap::new(),
            changes: Vec::new(),
            record_changes: 0,
        };
        for (key, write) in writes.rows_in_order() {
            match key.first() {
                Some(&keyspace::ROW) => derivation.row(key, write)?,
                _ => derivation.definition(key, write)?,
            }
        }
        derivation.backfill_own_indexes(writes)?;
        derivation.finish()
    }

    fn is_whole(&self, key: &[u8], value: &[u8]) -> bool {
        key.first() != Some(&keyspace::ROW) || Row::is_stored(value)
    }

    fn conflict(&self, cause: ConflictCause, key: &[u8]) -> Error {
        let what = self.describe(key);
        let text = match cause {
            ConflictCause::Write => "was changed by another transaction after this one began",
            ConflictCause::Read => "was read, and then changed by another transaction",
        };
        let error = match (&what.bucket, &what.key) {
            (Some(bucket), Some(key)) => Error::new(
                Code::Conflict,
                format!(
                    "Transaction conflict in bucket \"{bucket}\" for key {key}: the record {text}"
                ),
            ),
            _ => Error::new(Code::Conflict, format!("Transaction conflict: what {text}")),
        };
        what.add_to(error)
    }
}

/// What a key of the key space is about, in a person's words.
pub(crate) struct Described {
    pub(crate) bucket: Option<Arc<str>>,
    pub(crate) key: Option<Value>,
    pub(crate) index: Option<String>,
}

impl Described {
    fn add_to(self, mut error: Error) -> Error {
        if let Some(bucket) = self.bucket {
            error = error.with("bucket", &*bucket);
        }
        if let Some(key) = self.key {
            error = error.with("key", key);
        }
        if let Some(index) = self.index {
            error = error.with("index", index);
        }
        error
    }
}

impl Records {
    pub(crate) fn describe(&self, key: &[u8]) -> Described {
        let mut described = Described { bucket: None, key: None, index: None };
        let Some(catalog) = self.catalogs().newest() else { return described };
        if let Some((id, primary_key)) = keys::split_row(key) {
            described.bucket = catalog.bucket_by_id(id).map(|bucket| bucket.name.clone());
            described.key = Some(key::decode_key(primary_key));
        } else if let Some((id, _)) = keys::split_index_entry(key) {
            if let Some((bucket, index)) = catalog.index_by_id(id) {
                described.bucket = Some(bucket.name.clone());
                described.index = Some(index.name.clone());
            } else {
                let by_order = |bucket: &&Arc<Bucket>| bucket.order_index == Some(id);
                described.bucket =
                    catalog.buckets().into_iter().find(by_order).map(|bucket| bucket.name.clone());
            }
        }
        described
    }
}

struct Derivation<'a> {
    records: &'a Records,
    state: &'a dyn CommitState,
    stamp: Stamp,
    /// The catalog that the commit builds on.
    committed: Arc<Catalog>,
    /// The same with the commit's own definitions.
    catalog: Arc<Catalog>,
    removes: Vec<Bytes>,
    puts: Vec<(Bytes, Bytes)>,
    /// Unique entries among the puts.
    exclusive: Vec<Exclusive>,
    counts: BTreeMap<u32, i64>,
    changes: Vec<Change>,
    record_changes: usize,
}

/// A unique entry, with what is needed to name a violation.
struct Exclusive {
    bucket: Arc<Bucket>,
    row: Row,
    entry: IndexEntry,
    /// As of which revision the statement saw that no other record has it.
    free_at: Option<u64>,
}

impl Derivation<'_> {
    fn row(&mut self, row_key: &Bytes, write: &RowWrite) -> Result<()> {
        let Some((bucket_id, primary_key)) = keys::split_row(row_key) else {
            return Err(Error::internal("A row key has no bucket"));
        };
        let Some(bucket) = self.catalog.bucket_by_id(bucket_id).cloned() else {
            // Dropped by this very transaction: its rows go as garbage.
            return Ok(());
        };
        let primary_key = row_key.slice(row_key.len() - primary_key.len()..);
        let unchanged = !self.state.changed_since(row_key, write.seen_at);
        // Nobody having written it since, the row that this commit replaces is
        // the one that the transaction saw, and looked at.
        let actual = match unchanged {
            true => write.before.clone().map(Row::from_whole),
            false => self.state.get(row_key)?.map(Row::from_stored),
        };
        let actual = actual.transpose()?;
        let conflict = |reason: &str| row_conflict(&bucket, &primary_key, reason);

        if let Some(expected) = write.expected_version {
            check_version(&bucket, &primary_key, expected, actual.as_ref())?;
        }
        let mut as_seen = unchanged;
        let after = match (&write.before, &write.after, &actual) {
            (None, Some(_), Some(_)) => return Err(conflict("already exists")),
            (Some(_), Some(_), None) => return Err(conflict("not found")),
            (_, None, None) => return Ok(()),
            (_, None, Some(_)) => None,
            (_, Some(after), actual) => {
                let after = Row::from_whole(after.clone())?;
                let version = after.version();
                let after = self.stamped(&bucket, &primary_key, after, actual.as_ref(), write)?;
                as_seen &= after.version() == version;
                Some(after)
            }
        };
        match &write.derived {
            Some(derived) if as_seen && self.may_reuse(derived) => {
                self.reuse(&bucket, write.seen_at, after.as_ref(), derived);
            }
            _ => self.index(&bucket, &primary_key, actual.as_ref(), after.as_ref())?,
        }
        self.order(&bucket, &primary_key, actual.as_ref(), after.as_ref());
        match &after {
            Some(row) => self.puts.push((row_key.clone(), row.bytes().clone())),
            None => {
                self.removes.push(row_key.clone());
                if let Some(old) = &actual {
                    let grave = Tombstone { version: old.version(), revision: self.stamp.revision };
                    self.puts.push((keys::tombstone(bucket.id, &primary_key), grave.encode()));
                }
            }
        }
        let grown = i64::from(after.is_some()) - i64::from(actual.is_some());
        *self.counts.entry(bucket.id).or_default() += grown;
        self.record_changes += 1;
        self.changes.push(Change {
            bucket: bucket.name.clone(),
            key: primary_key,
            before: actual.map(Row::into_bytes),
            after: after.map(Row::into_bytes),
        });
        Ok(())
    }

    /// Whether the statement derived by the very definitions that hold now.
    fn may_reuse(&self, derived: &DerivedEntries) -> bool {
        derived.schema_revision == self.state.schema_revision()
            && Arc::ptr_eq(&self.committed, &self.catalog)
    }

    /// The index entries as the statement derived them from the same two rows.
    fn reuse(
        &mut self,
        bucket: &Arc<Bucket>,
        seen_at: u64,
        new: Option<&Row>,
        derived: &DerivedEntries,
    ) {
        self.removes.extend_from_slice(&derived.removes);
        for (key, value) in &derived.puts {
            let entry = IndexEntry { key: key.clone(), value: value.clone() };
            if entry.is_exclusive()
                && let Some(row) = new
            {
                let (bucket, row, free_at) = (bucket.clone(), row.clone(), Some(seen_at));
                self.exclusive.push(Exclusive { bucket, row, entry, free_at });
            }
        }
        self.puts.extend_from_slice(&derived.puts);
    }

    /// The row with the version and position that follow from `actual`.
    fn stamped(
        &mut self,
        bucket: &Bucket,
        primary_key: &[u8],
        after: Row,
        actual: Option<&Row>,
        write: &RowWrite,
    ) -> Result<Row> {
        let version = match actual {
            Some(old) => old.version() + 1,
            None => self.first_version(bucket, primary_key, &after, write)?,
        };
        let pending = after.position();
        let position = match actual {
            Some(old) if !pending.is_pending() => old.position(),
            _ => Position { revision: self.stamp.revision, ordinal: pending.ordinal },
        };
        Ok(after.restamp(version, position))
    }

    /// The version of an inserted row: 1, or above that of the record that was
    /// deleted under the same key.
    fn first_version(
        &mut self,
        bucket: &Bucket,
        primary_key: &[u8],
        after: &Row,
        write: &RowWrite,
    ) -> Result<u64> {
        let key = keys::tombstone(bucket.id, primary_key);
        let version = if self.state.changed_since(&key, write.seen_at) {
            Tombstone::version_after(self.state.get(&key)?.as_deref())?
        } else {
            after.version()
        };
        if version > 1 {
            self.removes.push(key);
        }
        Ok(version)
    }

    fn index(
        &mut self,
        bucket: &Arc<Bucket>,
        primary_key: &Bytes,
        old: Option<&Row>,
        new: Option<&Row>,
    ) -> Result<()> {
        let (mut before, mut after) = (Vec::new(), Vec::new());
        if let Some(old) = old {
            // An index that this very commit defines has no entry of the row yet.
            let known = self.committed.bucket_by_id(bucket.id);
            let is_known =
                |id| known.is_some_and(|known| known.indexes.iter().any(|index| index.id == id));
            for index in bucket.indexes.iter().filter(|index| is_known(index.id)) {
                entries::entries(index, old, primary_key, &mut before)?;
            }
        }
        if let Some(new) = new {
            all_entries(bucket, new, primary_key, &mut after)?;
        }
        // While a unique index is built, two records may have one value, and the
        // entry is that of one of them.
        let shared = bucket.indexes.iter().any(|index| index.unique && !index.is_complete());
        for entry in before.iter().filter(|entry| !after.contains(entry)) {
            let is_own = !(shared && entry.is_exclusive())
                || self.state.get(&entry.key)?.as_ref() == Some(&entry.value);
            if is_own {
                self.removes.push(entry.key.clone());
            }
        }
        for entry in after {
            if before.contains(&entry) {
                continue;
            }
            if entry.is_exclusive()
                && let Some(new) = new
            {
                let (bucket, row, entry) = (bucket.clone(), new.clone(), entry.clone());
                self.exclusive.push(Exclusive { bucket, row, entry, free_at: None });
            }
            self.puts.push((entry.key, entry.value));
        }
        Ok(())
    }

    /// The entry of the order index: it has the commit's own position in it.
    fn order(
        &mut self,
        bucket: &Bucket,
        primary_key: &Bytes,
        old: Option<&Row>,
        new: Option<&Row>,
    ) {
        let Some(order_index) = bucket.order_index else { return };
        let positions = (old.map(Row::position), new.map(Row::position));
        if positions.0 == positions.1 {
            return;
        }
        if let Some(position) = positions.0 {
            self.removes.push(keys::order_entry(order_index, position));
        }
        if let Some(position) = positions.1 {
            self.puts.push((keys::order_entry(order_index, position), primary_key.clone()));
        }
    }

    /// Definitions, garbage marks and other rows that have no index.
    fn definition(&mut self, key: &Bytes, write: &RowWrite) -> Result<()> {
        if self.state.changed_since(key, write.seen_at) && self.state.get(key)? != write.before {
            return Err(Error::new(
                Code::Conflict,
                "The definitions were changed by another transaction",
            ));
        }
        match &write.after {
            Some(value) => self.puts.push((key.clone(), value.clone())),
            None => self.removes.push(key.clone()),
        }
        let system = match key.get(..2) {
            Some([keyspace::CATALOG, b'b']) => SYSTEM_BUCKETS,
            Some([keyspace::CATALOG, b'q']) => SYSTEM_QUERIES,
            _ => return Ok(()),
        };
        self.changes.push(Change {
            bucket: system.into(),
            key: key.slice(2..),
            before: write.before.clone(),
            after: write.after.clone(),
        });
        Ok(())
    }

    /// An index that this transaction defines on an older bucket is ready with
    /// the commit: its entries for all rows that the transaction did not write
    /// are derived here. Bounded by the statement that defined it.
    fn backfill_own_indexes(&mut self, writes: &WriteSet) -> Result<()> {
        let (committed, catalog) = (self.committed.clone(), self.catalog.clone());
        for bucket in catalog.buckets() {
            let Some(old) = committed.bucket_by_id(bucket.id) else { continue };
            if Arc::ptr_eq(old, bucket) {
                continue;
            }
            let is_new = |index: &&Arc<Index>| {
                index.is_complete() && old.indexes.iter().all(|known| known.id != index.id)
            };
            let added: Vec<_> = bucket.indexes.iter().filter(is_new).collect();
            if added.is_empty() {
                continue;
            }
            let rows = KeyRange::prefix(&keys::row_prefix(bucket.id));
            for entry in self.state.scan(&rows, Direction::Forward) {
                let (row_key, value) = entry?;
                if writes.row(&row_key).is_some() {
                    continue;
                }
                let primary_key = row_key.slice(keys::row_prefix(bucket.id).len()..);
                let row = Row::from_stored(value)?;
                let mut found = Vec::new();
                for index in &added {
                    entries::entries(index, &row, &primary_key, &mut found)?;
                }
                for entry in found {
                    if entry.is_exclusive() {
                        let (bucket, row, entry) = (bucket.clone(), row.clone(), entry.clone());
                        self.exclusive.push(Exclusive { bucket, row, entry, free_at: None });
                    }
                    self.puts.push((entry.key, entry.value));
                }
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Derived> {
        self.check_exclusive()?;
        for (bucket_id, grown) in std::mem::take(&mut self.counts) {
            // A bucket of limited size is guarded by its count, so every commit
            // that writes it has to show there.
            let limited =
                self.catalog.bucket_by_id(bucket_id).is_some_and(|b| b.max_size.is_some());
            if grown != 0 || limited {
                let key = keys::count(bucket_id);
                let count = read_count(self.state.get(&key)?.as_deref())?;
                let count = count.checked_add_signed(grown).ok_or_else(|| {
                    Error::internal("A bucket holds fewer records than are deleted")
                })?;
                self.puts.push((key, Bytes::copy_from_slice(&count.to_be_bytes())));
            }
            if let Some(last) = self.records.sequences().last(bucket_id) {
                let key = keys::autoincrement(bucket_id);
                if last > read_count(self.state.get(&key)?.as_deref())? {
                    self.puts.push((key, Bytes::copy_from_slice(&last.to_be_bytes())));
                }
            }
        }
        // Removes first: an entry that moves from one record to another is
        // removed for the one and put for the other.
        let mut writes = Vec::with_capacity(self.removes.len() + self.puts.len());
        writes.extend(self.removes.into_iter().map(|key| (key, None)));
        writes.extend(self.puts.into_iter().map(|(key, value)| (key, Some(value))));
        Ok(Derived { writes, changes: self.changes, record_changes: self.record_changes })
    }

    /// No unique entry may be held by another record, neither by a committed
    /// one that keeps it nor by one of this commit.
    fn check_exclusive(&self) -> Result<()> {
        if self.exclusive.is_empty() {
            return Ok(());
        }
        let freed: BTreeSet<&Bytes> =
            self.removes.iter().filter(|key| key.first() == Some(&keyspace::INDEX)).collect();
        let mut claimed: HashMap<&Bytes, &Bytes> = HashMap::new();
        for Exclusive { bucket, row, entry, free_at } in &self.exclusive {
            let free = freed.contains(&entry.key)
                || free_at.is_some_and(|seen_at| !self.state.changed_since(&entry.key, seen_at));
            let committed = if free { None } else { self.state.get(&entry.key)? };
            let holder = claimed.insert(&entry.key, &entry.value).cloned().or(committed);
            if let Some(holder) = holder.filter(|holder| *holder != entry.value) {
                let index = keys::split_index_entry(&entry.key)
                    .and_then(|(id, _)| bucket.indexes.iter().find(|index| index.id == id))
                    .ok_or_else(|| Error::internal("A unique entry has no index"))?;
                let violation = unique_violation(bucket, index, row, &holder);
                let details = violation.details().cloned().unwrap_or_default();
                return Err(Error::new(Code::Conflict, violation.message().to_owned())
                    .with_details(details));
            }
        }
        Ok(())
    }
}

/// The system bucket whose records are the definitions of buckets.
pub const SYSTEM_BUCKETS: &str = "_buckets";
/// The system bucket whose records are the definitions of queries.
pub const SYSTEM_QUERIES: &str = "_queries";

pub(crate) fn read_count(stored: Option<&[u8]>) -> Result<u64> {
    match stored {
        None => Ok(0),
        Some(bytes) => bytes
            .try_into()
            .map(u64::from_be_bytes)
            .map_err(|_| Error::corrupted("A record count is damaged")),
    }
}

fn row_conflict(bucket: &Bucket, primary_key: &[u8], reason: &str) -> Error {
    let key = key::decode_key(primary_key);
    Error::new(
        Code::Conflict,
        format!(
            "Transaction conflict in bucket \"{}\" for key {key}: Record with key {key} {reason}",
            bucket.name
        ),
    )
    .with("bucket", &*bucket.name)
    .with("key", key)
}

/// Fails unless the committed record has the version that the caller said.
pub(crate) fn check_version(
    bucket: &Bucket,
    primary_key: &[u8],
    expected: u64,
    actual: Option<&Row>,
) -> Result<()> {
    let actual = actual.map(Row::version);
    if actual == Some(expected) {
        return Ok(());
    }
    let key = key::decode_key(primary_key);
    let got = actual.map_or_else(|| "none".to_owned(), |version| version.to_string());
    Err(Error::new(
        Code::Conflict,
        format!(
            "Transaction conflict in bucket \"{}\" for key {key}: Version mismatch: expected {expected}, got {got}",
            bucket.name
        ),
    )
    .with("bucket", &*bucket.name)
    .with("key", key)
    .with("expectedVersion", expected)
    .with("actualVersion", actual)
    .with_retryable(false))
}
