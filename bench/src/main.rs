//! `cargo run --release -p tandem-bench`: Tandem beside its peers, on the same
//! work, in the same run.
//!
//! ```text
//! groups/   which lines run together, what is compared     one file per group
//! workload  what a client does in a round
//! ycsb      the mixes A to F, over keys that are not equally popular
//! measure   interleaved rounds of closed-loop clients
//! delivery  commits on their way to those who follow them
//! peers/    how each store does the work                   one file per peer
//! alone     a store in a process of its own
//! process   processor time; peers that are processes
//! data      the records and transfers they all hold
//! report    tables, ratios, JSON, plots, the page
//! ```
//!
//! A new peer is a file that implements `Peer` and `Client`; a new group is a
//! file that implements `Group`; a new kind of step is a `Workload` with, if no
//! peer can do it yet, one more method of `Client`.
//!
//! A server that is measured is this program again, started with `serve` (it is
//! the `tandem` command then) or `loopback`; a store that has a process of its own,
//! with `alone`.

#![expect(clippy::disallowed_methods, reason = "it measures time with threads and files")]

mod alone;
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
mod ycsb;
mod zipfian;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use clap::Parser;
use serde_json::json;

use crate::data::DataSet;
use crate::groups::{Context, Group};
use crate::measure::Plan;
use crate::peer::Result;
use crate::report::{Page, Run};

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
    /// Records of the groups to which size matters: `ordered-page`, `footprint`.
    #[arg(long, default_value_t = 1_000_000)]
    large: usize,
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
    /// Also write the figures into `benchmarks.md` of this folder, with a plot and
    /// the JSON of each group beside it.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "docs")]
    write_docs: Option<PathBuf>,
}

fn main() -> Result<ExitCode> {
    memory::keep_for_reuse();
    match std::env::args().nth(1).as_deref() {
        Some("serve") => Ok(tandem_cli::run()),
        Some("alone") => {
            let arguments: Vec<_> = std::env::args().skip(2).collect();
            alone::serve(&arguments).map(|()| ExitCode::SUCCESS)
        }
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
        arguments.large = 400;
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
    let run = Run {
        command: command(),
        machine: describe_machine(),
        load_before: load(),
        records: data.len(),
        rounds: plan.rounds,
        milliseconds: arguments.milliseconds,
    };
    println!("{}", run.describe());
    // A page that cannot be written is known before hours are spent.
    let mut page = arguments.write_docs.as_deref().map(Page::read).transpose()?;
    let order: Vec<_> = groups::all().iter().map(|group| group.name()).collect();

    let mut reports = Vec::new();
    for group in groups {
        // Removed after each group, however it ends.
        // A server that runs as another user must get to its own below.
        let passable = std::fs::Permissions::from_mode(0o711);
        let directory = tempfile::Builder::new()
            .prefix("tandem-bench")
            .permissions(passable)
            .tempdir_in(&parent)?;
        let context = Context {
            plan: plan.clone(),
            data,
            large: DataSet::new(arguments.large),
            many: arguments.clients,
            subscribers: arguments.subscribers,
            root: directory.path().to_owned(),
            opened: AtomicUsize::new(0),
        };
        let report = group.run(&context)?;
        println!("{}", report.to_text());
        if let Some(page) = &mut page {
            page.put(&report, &run)?;
            page.write(&order)?;
        }
        reports.push(report.to_json());
    }
    if let Some(path) = arguments.json {
        let run = json!({
            "run": run.to_json(),
            "manyClients": arguments.clients,
            "subscribers": arguments.subscribers,
            "smoke": arguments.smoke,
            "groups": reports,
        });
        std::fs::write(path, serde_json::to_string_pretty(&run)?)?;
    }
    Ok(())
}

/// This command, as a person would type it.
fn command() -> String {
    let arguments = std::env::args().skip(1).map(|argument| {
        if argument.contains([' ', '\'']) { format!("\"{argument}\"") } else { argument }
    });
    let command = ["cargo run --release -p tandem-bench --".to_owned()];
    command.into_iter().chain(arguments).collect::<Vec<_>>().join(" ")
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
