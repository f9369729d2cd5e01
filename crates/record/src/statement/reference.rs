//! References: a field whose values are keys of another bucket.
//!
//! A reference must hold at every isolation level, so what a statement has
//! seen is guarded until the commit: a target must still exist, and no referrer
//! may have appeared in the index range that was empty or has been dealt with.

use bytes::Bytes;
use serde_json::{Map, Value};
use tandem_base::{Code, Error, Result};
use tandem_storage::{Direction, KeyRange};
use tandem_transaction::{Isolation, Transaction};

use crate::catalog::{Bucket, Index, Reference};
use crate::entries::{indexed_value, primary_key_of};
use crate::key;
use crate::keys;
use crate::records::Records;
use crate::row::Row;
use crate::schema::OnDelete;
use crate::statement::Target;
use crate::statement::update::Changes;

impl Records {
    /// Checks that what the record refers to exists: `value_of` gives its fields,
    /// `is_changed` says which of them have to be checked. It may refer to
    /// itself.
    ///
    /// Under read committed the whole record is written over whatever others
    /// have made of it meanwhile, so the targets of the other fields are
    /// guarded too.
    pub(crate) fn check_references(
        &self,
        tx: &mut Transaction,
        target: &Target,
        value_of: impl Fn(&str) -> Option<Value>,
        is_changed: impl Fn(&str) -> bool,
    ) -> Result<()> {
        for reference in &target.bucket.references {
            let is_changed = is_changed(&reference.field);
            if !is_changed && tx.isolation() != Isolation::ReadCommitted {
                continue;
            }
            let Some(value) = value_of(&reference.field).filter(|value| !value.is_null()) else {
                continue;
            };
            let referred = target.catalog.bucket(&reference.target)?;
            if referred.id == target.bucket.id
                && value_of(&target.bucket.key_field).as_ref() == Some(&value)
            {
                continue;
            }
            let missing = || dangling(&target.bucket, reference, &value);
            let primary_key = match key::encode_key(&value) {
                Ok(primary_key) => primary_key,
                Err(_) if !is_changed => continue,
                Err(_) => return Err(missing()),
            };
            let row_key = keys::row(referred.id, &primary_key);
            if tx.get_untracked(&row_key)?.is_none() {
                if !is_changed {
                    continue;
                }
                tx.track_point(&row_key);
                return Err(missing());
            }
            let (name, key) = (referred.name.clone(), value.clone());
            tx.guard_exists(&row_key, move || {
                Error::new(
                    Code::Conflict,
                    "The record referred to was deleted by another transaction",
                )
                .with("bucket", &*name)
                .with("key", key.clone())
            });
        }
        Ok(())
    }

    /// Does what `onDelete` says to everything that refers to a record that is
    /// being deleted.
    pub(crate) fn release_referrers(
        &self,
        tx: &mut Transaction,
        deleted: &Target,
        primary_key: &Bytes,
    ) -> Result<()> {
        for bucket in deleted.catalog.clone().buckets() {
            for reference in &bucket.references {
                if *reference.target == *deleted.bucket.name {
                    self.release_by(tx, deleted, primary_key, bucket, reference)?;
                }
            }
        }
        // A referrer that was locked may have been waited for.
        match self.newer_target(tx, deleted)? {
            Some(newer) => self.release_referrers(tx, &newer, primary_key),
            None => Ok(()),
        }
    }

