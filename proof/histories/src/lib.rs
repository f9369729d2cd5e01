//! Histories of concurrent transactions, judged by two checkers that know
//! nothing of Tandem.
//!
//! Clients run small transactions over lists (append, read) or registers
//! (write, read), through the library or WebSocket, while the fault engine
//! fails writes and cuts the power, indexes are built and dropped, transactions
//! are abandoned and sockets die. What each client asked and heard is the
//! history:
//!
//! ```text
//! plan ──> client ──door──> store ──> fault engine      (many threads)
//!            │ invoke, ok, fail, info
//!            v
//!         history ──EDN──> adya    (the crate, after Elle)
//!                 ──────> cycles   (ours, written from the definitions)
//! ```
//!
//! A level is asserted in both directions: nothing that it forbids is in its
//! histories, and what it allows is, because some transactions are interleaved
//! by hand so that it is certain.
//!
//! Reading order: [`history`], [`edn`], [`judge`], [`cycles`], [`door`],
//! [`client`], [`forced`], [`run`].

#![expect(missing_docs, reason = "the fields of these plain types say what they are")]

pub mod assess;
pub mod client;
pub mod cycles;
pub mod door;
pub mod edn;
pub mod forced;
pub mod history;
pub mod judge;
pub mod run;
pub mod seeded;
