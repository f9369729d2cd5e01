//! Where records and what follows from them live in the key space; the first
//! byte is the space of [`tandem_transaction::keyspace`].
//!
//! ```text
//! 02 'b' <bucket name>                  bucket definition, JSON
//! 02 'q' <query name>                   query definition, JSON
//! 02 's' <bucket id>                    schema version: written when the fields change
//! 02 'n'                                the next free id of a bucket or index
//! 03 'c' <bucket id>                    number of records
//! 03 'a' <bucket id>                    the last autoincrement number given out
//! 03 'p' <index id>                     how far an index build has come
//! 05 <bucket id> <primary key>          tombstone: version, revision of the delete
//! 06 <prefix>                           garbage: a prefix whose keys are to be removed
//! 10 <bucket id> <primary key>          row
//! 20 <index id> <values> [primary key]  index entry
//! ```
//! Ids are u32, big-endian, never reused.

use bytes::Bytes;
use tandem_storage::KeyRange;
use tandem_transaction::keyspace;

use crate::row::Position;

/// The keys of all definitions of buckets.
#[must_use]
pub fn bucket_definitions() -> KeyRange {
    KeyRange::prefix(&[keyspace::CATALOG, b'b'])
}

/// The keys of all definitions of queries.
#[must_use]
pub fn query_definitions() -> KeyRange {
    KeyRange::prefix(&[keyspace::CATALOG, b'q'])
}

/// The keys of the whole catalog.
#[must_use]
pub fn catalog() -> KeyRange {
    // Every statement looks for own definitions: without an allocation.
    const START: &[u8] = &[keyspace::CATALOG];
    const END: &[u8] = &[keyspace::CATALOG + 1];
    KeyRange { start: Bytes::from_static(START), end: Some(Bytes::from_static(END)) }
}

/// Where the next free id is stored.
pub(crate) const NEXT_ID: &[u8] = &[keyspace::CATALOG, b'n'];

/// The definition of the bucket `name`.
#[must_use]
pub fn bucket_definition(name: &str) -> Bytes {
    named(b'b', name)
}

/// The definition of the query `name`.
#[must_use]
pub fn query_definition(name: &str) -> Bytes {
    named(b'q', name)
}

fn named(kind: u8, name: &str) -> Bytes {
    let mut key = Vec::with_capacity(2 + name.len());
    key.extend_from_slice(&[keyspace::CATALOG, kind]);
    key.extend_from_slice(name.as_bytes());
    key.into()
}

/// The schema version of a bucket.
#[must_use]
pub fn schema_version(bucket: u32) -> Bytes {
    tagged(keyspace::CATALOG, b's', bucket)
}

/// The number of records of a bucket.
#[must_use]
pub fn count(bucket: u32) -> Bytes {
    tagged(keyspace::COUNTER, b'c', bucket)
}

/// The last autoincrement number of a bucket.
#[must_use]
pub fn autoincrement(bucket: u32) -> Bytes {
    tagged(keyspace::COUNTER, b'a', bucket)
}

/// How far the build of an index has come.
#[must_use]
pub fn build_progress(index: u32) -> Bytes {
    tagged(keyspace::COUNTER, b'p', index)
}

fn tagged(space: u8, tag: u8, id: u32) -> Bytes {
    let mut key = [space, tag, 0, 0, 0, 0];
    key[2..].copy_from_slice(&id.to_be_bytes());
    Bytes::copy_from_slice(&key)
}

/// The tombstone of a deleted record.
#[must_use]
pub fn tombstone(bucket: u32, primary_key: &[u8]) -> Bytes {
    under(keyspace::TOMBSTONE, bucket, primary_key)
}

/// The tombstones of a bucket.
#[must_use]
pub fn tombstone_prefix(bucket: u32) -> Bytes {
    under(keyspace::TOMBSTONE, bucket, &[])
}

/// Marks every key that begins with `prefix` as garbage. The mark of an index
/// is remembered as read by those who read through it: dropping it is a change
/// of what they have read.
#[must_use]
pub fn garbage(prefix: &[u8]) -> Bytes {
    let mut key = Vec::with_capacity(1 + prefix.len());
    key.push(keyspace::GARBAGE);
    key.extend_from_slice(prefix);
    key.into()
}

/// The row of a record.
#[must_use]
pub fn row(bucket: u32, primary_key: &[u8]) -> Bytes {
    under(keyspace::ROW, bucket, primary_key)
}

/// As [`row`], written over what `out` held: for many rows, one after the other.
pub fn put_row(bucket: u32, primary_key: &[u8], out: &mut Vec<u8>) {
    out.clear();
    out.push(keyspace::ROW);
    out.extend_from_slice(&bucket.to_be_bytes());
    out.extend_from_slice(primary_key);
}

/// What the rows of a bucket begin with.
#[must_use]
pub fn row_prefix(bucket: u32) -> Bytes {
    under(keyspace::ROW, bucket, &[])
}

/// What the entries of an index begin with.
#[must_use]
pub fn index_prefix(index: u32) -> Bytes {
    under(keyspace::INDEX, index, &[])
}

/// Appends what the entries of an index begin with.
pub(crate) fn put_index_prefix(index: u32, out: &mut Vec<u8>) {
    out.push(keyspace::INDEX);
    out.extend_from_slice(&index.to_be_bytes());
}

/// The order index's entry of a row inserted at `position`.
#[must_use]
pub fn order_entry(order_index: u32, position: Position) -> Bytes {
    under(keyspace::INDEX, order_index, &position.to_bytes())
}

fn under(space: u8, id: u32, rest: &[u8]) -> Bytes {
    let mut key = Vec::with_capacity(5 + rest.len());
    key.push(space);
    key.extend_from_slice(&id.to_be_bytes());
    key.extend_from_slice(rest);
    key.into()
}

/// The bucket id and the encoded primary key of a row's key.
#[must_use]
pub fn split_row(key: &[u8]) -> Option<(u32, &[u8])> {
    split(keyspace::ROW, key)
}

/// The index id and the rest of an index entry's key.
#[must_use]
pub fn split_index_entry(key: &[u8]) -> Option<(u32, &[u8])> {
    split(keyspace::INDEX, key)
}

fn split(space: u8, key: &[u8]) -> Option<(u32, &[u8])> {
    let (id, rest) = key.strip_prefix(&[space])?.split_first_chunk()?;
    Some((u32::from_be_bytes(*id), rest))
}
