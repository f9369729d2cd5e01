use bytes::Bytes;
use tandem_base::{Error, Result};

/// What is left of a deleted record until its log entry is trimmed.
///
/// A record inserted again under the same key continues above the deleted
/// version, so that an `expectedVersion` from before the delete cannot match
/// by accident (the ABA problem).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tombstone {
    pub(crate) version: u64,
    pub(crate) revision: u64,
}

impl Tombstone {
    pub(crate) fn encode(self) -> Bytes {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.version.to_be_bytes());
        bytes[8..].copy_from_slice(&self.revision.to_be_bytes());
        Bytes::copy_from_slice(&bytes)
    }

    /// The version of a record inserted where `stored` is the tombstone.
    pub(crate) fn version_after(stored: Option<&[u8]>) -> Result<u64> {
        match stored {
            None => Ok(1),
            Some(bytes) => bytes
                .first_chunk()
                .map(|version| u64::from_be_bytes(*version) + 1)
                .ok_or_else(|| Error::corrupted("A tombstone is damaged")),
        }
    }
}
