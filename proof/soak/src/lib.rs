//! A served store under load for minutes: its memory, its files and its data.
//!
//! ```text
//! load (this process, many sockets) ──WebSocket──> `tandem serve` (child process)
//!   bank, batches, churn, sessions,                   │ /proc: RSS, open files
//!   indexes, readers, followers,                      │ /metrics
//!   watchers, sleepers, vandals                       v
//!                                          samples ──> verdict: flat? whole?
//! ```
//!
//! The child is the real command on a directory of its own. What the load does
//! is bounded in space (keys come from fixed ranges, records expire, the change
//! log has its limit), so after a warm-up nothing may grow.
//!
//! Reading order: [`served`], [`client`], [`load`], [`sample`], [`verdict`],
//! [`run`].

#![expect(missing_docs, reason = "the fields of these plain types say what they are")]
#![allow(clippy::disallowed_methods, reason = "measures a process from outside, in real time")]

pub mod client;
pub mod dice;
pub mod load;
pub mod run;
pub mod sample;
pub mod served;
pub mod verdict;
