//! Tandem: a transactional store of JSON records, embedded in your program.
//!
//! A [`Store`] is a directory (or memory) with named *buckets* of *records*.
//! Transactions span buckets and are serializable unless you choose otherwise;
//! secondary indexes are derived from the records inside the commit, so they
//! cannot disagree with them; a commit is durable when it returns; every change
//! can be followed as an event or from a resumable log.
//!
//! ```
//! # fn main() -> tandem::Result<()> {
//! use serde_json::json;
//! use tandem::{BucketConfig, Field, Store};
//!
//! let store = Store::memory()?; // or Store::open("directory")?
//! store.define_bucket(
//!     "accounts",
//!     BucketConfig::new("id").field("owner", Field::string().required()).index("owner"),
//! )?;
//!
//! let accounts = store.bucket("accounts");
//! accounts.insert(json!({ "id": 1, "owner": "Ada", "balance": 100 }))?;
//! accounts.insert(json!({ "id": 2, "owner": "Bob", "balance": 0 }))?;
//!
//! // All or nothing; run again if another transaction was faster.
//! store.transaction(|tx| {
//!     let accounts = tx.bucket("accounts");
//!     for (id, amount) in [(1, -30), (2, 30)] {
//!         let account = accounts.require(id)?;
//!         let balance = account.get("balance").and_then(|b| b.as_i64()).unwrap_or(0);
//!         accounts.update(id, json!({ "balance": balance + amount }))?;
//!     }
//!     Ok(())
//! })?;
//!
//! let rich = accounts.find(json!({ "balance": { "$gte": 50 } })).sort("-balance").records()?;
//! assert_eq!(rich.len(), 1);
//! # Ok(())
//! # }
//! ```
//!
//! Where to go on: [`Bucket`] for everything one bucket can do, [`Transaction`]
//! for control over begin and commit, [`TypedBucket`] for your own types,
//! [`Subscription`] for changes, [`StoreBuilder`] for how a store is opened.
//!
//! Every fallible call answers an [`Error`] with a stable [`Code`] and a
//! [`Kind`] that says what helps: retry, fix the input, wait, reopen or give
//! up.

mod aggregates;
mod batch;
mod bucket;
mod builder;
mod change;
mod definition;
mod definitions;
mod doors;
mod events;
mod find;
mod indexes;
mod initial;
mod iterate;
mod key;
mod limits;
mod maintenance;
mod queries;
mod record;
mod retry;
mod session;
mod statistics;
mod store;
mod subscription;
mod transact;
mod transaction;
mod typed;

pub use batch::{BatchEnding, BatchOptions, BatchResult, Operation, OperationResult};
pub use bucket::Bucket;
pub use builder::{MakeCoordination, StoreBuilder};
pub use change::{Change, Commit};
pub use definition::{BucketConfig, Field, Format, IndexConfig};
pub use events::Event;
pub use find::{Find, Page};
pub use indexes::CheckOptions;
pub use initial::InitialRecords;
pub use iterate::Rows;
pub use key::Key;
pub use limits::Limits;
pub use maintenance::MaintenanceReport;
pub use record::Record;
pub use retry::RetryPolicy;
pub use statistics::{BucketStatistics, StoreStatistics};
pub use store::Store;
pub use subscription::{Notice, SubscribeOptions, Subscription};
pub use transact::Abort;
pub use transaction::{CommitOptions, CommitReceipt, Transaction, TransactionOptions};
pub use typed::{TypedBucket, TypedFind, Values};

pub use tandem_base::{
    Clock, Code, Environment, Error, HistogramSnapshot, Kind, Random, Result, SimulatedClock,
    Threads,
};
pub use tandem_change::{ChangeKind, ChangeLogOptions, EventGuard, TopicPattern};
pub use tandem_query::QueryLimits;
pub use tandem_record::{CheckProblem, CheckReport, IndexInfo, OnDelete, ProblemKind};
pub use tandem_storage::{DiskOptions, Durability};
pub use tandem_transaction::{
    Isolation, StatisticsSnapshot, Timings, TransactionId, TransactionLimits,
};

/// The layers below, for programs that bring their own storage engine or open
/// another door to the store.
pub mod layers {
    pub use tandem_base as base;
    pub use tandem_change as change;
    pub use tandem_query as query;
    pub use tandem_record as record;
    pub use tandem_storage as storage;
    pub use tandem_transaction as transaction;
}
