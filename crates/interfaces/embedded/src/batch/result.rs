//! What a batch answers, and how the answer is kept for its repetition.
//!
//! ```text
//! kept: result*
//! result: 0 deleted | 1 nothing was deleted | 2 u64 LE count | 3 no record
//!       | 4 row | 5 u32 LE number of rows, row*          row: u32 LE length, …
//! ```

use bytes::{Buf, Bytes};
use serde_json::{Value, json};
use tandem_base::{Error, Result};

use crate::record::Record;

/// What one operation of a batch answers.
#[derive(Clone, Debug)]
pub enum OperationResult {
    /// The record of a get, insert, update, replace, upsert or find-one.
    Record(Option<Record>),
    /// The records of a find.
    Records(Vec<Record>),
    /// Whether a delete found its record.
    Deleted(bool),
    /// The number of a count.
    Count(u64),
}

impl OperationResult {
    /// The record, if the answer is one.
    #[must_use]
    pub fn record(&self) -> Option<&Record> {
        match self {
            Self::Record(record) => record.as_ref(),
            _ => None,
        }
    }

    /// The records, if the answer is a list of them.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        match self {
            Self::Records(records) => records,
            _ => &[],
        }
    }

    /// The number, if the answer is one.
    #[must_use]
    pub fn as_count(&self) -> Option<u64> {
        match self {
            Self::Count(count) => Some(*count),
            _ => None,
        }
    }

    /// Bytes of the stored records in it.
    pub(super) fn stored_bytes(&self) -> usize {
        match self {
            Self::Record(record) => record.as_ref().map_or(0, Record::stored_bytes),
            Self::Records(records) => records.iter().map(Record::stored_bytes).sum(),
            Self::Deleted(_) | Self::Count(_) => 0,
        }
    }

    /// The answer as it stands on the wire.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match self {
            Self::Record(record) => record.as_ref().map_or(Value::Null, Record::to_json),
            Self::Records(records) => records.iter().map(Record::to_json).collect(),
            Self::Deleted(_) => json!({ "deleted": true }),
            Self::Count(count) => json!(count),
        }
    }

    /// Appends the text of [`to_json`](Self::to_json), without building it.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        match self {
            Self::Record(Some(record)) => record.write_json(out),
            Self::Records(records) => {
                out.push(b'[');
                for (at, record) in records.iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    record.write_json(out);
                }
                out.push(b']');
            }
            Self::Record(None) | Self::Deleted(_) | Self::Count(_) => {
                out.extend_from_slice(self.to_json().to_string().as_bytes());
            }
        }
    }
}

/// What a batch answers.
#[derive(Clone, Debug)]
pub struct BatchResult {
    /// One result for each operation, in their order.
    pub results: Vec<OperationResult>,
    /// The batch's revision.
    pub revision: u64,
    /// The batch had happened before, under the same idempotency key.
    pub replayed: bool,
}

const DELETED: u8 = 0;
const NOT_DELETED: u8 = 1;
const COUNT: u8 = 2;
const NO_RECORD: u8 = 3;
const RECORD: u8 = 4;
const RECORDS: u8 = 5;

pub(super) fn encode(results: &[OperationResult]) -> Bytes {
    let mut out = Vec::new();
    for result in results {
        match result {
            OperationResult::Deleted(true) => out.push(DELETED),
            OperationResult::Deleted(false) => out.push(NOT_DELETED),
            OperationResult::Count(count) => {
                out.push(COUNT);
                out.extend_from_slice(&count.to_le_bytes());
            }
            OperationResult::Record(None) => out.push(NO_RECORD),
            OperationResult::Record(Some(record)) => {
                out.push(RECORD);
                put_row(&mut out, record);
            }
            OperationResult::Records(records) => {
                out.push(RECORDS);
                put_length(&mut out, records.len());
                for record in records {
                    put_row(&mut out, record);
                }
            }
        }
    }
    out.into()
}

fn put_row(out: &mut Vec<u8>, record: &Record) {
    let row = record.row().bytes();
    put_length(out, row.len());
    out.extend_from_slice(row);
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    let length =
        u32::try_from(length).expect("the transaction size limit keeps lengths below 4 GiB");
    out.extend_from_slice(&length.to_le_bytes());
}

pub(super) fn decode(kept: Bytes, revision: u64) -> Result<BatchResult> {
    let mut rest = kept;
    let mut results = Vec::new();
    while rest.has_remaining() {
        results.push(take_result(&mut rest)?);
    }
    Ok(BatchResult { results, revision, replayed: true })
}

fn take_result(rest: &mut Bytes) -> Result<OperationResult> {
    Ok(match rest.try_get_u8().map_err(|_| damaged())? {
        DELETED => OperationResult::Deleted(true),
        NOT_DELETED => OperationResult::Deleted(false),
        COUNT => OperationResult::Count(rest.try_get_u64_le().map_err(|_| damaged())?),
        NO_RECORD => OperationResult::Record(None),
        RECORD => OperationResult::Record(Some(take_row(rest)?)),
        RECORDS => {
            let count = rest.try_get_u32_le().map_err(|_| damaged())?;
            let records = (0..count).map(|_| take_row(rest)).collect::<Result<_>>()?;
            OperationResult::Records(records)
        }
        _ => return Err(damaged()),
    })
}

fn take_row(rest: &mut Bytes) -> Result<Record> {
    let length = rest.try_get_u32_le().map_err(|_| damaged())? as usize;
    if length > rest.len() {
        return Err(damaged());
    }
    Record::from_stored(rest.split_to(length))
}

fn damaged() -> Error {
    Error::corrupted("The kept result of a batch is damaged")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_results_read_back_in_order() {
        let kept = encode(&[
            OperationResult::Deleted(true),
            OperationResult::Count(7),
            OperationResult::Record(None),
            OperationResult::Records(Vec::new()),
            OperationResult::Deleted(false),
        ]);
        let answer = decode(kept.clone(), 9).unwrap();
        assert!(answer.replayed);
        assert_eq!(answer.revision, 9);
        assert!(matches!(
            answer.results[..],
            [
                OperationResult::Deleted(true),
                OperationResult::Count(7),
                OperationResult::Record(None),
                OperationResult::Records(_),
                OperationResult::Deleted(false),
            ]
        ));
        assert!(decode(kept.slice(..5), 9).is_err(), "cut within the count");
        assert!(decode(Bytes::from_static(&[9]), 9).is_err(), "unknown tag");
    }
}
