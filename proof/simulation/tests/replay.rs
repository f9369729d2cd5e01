//! A seed replays exactly: the digest over every frame, every byte on the
//! network, every storage batch, every choice of the scheduler and the time of
//! each is the same, in this process and in another.

use std::process::Command;

use tandem_proof_simulation::{Defect, Options, run};

const SEEDS: [u64; 6] = [1, 7, 14, 71, 1_000_003, 0xDEAD_BEEF];

#[test]
fn a_seed_replays_exactly_within_a_process() {
    for seed in SEEDS {
        let (one, other) = (run(seed, Options::default()), run(seed, Options::default()));
        assert!(one.events > 1_000, "seed {seed} did something");
        assert_eq!(
            (one.digest, one.events, one.elapsed_ms),
            (other.digest, other.events, other.elapsed_ms),
            "seed {seed}"
        );
    }
}

#[test]
fn a_seed_replays_exactly_across_processes() {
    for seed in SEEDS {
        let here = run(seed, Options::default());
        for _ in 0..2 {
            let output = Command::new(env!("CARGO_BIN_EXE_tandem-proof-simulation"))
                .args(["--seed", &seed.to_string()])
                .output()
                .expect("the binary runs");
            let text = String::from_utf8_lossy(&output.stdout);
            let digest = format!("{} events, ", here.events);
            assert!(text.contains(&digest), "seed {seed}: {text}");
            assert!(text.contains(&format!("digest {:032x}", here.digest)), "seed {seed}: {text}");
        }
    }
}

#[test]
fn a_failing_seed_fails_again_in_the_same_way() {
    let options = Options { defect: Defect::AcknowledgesEarly, ..Options::default() };
    let failing = (1..50).map(|seed| run(seed, options)).find(|report| report.violation.is_some());
    let failing = failing.expect("one of them fails");
    let again = run(failing.seed, options);
    assert_eq!((failing.violation, failing.digest), (again.violation, again.digest));
}

#[test]
fn other_seeds_are_other_runs() {
    let digests: std::collections::BTreeSet<u128> =
        (1..=5).map(|seed| run(seed, Options::default()).digest).collect();
    assert_eq!(digests.len(), 5);
}
