use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tandem_query::LiveQuery;
use tandem_record::row::Row;
use tandem_record::{SYSTEM_BUCKETS, SYSTEM_QUERIES};
use tandem_transaction::{Change, Commit};

use super::budget::Budget;
use super::entry::LiveEntry;
use super::equality::candidates;
use super::inbox::{MatchedChange, Offered};
use super::results::Fingerprints;
use super::statistics::{Counters, SubscriptionStatistics};
use crate::doorbell::Doorbell;

/// Filters tested for one commit; the further queries that it may concern are
/// run again instead, elsewhere. Testing happens where clients wait for it.
const TESTS_PER_COMMIT: usize = 10_000;

/// All distinct queries that somebody subscribes to, found by what a commit
/// changes.
pub(crate) struct LiveQueries {
    index: Mutex<Index>,
    budget: Budget,
    marks: AtomicU64,
    pub(super) fingerprints: Fingerprints,
    pub(crate) counters: Counters,
}

#[derive(Default)]
struct Index {
    by_identity: HashMap<String, Arc<LiveEntry>>,
    by_bucket: HashMap<String, BucketQueries>,
}

/// The queries over one bucket.
#[derive(Default)]
struct BucketQueries {
    /// Field → value → those whose matches all have that value there.
    by_value: HashMap<String, HashMap<Vec<u8>, Vec<Arc<LiveEntry>>>>,
    others: Vec<Arc<LiveEntry>>,
}

/// A subscriber's part in a query; dropping it leaves.
pub(crate) struct LiveSubscription {
    queries: Arc<LiveQueries>,
    entry: Arc<LiveEntry>,
    subscription: u64,
}

