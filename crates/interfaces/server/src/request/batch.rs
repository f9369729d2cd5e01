//! `store.transaction`: operations in one request, all or nothing.
//!
//! The whole array is checked before anything runs. Then the operations run in
//! order in one transaction of the store, which runs it again on a conflict.

use serde_json::Value;
use tandem::{BatchOptions, BatchResult, Durability, Isolation, Operation};
use tandem_base::{Error, Result};

use super::{Fields, invalid};
use crate::data::Data;

const OPS: &str = "get, insert, update, delete, where, findOne, count";

/// The checked operations of a request.
pub(super) fn operations(fields: &mut Fields) -> Result<Vec<Operation>> {
    let Some(Value::Array(items)) = fields.0.get_mut("operations").map(Value::take) else {
        return Err(super::missing("operations", "array"));
    };
    if items.is_empty() {
        return Err(Error::validation("\"operations\" must contain at least one operation"));
    }
    let read = |(index, item)| operation(index, item);
    items.into_iter().enumerate().map(read).collect()
}

fn operation(index: usize, item: Value) -> Result<Operation> {
    let wrong = |what: &str| Error::validation(format!("operations[{index}]: {what}"));
    let Value::Object(fields) = item else { return Err(wrong("expected object")) };
    let mut fields = Fields(fields);
    let op = match fields.0.get_mut("op").map(Value::take) {
        Some(Value::String(op)) if OPS.split(", ").any(|known| known == op) => op,
        _ => return Err(wrong(&format!("invalid \"op\" — expected one of: {OPS}"))),
    };
    let bucket = fields.string("bucket").map_err(|_| wrong("missing or invalid \"bucket\""))?;
    let key = |fields: &mut Fields| {
        fields.key().map_err(|_| wrong(&format!("\"{op}\" requires \"key\"")))
    };
    let object = |fields: &mut Fields, name: &str| -> Result<Value> {
        fields
            .object(name)
            .map(Value::Object)
            .map_err(|_| wrong(&format!("\"{op}\" requires \"{name}\" object")))
    };
    let version = |fields: &mut Fields| {
        fields.expected_version().map_err(|error| error.prefixed(&format!("operations[{index}]: ")))
    };
    Ok(match op.as_str() {
        "get" => Operation::get(bucket, key(&mut fields)?),
        "insert" => Operation::insert(bucket, object(&mut fields, "data")?),
        "update" => {
            let key = key(&mut fields)?;
            let update = Operation::update(bucket, key, object(&mut fields, "data")?);
            expecting(update, version(&mut fields)?)
        }
        "delete" => {
            let delete = Operation::delete(bucket, key(&mut fields)?);
            expecting(delete, version(&mut fields)?)
        }
        "where" => Operation::find(bucket, object(&mut fields, "filter")?),
        "findOne" => Operation::find_one(bucket, object(&mut fields, "filter")?),
        _ => {
            let filter = fields
                .optional_object("filter")
                .map_err(|error| error.prefixed(&format!("operations[{index}]: ")))?;
            Operation::count(bucket, filter.map(Value::Object))
        }
    })
}

fn expecting(operation: Operation, version: Option<u64>) -> Operation {
    match version {
        Some(version) => operation.expecting(version),
        None => operation,
    }
}

/// How the batch is to be committed.
pub(super) fn options(fields: &mut Fields) -> Result<BatchOptions> {
    let mut options = BatchOptions::new();
    if let Some(isolation) = isolation(fields)? {
        options = options.isolation(isolation);
    }
    if let Some(key) = fields.optional_string("idempotencyKey")? {
        options = options.idempotency_key(key);
    }
    if let Some(durability) = durability(fields)? {
        options = options.durability(durability);
    }
    Ok(options)
}

/// The isolation level, if the field is there.
pub(super) fn isolation(fields: &mut Fields) -> Result<Option<Isolation>> {
    match fields.optional("isolation") {
        None => Ok(None),
        Some(Value::String(level)) => level.parse().map(Some),
        Some(_) => Err(invalid("isolation", "one of: read committed, snapshot, serializable")),
    }
}

/// The durability, if the field is there.
pub(super) fn durability(fields: &mut Fields) -> Result<Option<Durability>> {
    match fields.optional("durability") {
        None => Ok(None),
        Some(Value::String(level)) if level == "sync" => Ok(Some(Durability::Sync)),
        Some(Value::String(level)) if level == "buffered" => Ok(Some(Durability::Buffered)),
        Some(_) => Err(invalid("durability", "one of: sync, buffered")),
    }
}

/// The text of `{results: [{index, data}], revision}`.
pub(super) fn text(answer: &BatchResult) -> Data {
    let mut text = b"{\"results\":[".to_vec();
    for (index, result) in answer.results.iter().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        text.extend_from_slice(format!("{{\"index\":{index},\"data\":").as_bytes());
        result.write_json(&mut text);
        text.push(b'}');
    }
    text.extend_from_slice(format!("],\"revision\":{}}}", answer.revision).as_bytes());
    Data::raw(text)
}
