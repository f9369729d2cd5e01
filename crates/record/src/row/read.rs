use bytes::Bytes;
use serde_json::{Number, Value};
use tandem_base::{Code, Error, Result};

use crate::row::encode::{content_hash, metadata_hash, write_string};
use crate::row::{FORMAT, Row, WIDE, at, damaged};
use crate::value::{Path, Step, ValueRef};

/// Of bytes as they come from an engine.
pub(super) fn open(bytes: Bytes) -> Result<Row> {
    check_format(&bytes)?;
    match parse(bytes) {
        Some(row) if is_whole(&row.bytes, row.body as usize, row.field_count(), row.wide) => {
            Ok(row)
        }
        _ => Err(damaged()),
    }
}

/// Of bytes that were [whole](is_stored) when they were looked at.
pub(super) fn open_whole(bytes: Bytes) -> Result<Row> {
    check_format(&bytes)?;
    parse(bytes).ok_or_else(damaged)
}

/// Whether [`open`] would take the bytes.
pub(super) fn is_stored(bytes: &[u8]) -> bool {
    check_format(bytes).is_ok()
        && header(bytes).is_some_and(|(wide, fields, body)| is_whole(bytes, body, fields, wide))
}

fn check_format(bytes: &[u8]) -> Result<()> {
    match bytes.first() {
        Some(&FORMAT) => Ok(()),
        None | Some(0) => Err(damaged()),
        Some(_) => Err(Error::new(
            Code::FormatUnsupported,
            "A stored row has a format that this version does not know",
        )),
    }
}

fn parse(bytes: Bytes) -> Option<Row> {
    let (wide, fields, body) = header(&bytes)?;
    Row::of_parts(bytes, wide, fields, body)
}

/// Whether the table is wide, how many fields it has, and where the body begins.
fn header(bytes: &[u8]) -> Option<(bool, usize, usize)> {
    let flags = *bytes.get(at::FLAGS)?;
    if flags & !WIDE != 0 {
        return None;
    }
    let wide = flags & WIDE != 0;
    let fields = table_entry(bytes.get(at::TABLE..)?, wide)?;
    let body = fields.checked_add(1)?.checked_mul(width(wide))?.checked_add(at::TABLE)?;
    (body < bytes.len()).then_some((wide, fields, body))
}

/// Whether the checksum is that of the bytes and the table points to fields.
fn is_whole(bytes: &[u8], body: usize, fields: usize, wide: bool) -> bool {
    let checksum = bytes.get(at::CHECKSUM..).and_then(|rest| rest.first_chunk());
    let sum = metadata_hash(bytes) ^ content_hash(bytes);
    let text = &bytes[body..];
    if checksum.is_none_or(|checksum| u32::from_le_bytes(*checksum) != sum)
        || text.len() < 2
        || text.first() != Some(&b'{')
        || text.last() != Some(&b'}')
    {
        return false;
    }
    // Each field begins after what ends the one before, with a quote.
    let mut least = 1;
    for field in 0..fields {
        let offset = offset(bytes, field, wide);
        if offset < least || text.get(offset) != Some(&b'"') {
            return false;
        }
        least = offset + 4;
    }
    least <= text.len() + 1
}

fn width(wide: bool) -> usize {
    if wide { 4 } else { 2 }
}

/// Where the field's name begins in the body.
fn offset(bytes: &[u8], field: usize, wide: bool) -> usize {
    let entry = &bytes[at::TABLE + width(wide) * (field + 1)..];
    table_entry(entry, wide).unwrap_or_default()
}

fn table_entry(table: &[u8], wide: bool) -> Option<usize> {
    if wide {
        table.first_chunk().and_then(|bytes| usize::try_from(u32::from_le_bytes(*bytes)).ok())
    } else {
        table.first_chunk().map(|bytes| usize::from(u16::from_le_bytes(*bytes)))
    }
}

impl Row {
    /// `None` for more than a row can hold.
    pub(super) fn of_parts(bytes: Bytes, wide: bool, fields: usize, body: usize) -> Option<Self> {
        let (fields, body) = (u32::try_from(fields).ok()?, u32::try_from(body).ok()?);
        Some(Self { bytes, wide, fields, body })
    }

    /// The value of a metadata field, or `None` for another name.
    pub(super) fn metadata_field(&self, name: &str) -> Option<u64> {
        // Most names are none of them.
        if name.starts_with('_') { self.metadata().field(name) } else { None }
    }

    /// How many fields the user gave it.
    pub(super) fn field_count(&self) -> usize {
        self.fields as usize
    }

    /// Where the field's name begins in the body.
    pub(super) fn offset(&self, field: usize) -> usize {
        offset(&self.bytes, field, self.wide)
    }

    /// Name and value of a field as they are stored.
    pub(super) fn field_at(&self, field: usize) -> &[u8] {
        let next =
            if field + 1 < self.field_count() { self.offset(field + 1) } else { self.body().len() };
        self.body().get(self.offset(field)..next - 1).unwrap_or_default()
    }

    /// Which field has that name, and where in the body its value begins. Cost:
    /// a comparison per field of the record.
    pub(super) fn find(&self, name: &str) -> Option<(usize, usize)> {
        let mut quoted = Vec::new();
        let name = if name.bytes().any(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
            write_string(&mut quoted, name);
            &quoted[1..quoted.len() - 1]
        } else {
            name.as_bytes()
        };
        let body = self.body();
        let width = width(self.wide);
        let table = self.bytes[at::TABLE + width..self.body as usize].chunks_exact(width);
        table.enumerate().find_map(|(field, entry)| {
            let start = table_entry(entry, self.wide)? + 1;
            let after = start + name.len();
            let is_name = body.get(start..after)? == name && body[after..].starts_with(b"\":");
            is_name.then_some((field, after + 2))
        })
    }

    /// The JSON text of one of the user's fields, metadata not included. Cost:
    /// a comparison per field of the record.
    #[must_use]
    pub fn field_text(&self, name: &str) -> Option<&[u8]> {
        let (field, value) = self.find(name)?;
        let next =
            if field + 1 < self.field_count() { self.offset(field + 1) } else { self.body().len() };
        self.body().get(value..next - 1)
    }

    /// Hands the value of a field (metadata included) to `read`, `None` if
    /// there is no such field. A number, a plain string or a literal is read
    /// without an allocation.
    pub fn with_field<R>(&self, name: &str, read: impl FnOnce(Option<ValueRef<'_>>) -> R) -> R {
        if let Some(number) = self.metadata_field(name) {
            return read(Some(ValueRef::Number(&Number::from(number))));
        }
        match self.field_text(name) {
            Some(text) => ValueRef::read_text(text, |value| read(Some(value))),
            None => read(None),
        }
    }

    /// The value of a field, metadata included. Cost: parses that field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<Value> {
        self.with_field(name, |value| value.map(ValueRef::to_value))
    }

    /// The one value that sorts and indexes see at `path`; see
    /// [`Path::collect`]. Cost: parses the field that the path begins in.
    #[must_use]
    pub fn collect(&self, path: &Path) -> Option<Value> {
        let value = self.field(path.first())?;
        if path.is_single() { Some(value) } else { Step::collect(path.rest(), &value) }
    }
}
