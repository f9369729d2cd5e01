use std::sync::Arc;

use bytes::Bytes;
use tandem_base::{Error, Result};

use crate::commit::{Change, Commit};
use crate::view::Read;
use crate::write_set::WriteSet;

/// The state that a commit builds on: everything committed before it, earlier
/// members of its group included.
pub trait CommitState: Read {
    /// Whether a commit after `revision` wrote `key`. May answer `true` when
    /// it does not know; then the value has to be read again.
    fn changed_since(&self, key: &[u8], revision: u64) -> bool;
}

/// When and as what a commit happens.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    /// The revision that the commit gets if it is accepted.
    pub revision: u64,
    /// Milliseconds since the Unix epoch.
    pub timestamp: u64,
}

/// Everything that one commit writes, as it follows from its row changes.
#[derive(Debug, Default)]
pub struct Derived {
    /// New values by key (`None` = removed): rows, index entries, counters.
    pub writes: Vec<(Bytes, Option<Bytes>)>,
    /// The commit's changes in order, for the change log.
    pub changes: Vec<Change>,
    /// How many of the changes are to records of users.
    pub record_changes: usize,
}

/// Why a transaction cannot commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConflictCause {
    /// A record that it wrote was committed by another after its begin.
    Write,
    /// Something that it read was changed by another commit after its begin.
    Read,
}

/// What the layer above knows about rows. Implementations must be pure: the
/// result depends on nothing but the arguments.
pub trait Derive: Send + Sync {
    /// Turns a write set into everything that its commit writes.
    ///
    /// Runs inside the commit section, so it sees each row as it is replaced
    /// and nobody else commits meanwhile.
    ///
    /// # Errors
    /// A conflict or constraint violation; then nothing is written.
    fn derive(&self, state: &dyn CommitState, writes: &WriteSet, stamp: Stamp) -> Result<Derived>;

    /// The error for a conflict on `key`, in words of the layer above.
    fn conflict(&self, cause: ConflictCause, key: &[u8]) -> Error;

    /// Whether `value` is what was written at `key`, by a checksum within it for
    /// example. Asked about what the engine answers before it is kept in memory, where
    /// it is not asked again.
    fn is_whole(&self, key: &[u8], value: &[u8]) -> bool {
        let _ = (key, value);
        true
    }
}

/// Background work that has to see a state nobody changes meanwhile: a step of
/// an index build, the removal of old log entries.
pub type Maintenance = Box<dyn FnOnce(&dyn CommitState, Stamp) -> Result<Derived> + Send>;

/// Is told of commits after they were published, in revision order. Must
/// return quickly: it runs on the committing thread.
pub trait CommitListener: Send + Sync {
    /// `commits` are durable, visible and in revision order; the change log has
    /// grown by `log_bytes` for them, keys included.
    fn committed(&self, commits: &[Arc<Commit>], log_bytes: u64);
}
