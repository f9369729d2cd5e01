//! Watching, and disturbing, what this process does to the files below one
//! directory.
//!
//! ```text
//! store ─ engine ─ library ─ std ──► write, fsync, rename … (interpose)
//!                                        │
//!                                      hooks ── a fault? ──► EIO, ENOSPC
//!                                        │
//!                                     system call
//!                                        │
//!                                      trace: the operation, its bytes, its place in the order
//! ```
//!
//! The recorder lives in the process, below every library, because that is
//! where nothing can go past it unseen and nothing has to be mounted or
//! privileged: it runs wherever `cargo test` runs, at the speed of memory.
//! (FUSE needs a mount and a daemon; a shim inside the library would test a
//! library that nobody ships; `ptrace` costs two context switches per call.)
//! What it cannot see are system calls that do not go through libc, and writes
//! to mapped memory. So a recording proves itself: the files rebuilt from it
//! must equal the files on disk, byte by byte
//! ([`Trace::model`](crate::disk::DiskModel) against the directory).
//!
//! System calls below a watched directory are made one at a time, so that the
//! order of the recording is the order in which they happened.

pub mod faults;
mod hooks;
mod interpose;
mod names;
mod recording;

pub use faults::{Call, Fault, Times};
pub use recording::{Watch, Watched, shrink_journals};
