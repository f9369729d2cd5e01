//! The short form: some thousand transactions per level, under faults.
//!
//! `HISTORY_SEED=n` plans other transactions, `HISTORY_TRANSACTIONS=n` more.

use tandem::Isolation;
use tandem_proof_histories::assess::assess;
use tandem_proof_histories::history::Model;
use tandem_proof_histories::run::{Place, Plan, run};

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn level_is_exact(level: Isolation) {
    let (seed, transactions) = (number("HISTORY_SEED", 1), number("HISTORY_TRANSACTIONS", 2_000));
    for (model, place, transactions) in [
        (Model::Lists, Place::Faults, transactions),
        (Model::Registers, Place::Faults, transactions / 2),
        (Model::Lists, Place::Disk, transactions / 4),
        (Model::Lists, Place::WebSocket, transactions / 4),
    ] {
        let outcome = run(Plan { model, level, place, transactions, clients: 8, seed });
        match assess(&outcome) {
            Ok(line) => println!("{line}"),
            Err(complaints) => panic!("HISTORY_SEED={seed}: {complaints}"),
        }
    }
}

#[test]
fn g4_read_committed_histories_are_exactly_that() {
    level_is_exact(Isolation::ReadCommitted);
}

#[test]
fn g4_snapshot_histories_are_exactly_that() {
    level_is_exact(Isolation::Snapshot);
}

#[test]
fn g4_serializable_histories_are_strictly_serializable() {
    level_is_exact(Isolation::Serializable);
}
