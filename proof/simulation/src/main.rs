//! Runs many seeds, or replays one.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tandem_proof_simulation::{Options, Report, run};

const USAGE: &str = "\
usage: tandem-proof-simulation [--seeds COUNT] [--from SEED] [--jobs N]
       tandem-proof-simulation --seed SEED [--trace]";

struct Arguments {
    first: u64,
    count: u64,
    jobs: u64,
    trace: bool,
    single: bool,
}

fn arguments() -> Option<Arguments> {
    let mut parsed = Arguments { first: 1, count: 200, jobs: 2, trace: false, single: false };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || words.next()?.parse::<u64>().ok();
        match word.as_str() {
            "--seeds" => parsed.count = number()?,
            "--from" => parsed.first = number()?,
            "--jobs" => parsed.jobs = number()?.max(1),
            "--seed" => (parsed.first, parsed.count, parsed.single) = (number()?, 1, true),
            "--trace" => parsed.trace = true,
            _ => return None,
        }
    }
    Some(parsed)
}

fn main() -> ExitCode {
    let Some(arguments) = arguments() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    if arguments.single {
        let options = Options { print: arguments.trace, ..Options::default() };
        return single(&run(arguments.first, options));
    }
    many(&arguments)
}

fn single(report: &Report) -> ExitCode {
    println!(
        "seed {}: {} events, {} commits, {} simulated ms, digest {:032x}",
        report.seed, report.events, report.commits, report.elapsed_ms, report.digest
    );
    for (what, count) in &report.figures {
        println!("  {count:>7} {what}");
    }
    match &report.violation {
        None => ExitCode::SUCCESS,
        Some(violation) => {
            println!("VIOLATION: {violation}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Default)]
struct Totals {
    runs: u64,
    events: u64,
    commits: usize,
    simulated: Duration,
    figures: BTreeMap<&'static str, u64>,
    failed: Vec<u64>,
}

impl Totals {
    fn add(&mut self, report: &Report) {
        self.runs += 1;
        self.events += report.events;
        self.commits += report.commits;
        self.simulated += Duration::from_millis(report.elapsed_ms);
        for (what, count) in &report.figures {
            *self.figures.entry(what).or_default() += count;
        }
        if let Some(violation) = &report.violation {
            println!("seed {}: VIOLATION: {violation}", report.seed);
            println!("  replay: cargo run -p tandem-proof-simulation -- --seed {}", report.seed);
            self.failed.push(report.seed);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "how long the whole took, for a person")]
fn many(arguments: &Arguments) -> ExitCode {
    let started = Instant::now();
    let next = AtomicU64::new(arguments.first);
    let end = arguments.first + arguments.count;
    let enough = AtomicBool::new(false);
    let totals = Mutex::new(Totals::default());
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs {
            scope.spawn(|| {
                while !enough.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        break;
                    }
                    let report = run(seed, Options::default());
                    let mut totals = totals.lock().unwrap_or_else(PoisonError::into_inner);
                    totals.add(&report);
                    if totals.failed.len() >= 20 {
                        enough.store(true, Ordering::Relaxed);
                    }
                    if totals.runs.is_multiple_of(1_000) {
                        println!("{} seeds, {:?}", totals.runs, started.elapsed());
                    }
                }
            });
        }
    });
    let totals = totals.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!(
        "{} seeds in {:.1} s: {} commits, {} events, {:.1} simulated hours, {} violations",
        totals.runs,
        started.elapsed().as_secs_f64(),
        totals.commits,
        totals.events,
        totals.simulated.as_secs_f64() / 3_600.0,
        totals.failed.len()
    );
    for (what, count) in &totals.figures {
        println!("  {count:>9} {what}");
    }
    if totals.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
