//! A client of the Tandem server.
//!
//! One [`Client`] is one WebSocket, shared by any number of tasks:
//!
//! ```no_run
//! # async fn example() -> tandem_client::Result<()> {
//! use serde_json::json;
//! use tandem_client::Client;
//!
//! let client = Client::connect("ws://127.0.0.1:8080/").await?;
//! let accounts = client.bucket("accounts");
//! accounts.insert(json!({ "id": "alice", "balance": 100 })).await?;
//!
//! // Run again when another transaction was faster; commits whole or not at all.
//! client
//!     .transaction(|tx| async move {
//!         let accounts = tx.bucket("accounts");
//!         accounts.update("alice", json!({ "balance": 80 })).await?;
//!         accounts.insert(json!({ "id": "bob", "balance": 20 })).await
//!     })
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! # When the connection is lost
//!
//! The client connects again by itself, after waits that grow
//! ([`Options`]). Meanwhile
//!
//! * requests that were not sent yet wait for it, for
//!   [`Options::request_wait`] at most;
//! * reads outside transactions are sent again;
//! * open transactions are over: the server has rolled them back, and their
//!   requests fail with [`CONNECTION_LOST`], retryable. A transaction closure is
//!   run again;
//! * a write that was sent and not answered fails with [`CONNECTION_LOST`], not
//!   retryable: it may have happened or not ([`Error::outcome`]). A transaction
//!   closure whose commit was on its way finds out which
//!   ([`Client::transaction`]);
//! * subscriptions go on: queries with their newest result, changes from the
//!   last revision that was delivered, each commit once and in order. If the
//!   change log no longer reaches back that far, [`ChangeEvent::Resync`] says
//!   so.
//!
//! # Sharing a client
//!
//! The server carries out the requests of one connection in order. One that
//! waits for a lock therefore holds up the others of the same client, the commit
//! of whoever holds that lock included, until its wait is over. Tasks that lock
//! records, or write to records that others lock, should have a client each.
//!
//! Memory is bounded: requests in flight by [`Options::in_flight`], what waits
//! in a subscription by [`Options::buffered_events`]. Nothing is lost at that
//! bound: the changes are left with the server until there is room.

mod batch;
mod bucket;
mod changes;
mod client;
mod connection;
mod definitions;
mod error;
mod find;
mod options;
mod query;
mod sql;
mod transaction;

pub use batch::{Batch, BatchReceipt};
pub use bucket::Bucket;
pub use changes::{Change, ChangeEvent, ChangeKind, Changes, ChangesOptions};
pub use client::Client;
pub use connection::Status;
pub use error::{CONNECTION_LOST, Error, INVALID_ANSWER, Outcome, Result};
pub use find::{Find, Page};
pub use options::{Options, RetryPolicy};
pub use query::{Query, QueryEvent};
pub use sql::{Answer, Column};
pub use tandem_base::Code;
pub use transaction::{Abort, Durability, Isolation, Receipt, Transaction, TransactionOptions};
