//! Who follows what: which subscriptions to changes a commit concerns.
//!
//! ```text
//! change ──bucket?──> nobody there: nobody is rung
//!            │
//!            ├─ {group: "a"} ─┐ by the value of one field, before and after:
//!            ├─ {id: 7}       ┤ found in a map, however many there are
//!            └─ all others ───┴──> rung, and test for themselves
//! ```
//! Who is not rung for a commit has nothing in it, and moves on without looking
//! ([`Doorbell::ring_since`]). So a commit costs those that it concerns.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tandem_record::filter::Filter;
use tandem_record::row::Row;
use tandem_transaction::{Change, Commit};

use crate::doorbell::Doorbell;
use crate::live::{Equality, candidates};

/// Subscriptions to changes, by what they are about.
#[derive(Debug, Default)]
pub(crate) struct Followers(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    by_bucket: HashMap<String, OfBucket>,
    of_all: OfBucket,
}

/// The followers of one bucket, or of all.
#[derive(Debug, Default)]
struct OfBucket {
    /// Field → value → those whose matches all have that value there.
    by_value: HashMap<String, HashMap<Vec<u8>, Doorbells>>,
    others: Doorbells,
}

type Doorbells = BTreeMap<u64, Arc<Doorbell>>;

/// One subscription's place; dropping it leaves.
#[derive(Debug)]
pub(crate) struct Following {
    followers: Arc<Followers>,
    buckets: Vec<String>,
    equality: Option<Equality>,
    subscription: u64,
}

impl Followers {
    /// Rings `doorbell` for commits that may change records of these buckets, or
    /// of any if there are none, which `filter` lets through before or after.
    pub(crate) fn join(
        self: &Arc<Self>,
        buckets: Vec<String>,
        filter: Option<&Filter>,
        subscription: u64,
        doorbell: &Arc<Doorbell>,
    ) -> Following {
        let equality = Equality::of(filter);
        let mut state = self.state();
        state.each(&buckets, &mut |followers| {
            followers.add(equality.as_ref(), subscription, doorbell);
        });
        Following { followers: self.clone(), buckets, equality, subscription }
    }

    /// There was a commit. Cost: a look-up per change, and the rings.
    pub(crate) fn commit(&self, commit: &Commit) {
        let state = self.state();
        let mut last = None;
        for change in &commit.changes {
            // Changes of one bucket tend to come together.
            let again = last == Some(&change.bucket);
            last = Some(&change.bucket);
            if let Some(followers) = state.by_bucket.get(&*change.bucket) {
                followers.ring(commit.revision, change, again);
            }
            if !change.bucket.starts_with('_') {
                state.of_all.ring(commit.revision, change, again);
            }
        }
    }

    /// A bucket was dropped: that concerns its followers, whatever their filters.
    pub(crate) fn dropped(&self, bucket: &str) {
        let state = self.state();
        state.by_bucket.get(bucket).into_iter().for_each(OfBucket::ring_all);
        state.of_all.ring_all();
    }

    /// Anything may have happened.
    pub(crate) fn ring_all(&self) {
        let state = self.state();
        state.by_bucket.values().for_each(OfBucket::ring_all);
        state.of_all.ring_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn each(&mut self, buckets: &[String], with: &mut dyn FnMut(&mut OfBucket)) {
        if buckets.is_empty() {
            with(&mut self.of_all);
        }
        for bucket in buckets {
            let followers = self.by_bucket.entry(bucket.clone()).or_default();
            with(followers);
            if followers.is_empty() {
                self.by_bucket.remove(bucket);
            }
        }
    }
}

impl OfBucket {
    fn add(&mut self, equality: Option<&Equality>, subscription: u64, doorbell: &Arc<Doorbell>) {
        let Some(Equality { field, values }) = equality else {
            self.others.insert(subscription, doorbell.clone());
            return;
        };
        let by_value = self.by_value.entry(field.clone()).or_default();
        for value in values {
            by_value.entry(value.clone()).or_default().insert(subscription, doorbell.clone());
        }
    }

    fn remove(&mut self, equality: Option<&Equality>, subscription: u64) {
        let Some(Equality { field, values }) = equality else {
            self.others.remove(&subscription);
            return;
        };
        let Some(by_value) = self.by_value.get_mut(field) else { return };
        for value in values {
            if let Some(doorbells) = by_value.get_mut(value) {
                doorbells.remove(&subscription);
                if doorbells.is_empty() {
                    by_value.remove(value);
                }
            }
        }
        if by_value.is_empty() {
            self.by_value.remove(field);
        }
    }

    fn is_empty(&self) -> bool {
        self.by_value.is_empty() && self.others.is_empty()
    }

