//! One client: plans small transactions, runs them, and takes down what it
//! heard.
//!
//! Appending is reading a list and writing it whole. Under `read committed` the
//! last writer of a record wins with all of it, so there an append locks the
//! list first or demands the version that it read: what the level does not
//! promise cannot be held against it. Reads go every way that there is: by key,
//! by an index, by a field whose index comes and goes, several keys at once,
//! a whole group of keys by predicate, the absent ones included.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::{Value, json};
use tandem::Isolation;

use crate::door::{Client, Failure};
use crate::history::{Kind, Model, Recorder, Step};
use crate::seeded::Seeded;

/// Keys that are in use at one time.
const ACTIVE_KEYS: u64 = 9;
/// Keys that a group has, which are read by one predicate.
pub const GROUP: u64 = 3;
/// Transactions after which the oldest group is left alone.
const GROUP_LIFE: u64 = 60;

/// What all clients of a run share.
pub struct Shared {
    pub model: Model,
    pub level: Isolation,
    pub recorder: Recorder,
    /// Transactions begun so far, by all clients.
    pub begun: AtomicU64,
    pub next_value: AtomicU64,
    pub next_process: AtomicU64,
    /// The store has failed: this epoch is over.
    pub down: AtomicBool,
    /// Processes whose last commit nobody knows the outcome of, with its name
    /// and steps: settled when the store is open again.
    pub unsettled: std::sync::Mutex<Vec<Unsettled>>,
}

/// A commit whose outcome is not known yet.
pub struct Unsettled {
    pub process: u64,
    pub name: String,
    /// The steps with what was read, and as they were planned.
    pub seen: Vec<Step>,
    pub planned: Vec<Step>,
}

impl Shared {
    #[must_use]
    pub fn new(model: Model, level: Isolation) -> Self {
        Self {
            model,
            level,
            recorder: Recorder::default(),
            begun: AtomicU64::new(0),
            next_value: AtomicU64::new(1),
            next_process: AtomicU64::new(0),
            down: AtomicBool::new(false),
            unsettled: std::sync::Mutex::default(),
        }
    }

    pub(crate) fn value(&self) -> u64 {
        self.next_value.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn process(&self) -> u64 {
        self.next_process.fetch_add(1, Ordering::Relaxed)
    }
}

/// What a client means to do.
#[derive(Clone, Debug)]
enum Intent {
    /// Read these keys in that way.
    Read(Way, Vec<u64>),
    Write(u64, u64),
    /// Append something and undo it with a savepoint.
    Regret(u64, u64),
}

#[derive(Clone, Copy, Debug)]
enum Way {
    Key,
    Index,
    Label,
    Several,
    Group,
}

/// A process of the history and its transaction.
pub struct Process<'a> {
    pub shared: &'a Shared,
    pub number: u64,
    pub random: Seeded,
    /// Keys that the open transaction has locked or written.
    touched: BTreeMap<u64, ()>,
    steps: Vec<Step>,
    planned: Vec<Step>,
    transactions: u64,
    /// Why its last transaction did not commit.
    pub failure: Option<Failure>,
}

impl<'a> Process<'a> {
    #[must_use]
    pub fn new(shared: &'a Shared, random: Seeded) -> Self {
        let number = shared.process();
        let (touched, steps, planned) = (BTreeMap::new(), Vec::new(), Vec::new());
        Self { shared, number, random, touched, steps, planned, transactions: 0, failure: None }
    }

    /// Runs one planned transaction.
    pub fn transact(&mut self, client: &mut dyn Client) {
        let read_only = self.random.percent(20);
        let intents = self.plan(read_only);
        let planned = intents.iter().flat_map(planned).map(|step| self.of_model(step)).collect();
        self.invoke(planned);
        if let Err(failure) = client.begin(self.shared.level, read_only) {
            return self.fail(client, &failure);
        }
        for intent in intents {
            if self.random.percent(50) {
                std::thread::yield_now();
            }
            let done = match intent {
                Intent::Read(way, keys) => self.read(client, way, &keys),
                Intent::Write(key, value) => self.write(client, key, value),
                Intent::Regret(key, value) => self.regret(client, key, value),
            };
            if let Err(failure) = done {
                return self.fail(client, &failure);
            }
        }
        match self.random.below(100) {
            0..=3 => self.abandon(client, false),
            4..=5 => self.abandon(client, true),
            6 => self.commit_unheard(client),
            _ => drop(self.commit(client)),
        }
    }

