//! The derive function of indexes: a row's entries, by nothing but the row and
//! the index's definition.
//!
//! Both the commit section and the own reads of a transaction call
//! [`entries`]; there is no other place that makes an index entry.
//!
//! ```text
//! key    20 <index id> <part> … <part> [<primary key>]
//! value  empty, or the primary key where the key does not carry it
//! ```
//! A unique entry without a null part leaves the primary key out of its key,
//! so that two records with equal values would have to share it: that is the
//! constraint. With a null part it carries it like any other, so that nulls
//! never collide and can still be found.

use bytes::Bytes;
use serde_json::Value;
use tandem_base::{Code, Error, Result};

use crate::catalog::{Bucket, Index};
use crate::key;
use crate::keys;
use crate::row::Row;
use crate::value::{Kind, Path, ValueRef};

/// One index entry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct IndexEntry {
    /// The whole key.
    pub key: Bytes,
    /// The value.
    pub value: Bytes,
}

impl IndexEntry {
    /// Whether no other record may have this entry.
    #[must_use]
    pub fn is_exclusive(&self) -> bool {
        !self.value.is_empty()
    }
}

/// Appends the entries of `row` in `index`.
///
/// # Errors
/// `VALIDATION_ERROR` when two parts of a multi-valued index are arrays;
/// `LIMIT_EXCEEDED` when an entry is too long.
pub fn entries(
    index: &Index,
    row: &Row,
    primary_key: &[u8],
    out: &mut Vec<IndexEntry>,
) -> Result<()> {
    if let Some(filter) = &index.filter
        && !filter.matches(row)
    {
        return Ok(());
    }
    if !index.multi {
        out.push(plain_entry(index, row, primary_key)?);
        return Ok(());
    }
    let mut values = Vec::with_capacity(index.parts.len());
    let mut spread = None;
    for (at, part) in index.parts.iter().enumerate() {
        let value = indexed_value(row, &part.path);
        if value.is_array() && spread.replace(at).is_some() {
            return Err(Error::validation(format!(
                "Index \"{}\" cannot hold two arrays of one record",
                index.name
            ))
            .with("index", index.name.as_str()));
        }
        values.push(value);
    }
    match spread {
        None => out.push(entry(index, &values, primary_key)?),
        Some(at) => {
            let Value::Array(elements) = values[at].take() else { return Ok(()) };
            let first = out.len();
            for element in elements {
                values[at] = element;
                out.push(entry(index, &values, primary_key)?);
            }
            out[first..].sort_unstable();
            let mut distinct = first;
            for at in first..out.len() {
                if at == first || out[at] != out[distinct - 1] {
                    out.swap(distinct, at);
                    distinct += 1;
                }
            }
            out.truncate(distinct);
        }
    }
    Ok(())
}

/// The value at `path` as an index stores it: missing is null, and a path that
/// crosses an array gives the array of what it finds.
#[must_use]
pub fn indexed_value(row: &Row, path: &Path) -> Value {
    row.collect(path).unwrap_or(Value::Null)
}

/// The one entry of an index that is not multi-valued, without copying values.
fn plain_entry(index: &Index, row: &Row, primary_key: &[u8]) -> Result<IndexEntry> {
    let mut bytes = Vec::with_capacity(64 + primary_key.len());
    keys::put_index_prefix(index.id, &mut bytes);
    let mut with_null = false;
    for part in &index.parts {
        let mut encode = |value: ValueRef<'_>| {
            with_null |= value.kind() == Kind::Null;
            key::encode_part(value, part.descending, &mut bytes);
        };
        if part.path.is_single() {
            row.with_field(part.path.first(), |value| encode(value.unwrap_or(ValueRef::Null)));
        } else {
            encode(ValueRef::from(&indexed_value(row, &part.path)));
        }
    }
    finish(index, bytes, with_null, primary_key)
}

fn entry(index: &Index, values: &[Value], primary_key: &[u8]) -> Result<IndexEntry> {
    let mut bytes = Vec::with_capacity(64 + primary_key.len());
    keys::put_index_prefix(index.id, &mut bytes);
    for (part, value) in index.parts.iter().zip(values) {
        key::encode_part(value, part.descending, &mut bytes);
    }
    finish(index, bytes, values.iter().any(Value::is_null), primary_key)
}

/// The entry whose key begins with these bytes.
fn finish(
    index: &Index,
    mut bytes: Vec<u8>,
    with_null: bool,
    primary_key: &[u8],
) -> Result<IndexEntry> {
    let exclusive = index.unique && !with_null;
    let value = if exclusive {
        Bytes::copy_from_slice(primary_key)
    } else {
        bytes.extend_from_slice(primary_key);
        Bytes::new()
    };
    if bytes.len() > key::MAX_INDEX_ENTRY_BYTES {
        let (max, actual) = (key::MAX_INDEX_ENTRY_BYTES as u64, bytes.len() as u64);
        return Err(Error::limit("indexEntryBytes", max, actual).with("index", index.name.as_str()));
    }
    Ok(IndexEntry { key: bytes.into(), value })
}

/// Appends the entries of `row` in every index of `bucket`.
///
/// # Errors
/// As [`entries`].
pub fn all_entries(
    bucket: &Bucket,
    row: &Row,
    primary_key: &[u8],
    out: &mut Vec<IndexEntry>,
) -> Result<()> {
    bucket.indexes.iter().try_for_each(|index| entries(index, row, primary_key, out))
}

/// The primary key of the record that an entry of `index` points to.
///
/// # Errors
/// `CORRUPTED` when the entry does not decode.
pub fn primary_key_of(index: &Index, key: &Bytes, value: &Bytes) -> Result<Bytes> {
    if !value.is_empty() {
        return Ok(value.clone());
    }
    Ok(key.slice(primary_key_at(index, key)?..))
}

/// Where the primary key begins in the key of an entry that carries it.
///
/// # Errors
/// `CORRUPTED`.
pub fn primary_key_at(index: &Index, key: &[u8]) -> Result<usize> {
    let damaged =
        || Error::corrupted("An index entry is damaged").with("index", index.name.as_str());
    let (_, rest) = keys::split_index_entry(key).ok_or_else(damaged)?;
    let mut rest = rest;
    for part in &index.parts {
        key::skip_part(part.descending, &mut rest)?;
    }
    Ok(key.len() - rest.len())
}

/// What a unique index answers when `values` are taken.
pub(crate) fn unique_violation(bucket: &Bucket, index: &Index, row: &Row, holder: &[u8]) -> Error {
    let fields: Vec<_> = index.parts.iter().map(|part| part.path.to_string()).collect();
    let values: Vec<_> = index.parts.iter().map(|part| indexed_value(row, &part.path)).collect();
    let (field, value) = (fields.join(", "), display(&values));
    let mut error = Error::new(
        Code::AlreadyExists,
        format!(
            "Unique constraint violation in bucket \"{}\": field \"{field}\" already has value \"{value}\"",
            bucket.name
        ),
    )
    .with("bucket", &*bucket.name)
    .with("index", index.name.as_str());
    if let ([field], [value]) = (&fields[..], &values[..]) {
        error = error.with("field", field.as_str()).with("value", value.clone());
    }
    error.with("fields", fields).with("values", values).with("existingKey", key::decode_key(holder))
}

fn display(values: &[Value]) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    values.iter().map(text).collect::<Vec<_>>().join(", ")
}
