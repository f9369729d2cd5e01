//! A committed change, as records.

use std::sync::Arc;

use serde_json::{Value, json};
use tandem_base::Result;
use tandem_change::ChangeKind;
use tandem_record::key::decode_key;
use tandem_transaction as engine;

use crate::record::Record;

/// One record's before and after in one commit: the net effect.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Change {
    /// The bucket's name.
    pub bucket: Arc<str>,
    /// What happened to the record.
    pub kind: ChangeKind,
    /// The record's key.
    pub key: Value,
    /// The record before; `None` = it was inserted.
    pub before: Option<Record>,
    /// The record after; `None` = it was deleted.
    pub after: Option<Record>,
}

impl Change {
    pub(crate) fn read(change: &engine::Change) -> Result<Self> {
        let record = |row: &Option<_>| row.clone().map(Record::from_stored).transpose();
        Ok(Self {
            bucket: change.bucket.clone(),
            kind: ChangeKind::of(change),
            key: decode_key(&change.key),
            before: record(&change.before)?,
            after: record(&change.after)?,
        })
    }

    /// The change as it stands on the wire: `{type, bucket, key, before?, after?}`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let kind = match self.kind {
            ChangeKind::Inserted => "insert",
            ChangeKind::Updated => "update",
            ChangeKind::Deleted => "delete",
        };
        let mut json = json!({ "type": kind, "bucket": &*self.bucket, "key": self.key });
        for (name, record) in [("before", &self.before), ("after", &self.after)] {
            if let Some(record) = record {
                json[name] = record.to_json();
            }
        }
        json
    }
}

/// One commit's changes, those that were asked for, in the order in which the
/// transaction first wrote the records.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Commit {
    /// The store-wide commit number.
    pub revision: u64,
    /// When it was committed, in milliseconds since the Unix epoch.
    pub timestamp: u64,
    /// The changes, at least one.
    pub changes: Vec<Change>,
}

impl Commit {
    pub(crate) fn read(commit: &engine::Commit) -> Result<Self> {
        let changes = commit.changes.iter().map(Change::read).collect::<Result<_>>()?;
        Ok(Self { revision: commit.revision, timestamp: commit.timestamp, changes })
    }
}
