//! What really happened: every commit, as it reached storage, and the state of
//! all records after each.
//!
//! Everything that clients are told is compared with it. Noting a commit checks
//! what must be true of any history, whoever wrote it: revisions rise, what a
//! change calls *before* is what was there, versions grow by exactly one, no
//! two seats are held twice, the bank's sum stands.

use std::collections::BTreeMap;
use std::sync::Arc;

use imbl::OrdMap;
use serde_json::{Value, json};
use tandem_record::key::decode_key;
use tandem_record::row::Row;
use tandem_storage::{Bytes, Direction, KeyRange, Storage};
use tandem_transaction::{Change, Commit, keyspace};

use crate::workload;

/// All records of one revision, by bucket and key (as JSON text).
pub(crate) type State = OrdMap<(Arc<str>, String), Arc<Value>>;

/// Versions of deleted records.
type Buried = OrdMap<(Arc<str>, String), u64>;

/// See the [module](self).
#[derive(Default)]
pub(crate) struct History {
    /// Each commit as the wire tells it.
    commits: BTreeMap<u64, Arc<Told>>,
    states: BTreeMap<u64, (State, Buried)>,
    /// Commits that are written and wait for their sync: nobody is told of them.
    written: Vec<Commit>,
    /// Commits whose write or sync failed: each of them is there after the restart, or
    /// none of it is.
    doubtful: Vec<Commit>,
    trimmed: u64,
    /// The newest revision that was ever given out.
    given: u64,
    /// The revisions that power cuts went back to, which may happen to commits
    /// that were only buffered.
    setbacks: Vec<u64>,
}

/// A commit as JSON.
pub(crate) struct Told {
    pub(crate) changes: Vec<ToldChange>,
}

pub(crate) struct ToldChange {
    pub(crate) bucket: Arc<str>,
    pub(crate) json: Value,
}

impl History {
    pub(crate) fn newest(&self) -> u64 {
        self.commits.last_key_value().map_or(0, |(revision, _)| *revision)
    }

    pub(crate) fn commits(&self) -> usize {
        self.commits.len()
    }

    /// The newest revision whose log entry was ever removed.
    pub(crate) fn trimmed_to(&self) -> u64 {
        self.trimmed
    }

    pub(crate) fn trimmed(&mut self, revision: u64) {
        self.trimmed = self.trimmed.max(revision);
    }

    /// The commits after `revision`.
    pub(crate) fn after(&self, revision: u64) -> impl Iterator<Item = (u64, &Arc<Told>)> {
        let later = (std::ops::Bound::Excluded(revision), std::ops::Bound::Unbounded);
        self.commits.range(later).map(|(revision, told)| (*revision, told))
    }

    /// Everything as of `revision`.
    pub(crate) fn state_at(&self, revision: u64) -> State {
        let newest = self.states.range(..=revision).next_back();
        newest.map(|(_, (state, _))| state.clone()).unwrap_or_default()
    }

    /// How often commits were lost, as they may be when they are only buffered.
    pub(crate) fn setbacks(&self) -> usize {
        self.setbacks.len()
    }

    /// Whether a revision that was known after so many setbacks was lost since.
    pub(crate) fn is_lost(&self, revision: u64, setbacks: usize) -> bool {
        self.setbacks[setbacks..].iter().any(|newest| revision > *newest)
    }

    /// The records of one bucket as of `revision`, by key.
    pub(crate) fn bucket_at(&self, bucket: &str, revision: u64) -> BTreeMap<String, Arc<Value>> {
        records_of(&self.state_at(revision), bucket)
    }

    /// A commit has been written.
    pub(crate) fn committed(&mut self, commit: &Commit) -> Result<(), String> {
        let revision = commit.revision;
        if revision <= self.given {
            return Err(format!("revision {revision} was given out after {}", self.given));
        }
        self.given = revision;
        let newest = self.states.last_key_value();
        let (mut state, mut buried) = newest.map(|(_, both)| both.clone()).unwrap_or_default();
        let mut changes = Vec::with_capacity(commit.changes.len());
        // Definitions are the system's own records; no client is told of them.
        for change in commit.changes.iter().filter(|change| !change.bucket.starts_with('_')) {
            let told = tell(change)?;
            apply(&mut state, &mut buried, &told, commit)
                .map_err(|text| format!("revision {revision}: {text}: {}", told.json))?;
            changes.push(told);
        }
        workload::check_state(&state, &changes)
            .map_err(|text| format!("revision {revision}: {text}"))?;
        self.states.insert(revision, (state, buried));
        let told = Told { changes };
        self.commits.insert(revision, Arc::new(told));
        Ok(())
    }

    /// These commits are written, and published after the next sync.
    pub(crate) fn written(&mut self, commits: Vec<Commit>) {
        self.written.extend(commits);
    }

    /// Whether commits wait for a sync.
    pub(crate) fn awaits_sync(&self) -> bool {
        !self.written.is_empty()
    }

