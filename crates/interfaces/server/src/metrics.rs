use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tandem_base::Error;

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
        counter(
            out,
            "tandem_pushes_total",
            "Pushes queued.",
            self.pushes.load(Ordering::Relaxed),
        );
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
