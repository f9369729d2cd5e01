//! Closed-loop rounds, interleaved.
//!
//! On a shared machine two runs an hour apart differ more than two peers do. So
//! the lines of a group take turns in short rounds, forwards and backwards:
//!
//! ```text
//! warm-up: A B C    round 1: A B C    round 2: C B A    round 3: A B C …
//! ```
//!
//! and a ratio is taken within a round, between neighbours in time. What is
//! reported is the median of the rounds with the smallest and the largest.
//!
//! Within a round the clients first run uncounted for a while: 64 new threads
//! fill their allocator's pages with zeros, which costs more processor time than
//! thousands of transfers and is none of the peer's. For the same reason a
//! histogram has its final size before the round begins.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::peer::{Peer, Result};
use crate::random::Random;
use crate::workload::Workload;

/// One row of a group's table: so many clients on a peer.
pub struct Line {
    pub label: String,
    pub peer: Arc<dyn Peer>,
    pub workload: Arc<dyn Workload>,
    pub clients: usize,
}

/// How long to measure.
#[derive(Clone, Debug)]
pub struct Plan {
    pub rounds: usize,
    pub round: Duration,
    /// Leave out lines of other names; none = leave out nothing.
    pub only: Vec<String>,
}

/// A line with its figures.
pub struct Measured {
    pub label: String,
    pub clients: usize,
    pub durability: String,
    /// Steps per second of each round.
    pub rates: Vec<f64>,
    /// Nanoseconds per step over all rounds.
    pub latency: Histogram<u64>,
    /// Steps of all rounds, warm-up and uncounted ones included.
    pub steps: u64,
    /// Attempts beyond the first.
    pub retries: u64,
    /// Processor time of the whole process per step, background threads
    /// included. Unlike a rate it hardly depends on what else the machine does.
    pub cpu_per_step: Duration,
}

/// Runs every line in every round.
pub fn measure(lines: &[Line], plan: &Plan) -> Result<Vec<Measured>> {
    let mut measured = Vec::with_capacity(lines.len());
    for line in lines {
        measured.push(Measured {
            label: line.label.clone(),
            clients: line.clients,
            durability: line.peer.durability().to_owned(),
            rates: Vec::with_capacity(plan.rounds),
            latency: histogram()?,
            steps: 0,
            retries: 0,
            cpu_per_step: Duration::ZERO,
        });
    }
    let mut spent = vec![(Duration::ZERO, 0); lines.len()];
    for round in 0..=plan.rounds {
        let mut order: Vec<usize> = (0..lines.len()).collect();
        if round % 2 == 0 {
            order.reverse();
        }
        order.retain(|number| plan.only.is_empty() || plan.only.contains(&lines[*number].label));
        for number in order {
            let seed = (round * lines.len() + number) as u64;
            let outcome = run(&lines[number], plan.round, seed)?;
            let measured = &mut measured[number];
            measured.steps += outcome.steps;
            if round > 0 {
                spent[number].0 += outcome.cpu;
                spent[number].1 += outcome.latency.len();
                measured.rates.push(outcome.rate);
                measured.retries += outcome.retries;
                measured.latency.add(outcome.latency)?;
            }
        }
    }
    for (measured, (cpu, steps)) in measured.iter_mut().zip(spent) {
        measured.cpu_per_step = cpu.div_f64(f64::max(steps as f64, 1.0));
    }
    Ok(measured)
}

struct Outcome {
    rate: f64,
    latency: Histogram<u64>,
    steps: u64,
    retries: u64,
    cpu: Duration,
}

impl Outcome {
    fn nothing() -> Result<Self> {
        Ok(Self { rate: 0.0, latency: histogram()?, steps: 0, retries: 0, cpu: Duration::ZERO })
    }
}

/// Nanoseconds up to a minute, to three digits. Does not grow while recording.
fn histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_max(60_000_000_000, 3)?)
}

/// What the clients of a round are doing; at first they warm up.
#[derive(Default)]
struct Phase(AtomicU8);

impl Phase {
    const COUNTING: u8 = 1;
    const OVER: u8 = 2;

    fn set(&self, phase: u8) {
        self.0.store(phase, Ordering::Relaxed);
    }

    fn is(&self, phase: u8) -> bool {
        self.0.load(Ordering::Relaxed) == phase
    }
}

/// A step counts when it begins and ends while the round is counting.
fn run(line: &Line, length: Duration, seed: u64) -> Result<Outcome> {
    let (phase, ready) = (Phase::default(), Barrier::new(line.clients + 1));
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..line.clients)
            .map(|number| {
                let (phase, ready) = (&phase, &ready);
                scope.spawn(move || {
                    client(line, seed.wrapping_mul(1_000) + number as u64, phase, ready)
                })
            })
            .collect();
        ready.wait();
        std::thread::sleep(length / 2);
        phase.set(Phase::COUNTING);
        let (start, cpu) = (Instant::now(), processor_time());
        std::thread::sleep(length);
        phase.set(Phase::OVER);
        let (elapsed, cpu) = (start.elapsed(), processor_time().saturating_sub(cpu));
        let mut total = Outcome::nothing()?;
        for thread in threads {
            let one = thread.join().map_err(|_| format!("a client of {} panicked", line.label))?;
            let one = one.map_err(|error| format!("{}: {error}", line.label))?;
            total.steps += one.steps;
            total.retries += one.retries;
            total.latency.add(one.latency)?;
        }
        total.cpu = cpu;
        total.rate = total.latency.len() as f64 / elapsed.as_secs_f64();
        Ok(total)
    })
}

fn client(line: &Line, seed: u64, phase: &Phase, ready: &Barrier) -> Result<Outcome> {
    let connected = line.peer.connect();
    let mut random = Random::new(seed);
    let mut outcome = Outcome::nothing()?;
    ready.wait();
    let mut client = connected?;
    let (mut start, mut counts) = (Instant::now(), false);
    while !phase.is(Phase::OVER) {
        let retries = line.workload.step(&mut *client, &mut random)?;
        outcome.steps += 1;
        let end = Instant::now();
        if counts && phase.is(Phase::COUNTING) {
            outcome.latency.saturating_record(nanoseconds(end - start));
            outcome.retries += retries;
        }
        counts = phase.is(Phase::COUNTING);
        start = end;
    }
    Ok(outcome)
}

/// What this process has used so far; nothing where `/proc` does not tell.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name in parentheses may hold spaces; after it, fields 12 and 13 are
    // the ticks in user and kernel mode, of which there are 100 a second.
    let after_name = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = after_name.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
