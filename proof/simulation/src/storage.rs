//! The engine below the store: the fault engine, watched.
//!
//! Every batch goes into the trace, and every commit that is as durable as the store
//! promises goes into the [history](crate::history): what a commit *is* is taken from
//! its change-log entry at the moment when it reaches storage, far below
//! everything that later talks about it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tandem_base::Result;
use tandem_storage::{Bytes, Durability, Operation, Snapshot, Storage, WriteBatch};
use tandem_testkit::fault::FaultStorage;
use tandem_transaction::{Commit, keyspace};

use crate::core::Core;

/// A storage engine that is broken on purpose, to show that a run notices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Defect {
    /// It works.
    #[default]
    None,
    /// It answers before the batch is durable.
    AcknowledgesEarly,
    /// It forgets one index entry in a hundred.
    LosesIndexEntries,
    /// It forgets one change-log entry in eight.
    LosesLogEntries,
    /// A power cut leaves half of a batch.
    TearsBatches,
    /// One row in fifty is written as it was before.
    LosesUpdates,
}

impl Defect {
    /// All but none.
    pub const ALL: [Self; 5] = [
        Self::AcknowledgesEarly,
        Self::LosesIndexEntries,
        Self::LosesLogEntries,
        Self::TearsBatches,
        Self::LosesUpdates,
    ];
}

/// See the [module](self).
pub(crate) struct Watched {
    engine: Arc<FaultStorage>,
    core: Arc<Core>,
    /// Of commits.
    durability: Durability,
    defect: Defect,
    seen: AtomicU64,
}

impl Watched {
    pub(crate) fn new(
        engine: Arc<FaultStorage>,
        core: Arc<Core>,
        durability: Durability,
        defect: Defect,
    ) -> Self {
        Self { engine, core, durability, defect, seen: AtomicU64::new(0) }
    }

    fn nth(&self, every: u64) -> bool {
        (self.seen.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(every)
    }

    fn spoil(&self, batch: &WriteBatch) -> WriteBatch {
        let mut spoiled = WriteBatch::new();
        for operation in batch.operations() {
            let space = operation.key().first().copied().unwrap_or(0);
            let lost = match self.defect {
                Defect::LosesIndexEntries => space == keyspace::INDEX && self.nth(100),
                Defect::LosesLogEntries => space == keyspace::LOG && self.nth(8),
                Defect::LosesUpdates => space == keyspace::ROW && self.nth(50),
                _ => false,
            };
            match operation {
                _ if lost => {}
                Operation::Put { key, value } => spoiled.put(key.clone(), value.clone()),
                Operation::Delete { key } => spoiled.delete(key.clone()),
            }
        }
        spoiled
    }
}

impl Storage for Watched {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.engine.get(key)
    }

    fn snapshot(&self) -> Result<Arc<dyn Snapshot>> {
        self.engine.snapshot()
    }

    fn write(&self, batch: WriteBatch, durability: Durability) -> Result<()> {
        for operation in batch.operations() {
            let kind = if operation.value().is_some() { "put" } else { "delete" };
            self.core.event(kind, operation.key().len() as u64, operation.key());
            if let Some(value) = operation.value() {
                self.core.event("value", 0, value);
            }
        }
        let commits = commits(&batch);
        let trimmed = trimmed_to(&batch);
        // A buffered commit that reserves revisions is published after a sync, too.
        let reserves = |it: &Operation| it.key()[..] == *keyspace::RESERVED_REVISION;
        let waits = self.durability == Durability::Sync || batch.operations().iter().any(reserves);
        let asked = durability;
        let (written, durability) = match self.defect {
            Defect::None | Defect::TearsBatches => (batch, durability),
            Defect::AcknowledgesEarly => (batch, Durability::Buffered),
            _ => (self.spoil(&batch), durability),
        };
        let outcome = self.engine.write(written, durability);
        self.core.event("written", u64::from(outcome.is_ok()), format!("{asked:?}").as_bytes());
        let mut history = self.core.history();
        let noted = match &outcome {
            Ok(()) => {
                history.trimmed(trimmed);
                commits.and_then(|commits| {
                    let waits = waits || history.awaits_sync();
                    history.written(commits);
                    if asked == Durability::Buffered && waits { Ok(()) } else { history.synced() }
                })
            }
            Err(_) => commits.map(|commits| history.doubt(commits)),
        };
        drop(history);
        self.core.check(noted);
        outcome
    }

    fn name(&self) -> &'static str {
        "simulated"
    }

    fn approximate_size(&self) -> Result<u64> {
        self.engine.approximate_size()
    }
}

/// The commits whose log entries a batch holds, in order.
fn commits(batch: &WriteBatch) -> Result<Vec<Commit>, String> {
    let entries = batch.operations().iter().filter_map(|operation| {
        let revision = keyspace::log_revision(operation.key())?;
        Some((revision, operation.value()?.clone()))
    });
    entries
        .map(|(revision, entry)| Commit::decode(revision, entry).map_err(|e| e.to_string()))
        .collect()
}

fn trimmed_to(batch: &WriteBatch) -> u64 {
    let marker = batch
        .operations()
        .iter()
        .find(|operation| operation.key()[..] == *keyspace::TRIMMED_REVISION);
    let bytes = marker.and_then(Operation::value).and_then(|value| value[..].try_into().ok());
    bytes.map_or(0, u64::from_be_bytes)
}
