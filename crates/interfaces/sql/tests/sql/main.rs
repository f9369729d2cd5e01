//! SQL, as a program that uses it sees it: one file per behaviour, one program of all of
//! them, which is quicker to build than a dozen.
#![allow(clippy::unwrap_used, reason = "in tests, a failed step fails the test")]

mod alterations;
mod beside_sqlite;
mod both;
mod bounds;
mod buckets;
mod definitions;
mod endings;
mod hostile;
mod keys;
mod logic;
mod reads;
mod rules;
mod sharing;
mod support;
mod values;
