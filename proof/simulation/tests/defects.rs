//! The simulation can fail: with storage that is broken on purpose an invariant
//! does not hold within a few seeds, and it is the right one.

use tandem_proof_simulation::{Defect, Options, run};

const FEW: u64 = 25;

fn first_violation(defect: Defect) -> String {
    let options = Options { defect, ..Options::default() };
    (1..=FEW)
        .find_map(|seed| run(seed, options).violation)
        .unwrap_or_else(|| panic!("{defect:?} went unnoticed in {FEW} seeds"))
}

#[test]
fn g2_storage_that_acknowledges_before_it_is_durable_is_caught() {
    let violation = first_violation(Defect::AcknowledgesEarly);
    assert!(violation.starts_with("G2"), "{violation}");
}

#[test]
fn g3_storage_that_loses_index_entries_is_caught() {
    let violation = first_violation(Defect::LosesIndexEntries);
    assert!(violation.contains("G3"), "{violation}");
}

#[test]
fn g1_storage_that_loses_log_entries_is_caught() {
    let violation = first_violation(Defect::LosesLogEntries);
    assert!(violation.contains("G8") || violation.contains("G1"), "{violation}");
}

#[test]
fn g1_storage_that_tears_batches_is_caught() {
    let violation = first_violation(Defect::TearsBatches);
    assert!(violation.contains("G1") || violation.contains("G3"), "{violation}");
}

#[test]
fn g1_storage_that_loses_updates_is_caught() {
    first_violation(Defect::LosesUpdates);
}
