use std::sync::Arc;

use tandem_base::Result;
use tandem_storage::{Bytes, Direction, Entries, Entry, KeyRange, Snapshot};

use super::plan::Point;
use super::storage::Core;

/// A snapshot whose every read passes the engine's faults.
pub(super) struct FaultSnapshot {
    core: Arc<Core>,
    snapshot: Arc<dyn Snapshot>,
}

impl FaultSnapshot {
    pub(super) fn new(core: Arc<Core>, snapshot: Arc<dyn Snapshot>) -> Self {
        Self { core, snapshot }
    }
}

impl Snapshot for FaultSnapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.core.read(Point::Read)?;
        self.snapshot.get(key)
    }

    fn scan(&self, range: &KeyRange, direction: Direction) -> Entries<'_> {
        let entries = Some(self.snapshot.scan(range, direction));
        Box::new(FaultEntries { core: &self.core, entries })
    }
}

struct FaultEntries<'a> {
    core: &'a Core,
    /// `None` once a step failed.
    entries: Option<Entries<'a>>,
}

impl Iterator for FaultEntries<'_> {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        let entries = self.entries.as_mut()?;
        match self.core.read(Point::Read) {
            Ok(()) => entries.next(),
            Err(error) => {
                self.entries = None;
                Some(Err(error))
            }
        }
    }
}
