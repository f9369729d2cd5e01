use std::borrow::Cow;

use serde_json::{Map, Value};
use tandem_base::{Error, Result};

use crate::expression::Meter;
use crate::value::MAX_NESTING;

/// A path of an expression. Unlike a filter's it has no array positions: it
/// goes into the objects of an array and gives the array of what it finds.
#[derive(Clone, Debug)]
pub(super) struct FieldPath {
    names: Vec<String>,
}

impl FieldPath {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let names: Vec<String> = text.split('.').map(str::to_owned).collect();
        if names.iter().any(|name| name.is_empty() || name.starts_with('$')) {
            return Err(
                Error::validation(format!("Invalid field path \"{text}\"")).with("path", text)
            );
        }
        if names.len() > MAX_NESTING {
            return Err(Error::limit("pathLength", MAX_NESTING as u64, names.len() as u64));
        }
        Ok(Self { names })
    }

    pub(super) fn none() -> Self {
        Self { names: Vec::new() }
    }

    pub(super) fn of<'v>(
        &self,
        value: &'v Value,
        meter: &Meter<'_>,
    ) -> Result<Option<Cow<'v, Value>>> {
        if self.names.is_empty() {
            return Ok(Some(Cow::Borrowed(value)));
        }
        match value {
            Value::Object(fields) => within(&self.names, fields, meter),
            Value::Array(elements) => {
                Ok(Some(Cow::Owned(of_elements(&self.names, elements, meter)?)))
            }
            _ => Ok(None),
        }
    }
}

fn within<'v>(
    names: &[String],
    fields: &'v Map<String, Value>,
    meter: &Meter<'_>,
) -> Result<Option<Cow<'v, Value>>> {
    let Some((first, rest)) = names.split_first() else { return Ok(None) };
    let Some(value) = fields.get(first) else { return Ok(None) };
    match value {
        _ if rest.is_empty() => Ok(Some(Cow::Borrowed(value))),
        Value::Object(fields) => within(rest, fields, meter),
        Value::Array(elements) => Ok(Some(Cow::Owned(of_elements(rest, elements, meter)?))),
        _ => Ok(None),
    }
}

fn of_elements(names: &[String], elements: &[Value], meter: &Meter<'_>) -> Result<Value> {
    meter.spend(elements.len())?;
    let mut found = Vec::new();
    for fields in elements.iter().filter_map(Value::as_object) {
        if let Some(value) = within(names, fields, meter)? {
            found.push(meter.own(value)?);
        }
    }
    Ok(Value::Array(found))
}
