//! How the one ordered key space of a store is divided: the first byte of a
//! key names its space. The layers above add what follows the first byte.
//!
//! ```text
//! 01 meta         'r' last revision · 's' schema revision · 't' trimmed-to revision
//!                 'n' reserved revisions
//! 02 catalog      definitions of buckets and queries
//! 03 counter      records per bucket, autoincrement
//! 04 change log   <revision, u64 big-endian> → encoded commit
//! 05 tombstone    version of a deleted record, until its log entry is trimmed
//! 06 garbage      key prefixes that background work still has to remove
//! 07 idempotency  <key> → first result of a commit
//! 10 rows         <bucket id, u32> <encoded primary key> → row
//! 20 index        <index id, u32> <encoded values> [<encoded primary key>]
//! ```

use bytes::Bytes;

/// Where an engine should cut the key space: what is on two sides of a cut is
/// written in different patterns. The change log grows at its end and is never
/// rewritten; most stores have no tombstones, and every insert looks for one;
/// rows are large and index entries small.
pub const CUTS: &[u8] = &[LOG, TOMBSTONE, GARBAGE, ROW, INDEX];

/// Space of the store-wide counters.
pub const META: u8 = 0x01;
/// Space of definitions. A commit that writes here changes the schema revision.
pub const CATALOG: u8 = 0x02;
/// Space of per-bucket counters.
pub const COUNTER: u8 = 0x03;
/// Space of the change log.
pub const LOG: u8 = 0x04;
/// Space of tombstones.
pub const TOMBSTONE: u8 = 0x05;
/// Space of prefixes still to be removed.
pub const GARBAGE: u8 = 0x06;
/// Space of first results by idempotency key.
pub const IDEMPOTENCY: u8 = 0x07;
/// Space of rows.
pub const ROW: u8 = 0x10;
/// Space of index entries.
pub const INDEX: u8 = 0x20;

/// Where the last revision is stored.
pub const LAST_REVISION: &[u8] = &[META, b'r'];
/// Where the revision of the last catalog change is stored.
pub const SCHEMA_REVISION: &[u8] = &[META, b's'];
/// Where the reserved revision is stored: up to it, revisions may have been
/// given to commits that were only buffered and are gone.
pub const RESERVED_REVISION: &[u8] = &[META, b'n'];
/// Where the newest revision whose log entry was removed is stored: the log
/// holds every commit after it.
pub const TRIMMED_REVISION: &[u8] = &[META, b't'];

/// The length of a change log key.
pub const LOG_KEY_BYTES: usize = 9;

/// The change log's key of a revision.
#[must_use]
pub fn log_key(revision: u64) -> Bytes {
    let mut key = [0; LOG_KEY_BYTES];
    key[0] = LOG;
    key[1..].copy_from_slice(&revision.to_be_bytes());
    Bytes::copy_from_slice(&key)
}

/// The revision of a change log key.
#[must_use]
pub fn log_revision(key: &[u8]) -> Option<u64> {
    let revision = key.strip_prefix(&[LOG])?;
    Some(u64::from_be_bytes(revision.try_into().ok()?))
}

/// Where the first result under an idempotency key is stored.
#[must_use]
pub fn idempotency_key(key: &[u8]) -> Bytes {
    let mut full = Vec::with_capacity(key.len() + 1);
    full.push(IDEMPOTENCY);
    full.extend_from_slice(key);
    full.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_documented_bytes_and_the_log_is_in_revision_order() {
        assert_eq!(log_key(0x0102), &b"\x04\0\0\0\0\0\0\x01\x02"[..]);
        assert!(log_key(255) < log_key(256));
        assert_eq!(idempotency_key(b"name"), &b"\x07name"[..]);
    }

    #[test]
    fn a_revision_is_read_from_keys_of_the_log_only() {
        assert_eq!(log_revision(&log_key(77)), Some(77));
        assert_eq!(log_revision(&idempotency_key(&log_key(77)[1..])), None);
        assert_eq!(log_revision(&log_key(77)[..8]), None);
    }
}
