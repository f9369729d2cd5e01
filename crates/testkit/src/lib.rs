//! The test kit: what Tandem's own tests and the authors of storage engines
//! check stores with.
//!
//! * [`conformance`]: the contract of `tandem_storage::Storage` as a suite that
//!   runs against any engine;
//! * [`fault`]: an engine whose writes, syncs and reads fail on request and
//!   whose power can be cut.

pub mod conformance;
pub mod fault;
