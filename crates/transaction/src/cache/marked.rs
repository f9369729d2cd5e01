//! What the tests of the caches take for damaged.

use tandem_base::{Error, Result};

use crate::derive::{CommitState, ConflictCause, Derive, Derived, Stamp};
use crate::write_set::WriteSet;

/// Whatever begins with `!` is damaged.
pub(super) struct Marked;

impl Derive for Marked {
    fn derive(&self, _: &dyn CommitState, _: &WriteSet, _: Stamp) -> Result<Derived> {
        Ok(Derived::default())
    }

    fn conflict(&self, _: ConflictCause, _: &[u8]) -> Error {
        Error::internal("there is none")
    }

    fn is_whole(&self, _: &[u8], value: &[u8]) -> bool {
        !value.starts_with(b"!")
    }
}