    fn plan(&mut self, read_only: bool) -> Vec<Intent> {
        let begun = self.shared.begun.fetch_add(1, Ordering::Relaxed);
        let oldest = begun / GROUP_LIFE * GROUP;
        let mut intents = Vec::new();
        for _ in 0..=self.random.below(4) {
            // The oldest keys are the hottest.
            let key = oldest + self.random.below(ACTIVE_KEYS).min(self.random.below(ACTIVE_KEYS));
            let group = key / GROUP * GROUP;
            intents.push(match self.random.below(if read_only { 50 } else { 100 }) {
                0..=14 => Intent::Read(Way::Key, vec![key]),
                15..=24 => Intent::Read(Way::Index, vec![key]),
                25..=34 => Intent::Read(Way::Label, vec![key]),
                35..=41 => Intent::Read(Way::Several, vec![key, key + 1]),
                42..=49 => Intent::Read(Way::Group, (group..group + GROUP).collect()),
                50..=52 => Intent::Regret(key, self.shared.value()),
                _ => Intent::Write(key, self.shared.value()),
            });
        }
        intents
    }

    fn of_model(&self, step: Step) -> Step {
        match (self.shared.model, step) {
            (Model::Registers, Step::Append { key, value }) => Step::Write { key, value },
            (_, step) => step,
        }
    }

    /// Takes down that a transaction begins.
    pub fn invoke(&mut self, planned: Vec<Step>) {
        self.transactions += 1;
        self.touched.clear();
        self.steps.clear();
        self.shared.recorder.note(self.number, Kind::Invoke, planned.clone(), None);
        self.planned = planned;
    }

    /// Reads keys in some way and takes down what was there.
    ///
    /// # Errors
    /// As the store answers.
    fn read(&mut self, client: &mut dyn Client, way: Way, keys: &[u64]) -> Result<(), Failure> {
        let (first, last) = (keys[0], keys[keys.len() - 1]);
        let found = match way {
            Way::Key => client.get(first)?.into_iter().collect(),
            Way::Index => client.find(json!({ "name": format!("k{first}") }))?,
            Way::Label => {
                let group = first / GROUP * GROUP;
                client.find(json!({ "label": format!("l{first}"),
                    "id": { "$gte": group, "$lt": group + GROUP } }))?
            }
            Way::Several => client.find(json!({ "id": { "$in": [first, last] } }))?,
            Way::Group => client.find(json!({ "group": first / GROUP }))?,
        };
        let mut known = BTreeSet::new();
        for record in &found {
            let id = record["id"].as_u64().unwrap_or(u64::MAX);
            assert!(keys.contains(&id) && known.insert(id), "{way:?} of {keys:?} found {record}");
        }
        for key in keys {
            let record = found.iter().find(|record| record["id"] == json!(key));
            self.steps.push(Step::Read { key: *key, values: Some(values(record)) });
        }
        Ok(())
    }

    /// Reads one key.
    ///
    /// # Errors
    /// As the store answers.
    pub fn get(&mut self, client: &mut dyn Client, key: u64) -> Result<(), Failure> {
        let way = [Way::Key, Way::Index, Way::Label][usize::try_from(key % 3).unwrap_or(0)];
        self.read(client, way, &[key])
    }

    /// Appends to a list or overwrites a register.
    ///
    /// # Errors
    /// As the store answers.
    pub fn write(&mut self, client: &mut dyn Client, key: u64, value: u64) -> Result<(), Failure> {
        match self.shared.model {
            Model::Lists => self.append(client, key, value)?,
            // Blind, so that a write is not a read.
            Model::Registers => client.upsert(record(key, &[value]))?,
        }
        let step = self.of_model(Step::Append { key, value });
        self.steps.push(step);
        Ok(())
    }

