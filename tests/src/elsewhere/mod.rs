//! A second implementation of [`Coordination`], deliberately different from
//! the local pipeline, so that nothing above the contract learns to lean on
//! how the local one happens to work.
//!
//! It plays a *cluster*: one shared database that several stateless servers
//! use at once, each with its own coordinator, catalog cache and change hub.
//!
//! ```text
//!   server A          server B          server C       Server: Coordination
//!      └───────────────┬─┴───────────────┘
//!                   Cluster                            newest view, old states
//!                   Storage                            values with write stamps
//! ```
//!
//! | | local pipeline | here |
//! |---|---|---|
//! | validation | an index of recently written keys | compares what was read, as it was in the state of the begin, with what is there now |
//! | derive | once, inside the section | may run several times on newer and newer states; only the last counts |
//! | commits of others | pass through the same section | appear between any two calls, from a server that this one does not know |
//! | revisions | adjacent | with gaps |
//! | reads | immediate | take time |
//! | conflicts | only real ones | also spurious ones, as [`Weather`] has it |
//!
//! It does not model a partition, a server that dies, or a lease: those belong
//! to the engine that will really be one.
//!
//! [`Coordination`]: tandem_transaction::Coordination

mod cluster;
mod compare;
mod server;
mod slow;
mod weather;

pub use cluster::Cluster;
pub use server::Server;
pub use weather::Weather;
