//! What a disk holds, and what it holds after a power cut.
//!
//! # The model
//!
//! POSIX at its strictest, where Linux file systems are known to keep to it:
//!
//! * A file's bytes and length are durable when `fsync` or `fdatasync` of that
//!   file has returned. Before, each 512-byte sector is as it was at some moment
//!   since: with the first so many of the writes that touched it, each sector on
//!   its own. One that never reached the medium reads as what was there before:
//!   zeros, in a part of the file that was never written.
//! * A file's length changes in the order in which it was changed. What was
//!   written after a change of length that is lost is lost as well.
//! * A name (made, renamed, removed) is durable when `fsync` of *its directory*
//!   has returned; syncing the file itself does not help, though on ext4, XFS
//!   and btrfs it would. Before, the changes to one directory are there up to
//!   any point, in order: these file systems all log changes of names. Changes
//!   to different directories are independent.
//! * A rename within a directory happens whole or not at all.
//! * A power cut does not change what is durable.
//!
//! Not in the model: a disk that acknowledges a sync and loses it, sectors that
//! rot or read as something that was never written (see the flipped bits), and
//! file systems without a journal, on which a rename may tear.

mod fate;
mod image;
mod model;
mod trace;

pub use fate::Fate;
pub use image::Image;
pub use model::DiskModel;
pub use trace::{BaseNode, Event, Mark, Operation, Trace};

/// A file or directory, whatever its name.
pub type Node = u32;

/// The watched directory itself.
pub const ROOT: Node = 0;

/// What a disk writes whole or not at all.
pub const SECTOR: u64 = 512;
