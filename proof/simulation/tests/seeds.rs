//! Two hundred seeds, on as many threads as there are cores; each seed itself
//! runs on one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tandem_proof_simulation::{Options, run};

const SEEDS: u64 = 200;

#[test]
fn every_invariant_holds_for_two_hundred_seeds() {
    let next = AtomicU64::new(1);
    let violations = Mutex::new(Vec::new());
    let commits = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > SEEDS {
                        return;
                    }
                    let report = run(seed, Options::default());
                    commits.fetch_add(report.commits as u64, Ordering::Relaxed);
                    if let Some(violation) = report.violation {
                        let text = format!(
                            "seed {seed}: {violation}\n  replay: cargo run -p \
                             tandem-proof-simulation -- --seed {seed} --trace"
                        );
                        violations.lock().unwrap_or_else(PoisonError::into_inner).push(text);
                    }
                }
            });
        }
    });
    let violations = violations.into_inner().unwrap_or_else(PoisonError::into_inner);
    assert!(violations.is_empty(), "{}", violations.join("\n"));
    assert!(commits.into_inner() > 50 * SEEDS, "the clients did their work");
}