impl LiveQueries {
    /// None yet; their results may take so many bytes.
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self {
            index: Mutex::default(),
            budget: Budget::new(max_bytes),
            marks: AtomicU64::new(0),
            fingerprints: Fingerprints::default(),
            counters: Counters::default(),
        }
    }

    pub(crate) fn statistics(&self) -> SubscriptionStatistics {
        let kept_bytes = self.budget.used() as u64;
        SubscriptionStatistics { kept_bytes, ..self.counters.read() }
    }

    /// Subscribes to the query that `name` is defined as by `config`, with the
    /// parameters filled into `filter`. It is rung for every commit from now
    /// on that may matter.
    pub(crate) fn join(
        self: &Arc<Self>,
        name: &str,
        config: Value,
        filter: &Value,
        live: LiveQuery,
        subscription: u64,
        doorbell: Arc<Doorbell>,
    ) -> LiveSubscription {
        let identity = serde_json::json!([name, config, filter]).to_string();
        let mut index = self.index();
        let entry = match index.by_identity.get(&identity) {
            Some(entry) => {
                self.counters.queries_shared.add(1);
                entry.clone()
            }
            None => {
                let share = self.budget.share();
                let entry = LiveEntry::new(identity.clone(), name.to_owned(), config, live, share);
                let entry = Arc::new(entry);
                index.add(&entry);
                index.by_identity.insert(identity, entry.clone());
                entry
            }
        };
        entry.join(subscription, doorbell);
        LiveSubscription { queries: self.clone(), entry, subscription }
    }

    /// Offers a commit to the queries that it may concern. Cost: a look-up per
    /// change, and a test per query that is found.
    pub(crate) fn commit(&self, commit: &Commit) {
        let index = self.index();
        if index.by_identity.is_empty() {
            return;
        }
        let mut matched: Vec<(Arc<LiveEntry>, Vec<MatchedChange>)> = Vec::new();
        // Where an entry's changes are in there.
        let mut places: HashMap<*const LiveEntry, usize> = HashMap::new();
        let mut tests = 0;
        for change in &commit.changes {
            let Some(queries) = index.by_bucket.get(&*change.bucket) else {
                if change.bucket.starts_with('_') {
                    index.redefined(change, commit.revision);
                }
                continue;
            };
            let row = |row: &Option<_>| row.clone().map(Row::from_stored).transpose();
            let (Ok(before), Ok(after)) = (row(&change.before), row(&change.after)) else {
                // Whoever reads it will say what is wrong with it.
                queries.each(&mut |entry| {
                    entry.inbox.stale(commit.revision);
                    entry.ring();
                });
                continue;
            };
            let mark = self.marks.fetch_add(1, Ordering::Relaxed) + 1;
            queries.candidates(before.as_ref(), after.as_ref(), &mut |entry| {
                // It may be found by several values.
                if entry.mark.swap(mark, Ordering::Relaxed) == mark {
                    return;
                }
                tests += 1;
                if tests > TESTS_PER_COMMIT {
                    entry.inbox.stale(commit.revision);
                    entry.ring();
                    return;
                }
                self.counters.filters_tested.add(1);
                let matching = |row: &Option<Row>| {
                    row.as_ref().filter(|row| entry.live().matches(row)).cloned()
                };
                let (before, after) = (matching(&before), matching(&after));
                if before.is_none() && after.is_none() {
                    return;
                }
                let at = *places.entry(Arc::as_ptr(entry)).or_insert_with(|| {
                    matched.push((entry.clone(), Vec::new()));
                    matched.len() - 1
                });
                matched[at].1.push(MatchedChange { key: change.key.clone(), before, after });
            });
        }
        drop(index);
        for (entry, changes) in matched {
            entry.inbox.offer(Offered { revision: commit.revision, changes });
            entry.ring();
        }
    }

    /// Anything may have happened up to `revision`.
    pub(crate) fn everything(&self, revision: u64) {
        for entry in self.index().by_identity.values() {
            entry.inbox.stale(revision);
            entry.ring();
        }
    }

    /// Nobody joins an entry that is over.
    pub(super) fn retire(&self, entry: &LiveEntry) {
        self.index().remove(entry);
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Index {
    fn add(&mut self, entry: &Arc<LiveEntry>) {
        let queries = self.by_bucket.entry(entry.bucket().to_owned()).or_default();
        let Some(equality) = &entry.equality else {
            queries.others.push(entry.clone());
            return;
        };
        let values = queries.by_value.entry(equality.field.clone()).or_default();
        for value in &equality.values {
            values.entry(value.clone()).or_default().push(entry.clone());
        }
    }

    fn remove(&mut self, entry: &LiveEntry) {
        let is_it = |other: &Arc<LiveEntry>| std::ptr::eq(Arc::as_ptr(other), entry);
        if !self.by_identity.get(&entry.identity).is_some_and(is_it) {
            return;
        }
        self.by_identity.remove(&entry.identity);
        let Some(queries) = self.by_bucket.get_mut(entry.bucket()) else { return };
        queries.others.retain(|other| !is_it(other));
        if let Some(equality) = &entry.equality
            && let Some(values) = queries.by_value.get_mut(&equality.field)
        {
            for value in &equality.values {
                if let Some(entries) = values.get_mut(value) {
                    entries.retain(|other| !is_it(other));
                }
            }
            values.retain(|_, entries| !entries.is_empty());
        }
        queries.by_value.retain(|_, values| !values.is_empty());
        if queries.others.is_empty() && queries.by_value.is_empty() {
            self.by_bucket.remove(entry.bucket());
        }
    }

    /// A definition was changed: running the queries it concerns tells whether
    /// they still are what they were. Seldom enough to look at every query.
    fn redefined(&self, change: &Change, revision: u64) {
        let Ok(name) = std::str::from_utf8(&change.key) else { return };
        for entry in self.by_identity.values() {
            let concerns = match &*change.bucket {
                SYSTEM_BUCKETS => entry.bucket() == name,
                SYSTEM_QUERIES => entry.name() == name,
                _ => false,
            };
            if concerns {
                entry.inbox.stale(revision);
                entry.ring();
            }
        }
    }
}

impl BucketQueries {
    fn candidates(
        &self,
        before: Option<&Row>,
        after: Option<&Row>,
        each: &mut dyn FnMut(&Arc<LiveEntry>),
    ) {
        for (field, values) in &self.by_value {
            for row in [before, after].into_iter().flatten() {
                candidates(row, field, &mut |value| {
                    values.get(&value).into_iter().flatten().for_each(&mut *each);
                });
            }
        }
        self.others.iter().for_each(each);
    }

    fn each(&self, each: &mut dyn FnMut(&Arc<LiveEntry>)) {
        self.by_value.values().flat_map(HashMap::values).flatten().for_each(&mut *each);
        self.others.iter().for_each(each);
    }
}

impl LiveSubscription {
    pub(crate) fn entry(&self) -> &Arc<LiveEntry> {
        &self.entry
    }
}

impl Drop for LiveSubscription {
    fn drop(&mut self) {
        // Under the lock, so that nobody joins meanwhile.
        let mut index = self.queries.index();
        if self.entry.leave(self.subscription) {
            index.remove(&self.entry);
        }
    }
}
