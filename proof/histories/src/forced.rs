//! Interleavings made by hand, so that what a level allows is certain to be in
//! its history: one thread holds two transactions of two processes and takes
//! their steps in turn, on keys that nobody else uses.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use tandem::Isolation;

use crate::client::{Process, Shared};
use crate::door::{Client, Failure};
use crate::history::Step;
use crate::seeded::Seeded;

/// Keys of these pairs begin here.
const FIRST_KEY: u64 = 1 << 40;

/// What came of the pairs: for each story, how often how many of its two
/// transactions committed.
#[derive(Debug, Default)]
pub struct Outcomes {
    times: Mutex<BTreeMap<(&'static str, usize), Times>>,
    /// Each story about keys that exist and about keys that do not, once it was told
    /// to its end without a fault.
    told: Mutex<BTreeSet<u64>>,
}

/// How often something came of a story, and what its transactions heard then.
#[derive(Debug, Default)]
struct Times {
    count: usize,
    heard: Vec<String>,
}

impl Outcomes {
    /// Whether every story was told, however few turns the scheduler left for them.
    pub fn are_all_told(&self) -> bool {
        self.told.lock().expect("nobody panicked").len() == 2 * STORIES.len()
    }

    fn count(&self, story: &'static str, committed: usize, heard: Vec<String>) {
        let mut all = self.times.lock().expect("nobody panicked");
        let times = all.entry((story, committed)).or_default();
        times.count += 1;
        if times.heard.is_empty() {
            times.heard = heard;
        }
    }

    /// How often so many of the two committed.
    pub fn of(&self, story: &'static str, committed: usize) -> usize {
        let all = self.times.lock().expect("nobody panicked");
        all.get(&(story, committed)).map_or(0, |it| it.count)
    }

    /// What the transactions heard when, for the first time, so many committed.
    pub fn heard(&self, story: &'static str, committed: usize) -> Vec<String> {
        let all = self.times.lock().expect("nobody panicked");
        all.get(&(story, committed)).map(|it| it.heard.clone()).unwrap_or_default()
    }
}

/// One read or write of the first or the second transaction, or its commit.
#[derive(Clone, Copy, Debug)]
enum Turn {
    Read(usize, u64),
    Write(usize, u64),
    Commit(usize),
}
use Turn::{Commit, Read, Write};

/// Both read both, each writes one.
const WRITE_SKEW: &[Turn] = &[
    Read(0, 0),
    Read(0, 1),
    Read(1, 0),
    Read(1, 1),
    Write(0, 0),
    Write(1, 1),
    Commit(0),
    Commit(1),
];

/// Both read one and write it.
const LOST_UPDATE: &[Turn] =
    &[Read(0, 0), Read(1, 0), Write(1, 0), Commit(1), Write(0, 0), Commit(0)];

/// One reads the first before, and the second after, the other writes both.
const READ_SKEW: &[Turn] =
    &[Read(0, 0), Write(1, 0), Write(1, 1), Commit(1), Read(0, 1), Commit(0)];

/// The stories by name.
const STORIES: [(&str, &[Turn]); 3] =
    [("write skew", WRITE_SKEW), ("lost update", LOST_UPDATE), ("read skew", READ_SKEW)];

/// Plays the next story on new keys.
pub fn play(
    shared: &Shared,
    clients: &mut [Box<dyn Client>; 2],
    random: &mut Seeded,
    number: u64,
    outcomes: &Outcomes,
) {
    let (story, turns) = STORIES[usize::try_from(number % 3).unwrap_or(0)];
    // Three keys a pair: reads go another way for each.
    let first = FIRST_KEY + random.below(1 << 40) * 3;
    // Half of the stories are about keys that exist already.
    if number.is_multiple_of(2) {
        let mut process = Process::new(shared, Seeded::new(random.word()));
        if let Err(failure) = prepare(&mut process, &mut *clients[0], first) {
            return process.fail(&mut *clients[0], &failure);
        }
        if !process.commit(&mut *clients[0]) {
            return;
        }
    }
    let mut processes = [(); 2].map(|()| Process::new(shared, Seeded::new(random.word())));
    let values: Vec<u64> = turns.iter().map(|_| shared.value()).collect();
    for (one, process) in processes.iter_mut().enumerate() {
        let steps = turns.iter().zip(&values).filter_map(|(turn, value)| match turn {
            Read(by, key) if *by == one => Some(Step::Read { key: first + key, values: None }),
            Write(by, key) if *by == one => Some(step(shared, first + key, *value)),
            _ => None,
        });
        process.invoke(steps.collect());
    }
    let mut open = [true; 2];
    for (one, process) in processes.iter_mut().enumerate() {
        if let Err(failure) = clients[one].begin(shared.level, false) {
            process.fail(&mut *clients[one], &failure);
            open[one] = false;
        }
    }
    let (mut committed, mut disturbed) = (0, open != [true; 2]);
    for (turn, value) in turns.iter().zip(&values) {
        let (Read(one, _) | Write(one, _) | Commit(one)) = *turn;
        if !open[one] {
            continue;
        }
        let (process, client) = (&mut processes[one], &mut *clients[one]);
        let done = match turn {
            Read(_, key) => process.get(client, first + key),
            Write(_, key) => process.write(client, first + key, *value),
            Commit(_) => {
                open[one] = false;
                committed += usize::from(process.commit(client));
                Ok(())
            }
        };
        if let Err(failure) = done {
            process.fail(client, &failure);
            open[one] = false;
        }
        // A conflict is an answer to the story; anything else is a fault, of a commit, too.
        disturbed |= process
            .failure
            .as_ref()
            .is_some_and(|failure| !matches!(failure.code.as_str(), "CONFLICT" | "ALREADY_EXISTS"));
    }
    if !disturbed && !shared.down.load(std::sync::atomic::Ordering::Relaxed) {
        let heard = processes.iter().map(|process| match &process.failure {
            Some(failure) => format!("{}: {}", failure.code, failure.message),
            None => "committed".to_owned(),
        });
        outcomes.count(story, committed, heard.collect());
        outcomes.told.lock().expect("nobody panicked").insert(number % 6);
    }
}

fn prepare(process: &mut Process<'_>, client: &mut dyn Client, first: u64) -> Result<(), Failure> {
    let shared = process.shared;
    let values = [shared.value(), shared.value()];
    process.invoke(vec![step(shared, first, values[0]), step(shared, first + 1, values[1])]);
    client.begin(Isolation::Serializable, false)?;
    process.write(client, first, values[0])?;
    process.write(client, first + 1, values[1])
}

fn step(shared: &Shared, key: u64, value: u64) -> Step {
    match shared.model {
        crate::history::Model::Lists => Step::Append { key, value },
        crate::history::Model::Registers => Step::Write { key, value },
    }
}
