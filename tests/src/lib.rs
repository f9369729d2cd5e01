//! Tests of the whole: what a program sees, through every door.
//!
//! The heart is a small language for interleavings (see [`script`]): a script
//! says which connection does what, in which order, and what each step answers
//! at each isolation level. The [`runner`] plays it through every [`door`]:
//! the embedded API, the embedded API over a second, deliberately different
//! coordination ([`elsewhere`]), and WebSocket. The [`matrix`] turns what
//! happened into `docs/isolation.md`.
//!
//! ```text
//! scripts/*.txt ──parse──> Script ──run──> Run ──> docs/isolation.md
//!                                   │
//!                    level × path × door, each on a new store
//! ```

pub mod answer;
pub mod door;
pub mod elsewhere;
pub mod library;
pub mod matrix;
pub mod patience;
pub mod runner;
pub mod script;

pub use library::{library, script_named};
pub use runner::play;
