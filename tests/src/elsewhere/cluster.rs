use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};

use bytes::Bytes;
use tandem_base::{Code, Error, Result};
use tandem_storage::{Direction, Durability, Entries, KeyRange, Snapshot, Storage, WriteBatch};
use tandem_transaction::{
    Commit, CommitListener, CommitOptions, CommitState, Derived, LockManager, Read, Receipt,
    Registry, Stamp, TransactionLimits, View, keyspace,
};

use super::compare;
use super::slow::{SlowSnapshot, plain, stamped};
use super::weather::Weather;

/// The shared database: what every server of the cluster sees.
pub struct Cluster {
    storage: Arc<dyn Storage>,
    pub(super) weather: Arc<Weather>,
    pub(super) registry: Registry,
    pub(super) locks: LockManager,
    newest: RwLock<Arc<View>>,
    turn: Mutex<Turn>,
}

/// What one may only touch in turn. Taken before the registry's lock and
/// before `newest`, never after.
pub(super) struct Turn {
    /// Every state that an open transaction may have read, by revision.
    states: BTreeMap<u64, Arc<dyn Snapshot>>,
    /// How many times something was written.
    writes: u64,
    listeners: Vec<Weak<dyn CommitListener>>,
}

impl Cluster {
    /// A cluster over what `storage` holds.
    ///
    /// # Errors
    /// `STORAGE_ERROR` when it cannot be read.
    pub fn new(storage: Arc<dyn Storage>, weather: Weather) -> Result<Arc<Self>> {
        let weather = Arc::new(weather);
        let limits = TransactionLimits::default();
        let revision = counter(&*storage, keyspace::LAST_REVISION)?;
        let schema_revision = counter(&*storage, keyspace::SCHEMA_REVISION)?;
        let state = storage.snapshot()?;
        let view = view(&state, &weather, revision, schema_revision);
        Ok(Arc::new(Self {
            locks: LockManager::new(limits.lock_waiters, limits.locks_per_transaction),
            registry: Registry::default(),
            turn: Mutex::new(Turn {
                states: BTreeMap::from([(revision, state)]),
                writes: 0,
                listeners: Vec::new(),
            }),
            newest: RwLock::new(view),
            storage,
            weather,
        }))
    }

    /// What the servers have in common below.
    #[must_use]
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// Whether any record is locked.
    #[must_use]
    pub fn holds_locks(&self) -> bool {
        !self.locks.is_empty()
    }

