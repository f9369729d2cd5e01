//! Storage: ordered bytes to bytes, and nothing about rows.
//!
//! A [`Storage`] engine offers four things: the newest value of a key, a
//! consistent [`Snapshot`], ordered scans in both directions over a snapshot,
//! and one atomic [`write`](Storage::write) of a [`WriteBatch`] at a stated
//! [`Durability`]. Everything else that Tandem promises is built above it, so
//! an engine is small; `docs/storage-engines.md` walks through writing one and
//! `tandem_testkit::conformance` checks it.

mod batch;
mod disk;
mod memory;
mod poison;
mod range;
mod traits;

pub use batch::{MAX_KEY_BYTES, MAX_VALUE_BYTES, Operation, WriteBatch};
pub use bytes::Bytes;
pub use disk::{DiskOptions, DiskStorage};
pub use memory::MemoryStorage;
pub use poison::Poison;
pub use range::{Direction, KeyRange};
pub use traits::{Durability, Entries, Entry, Snapshot, Storage};
