use std::collections::BTreeMap;

use serde_json::{Map, Value};
use tandem_transaction::Isolation;

/// One line of the story.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its line in the script, counted from 1.
    pub line: usize,
    /// The connection that takes it.
    pub connection: String,
    /// The step as it was written, without the expectation.
    pub text: String,
    /// What is done.
    pub action: Action,
    /// Waits for a lock; awaited by a later `wait`.
    pub in_background: bool,
    /// The expected answer at each level, without blanks.
    pub expected: BTreeMap<Isolation, String>,
    /// The answers that would be the anomaly.
    pub anomaly: Vec<String>,
}

/// What a step asks of its connection.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Begins a transaction at the level of the run.
    Begin {
        /// Refuse writes.
        read_only: bool,
    },
    /// Commits it.
    Commit {
        /// A name under which the commit happens once.
        idempotency_key: Option<String>,
        /// Whether the connection is lost before the answer arrives.
        and_disconnect: bool,
    },
    /// Rolls it back.
    Rollback,
    /// Opens a savepoint.
    Savepoint(String),
    /// Rolls back to a savepoint.
    RollbackTo(String),
    /// Releases a savepoint.
    Release(String),
    /// Drops the connection as it is.
    Disconnect,
    /// One record by key.
    Get(Value),
    /// One record by key, locked.
    Lock {
        /// The key.
        key: Value,
        /// How long to wait for it, in milliseconds.
        wait_ms: Option<u64>,
    },
    /// Every record.
    All,
    /// The records that match.
    Where(Value),
    /// The first record that matches.
    FindOne(Value),
    /// How many records match.
    Count(Option<Value>),
    /// The sum of a field.
    Sum {
        /// Of which field.
        field: String,
        /// Of which records.
        filter: Option<Value>,
    },
    /// A predicate of the path that the run takes.
    Read(String),
    /// Inserts records.
    Insert(Vec<Map<String, Value>>),
    /// Inserts or merges a record.
    Upsert(Map<String, Value>),
    /// Replaces a record.
    Replace {
        /// The key.
        key: Value,
        /// The record to be.
        data: Map<String, Value>,
    },
    /// Changes a record.
    Update {
        /// The key.
        key: Value,
        /// The changes.
        changes: Map<String, Value>,
        /// The version that the record must have.
        expected_version: Option<u64>,
    },
    /// Deletes a record.
    Delete {
        /// The key.
        key: Value,
        /// The version that the record must have.
        expected_version: Option<u64>,
    },
    /// Changes every record that matches.
    UpdateMany {
        /// Which.
        filter: Value,
        /// The changes.
        changes: Map<String, Value>,
    },
    /// Deletes every record that matches.
    DeleteMany(Value),
    /// Subscribes to the bucket's changes.
    Watch {
        /// From the first commit on, instead of now.
        from_start: bool,
    },
    /// The commits that the subscription has brought since it was last asked.
    Changes,
    /// The answer of the background step.
    Wait,
}
