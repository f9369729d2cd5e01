//! What a stored query may say.

use serde_json::{Map, Value};
use tandem_base::{Error, Result};
use tandem_query::{GroupBy, parse_sort};
use tandem_record::Filter;

const SETTINGS: [&str; 7] = ["bucket", "filter", "sort", "limit", "offset", "fields", "aggregate"];

/// Checks the config of a declarative query. A filter with parameters
/// (`"{{ params.name }}"`) is checked when they are known.
pub(crate) fn check_config(config: &Value) -> Result<()> {
    let Value::Object(settings) = config else {
        return Err(Error::validation("Query config: expected object"));
    };
    if let Some(unknown) = settings.keys().find(|name| !SETTINGS.contains(&name.as_str())) {
        return Err(invalid(unknown, "unknown setting"));
    }
    if let Some(filter) = present(settings, "filter") {
        if !filter.is_object() {
            return Err(invalid("filter", "expected object"));
        }
        if !has_parameters(filter) {
            Filter::parse(filter)?;
        }
    }
    parse_sort(settings.get("sort").unwrap_or(&Value::Null))?;
    for name in ["limit", "offset"] {
        if present(settings, name).is_some_and(|number| number.as_u64().is_none()) {
            return Err(invalid(name, "expected non-negative integer"));
        }
    }
    if let Some(fields) = present(settings, "fields")
        && !fields.as_array().is_some_and(|fields| fields.iter().all(Value::is_string))
    {
        return Err(invalid("fields", "expected array of field names"));
    }
    match present(settings, "aggregate") {
        None => Ok(()),
        Some(aggregate) => {
            let groups = aggregate.get("groupBy").filter(|groups| !groups.is_null());
            GroupBy::parse(groups.unwrap_or(&Value::from("any")), aggregate).map(|_| ())
        }
    }
}

fn present<'a>(settings: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    settings.get(name).filter(|value| !value.is_null())
}

fn has_parameters(value: &Value) -> bool {
    match value {
        Value::String(text) => text.starts_with("{{") && text.ends_with("}}"),
        Value::Array(items) => items.iter().any(has_parameters),
        Value::Object(fields) => fields.values().any(has_parameters),
        _ => false,
    }
}

fn invalid(setting: &str, problem: &str) -> Error {
    Error::validation(format!("Invalid query config \"{setting}\": {problem}"))
        .with("setting", setting)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_query_may_say_what_the_wire_documents() {
        for config in [
            json!({ "bucket": "users" }),
            json!({ "bucket": "users", "filter": { "role": "{{ params.role }}" } }),
            json!({ "bucket": "users", "filter": { "role": { "$in": "{{ params.roles }}" } } }),
            json!({ "bucket": "users", "sort": { "age": "desc" }, "limit": 3, "offset": 1, "fields": ["age"] }),
            json!({ "bucket": "users", "aggregate": { "function": "count" } }),
            json!({ "bucket": "users", "aggregate": { "function": "sum", "field": "age", "groupBy": ["role"] } }),
        ] {
            assert!(check_config(&config).is_ok(), "{config}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for config in [
            json!("users"),
            json!({ "bucket": "users", "where": {} }),
            json!({ "bucket": "users", "filter": [] }),
            json!({ "bucket": "users", "filter": { "role": { "$bad": 1 } } }),
            json!({ "bucket": "users", "sort": { "age": "up" } }),
            json!({ "bucket": "users", "limit": -1 }),
            json!({ "bucket": "users", "fields": "age" }),
            json!({ "bucket": "users", "aggregate": { "function": "median" } }),
        ] {
            assert!(check_config(&config).is_err(), "{config}");
        }
    }
}
