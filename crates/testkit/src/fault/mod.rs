//! A store that fails where a test wants it to.
//!
//! The engine models what a disk knows at each moment:
//!
//! ```text
//!   write ──► un-synced batches, in order ──sync──► durable entries
//!                 │                                      │
//!                 └──────── readers see both ────────────┘
//! ```
//!
//! A `Buffered` write joins the un-synced batches; a `Sync` write joins them
//! and then makes all of them durable. Faults come in at these [`Point`]s:
//!
//! * a **write** fails before anything of its batch is kept;
//! * a **sync** fails after its batch joined the un-synced ones: whether they
//!   are on the medium is unknown from then on, and readers do not see the
//!   batch (nobody was told that it is there);
//! * a **read**, a **snapshot** or the question for the **size** fails by itself
//!   and changes nothing.
//!
//! After a failed write or sync the engine is poisoned, as the contract says.
//! A point can also **freeze** the engine, which is the moment of a power cut:
//! that call and every later one fails, the call's batch is still on its way.
//!
//! Two ways lead to the store that is found afterwards, each a new engine
//! without faults, decided by a seed where there is a choice:
//!
//! * [`FaultStorage::restart`]: the process ended, the machine did not. All
//!   un-synced batches are there, unless a sync failed or the power went,
//!   when only a prefix of them may be;
//! * [`FaultStorage::cut`]: the power went. The un-synced batches meet their
//!   [`Fate`]. Engines write batches atomically, so a tear drops whole batches
//!   from the end; [`Fate::TornBatch`] alone breaks that promise, to prove
//!   that a test would notice.
//!
//! Counters tell how often each point was passed, so that a test can fail at
//! every one in turn:
//!
//! ```
//! use tandem_storage::{Durability, Storage, WriteBatch};
//! use tandem_testkit::fault::{FaultStorage, Point, Times};
//!
//! let scenario = |store: &FaultStorage| store.write(WriteBatch::new(), Durability::Sync);
//! let rehearsal = FaultStorage::new();
//! scenario(&rehearsal)?;
//! for nth in 1..=rehearsal.count(Point::Sync) {
//!     let store = FaultStorage::new();
//!     store.fail(Point::Sync, nth, Times::Once);
//!     assert!(scenario(&store).is_err());
//! }
//! # Ok::<(), tandem_base::Error>(())
//! ```
//!
//! It does not model damage to synced bytes, nor time.

mod medium;
mod plan;
mod snapshot;
mod storage;

pub use medium::Fate;
pub use plan::{Point, Times};
pub use storage::FaultStorage;
