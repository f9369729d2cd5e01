//! One file per peer, and what they share: `by_hand`, `gathering`,
//! `installed`, `watched`.

pub mod by_hand;
pub mod engine;
pub mod fjall;
mod gathering;
mod installed;
pub mod lmdb;
pub mod loopback;
pub mod ordered_map;
pub mod postgres;
pub mod raw;
pub mod redb;
pub mod redis;
#[cfg(feature = "rocksdb")]
pub mod rocksdb;
pub mod served;
pub mod sql;
pub mod sqlite;
pub mod tandem;
pub mod watched;

/// The time of a write, as a record keeps it.
fn milliseconds() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as i64)
}
