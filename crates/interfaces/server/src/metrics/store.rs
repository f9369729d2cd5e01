use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use tandem::StoreStatistics;

use crate::metrics::page::Page;

/// The store's figures at one moment.
#[derive(Debug)]
pub(super) struct StoreFigures(pub(super) StoreStatistics);

impl Collector for StoreFigures {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        let figures = &self.0;
        page.gauge("tandem_revision", "The newest revision", figures.revision)?;
        page.gauge(
            "tandem_active_transactions",
            "Transactions that are open, those of single requests included",
            figures.open_transactions as u64,
        )?;
        page.gauge(
            "tandem_lock_waiters",
            "Transactions that wait for a locked record",
            figures.lock_waiters as u64,
        )?;
        page.seconds(
            "tandem_oldest_transaction_seconds",
            "How long the transaction with the oldest snapshot has been open",
            figures.oldest_transaction.unwrap_or_default().as_secs_f64(),
        )?;
        page.gauge(
            "tandem_store_bytes",
            "Roughly how many bytes the data takes",
            figures.bytes.unwrap_or_default(),
        )?;
        let records = figures.buckets.iter().map(|bucket| bucket.records).sum();
        page.gauge("tandem_records", "Records in all buckets", records)?;
        page.gauge(
            "tandem_index_builds",
            "Indexes that are being built",
            figures.index_builds as u64,
        )?;
        self.commits(&mut page)?;
        self.timings(&mut page)
    }
}

impl StoreFigures {
    fn commits(&self, page: &mut Page<'_>) -> fmt::Result {
        let commits = &self.0.commits;
        page.counter("tandem_transactions", "Transactions begun", commits.begun)?;
        page.counter("tandem_commits", "Commits that became a revision", commits.commits)?;
        page.counter("tandem_commit_groups", "Atomic writes of commits", commits.groups)?;
        page.labelled(
            "tandem_conflicts",
            "Commits refused because of another transaction",
            "kind",
            &[
                ("write", commits.write_conflicts),
                ("read", commits.read_conflicts),
                ("constraint", commits.constraint_conflicts),
                ("too_old", commits.too_old),
            ],
        )?;
        page.counter(
            "tandem_retries",
            "Transactions that were run again after a conflict",
            commits.retries,
        )?;
        page.counter(
            "tandem_transactions_expired",
            "Transactions rolled back by a time limit",
            commits.expired,
        )?;
        page.counter("tandem_lock_waits", "Waits for locked records", commits.lock_waits)?;
        page.counter(
            "tandem_lock_timeouts",
            "Lock waits that ran out of time",
            commits.lock_timeouts,
        )?;
        page.counter(
            "tandem_deadlocks",
            "Lock waits refused because they would never end",
            commits.deadlocks,
        )
    }

    fn timings(&self, page: &mut Page<'_>) -> fmt::Result {
        let timings = &self.0.timings;
        page.durations(
            "tandem_transaction_seconds",
            "Time from a transaction's begin to its end",
            &timings.transaction_time,
        )?;
        page.durations(
            "tandem_commit_seconds",
            "Time from a commit's request to its answer",
            &timings.commit_time,
        )?;
        page.durations("tandem_write_seconds", "Time to write a group", &timings.write_time)?;
        page.durations(
            "tandem_sync_seconds",
            "Time to sync the groups that were written",
            &timings.sync_time,
        )?;
        page.histogram(
            "tandem_commit_group_size",
            "Commits in one group",
            &timings.group_size,
            1..=10,
            1.0,
        )
    }
}
