//! Reads of records: which access path, in which order, how many.
//!
//! A [`Query`] says what is wanted; a plan says how it is reached; the answer
//! is the same whatever the plan, because every row is checked against the
//! filter, unless its index entry proves that it matches, and every order is one
//! total order over records.
//!
//! ```text
//! Query ──> plan ──> access ──> filter ──> order ──> page, stream, aggregate
//!           cost     index,     unless     served
//!                    key, scan  proven     or sorted
//! ```
//! Everything runs inside the transaction that it is given: own writes are
//! seen, and what is read (entries and rows passed, keys found missing) is
//! remembered for serializable validation, no more than was needed.
//!
//! Reading order: [`order`](SortPart), `plan`, `execute`, [`run`], [`Stream`],
//! [`pipeline`](Pipeline).

mod aggregate;
mod cursor;
mod execute;
mod explain;
mod forecast;
mod live;
mod order;
mod pipeline;
mod plan;
mod query;
mod read;
mod stream;

pub use aggregate::{Function, GroupBy, aggregate, group_by};
pub use cursor::Cursor;
pub use explain::explain;
pub use forecast::{Forecast, forecast};
pub use live::{Applied, LiveAggregate, LiveQuery, LiveResult};
pub use order::SortPart;
pub use pipeline::{MAX_PIPELINE_DEPTH, MAX_STAGES, Pipeline, explain_pipeline, run_pipeline};
pub use query::{After, Hint, MAX_SORT_PARTS, Query, QueryLimits, QueryPage, parse_sort, project};
pub use read::{
    count, find_one, first, for_each_inner, keys_inner, last, rows, rows_inner, run, run_inner,
};
pub use stream::Stream;
