//! The short form of `power-cuts scripts` and `power-cuts random`: at least
//! 5,000 cuts.
#![cfg(target_os = "linux")]

use tandem_proof_power_cuts::cuts::{Counts, Plan, cut_everywhere};
use tandem_proof_power_cuts::workload::{Recorded, Script, random};

/// Random workloads that are cut.
const SEEDS: std::ops::Range<u64> = 1..4;

fn cut(recorded: tandem::Result<Recorded>, plan: Plan) -> Counts {
    let recorded = recorded.expect("nothing fails without a cut");
    let counts = cut_everywhere(&recorded, plan)
        .unwrap_or_else(|failures| panic!("{} failures:\n{}", failures.len(), failures.join("\n")));
    println!("{}: {counts}", recorded.name);
    counts
}

#[test]
fn g1_g2_g3_every_cut_of_a_journal_keeps_what_was_acknowledged() {
    let mut total = Counts::default();
    for name in ["life", "buffered", "index", "trim", "catalog"] {
        let plan = Plan { recover_every: 4_000, ..Plan::default() };
        total += cut(Script::named(name).record(), plan);
    }
    println!("total: {total}");
    assert!(total.cuts >= 4_000 && total.images >= 1_000, "{total}");
}

#[test]
fn g1_g2_g3_every_cut_of_tables_and_journals_keeps_what_was_acknowledged() {
    let mut total = Counts::default();
    for name in ["short over tables", "trim over tables"] {
        let plan = Plan { recover_every: 400, ..Plan::default() };
        total += cut(Script::named(name).record(), plan);
    }
    println!("total: {total}");
    assert!(total.cuts >= 2_000 && total.recoveries > 0, "{total}");
}

#[test]
fn g1_g2_g3_every_cut_of_random_workloads_keeps_what_was_acknowledged() {
    let mut total = Counts::default();
    for seed in SEEDS {
        let plan = Plan { seed, recover_every: 0, ..Plan::default() };
        total += cut(random(seed, 20), plan);
    }
    println!("total: {total}");
    assert!(total.cuts >= 1_000, "{total}");
}
