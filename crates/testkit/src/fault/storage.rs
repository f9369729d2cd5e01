use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tandem_base::{Code, Error, Result};
use tandem_storage::{Bytes, Durability, MemoryStorage, Poison, Snapshot, Storage, WriteBatch};

use super::medium::{Fate, Medium};
use super::plan::{Plan, Point, Times, Verdict};
use super::snapshot::FaultSnapshot;

/// A store in memory whose faults and power cuts a test decides; the module's
/// page tells the model. Shared with its snapshots; all methods take `&self`.
#[derive(Debug, Default)]
pub struct FaultStorage {
    core: Arc<Core>,
}

#[derive(Debug, Default)]
pub(super) struct Core {
    /// What readers see.
    visible: MemoryStorage,
    poison: Poison,
    /// Held during a whole write, so that writes take turns.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    medium: Medium,
    plan: Plan,
    /// The power is off.
    frozen: bool,
    /// A sync failed: even a kill may lose what was not synced.
    doubtful: bool,
}

impl FaultStorage {
    /// An empty store without faults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the `nth` pass of `point` from now fail, 1 being the next, and
    /// every later one too if `times` says so.
    pub fn fail(&self, point: Point, nth: u64, times: Times) {
        self.state().plan.arm(point, nth, times, Verdict::Fail);
    }

    /// Cuts the power at the `nth` pass of `point` from now, 1 being the next:
    /// that call and every later one fails. Look at the rest with
    /// [`cut`](Self::cut).
    pub fn freeze_at(&self, point: Point, nth: u64) {
        self.state().plan.arm(point, nth, Times::Once, Verdict::Freeze);
    }

    /// Cuts the power now.
    pub fn freeze(&self) {
        self.state().frozen = true;
    }

    /// Forgets faults that have not struck yet. A poisoned or frozen engine
    /// stays so.
    pub fn disarm(&self) {
        self.state().plan.disarm();
    }

    /// How often `point` was passed since the engine was made, failures
    /// included, refusals of a poisoned or frozen engine not.
    #[must_use]
    pub fn count(&self, point: Point) -> u64 {
        self.state().plan.count(point)
    }

    /// How many written batches no sync has covered.
    #[must_use]
    pub fn unsynced_batches(&self) -> usize {
        self.state().medium.unsynced()
    }

    /// The store that is found after a power cut: durable entries, and of the
    /// un-synced batches what `fate` and `seed` decide. This engine stays as
    /// it is, so that one moment can be cut in many ways.
    #[must_use]
    pub fn cut(&self, fate: Fate, seed: u64) -> Self {
        Self::holding(self.state().medium.after(fate, seed))
    }

    /// The store that is found when the process ended without a power cut:
    /// everything written, unless a sync failed or the power was cut, when the
    /// seed decides how many of the un-synced batches are there.
    #[must_use]
    pub fn restart(&self, seed: u64) -> Self {
        let state = self.state();
        let fate = if state.doubtful || state.frozen { Fate::KeepPrefix } else { Fate::KeepAll };
        // A kill syncs nothing: the batches are still only buffered.
        if fate == Fate::KeepAll {
            let medium = state.medium.clone();
            let visible = medium.after(Fate::KeepAll, seed).contents();
            return Self::with(medium, visible);
        }
        Self::holding(state.medium.after(fate, seed))
    }

    fn holding(medium: Medium) -> Self {
        let visible = medium.contents();
        Self::with(medium, visible)
    }

    fn with(medium: Medium, visible: WriteBatch) -> Self {
        let core = Core {
            visible: MemoryStorage::holding(visible),
            poison: Poison::new(),
            state: Mutex::new(State { medium, ..State::default() }),
        };
        Self { core: Arc::new(core) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.core.state()
    }
}

impl Core {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Passes a point of those that change nothing.
    pub(super) fn read(&self, point: Point) -> Result<()> {
        let mut state = self.state();
        if state.frozen {
            return Err(power_off(Code::StorageError));
        }
        match state.plan.pass(point) {
            Verdict::Pass => Ok(()),
            Verdict::Fail => Err(Error::new(
                Code::StorageError,
                match point {
                    Point::Snapshot => "Injected fault: a snapshot failed",
                    Point::Size => "Injected fault: the size is not known",
                    _ => "Injected fault: a read failed",
                },
            )),
            Verdict::Freeze => {
                state.frozen = true;
                Err(power_off(Code::StorageError))
            }
        }
    }

    fn write(&self, batch: WriteBatch, durability: Durability) -> Result<()> {
        batch.check_limits()?;
        let mut state = self.state();
        if state.frozen {
            return Err(power_off(Code::StoreFailed));
        }
        self.poison.check()?;
        match state.plan.pass(Point::Write) {
            Verdict::Pass => state.medium.append(batch.clone()),
            Verdict::Fail => return Err(self.failed("Injected fault: a write failed")),
            Verdict::Freeze => {
                state.medium.append(batch);
                state.frozen = true;
                return Err(power_off(Code::StoreFailed));
            }
        }
        if durability == Durability::Sync {
            match state.plan.pass(Point::Sync) {
                Verdict::Pass => state.medium.sync(),
                Verdict::Fail => {
                    state.doubtful = true;
                    return Err(self.failed("Injected fault: a sync failed"));
                }
                Verdict::Freeze => {
                    state.frozen = true;
                    return Err(power_off(Code::StoreFailed));
                }
            }
        }
        self.visible.write(batch, durability)
    }

    fn failed(&self, message: &'static str) -> Error {
        self.poison.set(Error::new(Code::StoreFailed, message))
    }
}

fn power_off(code: Code) -> Error {
    Error::new(code, "Injected fault: the power is off")
}

impl Storage for FaultStorage {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.core.read(Point::Read)?;
        self.core.visible.get(key)
    }

    fn snapshot(&self) -> Result<Arc<dyn Snapshot>> {
        self.core.read(Point::Snapshot)?;
        let snapshot = self.core.visible.snapshot()?;
        Ok(Arc::new(FaultSnapshot::new(self.core.clone(), snapshot)))
    }

    fn write(&self, batch: WriteBatch, durability: Durability) -> Result<()> {
        self.core.write(batch, durability)
    }

    fn name(&self) -> &'static str {
        "fault"
    }

    fn approximate_size(&self) -> Result<u64> {
        self.core.read(Point::Size)?;
        self.core.visible.approximate_size()
    }
}