    fn release_by(
        &self,
        tx: &mut Transaction,
        deleted: &Target,
        primary_key: &Bytes,
        bucket: &std::sync::Arc<Bucket>,
        reference: &Reference,
    ) -> Result<()> {
        let Some(index) = bucket.indexes.iter().find(|index| index.id == reference.index) else {
            return Err(Error::internal("A reference has no index"));
        };
        let mut prefix = keys::index_prefix(index.id).to_vec();
        prefix.extend_from_slice(primary_key);
        let range = KeyRange::prefix(&prefix);
        let (name, key) = (deleted.bucket.name.clone(), primary_key.clone());
        tx.guard_unchanged(range.clone(), move || {
            Error::new(Code::Conflict, "Another transaction added a reference to a deleted record")
                .with("bucket", &*name)
                .with("key", key::decode_key(&key))
        });

        let target = deleted.other(tx, bucket);
        for referrer in possible_referrers(tx, bucket, index, &range)? {
            let Some(row) = tx.get_untracked(&keys::row(bucket.id, &referrer))? else { continue };
            if !refers(index, &Row::from_stored(row)?, primary_key) {
                continue;
            }
            match reference.on_delete {
                OnDelete::Restrict => {
                    return Err(restricted(deleted, primary_key, bucket, reference, &referrer));
                }
                OnDelete::Cascade => {
                    self.delete_row(tx, &target, &referrer, None)?;
                }
                OnDelete::SetNull => {
                    let mut changes = Map::new();
                    changes.insert(reference.field.clone(), Value::Null);
                    let changes = Changes::Merge(&changes);
                    self.update_row(tx, &target, &referrer, &changes, None)?;
                }
            }
        }
        Ok(())
    }
}

/// The keys of a superset of the records whose entries in `index` are in
/// `range`.
fn possible_referrers(
    tx: &Transaction,
    bucket: &Bucket,
    index: &Index,
    range: &KeyRange,
) -> Result<Vec<Bytes>> {
    let rows = KeyRange::prefix(&keys::row_prefix(bucket.id));
    let key_of = |row_key: &Bytes| row_key.slice(rows.start.len()..);
    if !index.is_ready() {
        // Still being built: only the rows themselves are complete.
        let all = tx.scan(&rows, Direction::Forward);
        return all.map(|entry| entry.map(|entry| key_of(&entry.key))).collect();
    }
    let mut referrers: Vec<Bytes> = tx
        .scan(range, Direction::Forward)
        .map(|entry| entry.and_then(|entry| primary_key_of(index, &entry.key, &entry.value)))
        .collect::<Result<_>>()?;
    if index.unique && tx.has_collisions() {
        // Of own records with one unique value, the index shows one.
        referrers.extend(tx.writes().rows_in(&rows).map(|(row_key, _)| key_of(row_key)));
        referrers.sort_unstable();
        referrers.dedup();
    }
    Ok(referrers)
}

/// Whether the row has `primary_key` in the field that `index` is led by.
fn refers(index: &Index, row: &Row, primary_key: &[u8]) -> bool {
    let mut value = Vec::new();
    let leading = index.parts.first().map(|part| indexed_value(row, &part.path));
    key::encode_part(&leading.unwrap_or(Value::Null), false, &mut value);
    value == primary_key
}

fn dangling(bucket: &Bucket, reference: &Reference, value: &Value) -> Error {
    Error::new(
        Code::ReferenceViolation,
        format!(
            "Foreign key violation in bucket \"{}\": field \"{}\" references non-existing record \"{}\" in bucket \"{}\"",
            bucket.name,
            reference.field,
            key::display(value),
            reference.target
        ),
    )
    .with("bucket", &*bucket.name)
    .with("field", reference.field.as_str())
    .with("value", value.clone())
    .with("target", reference.target.as_str())
}

fn restricted(
    deleted: &Target,
    primary_key: &[u8],
    bucket: &Bucket,
    reference: &Reference,
    referrer: &[u8],
) -> Error {
    let key = key::decode_key(primary_key);
    Error::new(
        Code::ReferenceViolation,
        format!(
            "Cannot delete from bucket \"{}\": record \"{}\" is referenced by bucket \"{}\" field \"{}\"",
            deleted.bucket.name,
            key::display(&key),
            bucket.name,
            reference.field
        ),
    )
    .with("bucket", &*deleted.bucket.name)
    .with("key", key)
    .with("referrer", serde_json::json!({
        "bucket": &*bucket.name, "field": reference.field, "key": key::decode_key(referrer),
    }))
}
