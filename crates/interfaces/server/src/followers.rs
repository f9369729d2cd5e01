use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::doorbell::Doorbell;

/// Subscriptions to changes, by the buckets that they are about.
#[derive(Debug, Default)]
pub(crate) struct Followers(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    by_bucket: HashMap<String, Doorbells>,
    of_all: Doorbells,
}

type Doorbells = BTreeMap<u64, Arc<Doorbell>>;

/// One subscription's place; dropping it leaves.
#[derive(Debug)]
pub(crate) struct Following {
    followers: Arc<Followers>,
    buckets: Vec<String>,
    subscription: u64,
}

impl Followers {
    /// Rings `doorbell` for commits that touch one of these buckets, or any if
    /// there are none.
    pub(crate) fn join(
        self: &Arc<Self>,
        buckets: Vec<String>,
        subscription: u64,
        doorbell: &Arc<Doorbell>,
    ) -> Following {
        let mut state = self.state();
        if buckets.is_empty() {
            state.of_all.insert(subscription, doorbell.clone());
        }
        for bucket in &buckets {
            let doorbells = state.by_bucket.entry(bucket.clone()).or_default();
            doorbells.insert(subscription, doorbell.clone());
        }
        Following { followers: self.clone(), buckets, subscription }
    }

    /// A commit touched these buckets.
    pub(crate) fn ring<'a>(&self, buckets: impl Iterator<Item = &'a str>) {
        let state = self.state();
        let (mut last, mut concerns_all) = (None, false);
        for bucket in buckets {
            // Changes of one bucket tend to come together.
            if last == Some(bucket) {
                continue;
            }
            last = Some(bucket);
            concerns_all |= !bucket.starts_with('_');
            if let Some(doorbells) = state.by_bucket.get(bucket) {
                ring(doorbells);
            }
        }
        if concerns_all {
            ring(&state.of_all);
        }
    }

    /// Anything may have happened.
    pub(crate) fn ring_all(&self) {
        let state = self.state();
        state.by_bucket.values().for_each(ring);
        ring(&state.of_all);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ring(doorbells: &Doorbells) {
    for (subscription, doorbell) in doorbells {
        doorbell.ring(*subscription);
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let mut state = self.followers.state();
        state.of_all.remove(&self.subscription);
        for bucket in &self.buckets {
            if let Some(doorbells) = state.by_bucket.get_mut(bucket) {
                doorbells.remove(&self.subscription);
                if doorbells.is_empty() {
                    state.by_bucket.remove(bucket);
                }
            }
        }
    }
}
