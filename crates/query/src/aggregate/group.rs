use std::collections::HashMap;

use serde_json::{Map, Value, json};
use tandem_base::{Error, Result};
use tandem_record::Records;
use tandem_record::entries::indexed_value;
use tandem_record::filter::Filter;
use tandem_record::key;
use tandem_record::value::Path;
use tandem_transaction::Transaction;

use crate::aggregate::{Accumulator, Function};
use crate::order::Order;
use crate::query::QueryLimits;
use crate::read::for_each_inner;

/// By what to group, and what to compute of each group.
#[derive(Clone, Debug)]
pub struct GroupBy {
    /// The fields that records of one group agree in.
    pub fields: Vec<Path>,
    /// What is computed.
    pub function: Function,
    /// Of which field.
    pub field: Option<Path>,
}

impl GroupBy {
    /// Reads `field: "a" | ["a", "b"]` and `aggregate: {function, field?}`;
    /// without `aggregate`, records are counted.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` naming what is wrong.
    pub fn parse(field: &Value, aggregate: &Value) -> Result<Self> {
        let invalid = || {
            Error::validation("Missing or invalid \"field\": expected field name or array of them")
        };
        let path = |name: &Value| name.as_str().ok_or_else(invalid).and_then(Path::parse);
        let fields: Vec<Path> = match field {
            Value::String(_) => vec![path(field)?],
            Value::Array(names) if !names.is_empty() => {
                names.iter().map(path).collect::<Result<_>>()?
            }
            _ => return Err(invalid()),
        };
        let (function, field) = match aggregate {
            Value::Null => (Function::Count, None),
            Value::Object(aggregate) => {
                let name = aggregate.get("function").and_then(Value::as_str).ok_or_else(|| {
                    Error::validation("Missing or invalid \"function\": expected non-empty string")
                })?;
                let field = match aggregate.get("field") {
                    None | Some(Value::Null) => None,
                    Some(field) => Some(path(field)?),
                };
                (Function::parse(name)?, field)
            }
            _ => {
                return Err(Error::validation("Missing or invalid \"aggregate\": expected object"));
            }
        };
        Ok(Self { fields, function, field })
    }
}

struct Group {
    /// The place of its first record, which also gives the key's spelling.
    first: Vec<u8>,
    key: Map<String, Value>,
    accumulator: Accumulator,
}

/// One `{"key": {field: value}, "value": number}` per group, in the order in
/// which the groups first occur in natural order. A missing field groups as
/// null; the smallest and largest of nothing is 0.
///
/// # Errors
/// `BUCKET_NOT_DEFINED`; `VALIDATION_ERROR` for a function that lacks a field;
/// `LIMIT_EXCEEDED` naming `groups`, or `resultBytes` for their keys.
pub fn group_by(
    records: &Records,
    tx: &mut Transaction,
    bucket: &str,
    group_by: &GroupBy,
    filter: Option<&Filter>,
    limits: &QueryLimits,
) -> Result<Vec<Value>> {
    let empty = Accumulator::new(group_by.function, group_by.field.as_ref())?;
    let mut groups: HashMap<Vec<u8>, Group> = HashMap::new();
    let mut key_bytes = 0;
    tx.read_statement(|tx| {
        let order = Order::new(records.catalog(tx)?.bucket(bucket)?, &[], false);
        for_each_inner(records, tx, bucket, filter, &mut |primary_key, row| {
            let place = order.key(&row, &primary_key).bytes;
            let mut encoded = Vec::new();
            let mut key = Map::new();
            for path in &group_by.fields {
                let value = indexed_value(&row, path);
                key::encode_part(&value, false, &mut encoded);
                key.insert(path.to_string(), value);
            }
            if !groups.contains_key(&encoded) {
                key_bytes += encoded.len();
                if groups.len() >= limits.groups {
                    let max = limits.groups as u64;
                    return Err(Error::limit("groups", max, max + 1));
                }
                if key_bytes > limits.result_bytes {
                    let max = limits.result_bytes as u64;
                    return Err(Error::limit("resultBytes", max, key_bytes as u64));
                }
            }
            let group = groups.entry(encoded).or_insert_with(|| Group {
                first: place.clone(),
                key: key.clone(),
                accumulator: empty.clone(),
            });
            if place < group.first {
                (group.first, group.key) = (place, key);
            }
            group.accumulator.add(&row);
            Ok(())
        })
    })?;
    let mut groups: Vec<Group> = groups.into_values().collect();
    groups.sort_unstable_by(|a, b| a.first.cmp(&b.first));
    let to_json = |group: Group| {
        let value = match group.accumulator.finish() {
            Value::Null => json!(0),
            value => value,
        };
        json!({ "key": group.key, "value": value })
    };
    Ok(groups.into_iter().map(to_json).collect())
}
