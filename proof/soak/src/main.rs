//! `tandem-proof-soak`: the soak; as `tandem-proof-soak serve …`, the served
//! process itself.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tandem_proof_soak::run::{Plan, run};

/// As in the `tandem` command, whose memory is measured here.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A served store under mixed and hostile load; its memory must stay flat.
#[derive(Debug, Parser)]
struct Arguments {
    /// How long the load runs.
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// What the clients choose; not how they interleave.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("serve") {
        return tandem_cli::run();
    }
    let Arguments { minutes, seed } = Arguments::parse();
    let program = std::env::current_exe().expect("this program has a path");
    let duration = Duration::from_secs_f64(minutes * 60.0);
    let plan = Plan { program, duration, wanted: &[], seed };
    let report = run(&plan);
    println!("{report}");
    if report.complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
