use bytes::Bytes;
use serde_json::{Map, Number, Value};
use tandem_base::{Error, Result};
use xxhash_rust::xxh3::xxh3_64;

use crate::row::{EXPIRES_AT, FORMAT, MAX_RECORD_BYTES, METADATA_NAMES, Metadata, Row, WIDE, at};
use crate::value::MAX_NESTING;

pub(super) fn encode(fields: &Map<String, Value>, metadata: Metadata) -> Result<Row> {
    match encode_with(fields, metadata, false)? {
        Some(row) => Ok(row),
        None => encode_with(fields, metadata, true)?
            .ok_or_else(|| Error::internal("A record within the limit has no room in a row")),
    }
}

/// `None` if the offsets of the fields need a wide table.
fn encode_with(fields: &Map<String, Value>, metadata: Metadata, wide: bool) -> Result<Option<Row>> {
    let in_body = |name: &&String| !METADATA_NAMES.contains(&name.as_str());
    let count = fields.keys().filter(in_body).count();
    let width = if wide { 4 } else { 2 };
    let body = at::TABLE + width * (count + 1);
    let mut out = Vec::with_capacity(body + 24 * count + 64);
    out.resize(body, 0);
    let Some(()) = put(&mut out, at::TABLE, count, wide) else { return Ok(None) };
    out.push(b'{');
    let expires_at = fields.get_key_value(EXPIRES_AT);
    let others = fields.iter().filter(|(name, _)| name.as_str() != EXPIRES_AT && in_body(name));
    for (index, (name, value)) in others.chain(expires_at).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        let offset = out.len() - body;
        let Some(()) = put(&mut out, at::TABLE + width * (index + 1), offset, wide) else {
            return Ok(None);
        };
        write_string(&mut out, name);
        out.push(b':');
        write_value(&mut out, value, 1)?;
    }
    out.push(b'}');
    let size = out.len() - body;
    if size > MAX_RECORD_BYTES {
        return Err(Error::limit("recordBytes", MAX_RECORD_BYTES as u64, size as u64));
    }
    out[0] = FORMAT;
    out[at::FLAGS] = if wide { WIDE } else { 0 };
    let checksum = content_hash(&out) ^ metadata_hash(&out);
    out[at::CHECKSUM..at::TABLE].copy_from_slice(&checksum.to_le_bytes());
    write_metadata(&mut out, metadata);
    Ok(Some(Row { bytes: Bytes::from(out), metadata, wide, fields: count, body }))
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
pub(super) fn write_unsigned(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + u8::try_from(number % 10).expect("a digit");
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}
