//! The simplest store that could be right: one map, copied at every commit.
//!
//! It says, for each statement and commit of each transaction, what must
//! happen: the answer, or the code of the refusal. It has no indexes: every
//! read looks at every record.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use tandem::{Code, Error, Isolation};

pub type Fields = Map<String, Value>;

/// A committed record.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    pub fields: Fields,
    pub version: u64,
    /// Commit and place within it at which the key was inserted.
    pub position: (u64, u32),
}

type State = BTreeMap<i64, Stored>;

/// Committed states and what deleted keys left behind.
#[derive(Default)]
pub struct Reference {
    pub committed: Arc<State>,
    commits: u64,
    /// The last commit that wrote each key, deletes included.
    written: BTreeMap<i64, u64>,
    graves: BTreeMap<i64, u64>,
}

/// A transaction's net effect on one key.
#[derive(Clone, Debug)]
struct Write {
    /// Whether the key existed when the transaction first wrote it.
    existed: bool,
    after: Option<Fields>,
    /// Place among the inserts of the transaction, when it is one.
    inserted: Option<u32>,
    expected_version: Option<u64>,
}

/// A read that a serializable transaction has made, to be made again.
#[derive(Clone, Debug)]
enum Read {
    Key(i64, Option<Fields>),
    Where(Predicate, Vec<i64>),
    Count(usize),
}

/// What the reference knows of an open transaction.
pub struct Open {
    pub isolation: Isolation,
    begin: Arc<State>,
    begin_graves: BTreeMap<i64, u64>,
    begin_commit: u64,
    writes: BTreeMap<i64, Write>,
    inserts: u32,
    savepoints: Vec<(String, BTreeMap<i64, Write>)>,
    /// Reads with the own writes at that moment.
    reads: Vec<(Read, BTreeMap<i64, Write>)>,
}

/// Conditions that the workload asks for, each served by another index.
#[derive(Clone, Debug, PartialEq)]
pub enum Predicate {
    /// Compound index, first part.
    A(Value),
    /// Compound index, range on the second part.
    AB(Value, i64),
    /// Unique index.
    U(Value),
    /// Multi-valued index.
    Tag(&'static str),
    /// Nested path.
    Nested(i64),
    /// Partial index.
    On(i64),
    /// No index.
    Plain(i64),
}

impl Predicate {
    pub fn filter(&self) -> Value {
        match self {
            Self::A(a) => json!({ "a": a }),
            Self::AB(a, b) => json!({ "a": a, "b": { "$gte": b } }),
            Self::U(u) => json!({ "u": u }),
            Self::Tag(tag) => json!({ "tags": tag }),
            Self::Nested(n) => json!({ "n.x": { "$lt": n } }),
            Self::On(b) => json!({ "on": true, "b": { "$gt": b } }),
            Self::Plain(p) => json!({ "plain": { "$between": [p, p + 3] } }),
        }
    }

    fn holds(&self, record: &Fields) -> bool {
        let number = |name: &str| record.get(name).and_then(Value::as_i64);
        let equal = |name: &str, wanted: &Value| record.get(name).unwrap_or(&Value::Null) == wanted;
        match self {
            Self::A(a) => equal("a", a),
            Self::AB(a, b) => equal("a", a) && number("b").is_some_and(|value| value >= *b),
            Self::U(u) => equal("u", u),
            Self::Tag(tag) => {
                record["tags"].as_array().is_some_and(|tags| tags.contains(&json!(tag)))
            }
            Self::Nested(n) => record["n"]["x"].as_i64().is_some_and(|value| value < *n),
            Self::On(b) => equal("on", &json!(true)) && number("b").is_some_and(|value| value > *b),
            Self::Plain(p) => number("plain").is_some_and(|value| (*p..=p + 3).contains(&value)),
        }
    }
}

impl Reference {
    pub fn begin(&self, isolation: Isolation) -> Open {
        Open {
            isolation,
            begin: self.committed.clone(),
            begin_graves: self.graves.clone(),
            begin_commit: self.commits,
            writes: BTreeMap::new(),
            inserts: 0,
            savepoints: Vec::new(),
            reads: Vec::new(),
        }
    }

    /// What the transaction's next statement reads from.
    fn base(&self, tx: &Open) -> Arc<State> {
        match tx.isolation {
            Isolation::ReadCommitted => self.committed.clone(),
            _ => tx.begin.clone(),
        }
    }

    pub fn get(&self, tx: &mut Open, key: i64) -> Option<Fields> {
        let found = visible(&self.base(tx), &tx.writes, key);
        tx.reads.push((Read::Key(key, found.clone()), tx.writes.clone()));
        found
    }

