//! The server at its sockets: one file per behaviour, one program of nearly all of
//! them, which is quicker to build than one of each.
//!
//! What needs a process of its own is beside this folder: it counts what is
//! allocated, fills the table of open files, listens to the log, takes all the
//! processors there are, or must not be kept waiting by others.

mod administration;
mod applications;
mod atomic_operations;
mod attempts;
mod base_protocol;
mod changes;
mod connection_limits;
mod conversation;
mod data_requests;
mod definitions;
mod envelopes;
mod failing_reads;
mod gated;
mod http;
mod live_queries;
mod metrics;
mod open_transactions;
mod protocol_examples;
mod query_language;
mod restarts;
mod retries;
mod shutdown;
mod slow_disk;
mod sql;
mod subscriptions;
#[path = "../support/mod.rs"]
mod support;
