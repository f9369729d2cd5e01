use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! statistics {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counters of the commit pipeline since the store was opened.
        #[derive(Debug, Default)]
        pub struct Statistics { $($(#[$doc])* pub(crate) $name: AtomicU64,)* }

        /// The counters at one moment.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct StatisticsSnapshot { $($(#[$doc])* pub $name: u64,)* }

        impl Statistics {
            /// Reads every counter.
            #[must_use]
            pub fn snapshot(&self) -> StatisticsSnapshot {
                StatisticsSnapshot { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }
    };
}

statistics! {
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
}

impl Statistics {
    pub(crate) fn add(counter: &AtomicU64, by: u64) {
        counter.fetch_add(by, Ordering::Relaxed);
    }
}
