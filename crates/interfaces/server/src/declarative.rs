//! Stored, declarative queries: data instead of code.
//!
//! `{bucket, filter?, sort?, limit?, offset?, fields?, aggregate?}`, evaluated
//! as filter → aggregate, or filter → sort → offset → limit → fields. A string
//! in the filter that is entirely `{{ params.name }}` stands for a parameter,
//! which may be any value; one that is not given is null.

use serde_json::{Map, Value};
use tandem::{Bucket, Store};
use tandem_base::{Error, Result};

use crate::data::Data;
use crate::request::{Fields, sort_order};

/// A stored query with its parameters filled in.
#[derive(Clone, Debug)]
pub(crate) struct DeclarativeQuery {
    bucket: String,
    filter: Value,
    sort: Vec<String>,
    limit: usize,
    offset: usize,
    fields: Option<Vec<String>>,
    aggregate: Option<Aggregate>,
}

#[derive(Clone, Debug)]
struct Aggregate {
    function: String,
    field: Option<String>,
    group_by: Option<Value>,
}

impl DeclarativeQuery {
    /// Reads a config and puts `params` in their places.
    ///
    /// # Errors
    /// `VALIDATION_ERROR`, as when the query was defined.
    pub(crate) fn bind(config: Value, params: &Map<String, Value>) -> Result<Self> {
        let Value::Object(config) = config else {
            return Err(Error::validation("Query config: expected object"));
        };
        let mut config = Fields(config);
        let mut filter = config.filter()?;
        fill_in(&mut filter, params);
        let aggregate = config.optional_object("aggregate")?;
        let sort = config.optional("sort");
        Ok(Self {
            bucket: config.string("bucket")?,
            filter,
            sort: sort.as_ref().map_or_else(|| Ok(Vec::new()), sort_order)?,
            limit: config.optional_count("limit")?.unwrap_or(0),
            offset: config.optional_count("offset")?.unwrap_or(0),
            fields: config.optional_strings("fields")?,
            aggregate: aggregate.map(|fields| Aggregate::read(Fields(fields))).transpose()?,
        })
    }

    /// The bucket that it reads.
    pub(crate) fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The result on the newest state of the store.
    ///
    /// # Errors
    /// `BUCKET_NOT_DEFINED`; `VALIDATION_ERROR` for a filter that its
    /// parameters made malformed.
    pub(crate) fn evaluate(&self, store: &Store) -> Result<Data> {
        let bucket = store.bucket(self.bucket.as_str());
        if let Some(aggregate) = &self.aggregate {
            return aggregate.evaluate(&bucket, self.filter.clone());
        }
        let mut find = bucket.find(self.filter.clone()).limit(self.limit).offset(self.offset);
        for field in &self.sort {
            find = find.sort(field);
        }
        if let Some(fields) = &self.fields {
            find = find.fields(fields);
        }
        Ok(Data::records(&find.records()?))
    }
}

impl Aggregate {
    fn read(mut fields: Fields) -> Result<Self> {
        Ok(Self {
            function: fields.string("function")?,
            field: fields.optional_string("field")?,
            group_by: fields.optional("groupBy"),
        })
    }

    fn evaluate(&self, bucket: &Bucket<'_>, filter: Value) -> Result<Data> {
        if let Some(group_by) = &self.group_by {
            let aggregate = serde_json::json!({ "function": self.function, "field": self.field });
            let groups = bucket.group_by(group_by.clone(), aggregate, filter)?;
            return Ok(Data::value(groups));
        }
        let field = || {
            let missing = || crate::request::missing("field", "non-empty string");
            self.field.as_deref().ok_or_else(missing)
        };
        Ok(Data::value(match self.function.as_str() {
            "count" => bucket.count(filter)?.into(),
            "sum" => bucket.sum(field()?, filter)?,
            "avg" => bucket.avg(field()?, filter)?,
            "min" => bucket.min(field()?, filter)?,
            "max" => bucket.max(field()?, filter)?,
            other => {
                return Err(Error::validation(format!("Unknown aggregate function \"{other}\"")));
            }
        }))
    }
}

/// Replaces every string that is entirely a parameter, at any depth.
fn fill_in(value: &mut Value, params: &Map<String, Value>) {
    match value {
        Value::String(text) => {
            if let Some(name) = parameter(text) {
                *value = params.get(name).cloned().unwrap_or(Value::Null);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| fill_in(item, params)),
        Value::Object(fields) => fields.values_mut().for_each(|field| fill_in(field, params)),
        _ => {}
    }
}

/// The name in `{{ params.name }}`.
fn parameter(text: &str) -> Option<&str> {
    let inner = text.strip_prefix("{{")?.strip_suffix("}}")?.trim();
    let name = inner.strip_prefix("params.")?;
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (!name.is_empty() && name.chars().all(is_word)).then_some(name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn parameters_are_filled_in_at_any_depth_and_keep_their_type() {
        let mut filter = json!({
            "role": "{{ params.role }}",
            "$or": [{ "age": { "$gte": "{{params.age}}" } }, { "tag": { "$in": "{{ params.tags }}" } }],
            "text": "about {{ params.role }}",
            "missing": "{{ params.none }}",
        });
        let Value::Object(params) = json!({ "role": "admin", "age": 18, "tags": ["a"] }) else {
            panic!("an object");
        };
        fill_in(&mut filter, &params);
        assert_eq!(
            filter,
            json!({
                "role": "admin",
                "$or": [{ "age": { "$gte": 18 } }, { "tag": { "$in": ["a"] } }],
                "text": "about {{ params.role }}",
                "missing": null,
            })
        );
    }
}