    /// The newest published view.
    pub(super) fn newest(&self) -> Arc<View> {
        self.newest.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for a turn: until it is dropped nobody else commits.
    pub(super) fn turn(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn join(&self, listener: Weak<dyn CommitListener>) {
        self.turn().listeners.push(listener);
    }

    /// The stamp that the next commit gets.
    pub(super) fn stamp(&self, now: &View, timestamp: u64) -> Stamp {
        Stamp { revision: now.revision() + 1 + self.weather.gap(), timestamp }
    }

    /// Writes and publishes one commit on top of `now`.
    pub(super) fn apply(
        &self,
        turn: &mut Turn,
        now: &View,
        stamp: Stamp,
        derived: Derived,
        options: &CommitOptions,
        durability: Durability,
    ) -> Result<Receipt> {
        let Derived { writes, changes, record_changes } = derived;
        let schema_changed = writes.iter().any(|(key, _)| key.first() == Some(&keyspace::CATALOG));
        let silent = changes.is_empty() && !schema_changed && options.idempotency.is_none();
        let (mut revision, mut schema_revision) = (now.revision(), now.schema_revision());
        turn.writes += 1;
        let write = turn.writes;
        let mut batch = WriteBatch::new();
        let mut put = |key: Bytes, value: Option<Bytes>| match value {
            Some(value) => batch.put(key, stamped(&value, write)),
            None => batch.delete(key),
        };
        for (key, value) in writes {
            put(key, value);
        }
        let number = |number: u64| Some(Bytes::copy_from_slice(&number.to_be_bytes()));
        let mut commit = None;
        if !silent {
            revision = stamp.revision;
            put(Bytes::from_static(keyspace::LAST_REVISION), number(revision));
            if schema_changed {
                schema_revision = revision;
                put(Bytes::from_static(keyspace::SCHEMA_REVISION), number(revision));
            }
            if let Some((name, payload)) = &options.idempotency {
                let first = first_result(stamp, record_changes, payload);
                put(keyspace::idempotency_key(name), Some(first));
            }
            let made = Arc::new(Commit { revision, timestamp: stamp.timestamp, changes });
            let (key, entry) = (keyspace::log_key(revision), made.encode());
            commit = Some((made, (key.len() + entry.len()) as u64));
            put(key, Some(entry));
        }
        if !batch.is_empty() {
            self.storage.write(batch, durability)?;
            let state = self.storage.snapshot()?;
            let view = view(&state, &self.weather, revision, schema_revision);
            *self.newest.write().unwrap_or_else(PoisonError::into_inner) = view;
            turn.states.insert(revision, state);
        }
        let oldest_needed = self.registry.oldest_revision().unwrap_or(now.revision());
        turn.states.retain(|revision, _| *revision >= oldest_needed);
        if let Some((commit, log_bytes)) = &commit {
            turn.listeners.retain(|listener| listener.strong_count() > 0);
            for listener in turn.listeners.iter().filter_map(Weak::upgrade) {
                listener.committed(std::slice::from_ref(commit), *log_bytes);
            }
        }
        let changes = if silent { 0 } else { record_changes };
        let commit = commit.map(|(commit, _)| commit);
        Ok(Receipt { revision, changes, commit, replayed: None })
    }
}

impl Turn {
    /// The state as of `revision`, stamps included.
    pub(super) fn state(&self, revision: u64) -> Result<&dyn Snapshot> {
        self.states.get(&revision).map(|state| &**state).ok_or_else(|| {
            Error::new(Code::TransactionExpired, "Transaction too old: its state is gone")
        })
    }
}

/// What `derive` builds on: `now`, and the old views to compare it with.
pub(super) struct Ground<'a> {
    pub(super) now: &'a View,
    pub(super) turn: &'a Turn,
}

impl Read for Ground<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.now.get(key)
    }

    fn scan(&self, range: &KeyRange, direction: Direction) -> Entries<'_> {
        self.now.scan(range, direction)
    }

    fn revision(&self) -> u64 {
        self.now.revision()
    }

    fn schema_revision(&self) -> u64 {
        self.now.schema_revision()
    }
}

impl CommitState for Ground<'_> {
    fn changed_since(&self, key: &[u8], revision: u64) -> bool {
        let states = (self.turn.state(revision), self.turn.state(self.now.revision()));
        let (Ok(then), Ok(now)) = states else { return true };
        !compare::same_value(then, now, key).unwrap_or(false)
    }
}

fn view(
    state: &Arc<dyn Snapshot>,
    weather: &Arc<Weather>,
    revision: u64,
    schema_revision: u64,
) -> Arc<View> {
    let far = SlowSnapshot::new(state.clone(), weather.clone());
    Arc::new(View::new(revision, schema_revision, Arc::new(far)))
}

fn counter(storage: &dyn Storage, key: &[u8]) -> Result<u64> {
    let Some(stored) = storage.get(key)? else { return Ok(0) };
    let bytes =
        plain(&stored)[..].try_into().map_err(|_| Error::corrupted("A counter is damaged"))?;
    Ok(u64::from_be_bytes(bytes))
}

/// `u64 revision | u64 changes | u64 timestamp ms | payload`, little-endian, as
/// the store keeps it whoever wrote it.
fn first_result(stamp: Stamp, changes: usize, payload: &[u8]) -> Bytes {
    let numbers = [stamp.revision, changes as u64, stamp.timestamp];
    let mut bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    bytes.extend_from_slice(payload);
    bytes.into()
}

/// Reads what [`first_result`] wrote.
pub(super) fn read_first_result(bytes: &Bytes) -> Result<Receipt> {
    let number = |at: usize| {
        let bytes = bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
        bytes.map(u64::from_le_bytes).ok_or_else(|| Error::corrupted("A kept result is damaged"))
    };
    let (revision, changes, _timestamp) = (number(0)?, number(8)?, number(16)?);
    let changes = usize::try_from(changes).unwrap_or(usize::MAX);
    Ok(Receipt { revision, changes, commit: None, replayed: Some(bytes.slice(24..)) })
}
