//! Rounds of clients, interleaved.
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
//! Clients are a closed loop, which asks for the next step when the last one is
//! answered and shows throughput, or an open one, whose steps are due by the clock
//! however late the ones before are, and whose times begin when they were due.
//!
//! Within a round the clients first run uncounted for a while: 64 new threads
//! fill their allocator's pages with zeros, which costs more processor time than
//! thousands of transfers and is none of the peer's. For the same reason a
//! histogram has its final size before the round begins.
//!
//! A client is a thread. What it does in its [`Part`] of a round is its
//! workload's: one step after the other, or several at once, each of which keeps
//! its own [`Lap`].

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::peer::{Peer, Result};
use crate::process;
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
    /// Processor time of the peer's whole process per step, background threads
    /// included. Unlike a rate it hardly depends on what else the machine does.
    pub cpu_per_step: Duration,
    /// The same of this process: where the peer is another one, of the clients.
    pub own_cpu_per_step: Duration,
    /// The memory of the peer's own process after the last round.
    pub resident_bytes: Option<u64>,
    /// What the peer's files took then.
    pub bytes_on_disk: Option<u64>,
}

impl Measured {
    /// Without figures yet.
    pub fn new(label: &str, clients: usize, durability: &str) -> Result<Self> {
        Ok(Self {
            label: label.to_owned(),
            clients,
            durability: durability.to_owned(),
            rates: Vec::new(),
            latency: histogram()?,
            steps: 0,
            retries: 0,
            cpu_per_step: Duration::ZERO,
            own_cpu_per_step: Duration::ZERO,
            resident_bytes: None,
            bytes_on_disk: None,
        })
    }
}

/// Runs every line in every round.
pub fn measure(lines: &[Line], plan: &Plan) -> Result<Vec<Measured>> {
    let mut measured = Vec::with_capacity(lines.len());
    for line in lines {
        measured.push(Measured::new(&line.label, line.clients, line.peer.durability())?);
    }
    let mut spent = vec![(Duration::ZERO, Duration::ZERO, 0); lines.len()];
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
            let tally = outcome.tally;
            measured.steps += tally.steps;
            if round > 0 {
                spent[number].0 += outcome.cpu;
                spent[number].1 += outcome.own_cpu;
                spent[number].2 += tally.latency.len();
                measured.rates.push(outcome.rate);
                measured.retries += tally.retries;
                measured.latency.add(tally.latency)?;
            }
        }
    }
    for (measured, (cpu, own_cpu, steps)) in measured.iter_mut().zip(spent) {
        let steps = f64::max(steps as f64, 1.0);
        measured.cpu_per_step = cpu.div_f64(steps);
        measured.own_cpu_per_step = own_cpu.div_f64(steps);
    }
    for (measured, line) in measured.iter_mut().zip(lines) {
        measured.resident_bytes = line.peer.resident_bytes();
        measured.bytes_on_disk = line.peer.directory().map(bytes_on_disk).transpose()?;
    }
    Ok(measured)
}

/// What the files below a directory take, holes left out.
pub fn bytes_on_disk(directory: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        bytes += match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => bytes_on_disk(&entry.path())?,
            _ => file_bytes(&entry.path())?,
        };
    }
    Ok(bytes)
}

/// What one file takes, holes left out.
pub fn file_bytes(path: &Path) -> Result<u64> {
    match path.metadata() {
        Ok(metadata) => Ok(metadata.blocks() * 512),
        // A store may remove a file at any time.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error.into()),
    }
}

struct Outcome {
    rate: f64,
    tally: Tally,
    cpu: Duration,
    own_cpu: Duration,
}

/// What one client did in a round, or all of them.
pub struct Tally {
    latency: Histogram<u64>,
    steps: u64,
    retries: u64,
}

impl Tally {
    fn nothing() -> Result<Self> {
        Ok(Self { latency: histogram()?, steps: 0, retries: 0 })
    }

    fn add(&mut self, other: Self) -> Result<()> {
        self.steps += other.steps;
        self.retries += other.retries;
        self.latency.add(other.latency)?;
        Ok(())
    }
}

/// Nanoseconds up to a minute, to three digits. Does not grow while recording.
pub fn histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_max(60_000_000_000, 3)?)
}

/// What the clients of a round are doing; at first they warm up.
#[derive(Default)]
pub struct Round(AtomicU8);

impl Round {
    const COUNTING: u8 = 1;
    const OVER: u8 = 2;

    /// Whether no further step is to begin.
    pub fn is_over(&self) -> bool {
        self.is(Self::OVER)
    }

    fn set(&self, phase: u8) {
        self.0.store(phase, Ordering::Relaxed);
    }

