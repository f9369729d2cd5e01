//! Deterministic simulation of Tandem, after FoundationDB and TigerBeetle.
//!
//! One process, one thread, one seed. The server's own code (everything behind
//! the WebSocket handshake), the store, its coordinator, its records and its
//! change log run under a simulated clock, a simulated network, an engine with
//! faults and a scheduler whose every choice is drawn from the seed; a dozen
//! clients work over the wire protocol and check what they are told.
//!
//! ```text
//!  clients ══ network ══ SocketServer ── Turns ── Store ── Watched ── FaultStorage
//!     │         │            │             │                  │            │
//!     └─────────┴────────────┴── Executor ─┴──── Core ────────┴── operator ┘
//!                                  (dice, clock, trace, history, tally)
//! ```
//!
//! Where to go on: [`run`](mod@run) for the course of a run, `plan` for what a
//! seed decides, `operator` for what goes wrong, `client` for who works,
//! `history` for what everything is compared with, `executor` and `network` for
//! how it is simulated.

mod audit;
mod client;
mod core;
mod dice;
mod executor;
mod history;
mod network;
mod operator;
mod plan;
pub mod run;
mod storage;
mod tally;
mod threads;
mod trace;
mod turns;
mod websocket;
mod workload;
mod world;

pub use run::{Options, Report, run};
pub use storage::Defect;
