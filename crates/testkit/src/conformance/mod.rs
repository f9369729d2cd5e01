//! What every storage engine has to do, as a suite that runs against any.
//!
//! An engine is presented by an [`EngineFactory`], which makes a [`Home`] for
//! each case: a place where one store lives and can be opened, killed and
//! opened again. A case is a function of the factory that ends with `Ok` or
//! with a [`Failure`] that says which sentence of the contract is broken.
//!
//! In tests, one line turns every case into a `#[test]` of its own:
//!
//! ```
//! use tandem_testkit::conformance::MemoryFactory;
//! tandem_testkit::storage_conformance!(MemoryFactory);
//! ```
//!
//! Elsewhere, [`run`] runs them all and reports.
//!
//! The suite cannot see whether a `Sync` really reached the medium: an engine
//! whose home can simulate a power cut says so ([`Home::cut_power`]) and gets
//! those cases too; for the others they pass without a claim.

mod batches;
mod cases;
mod concurrency;
mod factories;
mod failure;
mod model;
mod ordering;
mod persistence;
mod snapshots;
mod support;

use std::sync::Arc;

use tandem_base::Result;
use tandem_storage::Storage;

pub use cases::{CASES, Case, check, run};
pub use factories::{DiskFactory, FaultFactory, MemoryFactory};
pub use failure::{Failure, Outcome};

/// Presents an engine to the suite.
pub trait EngineFactory: Send + Sync {
    /// A new place with no store in it yet.
    ///
    /// # Errors
    /// Whatever keeps the engine from making one; the case fails with it.
    fn home(&self) -> Result<Box<dyn Home>>;

    /// Whether a store outlives its being closed.
    fn persistent(&self) -> bool;
}

/// Where one store lives.
pub trait Home {
    /// Opens the store that lies here, creating it the first time. The suite
    /// never opens a second one before it has dropped, killed or cut the first.
    ///
    /// # Errors
    /// The engine's own.
    fn open(&mut self) -> Result<Arc<dyn Storage>>;

    /// Ends the store as `kill -9` would, as nearly as the engine can: what it
    /// would write on an orderly close must not be needed. The default only
    /// drops it.
    ///
    /// # Errors
    /// The engine's own.
    fn kill(&mut self, storage: Arc<dyn Storage>) -> Result<()> {
        drop(storage);
        Ok(())
    }

    /// Ends the store as a power cut would, losing everything that no sync
    /// covered. `false` (the default): this home cannot do that.
    ///
    /// # Errors
    /// The engine's own.
    fn cut_power(&mut self, storage: Arc<dyn Storage>) -> Result<bool> {
        drop(storage);
        Ok(false)
    }
}
