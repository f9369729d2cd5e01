//! Definitions in Rust: buckets, fields and indexes, builder style.
//!
//! Each builder only collects what the *config* says; it is checked when the
//! bucket or index is defined, by the same rules as a config that comes over
//! the wire. So `BucketConfig::from_json` and the builder can do the same.

mod bucket_config;
mod field;
mod index_config;

pub use bucket_config::BucketConfig;
pub use field::{Field, Format};
pub use index_config::IndexConfig;
