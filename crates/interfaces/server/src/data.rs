use serde_json::Value;
use tandem::Record;

/// The `data` of an answer or a push, as JSON text.
///
/// Records are written as their stored bytes; only what is computed is
/// serialised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Data(Vec<u8>);

impl Data {
    /// JSON text as it is.
    pub(crate) fn raw(text: Vec<u8>) -> Self {
        Self(text)
    }

    /// A value that was computed.
    pub(crate) fn value(value: impl Into<Value>) -> Self {
        Self(value.into().to_string().into_bytes())
    }

    /// A record.
    pub(crate) fn record(record: &Record) -> Self {
        let mut text = Vec::new();
        record.write_json(&mut text);
        Self(text)
    }

    /// A record or null.
    pub(crate) fn optional_record(record: Option<&Record>) -> Self {
        record.map_or_else(|| Self::value(Value::Null), Self::record)
    }

    /// Records.
    pub(crate) fn records(records: &[Record]) -> Self {
        let mut text = Vec::new();
        write_records(&mut text, records);
        Self(text)
    }

    pub(crate) fn text(&self) -> &[u8] {
        &self.0
    }
}

/// Appends records as a JSON array.
pub(crate) fn write_records(out: &mut Vec<u8>, records: &[Record]) {
    out.push(b'[');
    for (index, record) in records.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        record.write_json(out);
    }
    out.push(b']');
}

/// Appends a value as JSON.
pub(crate) fn write_value(out: &mut Vec<u8>, value: &Value) {
    out.extend_from_slice(value.to_string().as_bytes());
}
