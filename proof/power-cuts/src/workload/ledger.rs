//! What a running store showed, revision by revision: what a store that is
//! found after a cut must show at the revision that it has.

use std::collections::BTreeMap;
use std::sync::Arc;

use tandem::{Result, Store};
use tandem_storage::{Bytes, Direction, KeyRange, Storage};
use tandem_transaction::{Commit, keyspace};

/// Everything a reader can see at one revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Per bucket, every record with its version and times, in key order.
    pub records: BTreeMap<String, Vec<String>>,
    /// Per bucket, its definition and its indexes.
    pub definitions: BTreeMap<String, String>,
}

/// Half of the revisions that a store reserves at a time.
const LEFT_OUT: u64 = 1 << 15;

impl State {
    /// Reads all of it.
    ///
    /// # Errors
    /// As the store answers.
    pub fn read(store: &Store) -> Result<Self> {
        let mut state = Self::default();
        for name in store.bucket_names()? {
            let mut records: Vec<_> = store
                .bucket(&*name)
                .all()
                .records()?
                .iter()
                .map(|record| record.to_json().to_string())
                .collect();
            records.sort_unstable();
            let indexes: Vec<_> = store
                .indexes(&name)?
                .into_iter()
                .map(|index| format!("{} {}", index.name, index.ready))
                .collect();
            let definition = format!("{} {indexes:?}", store.bucket_config(&name)?);
            state.records.insert(name.clone(), records);
            state.definitions.insert(name, definition);
        }
        Ok(state)
    }
}

/// The states of a workload by revision.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    states: BTreeMap<u64, Arc<State>>,
    log: BTreeMap<u64, Bytes>,
}

impl Ledger {
    /// Adds what the store shows now, and the log entries since the last time.
    ///
    /// # Errors
    /// As the store answers.
    pub fn note(&mut self, store: &Store, storage: &dyn Storage) -> Result<u64> {
        let revision = store.revision()?;
        if self.states.contains_key(&revision) {
            return Ok(revision);
        }
        let first = self.states.keys().next_back().map_or(1, |last| last + 1);
        for revision in first..=revision {
            // It may have been trimmed within the step; then nothing is known.
            if let Some(entry) = storage.get(&keyspace::log_key(revision))? {
                self.log.insert(revision, entry);
            }
        }
        self.states.insert(revision, Arc::new(State::read(store)?));
        Ok(revision)
    }

    /// The newest revision noted.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.states.keys().next_back().copied().unwrap_or(0)
    }

    /// Whether a store at this revision may show this state.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn compare(&self, revision: u64, state: &State) -> std::result::Result<(), String> {
        let empty = Arc::new(State::default());
        let below = self.states.range(..=revision).next_back();
        let (exact, below) = match below {
            Some((noted, state)) => (*noted == revision, state),
            None => (revision == 0, &empty),
        };
        if exact {
            return describe(below, state).map_or(Ok(()), Err);
        }
        // Within a step of several commits, which change definitions only.
        let Some((_, above)) = self.states.range(revision..).next() else {
            return Err("a revision that nobody committed".to_owned());
        };
        if state.records == below.records || state.records == above.records {
            return Ok(());
        }
        describe(below, state).map_or(Ok(()), Err)
    }

    /// Whether the change log holds every commit after the trimmed-to revision
    /// up to `revision`, and nothing else.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn compare_log(
        &self,
        storage: &dyn Storage,
        revision: u64,
    ) -> std::result::Result<(), String> {
        let failed = |error: tandem::Error| format!("reading the log: {error:?}");
        let trimmed = storage.get(keyspace::TRIMMED_REVISION).map_err(failed)?;
        let trimmed = match trimmed.as_deref().map(<[u8; 8]>::try_from) {
            None => 0,
            Some(Ok(bytes)) => u64::from_be_bytes(bytes),
            Some(Err(_)) => return Err("the trimmed-to revision is damaged".to_owned()),
        };
        let snapshot = storage.snapshot().map_err(failed)?;
        let mut last = trimmed;
        for entry in snapshot.scan(&KeyRange::prefix(&[keyspace::LOG]), Direction::Forward) {
            let (key, value) = entry.map_err(failed)?;
            let found = keyspace::log_revision(&key).ok_or("a log key is damaged")?;
            if found <= last || found > revision || !self.may_follow(last, found) {
                return Err(format!("the log of {trimmed}..{revision} has {found} after {last}"));
            }
            last = found;
            Commit::decode(found, value.clone()).map_err(failed)?;
            if self.log.get(&found).is_some_and(|noted| *noted != value) {
                return Err(format!("the log entry of revision {found} is another"));
            }
        }
        if last != revision {
            return Err(format!("the log entry of revision {revision} is missing"));
        }
        Ok(())
    }

    /// Whether no commit can have been between two revisions. A store that is
    /// opened again leaves out what was reserved for buffered commits, tens of
    /// thousands of revisions, of which far fewer were given out.
    fn may_follow(&self, last: u64, found: u64) -> bool {
        found == last + 1
            || (found - last > LEFT_OUT && self.log.range(last + 1..found).next().is_none())
    }
}

fn describe(expected: &State, found: &State) -> Option<String> {
    if expected == found {
        return None;
    }
    for (bucket, records) in &expected.records {
        let Some(there) = found.records.get(bucket) else {
            return Some(format!("bucket {bucket} is missing"));
        };
        if let Some(record) = records.iter().find(|record| !there.contains(record)) {
            return Some(format!("bucket {bucket} lacks {record}"));
        }
        if let Some(record) = there.iter().find(|record| !records.contains(record)) {
            return Some(format!("bucket {bucket} has {record}"));
        }
    }
    Some(format!("definitions: {:?} and {:?}", expected.definitions, found.definitions))
}
