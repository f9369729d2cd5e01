//! Connection-scoped transactions over ordered bytes.
//!
//! **A commit is a set of row changes, and everything else is derived from it,
//! by one pure function, inside one critical section, into one atomic write.**
//! This crate owns the critical section; it knows keys and values as bytes
//! only. What a row is, which index entries follow from it and what a conflict
//! means to a person is told by the layer above through [`Derive`].
//!
//! ```text
//! Transaction (one per connection)        Coordination (shared)
//!   view        what it reads   <───────    newest published view
//!   write set   net effects     ───────>    validate → derive → append
//!   read set    what it read                one write, one sync per group
//!   savepoints  undo positions              publish, wake, hand to listener
//! ```
//!
//! Reading order: [`view`](View), [`write_set`](WriteSet), [`read_set`](ReadSet),
//! [`Transaction`], [`Coordination`], then `local/` for the commit pipeline.

mod ascending;
mod cache;
mod commit;
mod coordination;
mod derive;
mod errand;
mod guard;
mod hash;
mod isolation;
pub mod keyspace;
mod limits;
mod local;
mod lock;
mod merge;
mod read_set;
mod registry;
mod statistics;
mod transaction;
mod view;
mod write_set;

pub use cache::Neighbours;
pub use commit::{Change, Commit};
pub use coordination::{CommitOptions, CommitRequest, Coordination, Receipt, Work};
pub use derive::{CommitListener, CommitState, ConflictCause, Derive, Derived, Maintenance, Stamp};
pub use errand::{Answer, Errand, Errands, Then};
pub use guard::{Guard, GuardCheck};
pub use isolation::Isolation;
pub use limits::TransactionLimits;
pub use local::LocalCoordinator;
pub use lock::LockManager;
pub use merge::{Merged, MergedEntry};
pub use read_set::ReadSet;
pub use registry::{ActiveTransaction, Registry, TransactionId};
pub use statistics::{Statistics, StatisticsSnapshot, Timings};
pub use transaction::{Ending, IndexDelta, Transaction, TransactionOptions};
pub use view::{Read, View};
pub use write_set::{DerivedEntries, RowWrite, WriteSet};
