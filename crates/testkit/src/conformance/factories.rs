//! Tandem's own engines, presented to the suite.

use std::sync::Arc;

use tandem_base::{Code, Error, Result};
use tandem_storage::{DiskOptions, DiskStorage, MemoryStorage, Storage};
use tempfile::TempDir;

use super::{EngineFactory, Home};
use crate::fault::{Fate, FaultStorage};

/// Presents the memory engine.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemoryFactory;

impl EngineFactory for MemoryFactory {
    fn home(&self) -> Result<Box<dyn Home>> {
        struct Memory;
        impl Home for Memory {
            fn open(&mut self) -> Result<Arc<dyn Storage>> {
                Ok(Arc::new(MemoryStorage::new()))
            }
        }
        Ok(Box::new(Memory))
    }

    fn persistent(&self) -> bool {
        false
    }
}

/// Presents the disk engine, in temporary directories.
#[derive(Clone, Debug, Default)]
pub struct DiskFactory {
    /// The options of every store.
    pub options: DiskOptions,
    /// The first bytes at which the key space of every store is cut.
    pub cuts: Vec<u8>,
}

impl EngineFactory for DiskFactory {
    fn home(&self) -> Result<Box<dyn Home>> {
        struct Disk {
            directory: TempDir,
            factory: DiskFactory,
        }
        impl Home for Disk {
            fn open(&mut self) -> Result<Arc<dyn Storage>> {
                let DiskFactory { options, cuts } = &self.factory;
                Ok(Arc::new(DiskStorage::open_cut(self.directory.path(), options, cuts)?))
            }
        }
        let directory = tempfile::tempdir()
            .map_err(|cause| Error::new(Code::StorageError, cause.to_string()))?;
        Ok(Box::new(Disk { directory, factory: self.clone() }))
    }

    fn persistent(&self) -> bool {
        true
    }
}

/// Presents the fault engine, with no fault but the power cuts that the suite
/// asks for. The seed decides what each cut leaves.
#[derive(Clone, Copy, Debug, Default)]
pub struct FaultFactory {
    /// What power cuts do to what was not synced.
    pub fate: Fate,
    /// Decides where the fate leaves a choice.
    pub seed: u64,
}

impl EngineFactory for FaultFactory {
    fn home(&self) -> Result<Box<dyn Home>> {
        struct Faulty {
            factory: FaultFactory,
            current: Arc<FaultStorage>,
        }
        impl Home for Faulty {
            fn open(&mut self) -> Result<Arc<dyn Storage>> {
                self.current = Arc::new(self.current.restart(self.factory.seed));
                Ok(self.current.clone())
            }

            fn cut_power(&mut self, storage: Arc<dyn Storage>) -> Result<bool> {
                drop(storage);
                self.factory.seed += 1;
                self.current = Arc::new(self.current.cut(self.factory.fate, self.factory.seed));
                Ok(true)
            }
        }
        Ok(Box::new(Faulty { factory: *self, current: Arc::default() }))
    }

    fn persistent(&self) -> bool {
        true
    }
}
