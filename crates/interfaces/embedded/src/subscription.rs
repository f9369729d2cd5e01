//! Following the commits of a store, from now on or from any revision that the
//! change log still reaches back to.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tandem_base::{Error, Result};
use tandem_change::{
    self as change, ChangeHub, ChangeKind, ChangePredicate, ChangeSubscription, TopicPattern,
};
use tandem_record::filter::Filter;
use tandem_record::row::Row;

use crate::change::{Change, Commit};
use crate::initial::InitialRecords;
use crate::store::Store;

/// What a [`Subscription`] delivers, and from where.
///
/// ```
/// use serde_json::json;
/// use tandem::SubscribeOptions;
///
/// let large_orders = SubscribeOptions::new()
///     .bucket("orders")
///     .filter(json!({ "total": { "$gte": 1000 } }))
///     .from(4711);
/// # let _ = large_orders;
/// ```
#[derive(Clone, Debug, Default)]
pub struct SubscribeOptions {
    buckets: Option<Vec<String>>,
    topic: Option<TopicPattern>,
    filter: Option<Value>,
    from: Option<u64>,
    include_initial: bool,
}

impl SubscribeOptions {
    /// Every change of every bucket from now on.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Changes of this bucket; called again, of that one too.
    #[must_use]
    pub fn bucket(mut self, name: impl Into<String>) -> Self {
        self.buckets.get_or_insert_default().push(name.into());
        self
    }

    /// Changes that the pattern covers, such as `bucket.users.inserted` or
    /// `bucket.*.deleted`. Not together with
    /// [`include_initial`](Self::include_initial).
    #[must_use]
    pub fn topic(mut self, pattern: TopicPattern) -> Self {
        self.topic = Some(pattern);
        self
    }

    /// Changes of records that match before or after.
    #[must_use]
    pub fn filter(mut self, filter: impl Into<Value>) -> Self {
        self.filter = Some(filter.into());
        self
    }

    /// Every commit after this revision.
    #[must_use]
    pub fn from(mut self, revision: u64) -> Self {
        self.from = Some(revision);
        self
    }

    /// First every record that there is (and matches), in portions
    /// ([`Notice::Initial`]), then every commit after the revision that they
    /// are of: no gap, no overlap. That revision is kept readable until the
    /// last portion. Not together with [`from`](Self::from).
    #[must_use]
    pub fn include_initial(mut self) -> Self {
        self.include_initial = true;
        self
    }

    /// Whether the records that there are come first.
    #[must_use]
    pub fn includes_initial(&self) -> bool {
        self.include_initial
    }

    /// The records to hand over first, for doors that follow by themselves:
    /// from their [revision](InitialRecords::revision) on.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` for a malformed filter, or together with a revision
    /// to start from or a topic; `BUCKET_NOT_DEFINED`; `STORAGE_ERROR`; `CLOSED`.
    pub fn initial_records(&self, store: &Store) -> Result<InitialRecords> {
        if self.from.is_some() {
            return Err(Error::validation("\"from\" and \"includeInitial\" exclude each other"));
        }
        if self.topic.is_some() {
            return Err(Error::validation("\"topic\" and \"includeInitial\" exclude each other"));
        }
        let filter = self.filter.as_ref().map(Filter::parse).transpose()?;
        InitialRecords::open(store, self.buckets.as_deref(), filter)
    }

    /// The options as the layer below has them, for doors that follow by
    /// themselves.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` for a malformed filter.
    pub fn resolve(self) -> Result<change::SubscribeOptions> {
        let Self { buckets, topic, filter, from, include_initial: _ } = self;
        let matching = filter.map(|filter| Filter::parse(&filter).map(matching)).transpose()?;
        let predicate = match topic {
            None => matching,
            Some(topic) => Some(covered(topic, matching)),
        };
        Ok(change::SubscribeOptions { buckets, predicate, from, ..Default::default() })
    }
}

fn covered(topic: TopicPattern, and: Option<ChangePredicate>) -> ChangePredicate {
    Arc::new(move |change| {
        topic.matches(&change.bucket, ChangeKind::of(change))
            && and.as_ref().is_none_or(|and| and(change))
    })
}

fn matching(filter: Filter) -> ChangePredicate {
    Arc::new(move |change| {
        // A row that cannot be read is delivered, so that its reader hears of it.
        let matches =
            |row: &_| Row::from_stored(Clone::clone(row)).map_or(true, |row| filter.matches(&row));
        [&change.before, &change.after].into_iter().flatten().any(matches)
    })
}

/// What a [`Subscription`] delivers.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Notice {
    /// Records that were there when the subscription began: the next portion,
    /// each as the insert that it would take. Only with
    /// [`include_initial`](SubscribeOptions::include_initial), and before
    /// anything else.
    Initial {
        /// The revision that they are of, the same for all portions.
        revision: u64,
        /// The records; the last portion may be empty.
        changes: Vec<Change>,
        /// Whether all have come: commits follow.
        last: bool,
    },
    /// A commit with its matching changes. Revisions rise from one to the next.
    Commit(Commit),
    /// Nothing up to this revision matched; resuming from here loses nothing.
    Progress {
        /// The new position.
        revision: u64,
    },
    /// A bucket of the subscription was dropped.
    BucketDropped {
        /// The bucket's name.
        bucket: Arc<str>,
        /// The commit that dropped it.
        revision: u64,
    },
    /// The next commits were removed from the change log before they were read.
    /// The subscription is over: read the data anew, then subscribe again.
    Resync {
        /// The oldest revision that a subscription can start from.
        oldest_revision: u64,
    },
}

