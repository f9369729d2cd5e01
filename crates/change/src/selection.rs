use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;
use tandem_transaction::{Change, Commit};

/// Decides whether a change is of interest. Called by the follower's own
/// thread, never by the committer.
pub type ChangePredicate = Arc<dyn Fn(&Change) -> bool + Send + Sync>;

/// The bucket whose records are the definitions of buckets, by name.
const BUCKET_DEFINITIONS: &str = "_buckets";

/// Buckets of the system; their changes are nobody's but its own.
pub(crate) fn is_system(bucket: &str) -> bool {
    bucket.starts_with('_')
}

/// What a subscription is about.
#[derive(Clone, Default)]
pub(crate) struct Selection {
    /// `None` = every bucket.
    pub(crate) buckets: Option<BTreeSet<String>>,
    pub(crate) predicate: Option<ChangePredicate>,
    /// Changes of definitions, too.
    pub(crate) system: bool,
}

/// What of one commit a subscription gets.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Selected {
    pub(crate) dropped: Vec<Arc<str>>,
    pub(crate) commit: Option<Arc<Commit>>,
}

impl Selection {
    /// The commit itself when all of it matches, so that it stays shared.
    pub(crate) fn of(&self, commit: Arc<Commit>) -> Selected {
        let dropped = commit.changes.iter().filter_map(dropped_bucket);
        let dropped = dropped.filter(|name| self.covers(name)).map(Arc::from).collect();
        let matching: Vec<&Change> =
            commit.changes.iter().filter(|change| self.matches(change)).collect();
        let commit = if matching.is_empty() {
            None
        } else if matching.len() == commit.changes.len() {
            Some(commit)
        } else {
            let changes = matching.into_iter().cloned().collect();
            let (revision, timestamp) = (commit.revision, commit.timestamp);
            Some(Arc::new(Commit { revision, timestamp, changes }))
        };
        Selected { dropped, commit }
    }

    fn covers(&self, bucket: &str) -> bool {
        !is_system(bucket) && self.buckets.as_ref().is_none_or(|buckets| buckets.contains(bucket))
    }

    fn matches(&self, change: &Change) -> bool {
        (self.covers(&change.bucket) || self.system && is_system(&change.bucket))
            && self.predicate.as_ref().is_none_or(|predicate| predicate(change))
    }
}

/// The bucket that this change drops. One that is dropped and defined anew in
/// one transaction has another id: it is not the same bucket, though its name
/// is.
fn dropped_bucket(change: &Change) -> Option<&str> {
    if &*change.bucket != BUCKET_DEFINITIONS {
        return None;
    }
    let before = change.before.as_ref()?;
    if let Some(after) = &change.after
        && bucket_id(before) == bucket_id(after)
    {
        return None;
    }
    std::str::from_utf8(&change.key).ok()
}

/// The id in a stored definition of a bucket.
fn bucket_id(definition: &[u8]) -> Option<u64> {
    let definition: Value = serde_json::from_slice(definition).ok()?;
    definition.get("id")?.as_u64()
}
