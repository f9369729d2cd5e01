//! Building an index on a live bucket.
//!
//! The index was committed in state *building*: from that commit on, every
//! other commit maintains it. What is missing are the entries of older rows,
//! and they are added in key order, some rows a step, each step in the commit
//! section. The last row done is stored with the entries, so a build goes on
//! where a crash left it. The step that finds no more rows makes the index
//! *ready*; one that finds two records with one unique value, or a record that
//! cannot be indexed, removes the index.

use std::sync::Arc;

use bytes::Bytes;
use tandem_base::{Code, Error, Result};
use tandem_storage::{Direction, KeyRange};
use tandem_transaction::{Change, CommitState, Coordination, Derived, Read};

use crate::catalog::{Bucket, BucketDefinition, Index, IndexState};
use crate::derive::SYSTEM_BUCKETS;
use crate::entries::{entries, unique_violation};
use crate::key;
use crate::keys;
use crate::maintenance::in_commit_section;
use crate::records::Records;
use crate::row::Row;

/// How far an online build has come.
#[derive(Clone, Debug)]
pub enum BuildStep {
    /// There are more rows.
    Building {
        /// Rows done so far.
        rows: u64,
    },
    /// The index is ready, or was dropped meanwhile.
    Done,
    /// Two records have one unique value, or a record cannot be indexed; the
    /// index is gone.
    Failed(Error),
}

impl Records {
    /// The indexes that are being built in `state`: bucket and index id.
    ///
    /// # Errors
    /// `STORAGE_ERROR`.
    pub fn unfinished_builds(&self, state: &dyn Read) -> Result<Vec<(String, u32)>> {
        let catalog = self.catalog_at(state)?;
        Ok(catalog
            .buckets()
            .into_iter()
            .flat_map(|bucket| {
                let building = bucket.indexes.iter().filter(|index| !index.is_ready());
                building.map(|index| (bucket.name.to_string(), index.id))
            })
            .collect())
    }

    /// Adds the entries of up to `rows` more rows. Cost: those rows.
    ///
    /// # Errors
    /// `STORE_FAILED`, `STORAGE_ERROR`; a duplicate is a [`BuildStep::Failed`].
    pub fn build_step(
        self: &Arc<Self>,
        coordination: &dyn Coordination,
        index: u32,
        rows: usize,
    ) -> Result<BuildStep> {
        let records = self.clone();
        in_commit_section(coordination, None, move |state, _| {
            let catalog = records.catalog_at(state)?;
            match catalog.index_by_id(index) {
                Some((bucket, index)) if !index.is_ready() => step(state, bucket, index, rows),
                _ => Ok((Derived::default(), BuildStep::Done)),
            }
        })
    }

    /// The rows done by an unfinished build.
    pub(crate) fn rows_built(state: &dyn Read, index: u32) -> Result<u64> {
        Ok(Progress::read(state, index)?.rows)
    }
}

fn step(
    state: &dyn CommitState,
    bucket: &Bucket,
    index: &Index,
    rows: usize,
) -> Result<(Derived, BuildStep)> {
    let mut progress = Progress::read(state, index.id)?;
    let prefix = keys::row_prefix(bucket.id);
    let mut range = KeyRange::prefix(&prefix);
    if let Some(after) = KeyRange::point(&progress.last_row).end.filter(|_| progress.rows > 0) {
        range.start = after;
    }
    let mut derived = Derived::default();
    let mut own = std::collections::HashMap::new();
    let mut seen = 0;
    for entry in state.scan(&range, Direction::Forward).take(rows) {
        let (row_key, value) = entry?;
        let primary_key = row_key.slice(prefix.len()..);
        let row = Row::from_stored(value)?;
        let mut found = Vec::new();
        match entries(index, &row, &primary_key, &mut found) {
            Err(error) if matches!(error.code(), Code::ValidationError | Code::LimitExceeded) => {
                let error = error.with("key", key::decode_key(&primary_key));
                return Ok((remove_index(bucket, index), BuildStep::Failed(error)));
            }
            derived => derived?,
        }
        for entry in found {
            if entry.is_exclusive() {
                let holder = match own.insert(entry.key.clone(), primary_key.clone()) {
                    Some(holder) => Some(holder),
                    None => state.get(&entry.key)?,
                };
                if let Some(holder) = holder.filter(|holder| *holder != primary_key) {
                    let violation = unique_violation(bucket, index, &row, &holder);
                    return Ok((remove_index(bucket, index), BuildStep::Failed(violation)));
                }
            }
            derived.writes.push((entry.key, Some(entry.value)));
        }
        progress = Progress { rows: progress.rows + 1, last_row: row_key };
        seen += 1;
    }
    if seen == rows {
        let key = keys::build_progress(index.id);
        derived.writes.push((key, Some(progress.encode())));
        return Ok((derived, BuildStep::Building { rows: progress.rows }));
    }
    let mut definition = bucket.definition.clone();
    for known in definition.indexes.iter_mut().filter(|known| known.id == index.id) {
        known.state = IndexState::Ready;
    }
    redefine(&mut derived, bucket, &definition);
    derived.writes.push((keys::build_progress(index.id), None));
    Ok((derived, BuildStep::Done))
}

fn remove_index(bucket: &Bucket, index: &Index) -> Derived {
    let mut definition = bucket.definition.clone();
    definition.forget_index(index.id);
    let mut derived = Derived::default();
    redefine(&mut derived, bucket, &definition);
    for prefix in [keys::index_prefix(index.id), keys::build_progress(index.id)] {
        derived.writes.push((keys::garbage(&prefix), Some(Bytes::new())));
    }
    derived
}

fn redefine(derived: &mut Derived, bucket: &Bucket, definition: &BucketDefinition) {
    let after = Bytes::from(definition.encode());
    derived.changes.push(Change {
        bucket: SYSTEM_BUCKETS.into(),
        key: Bytes::copy_from_slice(bucket.name.as_bytes()),
        before: Some(bucket.definition.encode().into()),
        after: Some(after.clone()),
    });
    derived.writes.push((keys::bucket_definition(&bucket.name), Some(after)));
}

/// `u64 rows done, big-endian | key of the last row done`.
struct Progress {
    rows: u64,
    last_row: Bytes,
}

impl Progress {
    fn read(state: &dyn Read, index: u32) -> Result<Self> {
        let Some(stored) = state.get(&keys::build_progress(index))? else {
            return Ok(Self { rows: 0, last_row: Bytes::new() });
        };
        let rows = stored
            .first_chunk()
            .map(|rows| u64::from_be_bytes(*rows))
            .ok_or_else(|| Error::corrupted("The progress of an index build is damaged"))?;
        Ok(Self { rows, last_row: stored.slice(8..) })
    }

    fn encode(&self) -> Bytes {
        let mut bytes = self.rows.to_be_bytes().to_vec();
        bytes.extend_from_slice(&self.last_row);
        bytes.into()
    }
}
