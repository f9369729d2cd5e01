//! The coordination contract over the storage trait, in one process.
//!
//! One commit, step by step:
//!
//! 1. [`pipeline`] the committer joins the forming group; the first to arrive
//!    leads it, the others sleep until they have a result;
//! 2. [`stages`] the leader takes each member in order: *validate* against the
//!    [`recent`] commits and the earlier members, *derive*, *append* to the
//!    group's pending writes ([`section`]), while the group before it is written;
//! 3. one storage write with one sync for the whole group;
//! 4. *publish* the new view, tell the listener, wake the members.

mod absent;
mod coordinator;
mod pipeline;
#[cfg(test)]
mod promises;
mod recent;
mod section;
mod stages;
#[cfg(test)]
mod tests;
mod validate;

pub use coordinator::LocalCoordinator;
pub(crate) use stages::Spent;
