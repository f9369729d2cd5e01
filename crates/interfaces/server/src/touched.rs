//! Which buckets the commits so far have touched, for all subscriptions at
//! once.
//!
//! Each bucket has the newest revision that changed it. A query that was
//! evaluated at revision R is due again when its bucket's revision is above R.
//! So a commit costs one map entry per bucket however many clients subscribe,
//! and a client that is slow simply compares later: nothing queues.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Touched {
    state: Mutex<State>,
    newest: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    buckets: HashMap<Arc<str>, u64>,
    /// Definitions changed, or it is not known what did: everything is due.
    everything: u64,
}

impl Touched {
    pub(crate) fn new(revision: u64) -> Self {
        Self { state: Mutex::default(), newest: AtomicU64::new(revision) }
    }

    /// A commit touched these buckets.
    pub(crate) fn commit<'a>(&self, revision: u64, buckets: impl Iterator<Item = &'a Arc<str>>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut last: Option<&Arc<str>> = None;
        for bucket in buckets {
            // Changes of one bucket tend to come together.
            if last.is_some_and(|last| last == bucket) {
                continue;
            }
            last = Some(bucket);
            if let Some(newest) = state.buckets.get_mut(bucket) {
                *newest = revision;
            } else {
                state.buckets.insert(bucket.clone(), revision);
            }
        }
    }

    /// Anything may have changed up to `revision`.
    pub(crate) fn everything(&self, revision: u64) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).everything = revision;
    }

    /// Everything up to `revision` has been noted.
    pub(crate) fn publish(&self, revision: u64) {
        self.newest.store(revision, Ordering::Release);
    }

    /// Whether `bucket` may have changed after `revision`.
    pub(crate) fn since(&self, bucket: &str, revision: u64) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.everything > revision
            || state.buckets.get(bucket).is_some_and(|newest| *newest > revision)
    }

    /// The newest revision that is noted.
    pub(crate) fn newest(&self) -> u64 {
        self.newest.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_touched_buckets_are_due_and_definitions_make_everything_due() {
        let touched = Touched::new(5);
        touched.commit(6, [Arc::from("a"), Arc::from("a"), Arc::from("b")].iter());
        assert!(touched.since("a", 5) && touched.since("b", 5));
        assert!(!touched.since("a", 6) && !touched.since("c", 5));
        touched.everything(7);
        assert!(touched.since("c", 6) && !touched.since("c", 7));
    }
}
