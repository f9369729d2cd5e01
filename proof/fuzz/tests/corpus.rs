//! The targets without coverage: every seed, and seeded mutants of them.
//!
//! `FUZZ_SEED=n` makes other mutants, `FUZZ_INPUTS=n` more of them.

use std::path::{Path, PathBuf};

use tandem_proof_fuzz::Target;
use tandem_proof_fuzz::mutate::{Seeded, mutant};

#[expect(clippy::disallowed_methods, reason = "the corpus lies in files")]
fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let entries = std::fs::read_dir(&directory).expect("every target has a corpus");
    let mut seeds: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .map(|path| (path.clone(), std::fs::read(path).expect("a seed")))
        .collect();
    seeds.sort();
    assert!(seeds.len() >= 4, "{directory:?} has hardly a seed");
    seeds
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Every seed, then `inputs` mutants.
fn run(name: &str, inputs: u64) {
    let target = Target::named(name).expect("a target");
    let seeds = corpus(name);
    for (path, seed) in &seeds {
        told(&format!("the seed {}", path.display()), || target.feed(seed));
    }
    let seeds: Vec<Vec<u8>> = seeds.into_iter().map(|(_, seed)| seed).collect();
    let (first, inputs) = (number("FUZZ_SEED", 1), number("FUZZ_INPUTS", inputs));
    for input in 0..inputs {
        let seed = first.wrapping_mul(1_000_003).wrapping_add(input);
        let data = mutant(&seeds, &mut Seeded::new(seed));
        let what = format!("mutant {seed} of {name}: {}", data.escape_ascii());
        told(&what, || target.feed(&data));
    }
}

/// Says which input it was that broke something.
fn told(what: &str, work: impl FnOnce()) {
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    if let Err(panic) = outcome {
        eprintln!("broken by {what}");
        std::panic::resume_unwind(panic);
    }
}

// One test: the guard on memory counts the whole process.
#[test]
fn g9_g10_no_input_breaks_what_reads_it() {
    for (name, inputs) in [
        ("keys", 4_000),
        ("config", 1_500),
        ("import", 600),
        ("filters", 400),
        ("wire", 300),
        ("sql", 200),
        ("damage", 100),
    ] {
        run(name, inputs);
        eprintln!("{name}: done");
    }
}
