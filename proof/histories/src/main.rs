//! Runs histories and has them judged; see the crate's README.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use tandem::Isolation;
use tandem_proof_histories::assess::assess;
use tandem_proof_histories::edn;
use tandem_proof_histories::history::Model;
use tandem_proof_histories::run::{Outcome, Place, Plan, run};

/// Concurrent transactions under faults, judged by independent checkers.
#[derive(Debug, Parser)]
struct Arguments {
    /// Transactions per level.
    #[arg(long, default_value_t = 10_000)]
    transactions: u64,
    /// One level only: `read committed`, `snapshot` or `serializable`.
    #[arg(long)]
    level: Option<String>,
    /// What the transactions are; not how the threads interleave.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where to leave the histories, in EDN, for Elle.
    #[arg(long, value_name = "DIR")]
    edn: Option<PathBuf>,
    /// Concurrent clients.
    #[arg(long, default_value_t = 12)]
    clients: u64,
}

/// Each part of the transactions, in hundredths.
const PARTS: [(Model, Place, u64); 4] = [
    (Model::Lists, Place::Faults, 60),
    (Model::Registers, Place::Faults, 25),
    (Model::Lists, Place::Disk, 10),
    (Model::Lists, Place::WebSocket, 5),
];

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let levels = [Isolation::ReadCommitted, Isolation::Snapshot, Isolation::Serializable];
    let chosen =
        |level: &Isolation| arguments.level.as_deref().is_none_or(|name| level.as_str() == name);
    let mut failed = false;
    for level in levels.into_iter().filter(chosen) {
        for (model, place, hundredths) in PARTS {
            let transactions = arguments.transactions * hundredths / 100;
            let (clients, seed) = (arguments.clients, arguments.seed);
            let outcome = run(Plan { model, level, place, transactions, clients, seed });
            if let Some(directory) = &arguments.edn {
                export(directory, &outcome);
            }
            match assess(&outcome) {
                Ok(line) => println!("{line}"),
                Err(complaints) => {
                    println!("FAILED {complaints}");
                    failed = true;
                }
            }
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

#[expect(clippy::disallowed_methods, reason = "a person wants the files")]
fn export(directory: &PathBuf, outcome: &Outcome) {
    let Plan { level, model, place, .. } = outcome.plan;
    let level = level.as_str().replace(' ', "-");
    let name = format!("{level}-{model:?}-{place:?}.edn").to_lowercase();
    let written = std::fs::create_dir_all(directory)
        .and_then(|()| std::fs::write(directory.join(&name), edn::text(&outcome.history)));
    written.unwrap_or_else(|error| panic!("{name} cannot be written: {error}"));
}
