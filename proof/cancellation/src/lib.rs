//! Cancellation: whoever commits goes away, at every point where it can.
//!
//! Tandem's embedded calls block, its server's calls are futures. So there are
//! two ways to lose a caller, and both are walked point by point:
//!
//! ```text
//!            a thread                                a socket
//!   dies at the N-th call below it          its future is dropped after step N
//!   sleeps there while others give up       its stream ends after byte N
//! ```
//!
//! * [`Gate`]: counts the points that a caller passes (each read, scan step,
//!   write, sync and snapshot of the engine, each call into the coordination)
//!   and makes it panic or sleep at the one that is armed;
//! * [`Stage`]: a store over such an engine, founded with the same few records
//!   each time;
//! * [`Story`]: what a caller does, and its one commit;
//! * [`Picture`]: everything that the store holds. A [`Rehearsal`] shows how it looks
//!   without the commit and with it; whatever else is seen is half a commit;
//! * [`sockets`]: the server, one step at a time.

mod engine;
mod gate;
mod picture;
mod rehearsal;
pub mod sockets;
mod stage;
mod story;

pub use engine::{Doors, Guarded};
pub use gate::{Gate, Point, Strike, Struck};
pub use picture::Picture;
pub use rehearsal::Rehearsal;
pub use stage::Stage;
pub use story::{Slot, Story};
