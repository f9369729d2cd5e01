use std::sync::Arc;

use bytes::Bytes;
use tandem_base::Error;
use tandem_transaction::{Change, Commit};

use crate::topic::{ChangeKind, Topic};

/// One change of one commit, as a callback gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What happened to which kind of record; its text is the topic's name.
    pub topic: Topic,
    /// The encoded primary key.
    pub key: Bytes,
    /// The stored row before; `None` = inserted.
    pub before: Option<Bytes>,
    /// The stored row after; `None` = deleted.
    pub after: Option<Bytes>,
    /// The commit's revision.
    pub revision: u64,
    /// When it was committed, in milliseconds since the Unix epoch.
    pub timestamp: u64,
}

impl Event {
    pub(crate) fn new(commit: &Commit, change: &Change) -> Self {
        Self {
            topic: Topic { bucket: change.bucket.clone(), kind: ChangeKind::of(change) },
            key: change.key.clone(),
            before: change.before.clone(),
            after: change.after.clone(),
            revision: commit.revision,
            timestamp: commit.timestamp,
        }
    }

    /// The bucket's name.
    #[must_use]
    pub fn bucket(&self) -> &Arc<str> {
        &self.topic.bucket
    }

    /// What happened to the record.
    #[must_use]
    pub fn kind(&self) -> ChangeKind {
        self.topic.kind
    }
}

/// What a callback is called with.
#[derive(Clone, Debug)]
pub enum EventNotice {
    /// A committed change.
    Event(Event),
    /// The dispatcher fell so far behind that commits were removed from the
    /// change log before it read them. Events resume after the gap.
    Resync {
        /// Everything up to this revision was dispatched.
        after: u64,
        /// Everything after this revision will be; what lies between is lost.
        resumed_from: u64,
    },
    /// The change log cannot be read; no event will follow.
    Failed(Error),
}
