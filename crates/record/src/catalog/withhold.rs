//! Which indexes a transaction with own writes may read.
//!
//! A scan of an index shows a transaction the committed entries and its own. It
//! misses records in two cases, and then the index is *withheld*: the planner
//! finds it not ready and reads the rows.
//!
//! ```text
//! defined by the transaction itself    others do not maintain it: what they
//!                                      commit is neither seen nor a conflict
//! committed after an own write         the own write has no entry in it
//! ```

use std::sync::Arc;

use tandem_base::Result;
use tandem_storage::KeyRange;
use tandem_transaction::{Read, Transaction};

use crate::catalog::{Bucket, Catalog, Index};
use crate::entries::entries;
use crate::keys;
use crate::row::Row;

/// `catalog`, which is `committed` and the definitions of `tx`, without the
/// indexes that `tx` must not read. Cost: nothing, unless definitions have
/// changed since the first own write; then the own writes.
pub(crate) fn withhold(
    tx: &Transaction,
    committed: &Arc<Catalog>,
    catalog: Arc<Catalog>,
) -> Result<Arc<Catalog>> {
    let own_definitions = !Arc::ptr_eq(committed, &catalog);
    let late_definitions = tx.view().schema_revision() > tx.written_since();
    if !own_definitions && !late_definitions {
        return Ok(catalog);
    }
    let mut changed = Vec::new();
    for bucket in catalog.buckets() {
        let mut indexes = bucket.indexes.clone();
        for index in &mut indexes {
            let defined_here = own_definitions
                && committed
                    .bucket_by_id(bucket.id)
                    .is_some_and(|old| old.indexes.iter().all(|known| known.id != index.id));
            if defined_here || (late_definitions && misses_own_write(tx, bucket, index)?) {
                *index = Arc::new(index.withheld());
            }
        }
        if indexes.iter().any(|index| index.withheld) {
            changed.push(Arc::new(Bucket { indexes, ..Bucket::clone(bucket) }));
        }
    }
    if changed.is_empty() {
        return Ok(catalog);
    }
    let mut catalog = Arc::unwrap_or_clone(catalog);
    changed.into_iter().for_each(|bucket| catalog.put(bucket));
    Ok(Arc::new(catalog))
}

fn misses_own_write(tx: &Transaction, bucket: &Bucket, index: &Index) -> Result<bool> {
    let prefix = keys::row_prefix(bucket.id);
    for (row_key, write) in tx.writes().rows_in(&KeyRange::prefix(&prefix)) {
        let Some(row) = write.after.clone() else { continue };
        if write.seen_at >= tx.view().schema_revision() {
            continue;
        }
        let mut found = Vec::new();
        entries(index, &Row::from_stored(row)?, &row_key[prefix.len()..], &mut found)?;
        for entry in found {
            if tx.get_untracked(&entry.key)? != Some(entry.value) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}
