//! What clients asked and what they heard, in the order in which it happened.
//!
//! A transaction is two operations of its process: `invoke`, then `ok` (it
//! committed), `fail` (it certainly did not) or `info` (nobody knows). A process
//! whose transaction ended in `info` is never heard of again; its client goes on
//! as another one.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// One step of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Appends to a list.
    Append { key: u64, value: u64 },
    /// Overwrites a register.
    Write { key: u64, value: u64 },
    /// Reads a list or a register; `None` = not known. An empty list is what is
    /// not there; a register holds one value at most.
    Read { key: u64, values: Option<Vec<u64>> },
}

/// How an operation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Invoke,
    Ok,
    Fail,
    Info,
}

/// One line of the history.
#[derive(Clone, Debug)]
pub struct Operation {
    pub kind: Kind,
    pub process: u64,
    pub steps: Vec<Step>,
    /// Nanoseconds since the beginning.
    pub time: u64,
    /// The revision of a commit, where it is known.
    pub revision: Option<u64>,
}

/// Whether histories are of lists or of registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    Lists,
    Registers,
}

/// A whole history; an operation's index is its place.
#[derive(Clone, Debug)]
pub struct History {
    pub model: Model,
    pub operations: Vec<Operation>,
}

impl History {
    /// How many transactions ended so.
    #[must_use]
    pub fn count(&self, kind: Kind) -> usize {
        self.operations.iter().filter(|operation| operation.kind == kind).count()
    }

    /// For each `invoke` the place of its completion, and the other way round.
    #[must_use]
    pub fn pairs(&self) -> HashMap<usize, usize> {
        let mut open = HashMap::new();
        let mut pairs = HashMap::new();
        for (place, operation) in self.operations.iter().enumerate() {
            if operation.kind == Kind::Invoke {
                open.insert(operation.process, place);
            } else if let Some(invoked) = open.remove(&operation.process) {
                pairs.insert(invoked, place);
                pairs.insert(place, invoked);
            }
        }
        pairs
    }
}

/// Takes down what happens, from all threads.
pub struct Recorder {
    operations: Mutex<Vec<Operation>>,
    begin: Instant,
}

impl Default for Recorder {
    #[expect(clippy::disallowed_methods, reason = "histories carry the time that clients saw")]
    fn default() -> Self {
        Self { operations: Mutex::default(), begin: Instant::now() }
    }
}

impl Recorder {
    /// Notes an operation as of now.
    pub fn note(&self, process: u64, kind: Kind, steps: Vec<Step>, revision: Option<u64>) {
        let mut operations = self.operations.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock, so that the order of lines is that of times.
        let time = u64::try_from(self.begin.elapsed().as_nanos()).unwrap_or(u64::MAX);
        operations.push(Operation { kind, process, steps, time, revision });
    }

    /// How many lines there are.
    pub fn lines(&self) -> usize {
        self.operations.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The history of what was noted.
    pub fn finish(self, model: Model) -> History {
        let operations = self.operations.into_inner().unwrap_or_else(PoisonError::into_inner);
        History { model, operations }
    }
}
