use bytes::Bytes;
use serde_json::{Map, Number, Value};
use tandem_base::{Error, Result};
use xxhash_rust::xxh3::xxh3_64;

use crate::row::{EXPIRES_AT, FORMAT, MAX_RECORD_BYTES, METADATA_NAMES, Metadata, Row, WIDE, at};
use crate::value::MAX_NESTING;

pub(super) fn encode(fields: &Map<String, Value>, metadata: Metadata) -> Result<Row> {
    let in_body = |name: &str| name != EXPIRES_AT && !METADATA_NAMES.contains(&name);
    let others = fields.iter().filter(|(name, _)| in_body(name));
    let expires_at = fields.get_key_value(EXPIRES_AT);
    let all = others.chain(expires_at).map(|(name, value)| Piece::Field(name, value));
    write(&all.collect::<Vec<_>>(), metadata)
}

/// `old` with `changes`: fields that it has keep their place, others follow in
/// the order given, `_expiresAt` stays last. What does not change is copied.
pub(super) fn merge(old: &Row, changes: &[(&str, &Value)], metadata: Metadata) -> Result<Row> {
    let mut pieces: Vec<_> =
        (0..old.field_count()).map(|at| Piece::Stored(old.field_at(at))).collect();
    for (name, value) in changes {
        let piece = Piece::Field(name, value);
        match old.find(name) {
            Some((at, _)) => pieces[at] = piece,
            None => pieces.push(piece),
        }
    }
    if let Some(at) = pieces.iter().position(Piece::is_expiry) {
        let expiry = pieces.remove(at);
        pieces.push(expiry);
    }
    write(&pieces, metadata)
}

/// One field on its way into a row.
enum Piece<'a> {
    Field(&'a str, &'a Value),
    /// Name and value as they are stored.
    Stored(&'a [u8]),
}

impl Piece<'_> {
    fn is_expiry(&self) -> bool {
        match self {
            Self::Field(name, _) => *name == EXPIRES_AT,
            Self::Stored(text) => text.starts_with(b"\"_expiresAt\":"),
        }
    }
}

fn write(pieces: &[Piece<'_>], metadata: Metadata) -> Result<Row> {
    match write_with(pieces, metadata, false)? {
        Some(row) => Ok(row),
        None => write_with(pieces, metadata, true)?
            .ok_or_else(|| Error::internal("A record within the limit has no room in a row")),
    }
}

/// `None` if the offsets of the fields need a wide table.
fn write_with(pieces: &[Piece<'_>], metadata: Metadata, wide: bool) -> Result<Option<Row>> {
    let count = pieces.len();
    let width = if wide { 4 } else { 2 };
    let body = at::TABLE + width * (count + 1);
    let stored = pieces.iter().map(|piece| match piece {
        Piece::Field(..) => 40,
        Piece::Stored(text) => text.len() + 1,
    });
    let mut out = Vec::with_capacity(body + 64 + stored.sum::<usize>());
    out.resize(body, 0);
    let Some(()) = put(&mut out, at::TABLE, count, wide) else { return Ok(None) };
    out.push(b'{');
    for (index, piece) in pieces.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        let offset = out.len() - body;
        let Some(()) = put(&mut out, at::TABLE + width * (index + 1), offset, wide) else {
            return Ok(None);
        };
        match piece {
            Piece::Field(name, value) => {
                write_string(&mut out, name);
                out.push(b':');
                write_value(&mut out, value, 1)?;
            }
            Piece::Stored(text) => out.extend_from_slice(text),
        }
    }
    out.push(b'}');
    let size = out.len() - body;
    if size > MAX_RECORD_BYTES {
        return Err(Error::limit("recordBytes", MAX_RECORD_BYTES as u64, size as u64));
    }
    out[0] = FORMAT;
    out[at::FLAGS] = if wide { WIDE } else { 0 };
    out[at::METADATA..at::CHECKSUM].copy_from_slice(&metadata.to_bytes());
    let checksum = content_hash(&out) ^ metadata_hash(&out);
    out[at::CHECKSUM..at::TABLE].copy_from_slice(&checksum.to_le_bytes());
    Ok(Row::of_parts(Bytes::from(out), wide, count, body))
}

/// Writes an entry of the table.
fn put(out: &mut [u8], at: usize, number: usize, wide: bool) -> Option<()> {
    if wide {
        out[at..at + 4].copy_from_slice(&u32::try_from(number).ok()?.to_le_bytes());
    } else {
        out[at..at + 2].copy_from_slice(&u16::try_from(number).ok()?.to_le_bytes());
    }
    Some(())
}

/// Replaces the metadata and brings the checksum up to date.
pub(super) fn write_metadata(bytes: &mut [u8], metadata: Metadata) {
    let old = metadata_hash(bytes);
    bytes[at::METADATA..at::CHECKSUM].copy_from_slice(&metadata.to_bytes());
    let change = (old ^ metadata_hash(bytes)).to_le_bytes();
    for (byte, change) in bytes[at::CHECKSUM..at::TABLE].iter_mut().zip(change) {
        *byte ^= change;
    }
}

/// Half the hash of format, flags and metadata.
#[expect(clippy::cast_possible_truncation, reason = "half of a hash")]
pub(super) fn metadata_hash(bytes: &[u8]) -> u32 {
    xxh3_64(&bytes[..at::CHECKSUM]) as u32
}

/// Half the hash of table and body.
#[expect(clippy::cast_possible_truncation, reason = "half of a hash")]
pub(super) fn content_hash(bytes: &[u8]) -> u32 {
    xxh3_64(&bytes[at::TABLE..]) as u32
}

fn write_value(out: &mut Vec<u8>, value: &Value, depth: usize) -> Result<()> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => write_number(out, number),
        Value::String(text) => write_string(out, text),
        Value::Array(elements) => {
            check_depth(depth)?;
            out.push(b'[');
            for (index, element) in elements.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_value(out, element, depth + 1)?;
            }
            out.push(b']');
        }
        Value::Object(fields) => {
            check_depth(depth)?;
            out.push(b'{');
            for (index, (name, value)) in fields.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_string(out, name);
                out.push(b':');
                write_value(out, value, depth + 1)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

fn check_depth(depth: usize) -> Result<()> {
    if depth >= MAX_NESTING {
        return Err(Error::limit("nestingDepth", MAX_NESTING as u64, depth as u64 + 1));
    }
    Ok(())
}

/// Writes a JSON string as serde_json does, so that a name has one spelling.
pub(super) fn write_string(out: &mut Vec<u8>, text: &str) {
    if text.bytes().any(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
        serde_json::to_writer(out, text).expect("a vector takes any text");
    } else {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    }
}

fn write_number(out: &mut Vec<u8>, number: &Number) {
    match number.as_u64() {
        Some(number) => write_unsigned(out, number),
        None => serde_json::to_writer(out, number).expect("a vector takes any number"),
    }
}

/// Writes decimal digits.
pub(super) fn write_unsigned(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}