/// A standing interest in the commits of a store: each one that matches is
/// delivered once, in revision order, whole.
///
/// Its state is a position and nothing else, so it costs the store no memory
/// and delays no commit, however slowly it is read. It can be dropped and taken
/// up again from its [`revision`](Self::revision), also after the store was
/// reopened, as long as the change log reaches back that far.
///
/// As an iterator it waits for the next notice, and ends when the store is
/// closed, after [`Notice::Resync`] and after an error.
///
/// ```
/// # fn main() -> tandem::Result<()> {
/// use serde_json::json;
/// use tandem::{Notice, SubscribeOptions};
/// # let store = tandem::Store::memory()?;
/// # store.define_bucket("users", tandem::BucketConfig::new("id"))?;
/// let mut changes = store.subscribe(SubscribeOptions::new().bucket("users"))?;
/// store.bucket("users").insert(json!({ "id": 1 }))?;
/// if let Some(Notice::Commit(commit)) = changes.try_next()? {
///     assert_eq!(commit.changes[0].key, json!(1));
/// }
/// let resume_from = changes.revision();
/// # let _ = resume_from;
/// # Ok(())
/// # }
/// ```
pub struct Subscription {
    inner: ChangeSubscription,
    /// What is still to be handed over before the commits.
    initial: Option<InitialRecords>,
    /// The iterator has delivered its last notice or error.
    ended: bool,
}

impl Subscription {
    /// The revision up to which everything has been delivered; while initial
    /// records are still to come, the one that they are of.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.inner.position()
    }

    fn next_initial(&mut self) -> Result<Option<Notice>> {
        let Some(initial) = &mut self.initial else { return Ok(None) };
        let (revision, (changes, last)) = (initial.revision(), initial.next_portion()?);
        if last {
            self.initial = None;
        }
        Ok(Some(Notice::Initial { revision, changes, last }))
    }

    /// The next notice, if there is one now.
    ///
    /// # Errors
    /// `CLOSED` when the store is closed and everything was delivered;
    /// `RESYNC_REQUIRED` after [`Notice::Resync`]; `STORAGE_ERROR`.
    pub fn try_next(&mut self) -> Result<Option<Notice>> {
        if let Some(initial) = self.next_initial()? {
            return Ok(Some(initial));
        }
        self.inner.try_next()?.map(read).transpose()
    }

    /// The next notice, waiting up to `timeout` for it.
    ///
    /// # Errors
    /// As [`try_next`](Self::try_next).
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Option<Notice>> {
        if let Some(initial) = self.next_initial()? {
            return Ok(Some(initial));
        }
        self.inner.next_timeout(timeout)?.map(read).transpose()
    }
}

impl Iterator for Subscription {
    type Item = Result<Notice>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = match self.next_initial().transpose() {
            Some(initial) => initial,
            None => self.inner.next().transpose()?.and_then(read),
        };
        self.ended = matches!(next, Err(_) | Ok(Notice::Resync { .. }));
        Some(next)
    }
}

fn read(notice: change::Notice) -> Result<Notice> {
    Ok(match notice {
        change::Notice::Commit(commit) => Notice::Commit(Commit::read(&commit)?),
        change::Notice::Progress { revision } => Notice::Progress { revision },
        change::Notice::BucketDropped { bucket, revision } => {
            Notice::BucketDropped { bucket, revision }
        }
        change::Notice::Resync { oldest_revision } => Notice::Resync { oldest_revision },
    })
}

impl Store {
    /// Follows the commits.
    ///
    /// # Errors
    /// `RESYNC_REQUIRED` (with `oldestRevision`) when not every commit after
    /// the asked revision can be delivered; `VALIDATION_ERROR` for a malformed
    /// filter; `CLOSED`.
    pub fn subscribe(&self, options: SubscribeOptions) -> Result<Subscription> {
        let initial = options.include_initial.then(|| options.initial_records(self)).transpose()?;
        let options = match &initial {
            Some(initial) => options.from(initial.revision()),
            None => options,
        };
        Ok(Subscription { inner: self.follow(options.resolve()?)?, initial, ended: false })
    }

    /// Follows the commits as stored bytes, for doors that encode them
    /// themselves.
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe).
    pub fn follow(&self, options: change::SubscribeOptions) -> Result<ChangeSubscription> {
        let coordination = self.coordination()?.clone();
        ChangeSubscription::open(self.inner().changes.clone(), coordination, options)
    }

    /// Where the commits come by, for doors that have to be woken by the next.
    #[must_use]
    pub fn change_hub(&self) -> &Arc<ChangeHub> {
        &self.inner().changes
    }
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription").field("revision", &self.revision()).finish_non_exhaustive()
    }
}
