use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};

use bytes::Bytes;
use tandem_base::{Code, Error, Result};
use tandem_storage::{Direction, Durability, Entries, KeyRange, Storage, WriteBatch};
use tandem_transaction::{
    Commit, CommitListener, CommitOptions, CommitState, Derived, LockManager, Read, Receipt,
    Registry, Stamp, TransactionLimits, View, keyspace,
};

use super::compare;
use super::slow::SlowSnapshot;
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
    /// Every view that an open transaction may have read, by revision.
    views: BTreeMap<u64, Arc<View>>,
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
        let view = view(&*storage, &weather, revision, schema_revision)?;
        Ok(Arc::new(Self {
            locks: LockManager::new(limits.lock_waiters, limits.locks_per_transaction),
            registry: Registry::default(),
            turn: Mutex::new(Turn {
                views: BTreeMap::from([(revision, view.clone())]),
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
        let mut batch = WriteBatch::new();
        for (key, value) in writes {
            match value {
                Some(value) => batch.put(key, value),
                None => batch.delete(key),
            }
        }
        let mut commit = None;
        if !silent {
            revision = stamp.revision;
            batch.put(keyspace::LAST_REVISION, revision.to_be_bytes().to_vec());
            if schema_changed {
                schema_revision = revision;
                batch.put(keyspace::SCHEMA_REVISION, revision.to_be_bytes().to_vec());
            }
            if let Some((name, payload)) = &options.idempotency {
                let first = first_result(stamp, record_changes, payload);
                batch.put(keyspace::idempotency_key(name), first);
            }
            let made = Arc::new(Commit { revision, timestamp: stamp.timestamp, changes });
            batch.put(keyspace::log_key(revision), made.encode());
            commit = Some(made);
        }
        if !batch.is_empty() {
            self.storage.write(batch, durability)?;
            turn.views.insert(revision, self.publish(revision, schema_revision)?);
        }
        let oldest_needed = self.registry.oldest_revision().unwrap_or(now.revision());
        turn.views.retain(|revision, _| *revision >= oldest_needed);
        if let Some(commit) = &commit {
            turn.listeners.retain(|listener| listener.strong_count() > 0);
            for listener in turn.listeners.iter().filter_map(Weak::upgrade) {
                listener.committed(std::slice::from_ref(commit));
            }
        }
        let changes = if silent { 0 } else { record_changes };
        Ok(Receipt { revision, changes, commit, replayed: None })
    }

    fn publish(&self, revision: u64, schema_revision: u64) -> Result<Arc<View>> {
        let view = view(&*self.storage, &self.weather, revision, schema_revision)?;
        *self.newest.write().unwrap_or_else(PoisonError::into_inner) = view.clone();
        Ok(view)
    }
}

impl Turn {
    /// The view of `revision`.
    pub(super) fn view(&self, revision: u64) -> Result<&Arc<View>> {
        self.views.get(&revision).ok_or_else(|| {
            Error::new(Code::TransactionExpired, "Transaction too old: its view is gone")
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
        let then = self.turn.view(revision);
        !then.is_ok_and(|then| compare::same_value(then, self.now, key).unwrap_or(false))
    }
}

fn view(
    storage: &dyn Storage,
    weather: &Arc<Weather>,
    revision: u64,
    schema_revision: u64,
) -> Result<Arc<View>> {
    let far = SlowSnapshot::new(storage.snapshot()?, weather.clone());
    Ok(Arc::new(View::new(revision, schema_revision, Arc::new(far))))
}

fn counter(storage: &dyn Storage, key: &[u8]) -> Result<u64> {
    let Some(bytes) = storage.get(key)? else { return Ok(0) };
    let bytes = bytes[..].try_into().map_err(|_| Error::corrupted("A counter is damaged"))?;
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