    /// The version that a read of the key shows.
    pub fn version(&self, tx: &Open, key: i64) -> Option<u64> {
        let base = self.base(tx);
        let write = tx.writes.get(&key);
        match (base.get(&key), write) {
            (stored, None) => stored.map(|stored| stored.version),
            (_, Some(Write { after: None, .. })) => None,
            // Seen when it was first written, which only differs from now
            // under read committed; there the workload does not ask.
            (Some(stored), Some(_)) => Some(stored.version + 1),
            (None, Some(_)) => Some(tx.begin_graves.get(&key).map_or(1, |version| version + 1)),
        }
    }

    pub fn find(&self, tx: &mut Open, predicate: &Predicate) -> Vec<i64> {
        let found = matching(&self.base(tx), &tx.writes, predicate);
        tx.reads.push((Read::Where(predicate.clone(), found.clone()), tx.writes.clone()));
        found
    }

    pub fn count(&self, tx: &mut Open) -> usize {
        let count = merged(&self.base(tx), &tx.writes).len();
        tx.reads.push((Read::Count(count), tx.writes.clone()));
        count
    }

    pub fn insert(&self, tx: &mut Open, key: i64, fields: Fields) -> Result<(), Code> {
        let base = self.base(tx);
        if visible(&base, &tx.writes, key).is_some() {
            tx.reads.push((Read::Key(key, visible(&base, &tx.writes, key)), tx.writes.clone()));
            return Err(Code::AlreadyExists);
        }
        check_unique(&base, tx, key, &fields)?;
        let existed = tx.writes.get(&key).map_or(base.contains_key(&key), |write| write.existed);
        let expected_version = tx.writes.get(&key).and_then(|write| write.expected_version);
        tx.inserts += 1;
        let inserted = Some(tx.inserts);
        tx.writes.insert(key, Write { existed, after: Some(fields), inserted, expected_version });
        Ok(())
    }

    pub fn update(
        &self,
        tx: &mut Open,
        key: i64,
        changes: &Fields,
        expected_version: Option<u64>,
    ) -> Result<(), Code> {
        let base = self.base(tx);
        let Some(mut fields) = visible(&base, &tx.writes, key) else {
            tx.reads.push((Read::Key(key, None), tx.writes.clone()));
            return Err(Code::NotFound);
        };
        if expected_version.is_some_and(|expected| self.version(tx, key) != Some(expected)) {
            return Err(Code::Conflict);
        }
        let held = fields.get("u").cloned();
        fields.extend(changes.clone());
        // A value that the record has already is not looked at again: under
        // read committed, another may have taken it meanwhile, and the commit
        // will say so.
        if fields.get("u") != held.as_ref() {
            check_unique(&base, tx, key, &fields)?;
        }
        let write = match tx.writes.get(&key) {
            Some(write) => Write { after: Some(fields), ..write.clone() },
            None => Write { existed: true, after: Some(fields), inserted: None, expected_version },
        };
        tx.writes.insert(key, write);
        Ok(())
    }

    pub fn delete(&self, tx: &mut Open, key: i64) -> bool {
        let base = self.base(tx);
        if visible(&base, &tx.writes, key).is_none() {
            tx.reads.push((Read::Key(key, None), tx.writes.clone()));
            return false;
        }
        let write = match tx.writes.remove(&key) {
            Some(Write { existed: false, .. }) => return true,
            Some(write) => Write { after: None, ..write },
            None => Write { existed: true, after: None, inserted: None, expected_version: None },
        };
        tx.writes.insert(key, write);
        true
    }

    /// Whether the transaction may commit; if so, it has.
    pub fn commit(&mut self, tx: &Open, outcome: Result<(), Error>) {
        let allowed = self.may_commit(tx);
        let isolation = tx.isolation;
        match (outcome, allowed) {
            (Ok(()), Ok(())) => self.apply(tx),
            (Ok(()), Err(why)) => panic!("a commit that had to fail was acknowledged: {why}"),
            (Err(error), Err(_)) if error.code() == Code::Conflict => {}
            // Validation is by key and range, so a serializable transaction may
            // be refused although its reads would give the same again; but
            // never when nobody committed meanwhile.
            (Err(error), Ok(()))
                if error.code() == Code::Conflict && isolation == Isolation::Serializable =>
            {
                assert!(self.commits > tx.begin_commit, "a conflict without another commit");
            }
            (Err(code), allowed) => {
                panic!("commit answered {code}, the reference says {allowed:?}")
            }
        }
    }

