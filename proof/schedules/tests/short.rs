//! The short form: every scenario, a thousand schedules, always the same ones.

use tandem_proof_schedules::{SCENARIOS, explore, locks};

#[test]
fn every_scenario_holds_under_a_thousand_schedules() {
    for scenario in SCENARIOS {
        let run = explore(scenario.name, scenario.body, 1_000, 1);
        println!("{:<18} {run:>6} schedules", scenario.name);
        assert_eq!(run, 1_000, "{}: not all schedules were run", scenario.name);
    }
}

/// The exploration finds what it is there to find.
#[test]
#[should_panic(expected = "a locked update was lost")]
fn updates_without_locks_are_caught() {
    explore("unlocked_updates", locks::unlocked_updates, 1_000, 1);
}
