//! Stored, declarative queries: data instead of code.
//!
//! `{bucket, filter?, sort?, limit?, offset?, fields?, aggregate?}`, evaluated
//! as filter → aggregate, or filter → sort → offset → limit → fields. A string
//! in the filter that is entirely `{{ params.name }}` stands for a parameter,
//! which may be any value; one that is not given is null.

use serde_json::{Map, Value, json};
use tandem::QueryLimits;
use tandem_base::{Error, Result};
use tandem_query::{Function, GroupBy, LiveAggregate, LiveQuery, Query};
use tandem_record::filter::Filter;
use tandem_record::value::Path;

use crate::request::Fields;

/// A stored query with its parameters filled in.
#[derive(Clone, Debug)]
pub(crate) struct DeclarativeQuery {
    /// The filter as it is then.
    pub(crate) filter: Value,
    pub(crate) live: LiveQuery,
}

impl DeclarativeQuery {
    /// Reads a config and puts `params` in their places.
    ///
    /// # Errors
    /// `VALIDATION_ERROR`, as when the query was defined; also for a filter
    /// that its parameters made malformed.
    pub(crate) fn bind(
        config: Value,
        params: &Map<String, Value>,
        limits: QueryLimits,
    ) -> Result<Self> {
        let Value::Object(config) = config else {
            return Err(Error::validation("Query config: expected object"));
        };
        let mut config = Fields(config);
        let mut filter = config.filter()?;
        fill_in(&mut filter, params);
        let sort = config.optional("sort").unwrap_or_default();
        let mut query = Query::new(config.string("bucket")?)
            .filter_json(&filter)?
            .sort_json(&sort)?
            .limit(config.optional_count("limit")?.unwrap_or(0))
            .offset(config.optional_count("offset")?.unwrap_or(0));
        query.fields = config.optional_strings("fields")?;
        query.limits = limits;
        // One record that cannot be evaluated must not silence a subscription.
        query.filter = query.filter.map(Filter::passing_over);
        let aggregate = config.optional_object("aggregate")?;
        let aggregate = aggregate.map(|fields| bind_aggregate(Fields(fields))).transpose()?;
        Ok(Self { filter, live: LiveQuery { query, aggregate } })
    }
}

fn bind_aggregate(mut fields: Fields) -> Result<LiveAggregate> {
    let function = fields.string("function")?;
    let field = fields.optional_string("field")?;
    if let Some(group_by) = fields.optional("groupBy") {
        let aggregate = json!({ "function": function, "field": field });
        return Ok(LiveAggregate::Groups(GroupBy::parse(&group_by, &aggregate)?));
    }
    let function = Function::parse(&function)?;
    if field.is_none() && function != Function::Count {
        return Err(crate::request::missing("field", "non-empty string"));
    }
    let field = field.as_deref().map(Path::parse).transpose()?;
    Ok(LiveAggregate::One { function, field })
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
