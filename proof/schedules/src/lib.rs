//! Explored thread schedules of everything in Tandem that threads share.
//!
//! A *scenario* is a small program of a few threads over the real code, built
//! with the explored locks of `tandem_base::sync`. It asserts what must hold
//! whatever the order. [`explore`] runs it under many orders; a schedule that
//! breaks it, or in which nobody can go on, is printed in a form that
//! [`replay`] takes.

pub mod changes;
pub mod locks;
pub mod pipeline;
pub mod store;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, Runner};

/// A named scenario.
pub struct Scenario {
    pub name: &'static str,
    pub body: fn(),
}

/// All of them.
pub const SCENARIOS: &[Scenario] = &[
    Scenario { name: "committers", body: pipeline::committers },
    Scenario { name: "brief_writes", body: pipeline::brief_writes },
    Scenario { name: "failing_write", body: pipeline::failing_write },
    Scenario { name: "panicking_write", body: pipeline::panicking_write },
    Scenario { name: "failing_sync", body: pipeline::failing_sync },
    Scenario { name: "panicking_sync", body: pipeline::panicking_sync },
    Scenario { name: "absent_committers", body: pipeline::absent_committers },
    Scenario { name: "absent_failing_sync", body: pipeline::absent_failing_sync },
    Scenario { name: "absent_panicking_write", body: pipeline::absent_panicking_write },
    Scenario { name: "panicking_derive", body: pipeline::panicking_derive },
    Scenario { name: "cache", body: pipeline::cache },
    Scenario { name: "ranges", body: pipeline::ranges },
    Scenario { name: "mutual_exclusion", body: locks::mutual_exclusion },
    Scenario { name: "deadlock", body: locks::deadlock },
    Scenario { name: "locked_updates", body: locks::locked_updates },
    Scenario { name: "ring_and_log", body: changes::ring_and_log },
    Scenario { name: "callbacks", body: changes::callbacks },
];

/// Runs `body` under `schedules` orders, half of them random, half of them by
/// priorities with few changes (which finds bugs that need few, well placed
/// switches). Equal seeds run equal schedules.
pub fn explore(name: &str, body: fn(), schedules: usize, seed: u64) -> usize {
    let random = schedules.div_ceil(2);
    let attempt = |what: &str, run: &dyn Fn() -> usize| {
        catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
            eprintln!(
                "scenario {name}, {what}, seed {seed}: run it again with \
                 `cargo run -- {schedules} {seed} {name}`, or replay the printed schedule"
            );
            resume_unwind(panic)
        })
    };
    attempt("random", &|| {
        Runner::new(RandomScheduler::new_from_seed(seed, random), config()).run(body)
    }) + attempt("pct", &|| {
        let scheduler = PctScheduler::new_from_seed(seed, 3, schedules - random);
        Runner::new(scheduler, config()).run(body)
    })
}

/// Runs the one schedule that a failure printed.
pub fn replay(body: fn(), schedule: &str) {
    shuttle::replay(body, schedule);
}

fn config() -> Config {
    let mut config = Config::new();
    config.stack_size = 256 << 10;
    config
}
