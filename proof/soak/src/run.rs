//! One soak from start to verdict.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinSet;

use crate::client::{self, in_time};
use crate::load::{self, ACCOUNTS, BALANCE, Did, World};
use crate::sample::Sample;
use crate::served::Served;
use crate::verdict::{FILES, MEMORY};

/// What to run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The program whose `serve` is the server.
    pub program: PathBuf,
    /// How long the load runs, if all of this was done by then.
    pub duration: Duration,
    pub wanted: &'static [Did],
    pub seed: u64,
}

/// What was seen.
#[derive(Debug)]
pub struct Report {
    pub samples: Vec<Sample>,
    pub world: Arc<World>,
    pub complaints: Vec<String>,
    pub memory: (u64, u64, bool),
    pub files: (u64, u64, bool),
}

/// Runs it.
///
/// # Panics
/// When the server dies or hangs, or a client is answered what cannot be.
#[must_use]
pub fn run(plan: &Plan) -> Report {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(soak(plan))
}

async fn soak(plan: &Plan) -> Report {
    let directory = tempfile::tempdir().expect("a directory");
    let served = Served::start(&plan.program, directory.path()).await;
    let world = Arc::new(World::new(served.address, plan.duration, plan.wanted));
    load::prepare(&world).await;
    let mut tasks = JoinSet::new();
    load::start(&world, plan.seed, &mut tasks);
    let start = Instant::now();
    let pause = (plan.duration / 120).clamp(Duration::from_millis(100), Duration::from_secs(5));
    let mut samples = Vec::new();
    while world.goes_on() {
        samples.push(Sample::take(&served, start).await);
        tokio::time::sleep(pause).await;
    }
    world.stop();
    while let Some(ended) = tasks.join_next().await {
        ended.expect("no client was answered what cannot be");
    }
    let mut complaints = invariants(&world).await;
    let memory = MEMORY.judge(&samples, |sample| sample.resident_kib);
    let files = FILES.judge(&samples, |sample| sample.open_files);
    samples.push(Sample::take(&served, start).await);
    if !memory.2 {
        complaints.push(format!("memory grew from {} to {} KiB", memory.0, memory.1));
    }
    if !files.2 {
        complaints.push(format!("open files grew from {} to {}", files.0, files.1));
    }
    if !served.stop().await {
        complaints.push("the server did not end with code 0".to_owned());
    }
    Report { samples, world, complaints, memory, files }
}

/// What must be true of the data, and of what the server holds, at the end.
async fn invariants(world: &World) -> Vec<String> {
    let mut complaints = world.take_complaints();
    let client = client::connect(world.address).await.expect("the server accepts");
    let ask = async |kind: &str, fields| in_time(client.request(kind, fields)).await.expect(kind);
    let sum = ask("store.sum", json!({ "bucket": "accounts", "field": "balance" })).await;
    if sum != json!(ACCOUNTS * BALANCE) {
        complaints.push(format!("the bank has {sum} instead of {}", ACCOUNTS * BALANCE));
    }
    let counted = ask("store.get", json!({ "bucket": "counters", "key": 1 })).await;
    let (low, high) = world.counter_bounds();
    if !counted["n"].as_u64().is_some_and(|n| (low..=high).contains(&n)) {
        complaints.push(format!("the counter is {} instead of {low} to {high}", counted["n"]));
    }
    let check = ask("store.check", json!({})).await;
    for figure in ["missing", "dangling", "wrongCounts"] {
        if check[figure] != 0 {
            complaints.push(format!("check found: {check}"));
        }
    }
    // Everybody but this client has left; the server may still be noticing.
    for _ in 0..600 {
        let stats = ask("server.stats", json!({})).await;
        let left = [
            &stats["connections"]["active"],
            &stats["connections"]["totalStoreSubscriptions"],
            &stats["transactions"]["open"],
        ];
        if left == [&json!(1), &json!(0), &json!(0)] {
            return complaints;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    complaints.push("connections, subscriptions or transactions outlive their clients".to_owned());
    complaints
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.samples.last().expect("samples");
        writeln!(f, "{:.0} s of load, {} samples", last.at.as_secs_f64(), self.samples.len())?;
        let every = (self.samples.len() / 12).max(1);
        writeln!(
            f,
            "{:>7} {:>9} {:>6} {:>8} {:>8} {:>9}",
            "s", "RSS KiB", "files", "sockets", "commits", "store KiB"
        )?;
        for sample in self.samples.iter().step_by(every) {
            writeln!(
                f,
                "{:>7.0} {:>9} {:>6} {:>8} {:>8} {:>9.0}",
                sample.at.as_secs_f64(),
                sample.resident_kib,
                sample.open_files,
                sample.metric("tandem_connections"),
                sample.metric("tandem_commits_total"),
                sample.metric("tandem_store_bytes") / 1024.0,
            )?;
        }
        for name in [
            "tandem_requests_total",
            "tandem_commits_total",
            "tandem_conflicts_total",
            "tandem_retries_total",
            "tandem_pushes_total",
            "tandem_pushes_coalesced_total",
            "tandem_resyncs_total",
            "tandem_connections_opened_total",
            "tandem_connections_closed_total",
            "tandem_transactions_expired_total",
            "tandem_received_bytes_total",
            "tandem_sent_bytes_total",
        ] {
            writeln!(f, "{name} {:.0}", last.metric(name))?;
        }
        write!(f, "{}", self.world)?;
        let peak = self.samples.iter().map(|sample| sample.resident_kib).max().unwrap_or_default();
        writeln!(
            f,
            "memory: median {} KiB in the second quarter, {} KiB in the last, peak {peak} KiB",
            self.memory.0, self.memory.1
        )?;
        writeln!(
            f,
            "open files: median {} in the second quarter, {} in the last",
            self.files.0, self.files.1
        )?;
        if self.complaints.is_empty() {
            return write!(f, "flat and whole");
        }
        for complaint in &self.complaints {
            writeln!(f, "COMPLAINT: {complaint}")?;
        }
        Ok(())
    }
}
