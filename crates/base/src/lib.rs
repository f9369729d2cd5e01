//! The ground that every layer of Tandem stands on.
//!
//! * [`Error`]: one coded error type for every door (Rust, wire, SQL, command line).
//! * [`Environment`]: the only way to time, randomness and threads below the
//!   interfaces, so that one seed replays a whole run.
//! * [`Histogram`]: how long things took, counted without waiting.

mod environment;
mod error;
mod histogram;
pub mod sync;

pub use environment::{
    Clock, Environment, Random, SeededRandom, SimulatedClock, SystemClock, SystemRandom,
    SystemThreads, Task, Threads,
};
pub use error::{Code, Error, Kind, Result};
pub use histogram::{Histogram, HistogramSnapshot};
