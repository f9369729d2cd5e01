//! Operators on objects.

use serde_json::{Map, Value};
use tandem_base::Result;

use crate::expression::call::Operands;
use crate::expression::operators::Operator as O;

/// `$getField`: a field by its whole name, dots and all; nothing if there is
/// none.
pub(super) fn field(given: &Operands<'_, '_>) -> Result<Option<Value>> {
    let name = given.at(0).and_then(Value::as_str);
    let name = name.ok_or_else(|| given.wrong("string as \"field\""))?;
    match given.at(1) {
        None => Ok(None),
        Some(Value::Null) => Ok(Some(Value::Null)),
        Some(Value::Object(fields)) => {
            fields.get(name).map(|value| given.meter.copy(value)).transpose()
        }
        Some(_) => Ok(None),
    }
}

pub(super) fn call(given: &Operands<'_, '_>) -> Result<Value> {
    let meter = given.meter;
    Ok(match given.operator {
        O::ObjectToArray => match given.or_null(0) {
            Value::Null => Value::Null,
            Value::Object(fields) => {
                let mut made = Vec::with_capacity(fields.len());
                for (name, value) in fields {
                    meter.room(3)?;
                    meter.spend(name.len())?;
                    let mut pair = Map::new();
                    pair.insert("k".to_owned(), name.as_str().into());
                    pair.insert("v".to_owned(), meter.copy(value)?);
                    made.push(Value::Object(pair));
                }
                made.into()
            }
            _ => return Err(given.wrong("object")),
        },
        O::ArrayToObject => array_to_object(given)?,
        O::MergeObjects => {
            let mut made = Map::new();
            // One operand alone may be the array of them.
            let alone = match (given.all.len(), given.at(0)) {
                (1, Some(Value::Array(objects))) => Some(objects),
                _ => None,
            };
            let count = alone.map_or(given.all.len(), Vec::len);
            for at in 0..count {
                let object = alone.map_or_else(|| given.or_null(at), |objects| &objects[at]);
                match object {
                    Value::Null => {}
                    Value::Object(fields) => {
                        for (name, value) in fields {
                            meter.spend(name.len())?;
                            made.insert(name.clone(), meter.copy(value)?);
                        }
                    }
                    _ => return Err(given.wrong("objects")),
                }
            }
            Value::Object(made)
        }
        _ => {
            let name = given.at(0).and_then(Value::as_str);
            let name = name.ok_or_else(|| given.wrong("string as \"field\""))?;
            let mut fields = match given.or_null(1) {
                Value::Null => return Ok(Value::Null),
                Value::Object(_) => meter.copy(given.or_null(1))?,
                _ => return Err(given.wrong("object as \"input\"")),
            };
            if let Some(fields) = fields.as_object_mut() {
                match given.at(2).filter(|_| given.operator == O::SetField) {
                    Some(value) => drop(fields.insert(name.to_owned(), meter.copy(value)?)),
                    None => drop(fields.shift_remove(name)),
                }
            }
            fields
        }
    })
}

/// From `[[name, value], …]` or `[{k: name, v: value}, …]`.
fn array_to_object(given: &Operands<'_, '_>) -> Result<Value> {
    let pairs = match given.or_null(0) {
        Value::Null => return Ok(Value::Null),
        Value::Array(pairs) => pairs,
        _ => return Err(given.wrong("array")),
    };
    let mut made = Map::new();
    for pair in pairs {
        let (name, value) = match pair {
            Value::Array(pair) if pair.len() == 2 => (&pair[0], &pair[1]),
            Value::Object(pair) if pair.len() == 2 => match (pair.get("k"), pair.get("v")) {
                (Some(name), Some(value)) => (name, value),
                _ => return Err(given.wrong("objects of k and v")),
            },
            _ => return Err(given.wrong("pairs of name and value")),
        };
        let name = name.as_str().ok_or_else(|| given.wrong("strings as names"))?;
        given.meter.spend(name.len())?;
        made.insert(name.to_owned(), given.meter.copy(value)?);
    }
    Ok(Value::Object(made))
}
