//! The server, one step at a time.
//!
//! The connection's future is polled by hand, its store calls wait in a queue,
//! and its client reads when told to. So a run is a row of steps, the same each
//! time, and whatever goes away can go away after any of them:
//!
//! ```text
//!   poll the connection · run one store call · let the client read
//!        │ dropped            │ goes on without           │ closes
//! ```
//!
//! A store call that was asked for is run to its end whatever happens to the
//! connection, as on the blocking threads of the real server.

mod calls;
mod script;
mod stand;
mod wire;

pub use calls::{Queue, Threads};
pub use script::{Loss, Played, Script};
pub use stand::{Client, Served, Stand, on_a_runtime};
pub use wire::{text, whole_frames};
