use std::sync::atomic::{AtomicU64, Ordering};

use tandem_base::{Histogram, HistogramSnapshot};

macro_rules! statistics {
    (
        counters { $($(#[$counter_doc:meta])* $counter:ident,)* }
        histograms { $($(#[$histogram_doc:meta])* $histogram:ident,)* }
    ) => {
        /// What the transactions of a store have done since it was opened.
        #[derive(Debug, Default)]
        pub struct Statistics {
            $($(#[$counter_doc])* pub(crate) $counter: AtomicU64,)*
            $($(#[$histogram_doc])* pub(crate) $histogram: Histogram,)*
        }

        /// The counters at one moment.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct StatisticsSnapshot { $($(#[$counter_doc])* pub $counter: u64,)* }

        /// The histograms at one moment. Durations are in nanoseconds.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Timings { $($(#[$histogram_doc])* pub $histogram: HistogramSnapshot,)* }

        impl Statistics {
            /// Reads every counter.
            #[must_use]
            pub fn snapshot(&self) -> StatisticsSnapshot {
                StatisticsSnapshot { $($counter: self.$counter.load(Ordering::Relaxed),)* }
            }

            /// Reads every histogram.
            #[must_use]
            pub fn timings(&self) -> Timings {
                Timings { $($histogram: self.$histogram.snapshot(),)* }
            }
        }
    };
}

statistics! { counters {
    /// Transactions begun.
    begun,
    /// Commits that became a revision.
    commits,
    /// Commits refused because something written had changed.
    write_conflicts,
    /// Commits refused because something read had changed.
    read_conflicts,
    /// Commits refused by a constraint that another commit broke.
    constraint_conflicts,
    /// Commits refused because their begin revision is no longer remembered.
    too_old,
    /// Atomic writes; commits divided by groups is the mean group size.
    groups,
    /// Transactions rolled back by a time limit.
    expired,
    /// Lock waits.
    lock_waits,
    /// Lock waits that ran out of time.
    lock_timeouts,
    /// Lock waits refused because they would never end.
    deadlocks,
    /// Transactions that were run again by the store after a conflict.
    retries,
} histograms {
    /// How long transactions were open, from the begin to the end, however they
    /// ended. Reads that need no transaction of their own do not count.
    transaction_time,
    /// How long commits took, from the request to the answer, refusals included.
    commit_time,
    /// How long the engine took to write a group.
    write_time,
    /// How long the engine took to sync the groups that were written.
    sync_time,
    /// Commits in one group.
    group_size,
} }

impl Statistics {
    /// Counts a transaction that is run again after a conflict.
    pub fn count_retry(&self) {
        Self::add(&self.retries, 1);
    }

    pub(crate) fn add(counter: &AtomicU64, by: u64) {
        counter.fetch_add(by, Ordering::Relaxed);
    }
}
