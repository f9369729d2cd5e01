//! JSON records: values and their order, keys, stored rows, schemas, filters,
//! the catalog, and the one function that derives from row changes everything
//! else that a commit writes.
//!
//! Reading order: [`value`], [`key`], [`row`], [`schema`], [`filter`], [`update`] are pure;
//! [`catalog`] compiles definitions; `entries` and `derive` are the derive
//! function; `statement` is what an insert, update or delete does in a
//! transaction; [`maintenance`] builds, checks and cleans up beside it.

pub mod catalog;
mod derive;
pub mod entries;
pub mod expression;
pub mod filter;
pub mod key;
pub mod keys;
pub mod maintenance;
mod pattern;
mod records;
pub mod row;
pub mod schema;
mod sequence;
mod statement;
mod tombstone;
pub mod update;
pub mod value;

pub use catalog::{Bucket, Catalog, Index, IndexPart, IndexState};
pub use derive::{SYSTEM_BUCKETS, SYSTEM_QUERIES};
pub use filter::Filter;
pub use maintenance::{BuildStep, CheckProblem, CheckReport, IndexInfo, ProblemKind};
pub use records::{Fields, Records};
pub use row::{Metadata, Position, Row};
pub use schema::{OnDelete, Schema};
pub use statement::{Alteration, FieldChange};
pub use update::Update;
pub use value::Path;
