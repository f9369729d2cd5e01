//! Live queries: what a subscribed query answers, kept up with the commits.
//!
//! Each distinct query (its definition and its parameters) is one
//! [`LiveEntry`], however many clients subscribe to it: evaluated once, encoded
//! once. What a commit costs is decided before anything is evaluated:
//!
//! ```text
//! change ──bucket?──> no query there: nothing
//!            │
//!            ├─ {group: "a"} ─┐ by the value of one field, before and after:
//!            ├─ {id: 7}       ┤ found in a map, however many there are
//!            └─ all others ───┴──> filter on before and after ──> neither: nothing
//!                                          │
//!                                          v one of them matches
//!                                inbox of the entry, its subscribers are rung
//!                                          │
//!                  first of them that comes: apply ──stale?──> run again
//!                                          │
//!                                same text? nothing : the next result, for all
//! ```
//! If no change matches before or after, the result is what it was: that is the
//! proof on which the first three steps rest, and it holds for every query that
//! reads one bucket through one filter.
//!
//! An entry keeps its result ([`LiveResult`](tandem_query::LiveResult)) and its
//! text, within a budget that all share. One that finds no room keeps nothing:
//! its subscribers evaluate it each for themselves.

mod budget;
mod entry;
mod equality;
mod inbox;
mod queries;
mod results;
mod statistics;

pub(crate) use entry::Standing;
pub(crate) use equality::{Equality, candidates};
pub(crate) use queries::{LiveQueries, LiveSubscription};
pub(crate) use results::LiveText;
pub(crate) use statistics::Counters;
pub use statistics::SubscriptionStatistics;
