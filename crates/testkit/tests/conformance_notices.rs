//! The suite can fail: engines that break one sentence of the contract each
//! are caught by the case that checks it.

use std::sync::{Arc, Mutex, PoisonError};

use tandem_base::Result;
use tandem_storage::{
    Bytes, Direction, Durability, Entries, KeyRange, MemoryStorage, Operation, Snapshot, Storage,
    WriteBatch,
};
use tandem_testkit::conformance::{CASES, EngineFactory, FaultFactory, Home, check, run};
use tandem_testkit::fault::Fate;

/// What an engine does wrong.
#[derive(Clone, Copy)]
enum Defect {
    /// Scans gather all entries first.
    Eager,
    /// A snapshot is the live store.
    LiveSnapshots,
    /// A batch is applied one operation at a time.
    PiecemealBatches,
    /// The first operation on a key wins.
    FirstWins,
    /// The end of a range is included.
    EndIncluded,
    /// Deletes are forgotten.
    NoDeletes,
}

struct Broken {
    storage: Arc<MemoryStorage>,
    defect: Defect,
}

impl Storage for Broken {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.storage.get(key)
    }

    fn snapshot(&self) -> Result<Arc<dyn Snapshot>> {
        let frozen = self.storage.snapshot()?;
        Ok(Arc::new(BrokenSnapshot { frozen, live: self.storage.clone(), defect: self.defect }))
    }

    fn write(&self, batch: WriteBatch, durability: Durability) -> Result<()> {
        batch.check_limits()?;
        match self.defect {
            Defect::PiecemealBatches => batch
                .into_operations()
                .into_iter()
                .try_for_each(|step| self.storage.write(batch_of([step]), durability)),
            Defect::FirstWins => {
                let mut operations = batch.into_operations();
                operations.reverse();
                self.storage.write(batch_of(operations), durability)
            }
            Defect::NoDeletes => {
                let mut operations = batch.into_operations();
                operations.retain(|operation| operation.value().is_some());
                self.storage.write(batch_of(operations), durability)
            }
            _ => self.storage.write(batch, durability),
        }
    }

    fn name(&self) -> &'static str {
        "broken"
    }

    fn approximate_size(&self) -> Result<u64> {
        self.storage.approximate_size()
    }
}

fn batch_of(operations: impl IntoIterator<Item = Operation>) -> WriteBatch {
    let mut batch = WriteBatch::new();
    for operation in operations {
        match operation {
            Operation::Put { key, value } => batch.put(key, value),
            Operation::Delete { key } => batch.delete(key),
        }
    }
    batch
}

struct BrokenSnapshot {
    frozen: Arc<dyn Snapshot>,
    live: Arc<MemoryStorage>,
    defect: Defect,
}

impl BrokenSnapshot {
    fn state(&self) -> Result<Arc<dyn Snapshot>> {
        match self.defect {
            Defect::LiveSnapshots => self.live.snapshot(),
            _ => Ok(self.frozen.clone()),
        }
    }
}

impl Snapshot for BrokenSnapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.state()?.get(key)
    }

    fn scan(&self, range: &KeyRange, direction: Direction) -> Entries<'_> {
        let mut range = range.clone();
        if let (Defect::EndIncluded, Some(end)) = (self.defect, &mut range.end) {
            *end = [&end[..], &[0]].concat().into();
        }
        match self.state() {
            Ok(state) if matches!(self.defect, Defect::Eager | Defect::LiveSnapshots) => {
                Box::new(state.scan(&range, direction).collect::<Vec<_>>().into_iter())
            }
            Ok(_) => self.frozen.scan(&range, direction),
            Err(error) => Box::new(std::iter::once(Err(error))),
        }
    }
}

struct BrokenFactory(Defect);

impl EngineFactory for BrokenFactory {
    fn home(&self) -> Result<Box<dyn Home>> {
        struct At(Defect);
        impl Home for At {
            fn open(&mut self) -> Result<Arc<dyn Storage>> {
                Ok(Arc::new(Broken { storage: Arc::default(), defect: self.0 }))
            }
        }
        Ok(Box::new(At(self.0)))
    }

    fn persistent(&self) -> bool {
        false
    }
}

#[track_caller]
fn caught(defect: Defect, by: &str) {
    assert!(check(&BrokenFactory(defect), by).is_err(), "{by} lets the defect pass");
}

#[test]
fn an_eager_scan_is_noticed() {
    caught(Defect::Eager, "scans_are_lazy");
}

#[test]
fn a_live_snapshot_is_noticed() {
    caught(Defect::LiveSnapshots, "a_snapshot_does_not_see_later_puts");
    caught(Defect::LiveSnapshots, "a_snapshot_does_not_see_later_deletes");
    caught(Defect::LiveSnapshots, "a_snapshot_outlives_many_overwrites");
}

#[test]
fn half_a_batch_is_noticed() {
    caught(Defect::PiecemealBatches, "g4_readers_never_see_half_a_batch");
}

#[test]
fn the_wrong_winner_of_a_batch_is_noticed() {
    caught(Defect::FirstWins, "the_last_operation_on_a_key_wins");
    caught(Defect::FirstWins, "random_operations_agree_with_a_sorted_map");
}

#[test]
fn an_included_end_is_noticed() {
    caught(Defect::EndIncluded, "reverse_is_forward_backwards");
    caught(Defect::EndIncluded, "empty_and_inverted_ranges_hold_nothing");
}

#[test]
fn a_lost_delete_is_noticed() {
    caught(Defect::NoDeletes, "a_snapshot_does_not_see_later_deletes");
    caught(Defect::NoDeletes, "g1_a_batch_is_visible_whole");
}

#[test]
fn g1_a_torn_batch_is_noticed() {
    let torn = FaultFactory { fate: Fate::TornBatch, seed: 1 };
    assert!(check(&torn, "g1_a_power_cut_leaves_whole_batches").is_err());
}

/// An engine that answers `Ok` to a `Sync` and syncs nothing.
#[test]
fn g2_a_forgotten_sync_is_noticed() {
    struct Forgetful;
    struct At(Arc<Mutex<WriteBatch>>);
    impl EngineFactory for Forgetful {
        fn home(&self) -> Result<Box<dyn Home>> {
            Ok(Box::new(At(Arc::default())))
        }
        fn persistent(&self) -> bool {
            true
        }
    }
    impl Home for At {
        fn open(&mut self) -> Result<Arc<dyn Storage>> {
            let batch = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
            Ok(Arc::new(MemoryStorage::holding(batch)))
        }
        fn cut_power(&mut self, _storage: Arc<dyn Storage>) -> Result<bool> {
            Ok(true)
        }
    }
    for case in [
        "g2_a_sync_covers_earlier_buffered_writes",
        "g2_an_empty_sync_covers_earlier_buffered_writes",
        "g2_a_killed_store_holds_buffered_writes",
        "g2_a_reopened_store_holds_what_was_written",
    ] {
        assert!(check(&Forgetful, case).is_err(), "{case} lets it pass");
    }
}

#[test]
fn running_the_suite_reports_every_case_once() {
    let outcomes = run(&FaultFactory::default());
    assert_eq!(outcomes.len(), CASES.len());
    assert!(outcomes.iter().all(|(_, outcome)| outcome.is_ok()), "{outcomes:?}");
    assert!(check(&FaultFactory::default(), "no such case").is_err());
}
