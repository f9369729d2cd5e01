use bytes::Bytes;
use tandem_base::Result;
use tandem_transaction::{DerivedEntries, IndexDelta, Isolation, Read, Transaction, keyspace};

use crate::catalog::{Bucket, Index};
use crate::entries::{IndexEntry, entries, unique_violation};
use crate::keys;
use crate::records::Records;
use crate::row::Row;
use crate::statement::Target;

impl Records {
    /// Puts one row change into the write set, with the index entries that the
    /// transaction's own reads need. The target is that of the present view.
    ///
    /// # Errors
    /// `ALREADY_EXISTS` when a unique entry is another record's.
    pub(crate) fn write_row(
        &self,
        tx: &mut Transaction,
        target: &Target,
        primary_key: &Bytes,
        current: Option<&Row>,
        after: Option<&Row>,
        expected_version: Option<u64>,
    ) -> Result<()> {
        debug_assert_eq!(target.schema_revision, tx.view().schema_revision());
        let bucket = &*target.bucket;
        let row_key = keys::row(bucket.id, primary_key);
        let (mut old, mut new) = (Vec::new(), Vec::new());
        let mut delta = IndexDelta::default();
        // The view of read committed moves on, and with it what others make of
        // the record: the own reads then need all entries of the own image.
        let whole_image = tx.isolation() == Isolation::ReadCommitted;
        // What is derived here is what the commit would derive, if the row is
        // the committed one and every unique entry is checked now.
        let reusable = !whole_image
            && !tx.defers_constraints()
            && bucket.indexes.iter().all(|index| index.is_complete())
            && tx.own_write(&row_key).is_none();
        for index in &bucket.indexes {
            if !whole_image
                && let (Some(current), Some(after)) = (current, after)
                && index.sees_alike(current, after)
            {
                continue;
            }
            old.clear();
            new.clear();
            if let Some(row) = current {
                entries(index, row, primary_key, &mut old)?;
            }
            if let Some(row) = after {
                entries(index, row, primary_key, &mut new)?;
            }
            for entry in old.iter().filter(|entry| !new.contains(entry)) {
                if holds(tx, index, entry, primary_key)? {
                    delta.removes.push(entry.key.clone());
                }
            }
            for entry in new.drain(..) {
                let kept = old.contains(&entry);
                if kept && !whole_image {
                    continue;
                }
                if !kept
                    && entry.is_exclusive()
                    && index.is_complete()
                    && let Some(holder) = holder(tx, bucket, index, &entry)?
                    && holder != *primary_key
                {
                    if !tx.defers_constraints() {
                        let row =
                            after.unwrap_or_else(|| unreachable!("only new rows have new entries"));
                        return Err(unique_violation(bucket, index, row, &holder));
                    }
                    tx.note_collision();
                }
                delta.puts.push((entry.key, entry.value));
            }
        }
        let derived = reusable.then(|| DerivedEntries {
            schema_revision: target.schema_revision,
            removes: delta.removes.clone(),
            puts: delta.puts.clone(),
        });
        if let Some(order_index) = bucket.order_index {
            let positions = (current.map(Row::position), after.map(Row::position));
            if let Some(position) = positions.0
                && positions.0 != positions.1
            {
                delta.removes.push(keys::order_entry(order_index, position));
            }
            if let Some(position) = positions.1
                && (positions.0 != positions.1 || whole_image)
            {
                let entry = keys::order_entry(order_index, position);
                delta.puts.push((entry, primary_key.clone()));
            }
        }
        let current = current.map(|row| row.bytes().clone());
        let after = after.map(|row| row.bytes().clone());
        tx.write(&row_key, current.as_ref(), after, expected_version, delta, derived);
        Ok(())
    }

    /// The end of a batch whose unique constraints were deferred: whatever
    /// collides now stays a violation.
    ///
    /// # Errors
    /// `ALREADY_EXISTS`.
    pub fn check_deferred(&self, tx: &mut Transaction) -> Result<()> {
        if !tx.has_collisions() {
            return Ok(());
        }
        tx.read_statement(|tx| {
            let catalog = self.catalog(tx)?;
            let mut claimed: std::collections::HashMap<Bytes, Bytes> =
                std::collections::HashMap::new();
            let own: Vec<_> = tx
                .writes()
                .rows()
                .filter(|(key, _)| key.first() == Some(&keyspace::ROW))
                .filter_map(|(key, write)| Some((key.clone(), write.after.clone()?)))
                .collect();
            for (row_key, row) in own {
                let Some((bucket_id, key)) = keys::split_row(&row_key) else { continue };
                let Some(bucket) = catalog.bucket_by_id(bucket_id) else { continue };
                let primary_key = row_key.slice(row_key.len() - key.len()..);
                let row = Row::from_whole(row)?;
                for index in bucket.indexes.iter().filter(|index| index.unique) {
                    let mut found = Vec::new();
                    entries(index, &row, &primary_key, &mut found)?;
                    for entry in found.into_iter().filter(IndexEntry::is_exclusive) {
                        let committed = Read::get(&**tx.view(), &entry.key)?
                            .filter(|holder| tx.own_write(&keys::row(bucket_id, holder)).is_none());
                        let holder = claimed.insert(entry.key, primary_key.clone()).or(committed);
                        if let Some(holder) = holder.filter(|holder| *holder != primary_key) {
                            return Err(unique_violation(bucket, index, &row, &holder));
                        }
                    }
                }
            }
            Ok(())
        })
    }
}

/// The record that has a unique entry, as the transaction sees it.
///
/// Under read committed the view moves on while own writes stay: another
/// transaction may have given the entry to a record that this one has written
/// too (then the own image counts), or to a third record after this one had
/// taken it away from the second (then the own removal does not hide it).
fn holder(
    tx: &Transaction,
    bucket: &Bucket,
    index: &Index,
    entry: &IndexEntry,
) -> Result<Option<Bytes>> {
    let merged = tx.get(&entry.key)?;
    let is_own = tx.is_own(&entry.key);
    if merged.is_some() && is_own {
        return Ok(merged);
    }
    let committed = if is_own { Read::get(&**tx.view(), &entry.key)? } else { merged };
    let Some(committed) = committed else { return Ok(None) };
    let Some(own) = tx.own_write(&keys::row(bucket.id, &committed)) else {
        return Ok(Some(committed));
    };
    let Some(image) = own.after.clone() else { return Ok(None) };
    let mut held = Vec::new();
    entries(index, &Row::from_whole(image)?, &committed, &mut held)?;
    Ok(held.iter().any(|own| own.key == entry.key).then_some(committed))
}

/// Whether the entry, as the transaction sees it, is this record's to remove:
/// while constraints are deferred, another record may have taken it over, and while
/// the index is built, it may be that of another with the same value.
fn holds(tx: &Transaction, index: &Index, entry: &IndexEntry, primary_key: &Bytes) -> Result<bool> {
    if entry.is_exclusive() && !index.is_complete() {
        return Ok(tx.get_untracked(&entry.key)?.as_ref() == Some(primary_key));
    }
    if !entry.is_exclusive() || !tx.defers_constraints() {
        return Ok(true);
    }
    Ok(tx.get_untracked(&entry.key)?.is_none_or(|holder| holder == *primary_key))
}
