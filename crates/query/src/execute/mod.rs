//! Running a plan.
//!
//! ```text
//! access ──rows──> filter ──> after the cursor? ──> collector ──> page
//! ```
//! An access visits a superset of the matching rows; the filter is checked on
//! every row, unless it says nothing but what the ranges of the index do (then both are
//! equal by G3), so the answer never depends on the plan. What does depend on it
//! is the collector: rows that come in the order asked for are taken until
//! there are enough; rows that come grouped by equal sort values are put in
//! order group by group; anything else is sorted, keeping no more rows than
//! are wanted.

mod access;
mod collect;
mod fetch;
mod top;

pub(crate) use access::{Access, Examined, Step, own_view_differs};
pub(crate) use collect::{Bounds, Collection, Found, collect, for_each};
pub(crate) use fetch::Ahead;
