//! The records that there are, before the commits that follow.
//!
//! A follower that wants the data and then its changes must not read first and
//! subscribe afterwards: commits in between would be in neither, or in both.
//! Here both are cut at one revision:
//!
//! ```text
//!   records of revision R, portion by portion │ commits R+1, R+2, …
//!   from a view that is kept open             │ from the change log
//! ```
//! Commits go on meanwhile; they are delivered afterwards, whole, because the
//! change log has them. What is held is the view of R and one portion. If it
//! takes so long that the change log no longer reaches back to R, the follower
//! is told to resync, like any other that is too slow.

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::Value;
use tandem_base::Result;
use tandem_change::ChangeKind;
use tandem_query::{Query, Stream};
use tandem_record::Row;
use tandem_record::filter::Filter;
use tandem_record::key::{decode_key, encode_key};
use tandem_transaction::{Read, Transaction as Engine};

use crate::change::Change;
use crate::record::Record;
use crate::store::Store;

/// Bytes of records that one portion may hold, give or take what is fetched at
/// once.
const PORTION_BYTES: usize = 64 << 10;

/// Records fetched at once.
const FETCHED_RECORDS: usize = 8;

/// Records of one portion.
const PORTION_RECORDS: usize = 256;

/// The records that a subscription begins with, read in portions from one revision.
pub struct InitialRecords {
    store: Store,
    view: Box<Engine>,
    filter: Option<Filter>,
    left: VecDeque<(Arc<str>, String)>,
    stream: Option<Stream>,
}

impl InitialRecords {
    pub(crate) fn open(
        store: &Store,
        buckets: Option<&[String]>,
        filter: Option<Filter>,
    ) -> Result<Self> {
        let view = Box::new(Engine::read(store.coordination()?.clone())?);
        let catalog = store.records().catalog(&view)?;
        let named = |name: &String| catalog.bucket(name).cloned();
        let buckets = match buckets {
            Some(names) => names.iter().map(named).collect::<Result<Vec<_>>>()?,
            None => catalog.buckets().into_iter().cloned().collect(),
        };
        let mut left: VecDeque<(Arc<str>, String)> = VecDeque::new();
        for bucket in buckets {
            if left.iter().all(|(name, _)| *name != bucket.name) {
                left.push_back((bucket.name.clone(), bucket.key_field.clone()));
            }
        }
        Ok(Self { store: store.clone(), view, filter, left, stream: None })
    }

    /// The revision that the records are of.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.view.view().revision()
    }

    /// The next records, as inserts, bucket by bucket in the order of each; and
    /// whether they are the last. Safe to ask again after an error.
    ///
    /// # Errors
    /// `STORAGE_ERROR`, `CORRUPTED`, `CLOSED`.
    pub fn next_portion(&mut self) -> Result<(Vec<Change>, bool)> {
        self.store.coordination()?;
        let (mut changes, mut bytes) = (Vec::new(), 0);
        while let Some((bucket, key)) = self.left.front().cloned() {
            if changes.len() >= PORTION_RECORDS || bytes >= PORTION_BYTES {
                return Ok((changes, false));
            }
            let n = FETCHED_RECORDS.min(PORTION_RECORDS - changes.len());
            let filter = self.filter.clone();
            let stream = self.stream.get_or_insert_with(|| {
                let mut query = Query::new(&*bucket);
                query.filter = filter;
                query.limits = self.store.limits().query;
                Stream::new(query)
            });
            let rows = stream.next_chunk(self.store.records(), &mut self.view, n)?;
            if rows.is_empty() {
                self.stream = None;
                self.left.pop_front();
                continue;
            }
            bytes += rows.iter().map(|row| row.bytes().len()).sum::<usize>();
            changes.extend(rows.into_iter().map(|row| inserted(&bucket, &key, row)));
        }
        Ok((changes, true))
    }
}

fn inserted(bucket: &Arc<str>, key_field: &str, row: Row) -> Change {
    let value = row.field(key_field).unwrap_or(Value::Null);
    Change {
        bucket: bucket.clone(),
        kind: ChangeKind::Inserted,
        // Spelled as in the commits that follow.
        key: encode_key(&value).map_or(value, |key| decode_key(&key)),
        before: None,
        after: Some(Record::new(row)),
    }
}

impl std::fmt::Debug for InitialRecords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InitialRecords")
            .field("revision", &self.revision())
            .field("buckets", &self.left.len())
            .finish_non_exhaustive()
    }
}
