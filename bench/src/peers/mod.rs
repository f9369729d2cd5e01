//! One file per peer, and what they share: `gathering`, `watched`.

pub mod engine;
mod gathering;
pub mod loopback;
pub mod raw;
pub mod served;
pub mod sqlite;
pub mod tandem;
pub mod watched;
