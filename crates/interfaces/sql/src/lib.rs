//! SQL over the transactions of Tandem.
//!
//! Buckets are tables. SQLite (in memory, without a table of its own) parses and
//! runs what reads: joins, aggregates, window functions, common table expressions;
//! what it reads comes from Tandem, in the transaction of the session, through
//! virtual tables whose conditions and orders Tandem's planner serves. What writes
//! and defines is carried out by Tandem itself over the record API and its
//! transactional catalog, with SQLite evaluating the expressions. So there is one
//! transaction, one set of savepoints, one isolation level, whichever door a
//! statement comes through.
//!
//! ```text
//! text ──> Read ────> SQLite ──virtual_table──> query ─┐
//!      ──> Write ───> write ──expressions: SQLite      ├─> the session's transaction
//!      ──> Define ──> define ──> catalog ──────────────┘
//!      ──> Control ─> control: BEGIN, SAVEPOINT, COMMIT
//! ```
//! Reading order: [`Session`], `text`, `table`, `virtual_table`, `write`, `define`.

mod control;
mod conversion;
mod define;
mod describe;
mod error;
mod output;
mod parameters;
mod schema;
mod scope;
mod session;
mod shared;
mod table;
mod tables;
mod text;
mod value;
mod virtual_table;
mod write;

pub use control::{Control, control};
pub use output::{ColumnIndex, FromValue, Output, OutputColumn, Row};
pub use parameters::Parameters;
pub use schema::schema_of;
pub use session::{Interrupt, Prepared, Session, SessionOptions, bound_memory};
pub use text::{is_complete, seems_to_read, split};
pub use value::Value;
