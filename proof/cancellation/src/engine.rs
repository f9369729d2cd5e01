//! The layers that a commit passes, each with a gate in front.

use std::sync::Arc;

use tandem_base::{Environment, Result};
use tandem_storage::{
    Bytes, Direction, Durability, Entries, KeyRange, Snapshot, Storage, WriteBatch,
};
use tandem_testkit::fault::FaultStorage;
use tandem_transaction::{
    CommitRequest, Coordination, LocalCoordinator, LockManager, ReadSet, Receipt, Registry,
    Statistics, TransactionId, TransactionLimits, View,
};

use crate::gate::{Gate, Point};

/// The fault engine behind a gate. A write and its sync are two steps, as on a
/// disk: between them the batch is on its way.
pub struct Guarded {
    engine: Arc<FaultStorage>,
    gate: Arc<Gate>,
}

impl Guarded {
    /// `engine` behind `gate`.
    #[must_use]
    pub fn new(engine: Arc<FaultStorage>, gate: Arc<Gate>) -> Self {
        Self { engine, gate }
    }
}

impl Storage for Guarded {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.gate.pass(Point::Get);
        self.engine.get(key)
    }

    fn snapshot(&self) -> Result<Arc<dyn Snapshot>> {
        self.gate.pass(Point::Snapshot);
        let snapshot = self.engine.snapshot()?;
        Ok(Arc::new(GuardedSnapshot { snapshot, gate: self.gate.clone() }))
    }

    fn write(&self, batch: WriteBatch, durability: Durability) -> Result<()> {
        self.gate.pass(Point::Write);
        self.engine.write(batch, Durability::Buffered)?;
        if durability == Durability::Sync {
            self.gate.pass(Point::Sync);
            self.engine.write(WriteBatch::new(), Durability::Sync)?;
        }
        self.gate.pass(Point::Written);
        Ok(())
    }

    fn name(&self) -> &'static str {
        "guarded"
    }

    fn approximate_size(&self) -> Result<u64> {
        self.engine.approximate_size()
    }
}

struct GuardedSnapshot {
    snapshot: Arc<dyn Snapshot>,
    gate: Arc<Gate>,
}

impl Snapshot for GuardedSnapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.gate.pass(Point::Get);
        self.snapshot.get(key)
    }

    fn scan(&self, range: &KeyRange, direction: Direction) -> Entries<'_> {
        let entries = self.snapshot.scan(range, direction);
        Box::new(entries.inspect(|_| self.gate.pass(Point::Scan)))
    }
}

/// The local coordinator behind a gate: the caller dies between two calls of
/// the contract instead of within one.
pub struct Doors {
    local: Arc<LocalCoordinator>,
    gate: Arc<Gate>,
}

impl Doors {
    /// `local` behind `gate`.
    #[must_use]
    pub fn new(local: Arc<LocalCoordinator>, gate: Arc<Gate>) -> Self {
        Self { local, gate }
    }
}

impl Coordination for Doors {
    fn view(&self) -> Result<Arc<View>> {
        self.gate.pass(Point::View);
        self.local.view()
    }

    fn commit(&self, request: CommitRequest) -> Result<Receipt> {
        self.gate.pass(Point::Commit);
        let answer = self.local.commit(request);
        self.gate.pass(Point::Committed);
        answer
    }

    fn refresh(
        &self,
        advance: Option<TransactionId>,
        from: u64,
        reads: &ReadSet,
        keys: &mut dyn Iterator<Item = &Bytes>,
    ) -> Result<Option<Arc<View>>> {
        self.gate.pass(Point::Refresh);
        self.local.refresh(advance, from, reads, keys)
    }

    fn replay(&self, idempotency_key: &[u8]) -> Result<Option<Receipt>> {
        self.gate.pass(Point::Replay);
        self.local.replay(idempotency_key)
    }

    fn registry(&self) -> &Registry {
        self.local.registry()
    }

    fn locks(&self) -> &LockManager {
        self.local.locks()
    }

    fn limits(&self) -> &TransactionLimits {
        self.local.limits()
    }

    fn environment(&self) -> &Environment {
        self.local.environment()
    }

    fn statistics(&self) -> &Statistics {
        self.local.statistics()
    }
}
