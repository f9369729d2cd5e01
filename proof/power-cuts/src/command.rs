//! The command line.

use std::path::Path;
use std::process::ExitCode;

use tandem_proof_power_cuts::cuts::{Counts, Plan, cut_everywhere};
use tandem_proof_power_cuts::failures::{fail_everywhere, fill_everywhere};
use tandem_proof_power_cuts::rot::rot_everywhere;
use tandem_proof_power_cuts::verify;
use tandem_proof_power_cuts::workload::{Recorded, SCRIPTS, Script, random};

const HELP: &str = "\
power-cuts scripts [--torn N] [--prefixes N] [--seed N]   every script, cut everywhere
power-cuts script NAME                                    one of them
power-cuts random FROM TO [--steps N] [--torn N] …        random workloads of these seeds
power-cuts failures SCRIPT [--step N]                     every system call fails, once and for ever
power-cuts full SCRIPT [--step N]                         the disk is full from every byte on
power-cuts rot SCRIPT [--step N] [--seed N]               every byte of every file changes
power-cuts open DIRECTORY                                 what the engine says to an image
";

struct Options {
    plan: Plan,
    steps: u64,
    step: usize,
}

pub fn run(arguments: Vec<String>) -> ExitCode {
    let mut options =
        Options { plan: Plan { torn: 4, prefixes: 2, ..Plan::default() }, steps: 60, step: 1 };
    let mut words = Vec::new();
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|text| text.parse().ok()).unwrap_or(0);
        match &*argument {
            "--torn" => options.plan.torn = number(),
            "--prefixes" => options.plan.prefixes = number(),
            "--seed" => options.plan.seed = number(),
            "--recover-every" => options.plan.recover_every = number(),
            "--threads" => options.plan.threads = number() as usize,
            "--step" => options.step = number().max(1) as usize,
            "--steps" => options.steps = number(),
            _ => words.push(argument),
        }
    }
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["scripts"] => scripts(&options, |_| true),
        ["script", name] => scripts(&options, |script| script == name),
        ["random", from, to] => match (from.parse(), to.parse()) {
            (Ok(from), Ok(to)) => random_workloads(&options, from..to),
            _ => help(),
        },
        ["failures", name] => disturbed(name, |script, recorded| {
            fail_everywhere(script, &recorded.ledger, options.step)
                .map(|counts| format!("{counts:?}"))
        }),
        ["full", name] => disturbed(name, |script, recorded| {
            fill_everywhere(script, &recorded.ledger, options.step)
                .map(|counts| format!("{counts:?}"))
        }),
        ["rot", name] => disturbed(name, |_, recorded| {
            rot_everywhere(recorded, options.step, options.plan.seed)
                .map(|counts| format!("{counts:?}"))
        }),
        ["open", directory] => open(Path::new(directory)),
        _ => help(),
    }
}

fn disturbed(
    name: &str,
    disturb: impl FnOnce(&Script, &Recorded) -> Result<String, Vec<String>>,
) -> ExitCode {
    let script = Script::named(name);
    let recorded = match script.record() {
        Ok(recorded) => recorded,
        Err(error) => {
            println!("FAILED without a fault: {error:?}");
            return ExitCode::FAILURE;
        }
    };
    match disturb(script, &recorded) {
        Ok(counts) => {
            println!("{name}: {counts}");
            ExitCode::SUCCESS
        }
        Err(failures) => {
            for failure in &failures {
                println!("FAILED {failure}");
            }
            println!("{} failures", failures.len());
            ExitCode::FAILURE
        }
    }
}

fn help() -> ExitCode {
    eprint!("{HELP}");
    ExitCode::from(2)
}

fn scripts(options: &Options, wanted: impl Fn(&str) -> bool) -> ExitCode {
    let mut total = Total::default();
    for script in SCRIPTS.iter().filter(|script| wanted(script.name)) {
        total.add(script.record(), options.plan);
    }
    total.end()
}

fn random_workloads(options: &Options, seeds: std::ops::Range<u64>) -> ExitCode {
    let mut total = Total::default();
    for seed in seeds {
        let plan = Plan { seed, ..options.plan };
        total.add(random(seed, options.steps), plan);
    }
    total.end()
}

#[derive(Default)]
struct Total {
    counts: Counts,
    workloads: u64,
    failures: usize,
}

impl Total {
    fn add(&mut self, recorded: tandem::Result<Recorded>, plan: Plan) {
        self.workloads += 1;
        match recorded {
            Ok(recorded) => match cut_everywhere(&recorded, plan) {
                Ok(counts) => {
                    println!("{}: {counts}", recorded.name);
                    self.counts += counts;
                }
                Err(failures) => {
                    for failure in &failures {
                        println!("FAILED {failure}");
                    }
                    self.failures += failures.len();
                }
            },
            Err(error) => {
                println!("FAILED without a cut: {error:?}");
                self.failures += 1;
            }
        }
    }

    fn end(self) -> ExitCode {
        println!("total of {} workloads: {}", self.workloads, self.counts);
        if self.failures > 0 {
            println!("{} failures", self.failures);
            return ExitCode::FAILURE;
        }
        ExitCode::SUCCESS
    }
}

fn open(directory: &Path) -> ExitCode {
    match verify::open(directory) {
        Ok((store, _)) => {
            println!("opened: {:?}", store.statistics());
            println!("check: {:?}", store.check(&tandem::CheckOptions::new()));
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("{error:?}");
            ExitCode::FAILURE
        }
    }
}
