use serde_json::Value;

use crate::key::Key;

/// One operation of a batch.
///
/// ```
/// use serde_json::json;
/// use tandem::Operation;
///
/// let operations = vec![
///     Operation::update("users", "u1", json!({ "credits": 200 })),
///     Operation::insert("logs", json!({ "action": "credit_update", "userId": "u1" })),
///     Operation::count("logs", None),
/// ];
/// # let _ = operations;
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Operation {
    /// Answers the record with that key, or none.
    Get {
        /// The bucket's name.
        bucket: String,
        /// The record's key.
        key: Key,
    },
    /// Inserts a record and answers it.
    Insert {
        /// The bucket's name.
        bucket: String,
        /// The record.
        data: Value,
    },
    /// Merges fields into a record and answers it.
    Update {
        /// The bucket's name.
        bucket: String,
        /// The record's key.
        key: Key,
        /// The fields to change.
        data: Value,
        /// The version that the committed record must have.
        expected_version: Option<u64>,
    },
    /// Replaces a record's fields and answers it.
    Replace {
        /// The bucket's name.
        bucket: String,
        /// The record's key.
        key: Key,
        /// The new fields.
        data: Value,
        /// The version that the committed record must have.
        expected_version: Option<u64>,
    },
    /// Inserts a record or merges it into the one with its key; answers it.
    Upsert {
        /// The bucket's name.
        bucket: String,
        /// The record.
        data: Value,
        /// The version that the committed record must have.
        expected_version: Option<u64>,
    },
    /// Deletes a record; there need be none.
    Delete {
        /// The bucket's name.
        bucket: String,
        /// The record's key.
        key: Key,
        /// The version that the committed record must have.
        expected_version: Option<u64>,
    },
    /// Answers all records that match.
    Where {
        /// The bucket's name.
        bucket: String,
        /// What they must match.
        filter: Value,
    },
    /// Answers the first record that matches, or none.
    FindOne {
        /// The bucket's name.
        bucket: String,
        /// What it must match.
        filter: Value,
    },
    /// Answers how many records match.
    Count {
        /// The bucket's name.
        bucket: String,
        /// What they must match; `None` = all.
        filter: Option<Value>,
    },
}

impl Operation {
    /// A [`Get`](Self::Get).
    pub fn get(bucket: impl Into<String>, key: impl Into<Key>) -> Self {
        Self::Get { bucket: bucket.into(), key: key.into() }
    }

    /// An [`Insert`](Self::Insert).
    pub fn insert(bucket: impl Into<String>, data: impl Into<Value>) -> Self {
        Self::Insert { bucket: bucket.into(), data: data.into() }
    }

    /// An [`Update`](Self::Update).
    pub fn update(bucket: impl Into<String>, key: impl Into<Key>, data: impl Into<Value>) -> Self {
        let (bucket, key, data) = (bucket.into(), key.into(), data.into());
        Self::Update { bucket, key, data, expected_version: None }
    }

    /// A [`Replace`](Self::Replace).
    pub fn replace(bucket: impl Into<String>, key: impl Into<Key>, data: impl Into<Value>) -> Self {
        let (bucket, key, data) = (bucket.into(), key.into(), data.into());
        Self::Replace { bucket, key, data, expected_version: None }
    }

    /// An [`Upsert`](Self::Upsert).
    pub fn upsert(bucket: impl Into<String>, data: impl Into<Value>) -> Self {
        Self::Upsert { bucket: bucket.into(), data: data.into(), expected_version: None }
    }

    /// A [`Delete`](Self::Delete).
    pub fn delete(bucket: impl Into<String>, key: impl Into<Key>) -> Self {
        Self::Delete { bucket: bucket.into(), key: key.into(), expected_version: None }
    }

    /// A [`Where`](Self::Where).
    pub fn find(bucket: impl Into<String>, filter: impl Into<Value>) -> Self {
        Self::Where { bucket: bucket.into(), filter: filter.into() }
    }

    /// A [`FindOne`](Self::FindOne).
    pub fn find_one(bucket: impl Into<String>, filter: impl Into<Value>) -> Self {
        Self::FindOne { bucket: bucket.into(), filter: filter.into() }
    }

    /// A [`Count`](Self::Count).
    pub fn count(bucket: impl Into<String>, filter: Option<Value>) -> Self {
        Self::Count { bucket: bucket.into(), filter }
    }

    /// Demands a version of the record that an update, replace, upsert or
    /// delete is about. Others have none and stay as they are.
    #[must_use]
    pub fn expecting(mut self, version: u64) -> Self {
        if let Self::Update { expected_version, .. }
        | Self::Replace { expected_version, .. }
        | Self::Upsert { expected_version, .. }
        | Self::Delete { expected_version, .. } = &mut self
        {
            *expected_version = Some(version);
        }
        self
    }

    /// The bucket that the operation is about.
    #[must_use]
    pub fn bucket(&self) -> &str {
        match self {
            Self::Get { bucket, .. }
            | Self::Insert { bucket, .. }
            | Self::Update { bucket, .. }
            | Self::Replace { bucket, .. }
            | Self::Upsert { bucket, .. }
            | Self::Delete { bucket, .. }
            | Self::Where { bucket, .. }
            | Self::FindOne { bucket, .. }
            | Self::Count { bucket, .. } => bucket,
        }
    }
}
