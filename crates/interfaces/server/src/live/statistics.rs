use std::sync::atomic::{AtomicU64, Ordering};

/// What subscriptions have cost since the server was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubscriptionStatistics {
    /// Filters tested against a change, once per distinct query that the
    /// change's bucket and values did not rule out.
    pub filters_tested: u64,
    /// Changes that matched and were applied to a kept result.
    pub changes_applied: u64,
    /// Queries run: the first time, and whenever applying was not enough.
    pub queries_run: u64,
    /// Results encoded; each is shared by all subscribers of its query.
    pub results_encoded: u64,
    /// Subscriptions that joined a query which somebody had subscribed to.
    pub queries_shared: u64,
    /// Changes encoded for subscriptions to changes; each once, however many
    /// get it.
    pub changes_encoded: u64,
    /// Records handed over as initial ones.
    pub initial_records: u64,
    /// Pushes queued.
    pub pushes: u64,
    /// Pushes replaced by a newer one before they were sent.
    pub coalesced: u64,
    /// Subscriptions ended with a resync.
    pub resyncs: u64,
    /// Bytes of results kept now.
    pub kept_bytes: u64,
}

macro_rules! counters {
    ($($name:ident),*) => {
        /// The counters behind [`SubscriptionStatistics`].
        #[derive(Debug, Default)]
        pub(crate) struct Counters { $(pub(crate) $name: Counter),* }

        impl Counters {
            pub(crate) fn read(&self) -> SubscriptionStatistics {
                SubscriptionStatistics { $($name: self.$name.value(),)* kept_bytes: 0 }
            }
        }
    };
}

counters!(
    filters_tested,
    changes_applied,
    queries_run,
    results_encoded,
    queries_shared,
    changes_encoded,
    initial_records,
    pushes,
    coalesced,
    resyncs
);

/// Counts up.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, more: usize) {
        self.0.fetch_add(more as u64, Ordering::Relaxed);
    }

    pub(crate) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