    /// Rings those whom a change may concern; `again` says that those whom any
    /// change concerns were rung for this commit.
    fn ring(&self, revision: u64, change: &Change, again: bool) {
        if !again {
            ring(&self.others, revision);
        }
        if self.by_value.is_empty() {
            return;
        }
        for side in [&change.before, &change.after].into_iter().flatten() {
            let Ok(row) = Row::from_stored(side.clone()) else {
                // Whoever reads it will say what is wrong with it.
                return self.ring_all();
            };
            for (field, by_value) in &self.by_value {
                candidates(&row, field, &mut |value| {
                    if let Some(doorbells) = by_value.get(&value) {
                        ring(doorbells, revision);
                    }
                });
            }
        }
    }

    fn ring_all(&self) {
        ring(&self.others, 0);
        for doorbells in self.by_value.values().flat_map(HashMap::values) {
            ring(doorbells, 0);
        }
    }
}

fn ring(doorbells: &Doorbells, revision: u64) {
    for (subscription, doorbell) in doorbells {
        doorbell.ring_since(*subscription, revision);
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let Self { followers, buckets, equality, subscription } = self;
        followers.state().each(buckets, &mut |of_bucket| {
            of_bucket.remove(equality.as_ref(), *subscription);
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tandem_record::{Metadata, Position};

    use super::*;

    fn row(fields: &Value) -> bytes::Bytes {
        let position = Position { revision: 1, ordinal: 0 };
        let metadata = Metadata { version: 1, created_at: 1, updated_at: 1, position };
        let row = Row::encode(fields.as_object().expect("an object"), metadata).expect("a row");
        row.bytes().clone()
    }

    fn commit(revision: u64, bucket: &str, before: Option<Value>, after: Option<Value>) -> Commit {
        let (before, after) = (before.as_ref().map(row), after.as_ref().map(row));
        let change = Change { bucket: bucket.into(), key: "k".into(), before, after };
        Commit { revision, timestamp: 0, changes: vec![change] }
    }

    fn filter(filter: Value) -> Filter {
        Filter::parse(&filter).expect("a filter")
    }

    #[test]
    fn a_commit_rings_those_that_it_matches_of_100_000() {
        let (followers, doorbell) = (Arc::new(Followers::default()), Arc::default());
        let mut places = Vec::new();
        for n in 0..100_000 {
            let filter = filter(json!({ "group": n / 10 }));
            places.push(followers.join(vec!["b".into()], Some(&filter), n, &doorbell));
        }
        followers.commit(&commit(7, "b", None, Some(json!({ "group": 1234 }))));
        let rung = doorbell.take();
        assert!(rung.keys().copied().eq(12_340..12_350) && rung.values().all(|first| *first == 7));
        // What a record was concerns as much as what it is.
        let (before, after) = (json!({ "group": 5 }), json!({ "group": 6 }));
        followers.commit(&commit(8, "b", Some(before), Some(after)));
        assert!(doorbell.take().into_keys().eq(50..70));
        followers.commit(&commit(9, "other", None, Some(json!({ "group": 5 }))));
        assert!(doorbell.take().is_empty());
        followers.dropped("b");
        assert_eq!(doorbell.take().len(), 100_000);
        drop(places);
        followers.commit(&commit(10, "b", None, Some(json!({ "group": 5 }))));
        assert!(doorbell.take().is_empty());
        assert!(followers.state().by_bucket.is_empty(), "nothing is left of who has left");
    }

    #[test]
    fn filters_without_an_equality_and_followers_of_all_buckets_are_rung() {
        let (followers, doorbell) = (Arc::new(Followers::default()), Arc::default());
        let at_least = filter(json!({ "n": { "$gte": 5 } }));
        let equal = filter(json!({ "n": 5 }));
        let _places = [
            followers.join(vec!["b".into()], Some(&at_least), 1, &doorbell),
            followers.join(vec![], None, 2, &doorbell),
            followers.join(vec![], Some(&equal), 3, &doorbell),
            followers.join(vec!["b".into(), "c".into()], Some(&equal), 4, &doorbell),
        ];
        let rung = |bucket: &str, n: i64| {
            followers.commit(&commit(1, bucket, None, Some(json!({ "n": n }))));
            doorbell.take().into_keys().collect::<Vec<_>>()
        };
        assert_eq!(rung("b", 5), [1, 2, 3, 4]);
        assert_eq!(rung("b", 1), [1, 2]);
        assert_eq!(rung("c", 5), [2, 3, 4]);
        assert_eq!(rung("_buckets", 5), [0_u64; 0], "the system's are nobody's");
    }
}
