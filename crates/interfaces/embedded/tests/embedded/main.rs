//! The library, as a program that embeds it sees it: one file per behaviour, one
//! program of all of them, which is quicker to build than twenty.

mod batch;
mod closing;
mod conflicts;
mod damage;
mod definitions;
mod errors;
mod events;
mod expiry;
mod idempotency;
mod kept_ranges;
mod live_results;
mod locks;
mod online_indexes;
mod read_your_own_writes;
mod rollback;
mod savepoints;
mod several_handles;
mod space;
mod statistics;
mod streaming;
mod subscriptions;
mod support;
mod transaction_closure;
mod typed_records;
mod unattended;