    fn is(&self, phase: u8) -> bool {
        self.0.load(Ordering::Relaxed) == phase
    }
}

/// One step, from its beginning. It counts when it begins and ends while the
/// round is counting.
pub struct Lap {
    start: Instant,
    counts: bool,
}

impl Lap {
    pub fn begin(round: &Round) -> Self {
        Self::due(Instant::now(), round)
    }

    /// Its time began when it was due.
    fn due(start: Instant, round: &Round) -> Self {
        Self { start, counts: round.is(Round::COUNTING) }
    }

    /// Ends it after so many attempts beyond the first, and begins the next.
    #[must_use]
    pub fn end(self, retries: u64, round: &Round, tally: &mut Tally) -> Self {
        tally.steps += 1;
        let next = Self::begin(round);
        if self.counts && next.counts {
            tally.latency.saturating_record(nanoseconds(next.start - self.start));
            tally.retries += retries;
        }
        next
    }
}

/// One client's part in a round.
pub struct Part<'a> {
    pub random: Random,
    pub round: &'a Round,
    pub tally: Tally,
}

impl Part<'_> {
    /// Steps until the round is over, one after the other; each answers how often
    /// it had to be tried again.
    pub fn one_by_one(&mut self, mut step: impl FnMut(&mut Random) -> Result<u64>) -> Result<()> {
        let mut lap = Lap::begin(self.round);
        while !self.round.is_over() {
            let retries = step(&mut self.random)?;
            lap = lap.end(retries, self.round, &mut self.tally);
        }
        Ok(())
    }

    /// Steps that are due by the clock, `rate` of them per second on average, as
    /// independent users come: those of many clients together are a Poisson process.
    pub fn by_the_clock(
        &mut self,
        rate: f64,
        mut step: impl FnMut(&mut Random) -> Result<u64>,
    ) -> Result<()> {
        let mut due = Instant::now();
        loop {
            let uniform = ((self.random.next() >> 11) + 1) as f64 / (1_u64 << 53) as f64;
            due += Duration::from_secs_f64(-uniform.ln() / rate);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if self.round.is_over() {
                return Ok(());
            }
            let lap = Lap::due(due, self.round);
            let retries = step(&mut self.random)?;
            let _next = lap.end(retries, self.round, &mut self.tally);
        }
    }
}

fn run(line: &Line, length: Duration, seed: u64) -> Result<Outcome> {
    let (round, ready) = (Round::default(), Barrier::new(line.clients + 1));
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..line.clients)
            .map(|number| {
                let (round, ready) = (&round, &ready);
                scope.spawn(move || {
                    client(line, seed.wrapping_mul(1_000) + number as u64, round, ready)
                })
            })
            .collect();
        ready.wait();
        std::thread::sleep(length / 2);
        round.set(Round::COUNTING);
        let spent = || (line.peer.processor_time(), process::own_processor_time());
        let (start, before) = (Instant::now(), spent());
        std::thread::sleep(length);
        round.set(Round::OVER);
        let (elapsed, after) = (start.elapsed(), spent());
        let mut tally = Tally::nothing()?;
        for thread in threads {
            let one = thread.join().map_err(|_| format!("a client of {} panicked", line.label))?;
            tally.add(one.map_err(|error| format!("{}: {error}", line.label))?)?;
        }
        Ok(Outcome {
            rate: tally.latency.len() as f64 / elapsed.as_secs_f64(),
            tally,
            cpu: after.0.saturating_sub(before.0),
            own_cpu: after.1.saturating_sub(before.1),
        })
    })
}

fn client(line: &Line, seed: u64, round: &Round, ready: &Barrier) -> Result<Tally> {
    let connected = line.peer.connect();
    let mut part = Part { random: Random::new(seed), round, tally: Tally::nothing()? };
    ready.wait();
    let mut client = connected?;
    line.workload.run(&mut *client, &mut part)?;
    Ok(part.tally)
}

pub fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_counts_when_it_begins_and_ends_while_the_round_counts() {
        let (round, mut tally) = (Round::default(), Tally::nothing().unwrap());
        let lap = Lap::begin(&round);
        round.set(Round::COUNTING);
        let lap = lap.end(1, &round, &mut tally);
        assert_eq!((tally.latency.len(), tally.retries), (0, 0), "began in the warm-up");
        let lap = lap.end(2, &round, &mut tally);
        assert_eq!((tally.latency.len(), tally.retries), (1, 2));
        round.set(Round::OVER);
        let _ = lap.end(4, &round, &mut tally);
        assert_eq!((tally.latency.len(), tally.retries), (1, 2), "ended after the round");
        assert_eq!(tally.steps, 3);
    }
}
