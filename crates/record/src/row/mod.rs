//! The stored row: a record's bytes as they go out on the wire, with a table
//! in front by which one field is found without reading the others.
//!
//! ```text
//!  0  u8       format, 1
//!  1  u8       flags: bit 0 = the table has u32 instead of u16
//!  2  u64 LE   version
//! 10  u64 LE   created at, ms since 1970
//! 18  u64 LE   updated at, ms since 1970
//! 26  u64 BE   position: revision of the insert  } together the key of
//! 34  u32 BE   position: ordinal in its commit   } the order index
//! 38  u32 LE   checksum
//! 42  table    field count, then per field where the opening quote of its
//!              name is, counted from the body's first byte
//!     body     {"name":"Ada","age":36,"_expiresAt":1790000000000}
//! ```
//! The body is compact JSON in the order of the record, `_expiresAt` last;
//! `_version`, `_createdAt` and `_updatedAt` are in the header, and spliced in
//! where the record goes out. They read like fields everywhere.
//!
//! The checksum is checked once, when an engine's bytes become a [`Row`] or are taken
//! into the record cache. After that the body is known to be what [`Row::encode`]
//! wrote, and reading cannot fail. It is the exclusive or of the lower halves of two XXH3 hashes, one of
//! the 38 bytes before it, one of all after it: so a commit can stamp a row
//! without reading all of it.

mod encode;
mod metadata;
mod output;
mod read;

use bytes::Bytes;
use serde_json::{Map, Value};
use tandem_base::{Error, Result};

pub use metadata::{Metadata, Position};

/// The most bytes that the JSON text of a record may have.
pub const MAX_RECORD_BYTES: usize = 16 << 20;

/// The names of the metadata that is kept outside the body.
pub const METADATA_NAMES: [&str; 3] = ["_version", "_createdAt", "_updatedAt"];

pub(crate) const EXPIRES_AT: &str = "_expiresAt";

const FORMAT: u8 = 1;
const WIDE: u8 = 1;

/// Where things are in the header.
mod at {
    pub(super) const FLAGS: usize = 1;
    pub(super) const METADATA: usize = 2;
    pub(super) const CHECKSUM: usize = 38;
    pub(super) const TABLE: usize = 42;
}

/// One record as it is stored. Cheap to clone, and small: a read moves each of its rows
/// through several vectors. The metadata is read from the bytes when asked for.
#[derive(Clone, PartialEq, Eq)]
pub struct Row {
    /// A header and a body at least.
    bytes: Bytes,
    wide: bool,
    fields: u32,
    body: u32,
}

impl Row {
    /// Encodes a record. `_version`, `_createdAt` and `_updatedAt` among its
    /// fields are left out. Cost: one pass over the record.
    ///
    /// # Errors
    /// `LIMIT_EXCEEDED` for more than [`MAX_RECORD_BYTES`] or deeper than
    /// [`MAX_NESTING`](crate::value::MAX_NESTING).
    pub fn encode(fields: &Map<String, Value>, metadata: Metadata) -> Result<Self> {
        encode::encode(fields, metadata)
    }

    /// This record with some fields replaced or added; their text is written
    /// anew, that of all others is copied. As [`encode`](Self::encode) of the
    /// merged fields. No name may occur twice, and none is one of the metadata.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn merge(&self, changes: &[(&str, &Value)], metadata: Metadata) -> Result<Self> {
        encode::merge(self, changes, metadata)
    }

    /// Takes stored bytes. Cost: one pass over them, without parsing.
    ///
    /// # Errors
    /// `CORRUPTED` when they are not what [`encode`](Self::encode) wrote;
    /// `FORMAT_UNSUPPORTED` for a later format.
    pub fn from_stored(bytes: Bytes) -> Result<Self> {
        read::open(bytes)
    }

    /// Takes bytes that are known to be [stored ones](Self::is_stored), without
    /// looking at all of them again. Cost: the header.
    ///
    /// # Errors
    /// `CORRUPTED`, `FORMAT_UNSUPPORTED` as far as the header tells.
    pub fn from_whole(bytes: Bytes) -> Result<Self> {
        read::open_whole(bytes)
    }

    /// Whether [`from_stored`](Self::from_stored) takes these bytes. Cost: one pass
    /// over them.
    #[must_use]
    pub fn is_stored(bytes: &[u8]) -> bool {
        read::is_stored(bytes)
    }

    /// The row with another version and position: what a commit stamps. Cost:
    /// a copy of the bytes, none if nobody else holds them.
    #[must_use]
    pub fn restamp(self, version: u64, position: Position) -> Self {
        let metadata = Metadata { version, position, ..self.metadata() };
        let Self { bytes, wide, fields, body } = self;
        let mut bytes = bytes.try_into_mut().unwrap_or_else(|shared| shared[..].into());
        encode::write_metadata(&mut bytes, metadata);
        Self { bytes: bytes.freeze(), wide, fields, body }
    }

    /// The stored bytes.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The stored bytes.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// The metadata.
    #[must_use]
    pub fn metadata(&self) -> Metadata {
        Metadata::of_stored(&self.bytes)
    }

    /// The record's own counter, 1 at insert.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.metadata().version
    }

    /// When it was inserted, in milliseconds since 1970.
    #[must_use]
    pub fn created_at(&self) -> u64 {
        self.metadata().created_at
    }

    /// When it was last updated, in milliseconds since 1970.
    #[must_use]
    pub fn updated_at(&self) -> u64 {
        self.metadata().updated_at
    }

    /// Its place in insertion order.
    #[must_use]
    pub fn position(&self) -> Position {
        self.metadata().position
    }

    /// The user's fields as JSON text.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.bytes[self.body as usize..]
    }

    /// The user's fields, without metadata. Cost: parses the body.
    ///
    /// # Errors
    /// `CORRUPTED` when the body is no JSON object, which the checksum makes
    /// as good as impossible.
    pub fn fields(&self) -> Result<Map<String, Value>> {
        serde_json::from_slice(self.body()).map_err(|_| damaged())
    }

    /// The whole record: its fields, then `_version`, `_createdAt`,
    /// `_updatedAt`, and `_expiresAt` if it has one.
    ///
    /// # Errors
    /// As [`fields`](Self::fields).
    pub fn to_value(&self) -> Result<Value> {
        let mut fields = self.fields()?;
        let expires_at = fields.shift_remove(EXPIRES_AT);
        for name in METADATA_NAMES {
            fields.insert(name.to_owned(), self.metadata().field(name).into());
        }
        if let Some(expires_at) = expires_at {
            fields.insert(EXPIRES_AT.to_owned(), expires_at);
        }
        Ok(Value::Object(fields))
    }
}

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body = String::from_utf8_lossy(self.body());
        write!(f, "Row({:?} {body})", self.metadata())
    }
}

fn damaged() -> Error {
    Error::corrupted("A stored row is damaged")
}