    fn may_commit(&self, tx: &Open) -> Result<(), String> {
        if tx.writes.is_empty() {
            return Ok(());
        }
        for (key, write) in &tx.writes {
            let now = self.committed.get(key);
            let written = self.written.get(key).copied().unwrap_or(0);
            if tx.isolation != Isolation::ReadCommitted && written > tx.begin_commit {
                return Err(format!("{key} was committed by another"));
            }
            if write.existed && write.after.is_some() && now.is_none() {
                return Err(format!("{key} was deleted by another"));
            }
            if !write.existed && now.is_some() {
                return Err(format!("{key} was inserted by another"));
            }
            if let Some(expected) = write.expected_version
                && now.map(|stored| stored.version) != Some(expected)
            {
                return Err(format!("{key} does not have version {expected}"));
            }
        }
        let after = merged(&self.committed, &tx.writes);
        let mut taken = BTreeMap::new();
        for (key, fields) in &after {
            if let Some(u) = fields.get("u").and_then(Value::as_i64)
                && let Some(other) = taken.insert(u, key)
            {
                return Err(format!("{key} and {other} both have u = {u}"));
            }
        }
        if tx.isolation == Isolation::Serializable {
            for (read, writes) in &tx.reads {
                let same = match read {
                    Read::Key(key, found) => visible(&self.committed, writes, *key) == *found,
                    Read::Where(predicate, found) => {
                        matching(&self.committed, writes, predicate) == *found
                    }
                    Read::Count(count) => merged(&self.committed, writes).len() == *count,
                };
                if !same {
                    return Err(format!("{read:?} would give something else now"));
                }
            }
        }
        Ok(())
    }

    fn apply(&mut self, tx: &Open) {
        if tx.writes.is_empty() {
            return;
        }
        self.commits += 1;
        let mut state = State::clone(&self.committed);
        for (key, write) in &tx.writes {
            let Some(fields) = write.after.clone() else {
                if let Some(old) = state.remove(key) {
                    self.graves.insert(*key, old.version);
                    self.written.insert(*key, self.commits);
                }
                continue;
            };
            let old = state.get(key);
            let version = old.map(|old| old.version).or_else(|| self.graves.get(key).copied());
            let position = match (old, write.inserted) {
                (Some(old), None) => old.position,
                (_, inserted) => (self.commits, inserted.unwrap_or(0)),
            };
            let version = version.map_or(1, |version| version + 1);
            self.written.insert(*key, self.commits);
            state.insert(*key, Stored { fields, version, position });
            self.graves.remove(key);
        }
        self.committed = Arc::new(state);
    }

    /// All committed records in insertion order.
    pub fn in_order(&self) -> Vec<(i64, &Stored)> {
        let mut all: Vec<_> = self.committed.iter().map(|(key, stored)| (*key, stored)).collect();
        all.sort_by_key(|(_, stored)| stored.position);
        all
    }

    /// The committed keys that match, ascending.
    pub fn matching(&self, predicate: &Predicate) -> Vec<i64> {
        matching(&self.committed, &BTreeMap::new(), predicate)
    }
}

impl Open {
    pub fn has_writes(&self) -> bool {
        !self.writes.is_empty()
    }

    pub fn wrote(&self, key: i64) -> bool {
        self.writes.contains_key(&key)
    }

    pub fn savepoint(&mut self, name: &str) {
        self.savepoints.push((name.to_owned(), self.writes.clone()));
    }

    pub fn rollback_to(&mut self, name: &str) -> bool {
        let Some(at) = self.savepoints.iter().rposition(|(open, _)| open == name) else {
            return false;
        };
        self.savepoints.truncate(at + 1);
        self.writes = self.savepoints[at].1.clone();
        true
    }

    pub fn release(&mut self, name: &str) -> bool {
        let Some(at) = self.savepoints.iter().rposition(|(open, _)| open == name) else {
            return false;
        };
        self.savepoints.truncate(at);
        true
    }
}

fn visible(base: &State, writes: &BTreeMap<i64, Write>, key: i64) -> Option<Fields> {
    match writes.get(&key) {
        Some(write) => write.after.clone(),
        None => base.get(&key).map(|stored| stored.fields.clone()),
    }
}

fn merged(base: &State, writes: &BTreeMap<i64, Write>) -> BTreeMap<i64, Fields> {
    let mut all: BTreeMap<i64, Fields> =
        base.iter().map(|(key, stored)| (*key, stored.fields.clone())).collect();
    for (key, write) in writes {
        match &write.after {
            Some(fields) => all.insert(*key, fields.clone()),
            None => all.remove(key),
        };
    }
    all
}

fn matching(base: &State, writes: &BTreeMap<i64, Write>, predicate: &Predicate) -> Vec<i64> {
    merged(base, writes)
        .into_iter()
        .filter(|(_, fields)| predicate.holds(fields))
        .map(|(key, _)| key)
        .collect()
}

fn check_unique(base: &State, tx: &mut Open, key: i64, fields: &Fields) -> Result<(), Code> {
    let Some(wanted) = fields.get("u").filter(|u| !u.is_null()) else { return Ok(()) };
    let holders = matching(base, &tx.writes, &Predicate::U(wanted.clone()));
    let taken = holders.iter().any(|holder| *holder != key);
    // That the value was free, or taken, is something that it has read.
    tx.reads.push((Read::Where(Predicate::U(wanted.clone()), holders), tx.writes.clone()));
    if taken { Err(Code::AlreadyExists) } else { Ok(()) }
}
