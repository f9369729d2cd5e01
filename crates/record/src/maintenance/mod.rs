//! Work that keeps a store in order while it is in use: online index builds,
//! removal of what dropped definitions leave behind, expiry, and the check of
//! every index against its rows.
//!
//! Each step is small and runs in the commit section (or, for expiry, as an
//! ordinary transaction), so it sees rows that nobody changes meanwhile; what
//! it has done is recorded with it, so it can be resumed after a crash.

mod check;
mod expiry;
mod garbage;
mod index_build;
mod index_info;
mod renewal;

use std::sync::{Arc, Mutex, PoisonError};

use tandem_base::Result;
use tandem_storage::Durability;
use tandem_transaction::{
    CommitOptions, CommitRequest, CommitState, Coordination, Derived, Stamp, Work,
};

pub use check::{CheckProblem, CheckReport, ProblemKind};
pub use index_build::BuildStep;
pub use index_info::IndexInfo;

/// Runs `step` in the commit section and hands its result out. What somebody is
/// told of, or what takes a revision, is as durable as the store promises
/// (`None`): a revision that was seen is not given to another commit after a
/// power cut.
fn in_commit_section<T: Send + 'static>(
    coordination: &dyn Coordination,
    durability: Option<Durability>,
    step: impl FnOnce(&dyn CommitState, Stamp) -> Result<(Derived, T)> + Send + 'static,
) -> Result<T> {
    let result = Arc::new(Mutex::new(None));
    let place = result.clone();
    let work = Work::Maintenance(Box::new(move |state, stamp| {
        let (derived, value) = step(state, stamp)?;
        *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
        Ok(derived)
    }));
    let options = CommitOptions { durability, idempotency: None };
    coordination.commit(CommitRequest { work, options })?;
    let value = result.lock().unwrap_or_else(PoisonError::into_inner).take();
    value.ok_or_else(|| tandem_base::Error::internal("A maintenance step left no result"))
}
