//! `cargo run --release -p tandem-bench`: Tandem beside its peers, on the same
//! work, in the same run.
//!
//! ```text
//! groups/   which lines run together, what is compared     one file per group
//! workload  what a client does in a round
//! measure   interleaved rounds of closed-loop clients
//! delivery  commits on their way to those who follow them
//! peers/    how each store does the work                   one file per peer
//! process   processor time; peers that are processes
//! data      the records and transfers they all hold
//! report    tables, ratios, JSON
//! ```
//!
//! A new peer is a file that implements `Peer` and `Client`; a new group is a
//! file that implements `Group`; a new kind of step is a `Workload` with, if no
//! peer can do it yet, one more method of `Client`.
//!
//! A server that is measured is this program again, started with `serve` (it is
//! the `tandem` command then) or `loopback`.

#![expect(clippy::disallowed_methods, reason = "it measures time with threads and files")]

mod data;
mod delivery;
mod groups;
mod measure;
/// As in the `tandem` command; for everything here that is Rust.
#[path = "../../crates/interfaces/cli/src/memory.rs"]
mod memory;
mod peer;
mod peers;
mod process;
mod random;
mod relay;
mod report;
mod slow_disk;
mod statistics;
mod workload;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use serde_json::json;

use crate::data::DataSet;
use crate::groups::{Context, Group};
use crate::measure::Plan;
use crate::peer::Result;

/// Measures Tandem beside its peers.
#[derive(Parser)]
struct Arguments {
    /// The groups to run; all when none is named; a wrong name lists them.
    groups: Vec<String>,
    /// Tiny sizes: shows in a few seconds that everything still runs.
    #[arg(long)]
    smoke: bool,
    /// Rounds per line, after one of warm-up.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Milliseconds per round.
    #[arg(long, default_value_t = 1_000)]
    milliseconds: u64,
    /// Records loaded before measuring.
    #[arg(long, default_value_t = 100_000)]
    records: usize,
    /// Clients of the lines with many.
    #[arg(long, default_value_t = 64)]
    clients: usize,
    /// Those who follow the changes of a server.
    #[arg(long, default_value_t = 1_000)]
    subscribers: usize,
    /// Measure only the lines of this name, for example to profile them; may be
    /// given several times.
    #[arg(long)]
    only: Vec<String>,
    /// Where the stores lie while they are measured; by default below the
    /// system's directory for temporary files. It must be a real disk.
    #[arg(long)]
    directory: Option<PathBuf>,
    /// Also write all figures to this file, as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

fn main() -> Result<ExitCode> {
    memory::keep_for_reuse();
    match std::env::args().nth(1).as_deref() {
        Some("serve") => Ok(tandem_cli::run()),
        Some("loopback") => peers::loopback::serve().map(|()| ExitCode::SUCCESS),
        _ => run().map(|()| ExitCode::SUCCESS),
    }
}

fn run() -> Result<()> {
    let mut arguments = Arguments::parse();
    if arguments.smoke {
        arguments.rounds = 1;
        arguments.milliseconds = 20;
        arguments.records = 400;
        arguments.clients = 4;
        arguments.subscribers = 20;
    }
    let groups = choose(&arguments.groups)?;
    let parent = arguments.directory.clone().unwrap_or_else(std::env::temp_dir);
    std::fs::create_dir_all(&parent)?;
    let plan = Plan {
        rounds: arguments.rounds,
        round: Duration::from_millis(arguments.milliseconds),
        only: arguments.only,
    };
    let data = DataSet::new(arguments.records);
    let (machine, load_before) = (describe_machine(), load());
    println!(
        "{machine}; {} records, {} rounds of {} ms per line, taking turns; load before {}",
        data.len(),
        plan.rounds,
        arguments.milliseconds,
        load_before.map_or_else(|| "unknown".to_owned(), |load| load.to_string())
    );

    let mut reports = Vec::new();
    for group in groups {
        // Removed after each group, however it ends.
        let directory = tempfile::Builder::new().prefix("tandem-bench").tempdir_in(&parent)?;
        let path = directory.path().to_owned();
        let Arguments { clients, subscribers, .. } = arguments;
        let report = group.run(&Context::new(plan.clone(), data, clients, subscribers, path))?;
        println!("{}", report.to_text());
        reports.push(report.to_json());
    }
    if let Some(path) = arguments.json {
        let run = json!({
            "machine": machine,
            "loadBefore": load_before,
            "records": data.len(),
            "rounds": plan.rounds,
            "millisecondsPerRound": arguments.milliseconds,
            "manyClients": arguments.clients,
            "subscribers": arguments.subscribers,
            "smoke": arguments.smoke,
            "groups": reports,
        });
        std::fs::write(path, serde_json::to_string_pretty(&run)?)?;
    }
    Ok(())
}

fn choose(names: &[String]) -> Result<Vec<Box<dyn Group>>> {
    let all = groups::all();
    let known: Vec<_> = all.iter().map(|group| group.name()).collect();
    if let Some(name) = names.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(format!("no group {name:?}; there are {}", known.join(", ")).into());
    }
    let wanted = |group: &dyn Group| names.is_empty() || names.iter().any(|n| n == group.name());
    Ok(all.into_iter().filter(|group| wanted(&**group)).collect())
}

fn describe_machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{} {}, {cores} cores", std::env::consts::OS, std::env::consts::ARCH)
}

/// What else the machine was doing: the load average over the last minute, which
/// on an idle machine is that of the measurement itself.
fn load() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    text.split_whitespace().next()?.parse().ok()
}
