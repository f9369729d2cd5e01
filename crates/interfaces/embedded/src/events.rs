//! Callbacks for committed changes, by topic.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tandem_base::{Code, Error, Result};
use tandem_change::{self as change, ChangeKind, EventGuard, EventNotice};
use tandem_record::key::decode_key;

use crate::record::Record;
use crate::store::Store;

/// A committed change of one record, as a callback gets it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Event {
    /// `bucket.users.inserted` and the like.
    pub topic: String,
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
    /// The commit's revision: equal for all events of one commit.
    pub revision: u64,
    /// When it was committed, in milliseconds since the Unix epoch.
    pub timestamp: u64,
}

impl Event {
    fn read(event: &change::Event) -> Result<Self> {
        let record = |row: &Option<_>| row.clone().map(Record::from_stored).transpose();
        Ok(Self {
            topic: event.topic.to_string(),
            bucket: event.bucket().clone(),
            kind: event.kind(),
            key: decode_key(&event.key),
            before: record(&event.before)?,
            after: record(&event.after)?,
            revision: event.revision,
            timestamp: event.timestamp,
        })
    }
}

impl Store {
    /// Calls `callback` for every change on a topic that is committed from now
    /// on, until the guard is dropped. A topic is
    /// `bucket.<name>.<inserted|updated|deleted>`; `*` stands for any one of the
    /// last two.
    ///
    /// Callbacks run one after the other on a background thread, in the order
    /// of the commits and, within one, of its changes; they may use the store. A
    /// slow one delays the others, never a commit. One that panics is removed.
    /// Nothing of a transaction or savepoint that was rolled back is ever seen.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` for a malformed topic; `CLOSED`.
    ///
    /// ```
    /// # fn main() -> tandem::Result<()> {
    /// use std::time::Duration;
    /// use serde_json::json;
    /// # let store = tandem::Store::memory()?;
    /// # store.define_bucket("users", tandem::BucketConfig::new("id"))?;
    /// let guard = store.on("bucket.users.*", |event| {
    ///     println!("{} {}", event.topic, event.key);
    /// })?;
    /// store.bucket("users").insert(json!({ "id": 1 }))?;
    /// store.settle_events(Duration::from_secs(5))?;
    /// drop(guard);
    /// # Ok(())
    /// # }
    /// ```
    pub fn on(
        &self,
        topic: &str,
        callback: impl Fn(&Event) + Send + Sync + 'static,
    ) -> Result<EventGuard> {
        self.on_result(topic, move |event| {
            if let Ok(event) = event {
                callback(event);
            }
        })
    }

    /// As [`on`](Self::on), for a callback that also wants to know when it
    /// missed something: `RESYNC_REQUIRED` when it fell behind the change log
    /// (events go on after the gap), or why no event will follow.
    ///
    /// # Errors
    /// As [`on`](Self::on).
    pub fn on_result(
        &self,
        topic: &str,
        callback: impl Fn(Result<&Event, &Error>) + Send + Sync + 'static,
    ) -> Result<EventGuard> {
        self.coordination()?;
        let pattern = topic.parse()?;
        self.inner().events.on(pattern, move |notice| match notice {
            EventNotice::Event(event) => match Event::read(event) {
                Ok(event) => callback(Ok(&event)),
                Err(error) => callback(Err(&error)),
            },
            EventNotice::Resync { after, resumed_from } => {
                callback(Err(&gap(*after, *resumed_from)))
            }
            EventNotice::Failed(error) => callback(Err(error)),
        })
    }

    /// Waits until every callback has returned for everything that is committed
    /// now.
    ///
    /// # Errors
    /// `TIMEOUT`; `CLOSED`; `INVALID_REQUEST` when called by a callback, which
    /// would wait for itself.
    pub fn settle_events(&self, timeout: Duration) -> Result<()> {
        self.coordination()?;
        self.inner().events.flush(timeout)
    }
}

fn gap(after: u64, resumed_from: u64) -> Error {
    Error::new(Code::ResyncRequired, "Events were lost: the change log was trimmed too early")
        .with("after", after)
        .with("resumedFrom", resumed_from)
}
