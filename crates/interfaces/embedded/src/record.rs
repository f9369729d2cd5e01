use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tandem_base::{Error, Result};
use tandem_query::project;
use tandem_record::row::Row;

/// A record as it was read or written: a JSON object with `_version`,
/// `_createdAt` and `_updatedAt`, and `_expiresAt` if it has a time to live.
///
/// It holds the stored bytes; single fields are read without parsing the
/// others, and cloning is cheap. It does not change when the store does.
#[derive(Clone)]
pub struct Record {
    row: Row,
    /// Only these fields are shown.
    shown: Option<Arc<[String]>>,
}

impl Record {
    pub(crate) fn new(row: Row) -> Self {
        Self { row, shown: None }
    }

    pub(crate) fn showing(row: Row, fields: Option<&Arc<[String]>>) -> Self {
        Self { row, shown: fields.cloned() }
    }

    pub(crate) fn from_stored(bytes: Bytes) -> Result<Self> {
        Row::from_stored(bytes).map(Self::new)
    }

    /// The value of a field, metadata included. Cost: parses that field.
    #[must_use]
    pub fn get(&self, field: &str) -> Option<Value> {
        match &self.shown {
            None => self.row.field(field),
            Some(shown) => project(&self.row, shown).shift_remove(field),
        }
    }

    /// The record's own counter: 1 at insert, one more at each committed update.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.row.version()
    }

    /// Bytes of the stored record, whichever fields are shown.
    #[must_use]
    pub fn stored_bytes(&self) -> usize {
        self.row.bytes().len()
    }

    /// When it was inserted, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn created_at(&self) -> u64 {
        self.row.created_at()
    }

    /// When it was last updated, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn updated_at(&self) -> u64 {
        self.row.updated_at()
    }

    /// The record as a JSON value.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match &self.shown {
            // The row's checksum was right when it was read.
            None => self.row.to_value().unwrap_or_default(),
            Some(shown) => Value::Object(project(&self.row, shown)),
        }
    }

    /// Appends the record as JSON text. Cost: a copy of the stored bytes.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        match &self.shown {
            None => self.row.write_json(out),
            Some(_) => out.extend_from_slice(self.to_json().to_string().as_bytes()),
        }
    }

    /// The record as a value of `T`, read from the stored bytes.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` when it is no `T`.
    pub fn deserialize<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.text()).map_err(|error| {
            Error::validation(format!("The record does not fit the type: {error}"))
                .with("type", std::any::type_name::<T>())
        })
    }

    fn text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        self.write_json(&mut text);
        text
    }

    pub(crate) fn row(&self) -> &Row {
        &self.row
    }
}

/// Records are equal when they show the same.
impl PartialEq for Record {
    fn eq(&self, other: &Self) -> bool {
        let stamps = |record: &Self| (record.version(), record.created_at(), record.updated_at());
        self.shown == other.shown
            && stamps(self) == stamps(other)
            && self.row.body() == other.row.body()
    }
}

/// The record as JSON text.
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.text()))
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Record({self})")
    }
}

impl From<Record> for Value {
    fn from(record: Record) -> Self {
        record.to_json()
    }
}

impl serde::Serialize for Record {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}
