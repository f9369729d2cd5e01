//! One file per peer, and what they share: `gathering`, `watched`.

pub mod engine;
mod gathering;
pub mod raw;
pub mod sqlite;
pub mod tandem;
pub mod watched;
