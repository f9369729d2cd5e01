//! Breaking the disk below a store: the power goes at every file operation,
//! every system call fails, every bit of every file rots. `README.md` says how
//! to run it and what it found.
//!
//! ```text
//! watch     what the process does to files: recorded, and made to fail
//! disk      what of it survives a power cut
//! workload  what stores are put through, and what they showed meanwhile
//! verify    opens what is left, and compares
//! cuts      every cut of a recording
//! failures  every system call fails
//! rot       every byte changes
//! ```
#![cfg(target_os = "linux")]

pub mod cuts;
pub mod disk;
pub mod failures;
pub mod place;
pub mod rot;
pub mod verify;
pub mod watch;
pub mod workload;
