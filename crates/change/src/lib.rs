//! What follows a commit: the change log, subscriptions and events.
//!
//! **A subscription is a position, not a queue.** Every commit is in the change
//! log, written in the same atomic batch as its rows, and the newest ones are
//! also in memory. Whoever follows the store keeps one number, the revision up
//! to which it has seen everything, and pulls what comes after it:
//!
//! ```text
//!  revision:  … 40 41 42 │ 43 … 907 │ 908 … 1000
//!               trimmed  │   log    │   ring (memory)
//!                        │          │
//!  position = 41 ────────┼──> RESYNC_REQUIRED {oldestRevision: 42}
//!  position = 42..907 ───┴──> log   │
//!  position = 908.. ────────────────┴──> ring
//! ```
//!
//! So nothing is kept per follower, a slow one costs nothing and delays nobody,
//! and one that comes back after a restart is not different from one that was
//! slow. The committer only appends to the ring and wakes the waiting.
//!
//! Reading order: [`ChangeHub`] (what the committer touches), [`log`] (reading
//! from storage), [`ChangeSubscription`], [`EventDispatcher`] (callbacks by
//! [topic](TopicPattern)), [`ChangeLogRetention`] (what is removed, and when).

mod dispatcher;
mod event;
mod hub;
pub mod log;
mod options;
mod retention;
mod ring;
mod selection;
mod subscription;
mod topic;

pub use dispatcher::{EventDispatcher, EventGuard};
pub use event::{Event, EventNotice};
pub use hub::{ChangeHub, PublishCallback, PublishHandle};
pub use options::ChangeLogOptions;
pub use retention::{ChangeLogRetention, Trimmed};
pub use selection::ChangePredicate;
pub use subscription::{ChangeSubscription, Notice, SubscribeOptions};
pub use topic::{ChangeKind, Topic, TopicPattern};