    fn append(&mut self, client: &mut dyn Client, key: u64, value: u64) -> Result<(), Failure> {
        let fresh = self.touched.insert(key, ()).is_none();
        let read_committed = self.shared.level == Isolation::ReadCommitted;
        let lock = fresh && self.random.percent(if read_committed { 70 } else { 20 });
        let present = if lock { client.lock(key)? } else { client.get(key)? };
        let Some(present) = present else {
            return client.insert(record(key, &[value]));
        };
        let mut list = values(Some(&present));
        list.push(value);
        let demanded = fresh && !lock && (read_committed || self.random.percent(30));
        let version = present["_version"].as_u64().filter(|_| demanded);
        client.update(key, json!({ "items": list }), version)
    }

    fn regret(&mut self, client: &mut dyn Client, key: u64, value: u64) -> Result<(), Failure> {
        client.savepoint("regret")?;
        match self.shared.model {
            Model::Lists => self.append(client, key, value)?,
            Model::Registers => client.upsert(record(key, &[value]))?,
        }
        client.rollback_to("regret")?;
        self.touched.remove(&key);
        Ok(())
    }

    /// Commits and takes down what is known of it. Whether it committed.
    pub fn commit(&mut self, client: &mut dyn Client) -> bool {
        let name = self.name();
        match client.commit(&name) {
            Ok(revision) => {
                let steps = std::mem::take(&mut self.steps);
                self.shared.recorder.note(self.number, Kind::Ok, steps, Some(revision));
                true
            }
            Err(failure) if failure.is_certain() => {
                self.fail(client, &failure);
                false
            }
            Err(failure) => {
                self.unknown(name);
                self.end(client, &failure);
                false
            }
        }
    }

    fn name(&self) -> String {
        format!("{}.{}", self.number, self.transactions)
    }

    /// Nobody knows: of lists the history says so; of registers, whose commits
    /// must be known, the store is asked later. The client goes on as another
    /// process.
    fn unknown(&mut self, name: String) {
        let planned = std::mem::take(&mut self.planned);
        match self.shared.model {
            Model::Lists => self.shared.recorder.note(self.number, Kind::Info, planned, None),
            Model::Registers => {
                let seen = std::mem::take(&mut self.steps);
                let unsettled = Unsettled { process: self.number, name, seen, planned };
                let mut all = self.shared.unsettled.lock().expect("nobody panicked");
                all.push(unsettled);
            }
        }
        self.number = self.shared.process();
    }

    fn commit_unheard(&mut self, client: &mut dyn Client) {
        let name = self.name();
        if client.commit_and_vanish(&name) {
            self.unknown(name);
        } else {
            self.commit(client);
        }
    }

    /// Rolls back, in words or by going away.
    pub fn abandon(&mut self, client: &mut dyn Client, silently: bool) {
        if silently {
            client.vanish()
        } else {
            client.rollback()
        }
        let planned = std::mem::take(&mut self.planned);
        self.shared.recorder.note(self.number, Kind::Fail, planned, None);
    }

    /// Takes down that the transaction certainly did not happen.
    pub fn fail(&mut self, client: &mut dyn Client, failure: &Failure) {
        let planned = std::mem::take(&mut self.planned);
        self.shared.recorder.note(self.number, Kind::Fail, planned, None);
        self.end(client, failure);
    }

    fn end(&mut self, client: &mut dyn Client, failure: &Failure) {
        self.failure = Some(failure.clone());
        assert!(
            !matches!(failure.code.as_str(), "INTERNAL_ERROR" | "CORRUPTED" | "VALIDATION_ERROR"),
            "{failure:?}"
        );
        if failure.is_final() {
            self.shared.down.store(true, Ordering::Relaxed);
            client.vanish();
        } else {
            client.rollback();
        }
    }
}

fn planned(intent: &Intent) -> Vec<Step> {
    match intent {
        Intent::Read(_, keys) => {
            keys.iter().map(|key| Step::Read { key: *key, values: None }).collect()
        }
        Intent::Write(key, value) => vec![Step::Append { key: *key, value: *value }],
        Intent::Regret(..) => Vec::new(),
    }
}

/// A list, or a register with its one value.
#[must_use]
pub fn record(key: u64, items: &[u64]) -> Value {
    json!({ "id": key, "name": format!("k{key}"), "label": format!("l{key}"),
        "group": key / GROUP, "items": items })
}

fn values(record: Option<&Value>) -> Vec<u64> {
    let items = record.and_then(|record| record["items"].as_array());
    items.into_iter().flatten().filter_map(Value::as_u64).collect()
}
