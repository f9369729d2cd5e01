//! The short form: some seconds of the same load, and the same verdict on the
//! data. Memory is judged by the long form, after a warm-up.

use std::path::PathBuf;
use std::time::Duration;

use tandem_proof_soak::load::Did;
use tandem_proof_soak::run::{Plan, run};

/// What nobody may have left out.
const WANTED: &[Did] = &[
    Did::Transfers,
    Did::Batches,
    Did::Repeated,
    Did::Churned,
    Did::Visits,
    Did::Indexes,
    Did::Reads,
    Did::Pushes,
    Did::Followed,
    Did::Vandalised,
];

#[test]
fn g10_a_served_store_keeps_its_data_and_lets_go_of_every_client() {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_tandem-proof-soak"));
    let plan = Plan { program, duration: Duration::from_secs(8), wanted: WANTED, seed: 1 };
    let report = run(&plan);
    println!("{report}");
    let whole: Vec<_> =
        report.complaints.iter().filter(|complaint| !complaint.contains("grew")).collect();
    assert!(whole.is_empty(), "{whole:#?}");
    for did in WANTED {
        assert!(report.world.times(*did) > 0, "nobody did: {did:?}");
    }
}
