use bytes::Bytes;
use serde_json::{Number, Value};
use tandem_base::{Code, Error, Result};

use crate::row::encode::{content_hash, metadata_hash, write_string};
use crate::row::{FORMAT, Metadata, Row, WIDE, at, damaged};
use crate::value::{Path, Step, ValueRef};

pub(super) fn open(bytes: Bytes) -> Result<Row> {
    match bytes.first() {
        Some(&FORMAT) => {}
        None | Some(0) => return Err(damaged()),
        Some(_) => {
            return Err(Error::new(
                Code::FormatUnsupported,
                "A stored row has a format that this version does not know",
            ));
        }
    }
    parse(bytes).ok_or_else(damaged)
}

fn parse(bytes: Bytes) -> Option<Row> {
    let metadata = Metadata::from_bytes(bytes.get(at::METADATA..)?.first_chunk()?);
    let checksum = u32::from_le_bytes(*bytes.get(at::CHECKSUM..)?.first_chunk()?);
    if checksum != metadata_hash(&bytes) ^ content_hash(&bytes) {
        return None;
    }
    let flags = bytes[at::FLAGS];
    if flags & !WIDE != 0 {
        return None;
    }
    let wide = flags & WIDE != 0;
    let width = if wide { 4 } else { 2 };
    let fields = table_entry(bytes.get(at::TABLE..)?, wide)?;
    let body = fields.checked_add(1)?.checked_mul(width)?.checked_add(at::TABLE)?;
    let row = Row { metadata, wide, fields, body, bytes };
    let text = row.bytes.get(body..)?;
    if text.first() != Some(&b'{') || text.last() != Some(&b'}') || text.len() < 2 {
        return None;
    }
    // Each field begins after what ends the one before, with a quote.
    let mut least = 1;
    for field in 0..fields {
        let offset = row.offset(field);
        if offset < least || text.get(offset) != Some(&b'"') {
            return None;
        }
        least = offset + 4;
    }
    (least <= text.len() + 1).then_some(row)
}

fn table_entry(table: &[u8], wide: bool) -> Option<usize> {
    if wide {
        table.first_chunk().and_then(|bytes| usize::try_from(u32::from_le_bytes(*bytes)).ok())
    } else {
        table.first_chunk().map(|bytes| usize::from(u16::from_le_bytes(*bytes)))
    }
}

impl Row {
    /// Where the field's name begins in the body.
    pub(super) fn offset(&self, field: usize) -> usize {
        let width = if self.wide { 4 } else { 2 };
        let entry = &self.bytes[at::TABLE + width * (field + 1)..];
        table_entry(entry, self.wide).unwrap_or_default()
    }

    /// Name and value of a field as they are stored.
    pub(super) fn field_at(&self, field: usize) -> &[u8] {
        let next = if field + 1 < self.fields { self.offset(field + 1) } else { self.body().len() };
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
        let width = if self.wide { 4 } else { 2 };
        let table = self.bytes[at::TABLE + width..self.body].chunks_exact(width);
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
        let next = if field + 1 < self.fields { self.offset(field + 1) } else { self.body().len() };
        self.body().get(value..next - 1)
    }

    /// Hands the value of a field (metadata included) to `read`, `None` if
    /// there is no such field. A number, a plain string or a literal is read
    /// without an allocation.
    pub fn with_field<R>(&self, name: &str, read: impl FnOnce(Option<ValueRef<'_>>) -> R) -> R {
        if let Some(number) = self.metadata.field(name) {
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