    /// What is written is synced.
    pub(crate) fn synced(&mut self) -> Result<(), String> {
        let written = std::mem::take(&mut self.written);
        written.iter().try_for_each(|commit| self.committed(commit))
    }

    /// The write of these commits failed, or a sync: and with it all that is written.
    pub(crate) fn doubt(&mut self, commits: Vec<Commit>) {
        self.doubtful.append(&mut self.written);
        self.doubtful.extend(commits);
    }

    /// What a restarted store holds must be all that was answered, and besides
    /// only what was on its way.
    ///
    /// With `may_lose`, power went while commits were only buffered: the newest
    /// of them may be gone.
    pub(crate) fn reopened(&mut self, storage: &dyn Storage, may_lose: bool) -> Result<(), String> {
        self.doubtful.append(&mut self.written);
        let text = |error: tandem_base::Error| error.to_string();
        let newest = match storage.get(keyspace::LAST_REVISION).map_err(text)? {
            None => 0,
            Some(bytes) => u64::from_be_bytes(bytes[..].try_into().map_err(|_| "bad revision")?),
        };
        // A trim whose write failed may have happened as well.
        if let Some(bytes) = storage.get(keyspace::TRIMMED_REVISION).map_err(text)? {
            self.trimmed(u64::from_be_bytes(bytes[..].try_into().map_err(|_| "bad revision")?));
        }
        if may_lose && newest < self.newest() {
            self.commits.split_off(&(newest + 1));
            self.states.split_off(&(newest + 1));
            self.setbacks.push(newest);
        }
        if newest < self.newest() {
            return Err(format!(
                "G2: revision {} was acknowledged, but only {newest} is there after the restart",
                self.newest()
            ));
        }
        let after = KeyRange {
            start: keyspace::log_key(self.newest() + 1),
            ..KeyRange::prefix(&[keyspace::LOG])
        };
        let snapshot = storage.snapshot().map_err(text)?;
        let mut last = self.newest();
        for entry in snapshot.scan(&after, Direction::Forward) {
            let (key, value): (Bytes, Bytes) = entry.map_err(text)?;
            let revision = keyspace::log_revision(&key).ok_or("a bad log key")?;
            let commit = Commit::decode(revision, value).map_err(text)?;
            if !self.doubtful.contains(&commit) {
                return Err(format!("G1: revision {revision} is there, but nobody wrote it"));
            }
            self.committed(&commit)?;
            last = revision;
        }
        if last != newest {
            return Err(format!("G1: the log ends at {last}, the last revision is {newest}"));
        }
        self.doubtful.clear();
        Ok(())
    }
}

/// The records of one bucket in a state, by key.
pub(crate) fn records_of(state: &State, bucket: &str) -> BTreeMap<String, Arc<Value>> {
    let start = (Arc::from(bucket), String::new());
    state
        .range(start..)
        .take_while(|((of, _), _)| &**of == bucket)
        .map(|((_, key), record)| (key.clone(), record.clone()))
        .collect()
}

fn tell(change: &Change) -> Result<ToldChange, String> {
    let mut json = json!({
        "type": match (&change.before, &change.after) {
            (None, _) => "insert",
            (_, Some(_)) => "update",
            (_, None) => "delete",
        },
        "bucket": &*change.bucket,
        "key": decode_key(&change.key),
    });
    for (name, row) in [("before", &change.before), ("after", &change.after)] {
        if let Some(row) = row {
            let row = Row::from_stored(row.clone()).map_err(|error| error.to_string())?;
            let mut text = Vec::new();
            row.write_json(&mut text);
            json[name] = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
        }
    }
    Ok(ToldChange { bucket: change.bucket.clone(), json })
}

fn apply(
    state: &mut State,
    buried: &mut Buried,
    told: &ToldChange,
    commit: &Commit,
) -> Result<(), String> {
    let name = (told.bucket.clone(), told.json["key"].to_string());
    let (before, after) = (told.json.get("before"), told.json.get("after"));
    let there = state.get(&name).map(|record| &**record);
    if there != before {
        return Err(format!("G7: the record before was {there:?}"));
    }
    let version = |record: &Value| record["_version"].as_u64().unwrap_or(0);
    match (before, after) {
        (Some(before), Some(after)) if version(after) != version(before) + 1 => {
            return Err("G6: the version did not grow by one".into());
        }
        (None, Some(after)) => {
            let grave = buried.get(&name).copied().unwrap_or(0);
            if version(after) != 1 && version(after) != grave + 1 {
                return Err(format!("G6: version after a deleted {grave}"));
            }
        }
        (Some(before), None) => {
            workload::check_removal(told, before, commit.timestamp)?;
            buried.insert(name.clone(), version(before));
        }
        (None, None) => return Err("a change of nothing".into()),
        _ => {}
    }
    match after {
        Some(after) => _ = state.insert(name, Arc::new(after.clone())),
        None => _ = state.remove(&name),
    }
    Ok(())
}
