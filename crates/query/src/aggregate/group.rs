use std::collections::HashMap;

use serde_json::{Map, Value, json};
use tandem_base::{Error, Result};
use tandem_record::Records;
use tandem_record::entries::indexed_value;
use tandem_record::filter::Filter;
use tandem_record::key;
use tandem_record::row::Row;
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

/// The groups of some records, being computed.
#[derive(Clone, Debug)]
pub(crate) struct Groups {
    by: GroupBy,
    empty: Accumulator,
    groups: HashMap<Vec<u8>, Group>,
    key_bytes: usize,
    max: usize,
    max_key_bytes: usize,
}

#[derive(Clone, Debug)]
struct Group {
    /// The place of its first record, which also gives the key's spelling.
    first: Vec<u8>,
    key: Map<String, Value>,
    accumulator: Accumulator,
    members: u64,
}

impl Groups {
    /// None yet, and never more than the limits allow.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` for a function that lacks a field.
    pub(crate) fn new(by: &GroupBy, limits: &QueryLimits) -> Result<Self> {
        let empty = Accumulator::new(by.function, by.field.as_ref())?;
        Ok(Self {
            by: by.clone(),
            empty,
            groups: HashMap::new(),
            key_bytes: 0,
            max: limits.groups,
            max_key_bytes: limits.result_bytes,
        })
    }

    /// Takes in a record that stands at `place` in natural order.
    ///
    /// # Errors
    /// `LIMIT_EXCEEDED` naming `groups`, or `resultBytes` for their keys.
    pub(crate) fn add(&mut self, place: Vec<u8>, row: &Row) -> Result<()> {
        let (encoded, key) = self.key_of(row);
        if !self.groups.contains_key(&encoded) {
            if self.groups.len() >= self.max {
                let max = self.max as u64;
                return Err(Error::limit("groups", max, max + 1));
            }
            let bytes = self.key_bytes + encoded.len();
            if bytes > self.max_key_bytes {
                return Err(Error::limit("resultBytes", self.max_key_bytes as u64, bytes as u64));
            }
            self.key_bytes = bytes;
        }
        let group = self.groups.entry(encoded).or_insert_with(|| Group {
            first: place.clone(),
            key: key.clone(),
            accumulator: self.empty.clone(),
            members: 0,
        });
        if place < group.first {
            (group.first, group.key) = (place, key);
        }
        group.accumulator.add(row);
        group.members += 1;
        Ok(())
    }

    /// Takes a record out again; false when what is left has to be computed
    /// anew.
    pub(crate) fn remove(&mut self, place: &[u8], row: &Row) -> bool {
        let (encoded, _) = self.key_of(row);
        let Some(group) = self.groups.get_mut(&encoded) else { return false };
        if group.members == 1 {
            self.groups.remove(&encoded);
            self.key_bytes -= encoded.len();
            return true;
        }
        group.members -= 1;
        // Which record comes first then is not known.
        group.first != place && group.accumulator.remove(row)
    }

    /// As [`add`](Self::add); false when it does not fit, or what comes out
    /// would depend on the order of adding.
    pub(crate) fn add_surely(&mut self, place: Vec<u8>, row: &Row) -> bool {
        let (encoded, _) = self.key_of(row);
        let before = self.groups.get(&encoded).map(|group| group.accumulator.clone());
        let certain = before.is_none_or(|mut accumulator| accumulator.add_surely(row));
        self.add(place, row).is_ok() && certain
    }

    /// A record that stays at its place becomes another one.
    pub(crate) fn replace(&mut self, place: &[u8], before: &Row, after: &Row) -> bool {
        let (encoded, key) = self.key_of(after);
        if self.key_of(before).0 != encoded {
            return self.remove(place, before) && self.add_surely(place.to_vec(), after);
        }
        let Some(group) = self.groups.get_mut(&encoded) else { return false };
        if group.first == place {
            group.key = key;
        }
        if group.members == 1 {
            group.accumulator = self.empty.clone();
            return group.accumulator.add_surely(after);
        }
        group.accumulator.remove(before) && group.accumulator.add_surely(after)
    }

    /// Whether one row may stand for the other at the same place.
    pub(crate) fn sees_the_same(&self, row: &Row, other: &Row) -> bool {
        self.key_of(row).1 == self.key_of(other).1 && self.empty.sees_the_same(row, other)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.groups.len()
    }

    /// What is answered.
    pub(crate) fn finish(&self) -> Vec<Value> {
        let mut groups: Vec<&Group> = self.groups.values().collect();
        groups.sort_unstable_by(|a, b| a.first.cmp(&b.first));
        let to_json = |group: &Group| {
            let value = match group.accumulator.clone().finish() {
                Value::Null => json!(0),
                value => value,
            };
            json!({ "key": group.key, "value": value })
        };
        groups.into_iter().map(to_json).collect()
    }

    fn key_of(&self, row: &Row) -> (Vec<u8>, Map<String, Value>) {
        let (mut encoded, mut key) = (Vec::new(), Map::new());
        for path in &self.by.fields {
            let value = indexed_value(row, path);
            key::encode_part(&value, false, &mut encoded);
            key.insert(path.to_string(), value);
        }
        (encoded, key)
    }
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
    let mut groups = Groups::new(group_by, limits)?;
    tx.read_statement(|tx| {
        let order = Order::new(records.catalog(tx)?.bucket(bucket)?, &[], false);
        for_each_inner(records, tx, bucket, filter, &mut |primary_key, row| {
            groups.add(order.key(&row, &primary_key).bytes.into_vec(), &row)
        })
    })?;
    Ok(groups.finish())
}
