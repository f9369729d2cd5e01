use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tandem::Store;
use tandem_base::{Error, Result};

use crate::live::SubscriptionStatistics;

/// Counters of this server since its start.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    answered: AtomicU64,
    pushes: AtomicU64,
    cut: AtomicU64,
    errors: Mutex<BTreeMap<&'static str, u64>>,
}

impl Metrics {
    /// A request was answered.
    pub(crate) fn count_request(&self, error: Option<&Error>) {
        self.answered.fetch_add(1, Ordering::Relaxed);
        if let Some(error) = error {
            let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
            *errors.entry(error.code().as_str()).or_default() += 1;
        }
    }

    /// A push was queued.
    pub(crate) fn count_push(&self) {
        self.pushes.fetch_add(1, Ordering::Relaxed);
    }

    /// Subscriptions of a client that does not read were cut.
    pub(crate) fn count_cut(&self, subscriptions: usize) {
        self.cut.fetch_add(subscriptions as u64, Ordering::Relaxed);
    }

    /// The server's part of `/metrics`.
    pub(crate) fn write(&self, out: &mut String) {
        let answered = self.answered.load(Ordering::Relaxed);
        counter(out, "tandem_requests_total", "Requests answered.", answered);
        counter(out, "tandem_pushes_total", "Pushes queued.", self.pushes.load(Ordering::Relaxed));
        counter(
            out,
            "tandem_subscriptions_cut_total",
            "Subscriptions cut because their client did not read.",
            self.cut.load(Ordering::Relaxed),
        );
        head(out, "tandem_request_errors_total", "Error answers by code.", "counter");
        let errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        for (code, count) in errors.iter() {
            let _ = writeln!(out, "tandem_request_errors_total{{code=\"{code}\"}} {count}");
        }
    }
}

/// The subscriptions' part of `/metrics`.
pub(crate) fn write_subscriptions(out: &mut String, figures: &SubscriptionStatistics) {
    let counters = [
        (
            "tandem_pushes_coalesced_total",
            "Pushes replaced by a newer one before they were sent.",
            figures.coalesced,
        ),
        ("tandem_resyncs_total", "Subscriptions ended with a resync.", figures.resyncs),
        (
            "tandem_live_filters_tested_total",
            "Filters of subscribed queries tested against a change.",
            figures.filters_tested,
        ),
        (
            "tandem_live_changes_applied_total",
            "Changes applied to results of subscribed queries.",
            figures.changes_applied,
        ),
        ("tandem_live_queries_run_total", "Subscribed queries run.", figures.queries_run),
        (
            "tandem_live_results_encoded_total",
            "Results of subscribed queries encoded.",
            figures.results_encoded,
        ),
        (
            "tandem_live_queries_shared_total",
            "Subscriptions to a query that had a subscriber already.",
            figures.queries_shared,
        ),
        ("tandem_changes_encoded_total", "Changes encoded.", figures.changes_encoded),
        ("tandem_initial_records_total", "Initial records handed over.", figures.initial_records),
    ];
    for (name, help, value) in counters {
        counter(out, name, help, value);
    }
    let help = "Bytes of kept results of subscribed queries.";
    gauge(out, "tandem_live_kept_bytes", help, figures.kept_bytes);
}

/// The store's part of `/metrics`.
///
/// # Errors
/// `STORAGE_ERROR`, `CLOSED`.
pub(crate) fn write_store(out: &mut String, store: &Store) -> Result<()> {
    let statistics = store.statistics()?;
    let commits = &statistics.commits;
    gauge(out, "tandem_revision", "The newest revision.", statistics.revision);
    let conflicts = [
        ("tandem_commits_total", "Commits that became a revision.", commits.commits),
        ("tandem_commit_groups_total", "Atomic writes of commits.", commits.groups),
        (
            "tandem_write_conflicts_total",
            "Commits refused: a written record had changed.",
            commits.write_conflicts,
        ),
        (
            "tandem_read_conflicts_total",
            "Commits refused: something read had changed.",
            commits.read_conflicts,
        ),
        (
            "tandem_constraint_conflicts_total",
            "Commits refused by a constraint that another commit broke.",
            commits.constraint_conflicts,
        ),
        (
            "tandem_transactions_expired_total",
            "Transactions rolled back by a time limit.",
            commits.expired,
        ),
        ("tandem_lock_waits_total", "Waits for locked records.", commits.lock_waits),
        ("tandem_lock_timeouts_total", "Lock waits that ran out of time.", commits.lock_timeouts),
        (
            "tandem_deadlocks_total",
            "Lock waits refused because they would never end.",
            commits.deadlocks,
        ),
    ];
    for (name, help, value) in conflicts {
        counter(out, name, help, value);
    }
    Ok(())
}

/// Writes a counter in Prometheus text.
pub(crate) fn counter(out: &mut String, name: &str, help: &str, value: u64) {
    head(out, name, help, "counter");
    let _ = writeln!(out, "{name} {value}");
}

/// Writes a gauge in Prometheus text.
pub(crate) fn gauge(out: &mut String, name: &str, help: &str, value: u64) {
    head(out, name, help, "gauge");
    let _ = writeln!(out, "{name} {value}");
}

fn head(out: &mut String, name: &str, help: &str, kind: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}
