//! Where two definitions differ, field by field.
//!
//! Two ways to write the same thing are no difference: absent, null, empty and
//! the default; `"15m"` and its milliseconds; an index as a field's name and as
//! an object.

use std::fmt;

use serde_json::{Value, json};

/// One place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Difference {
    path: String,
    stored: Value,
    config: Value,
}

impl Difference {
    pub(crate) fn to_json(&self) -> Value {
        json!({ "field": self.path, "stored": self.stored, "config": self.config })
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, stored, config } = self;
        match (stored.is_null(), config.is_null()) {
            (true, _) => write!(f, "\"{path}\" is {config} in the config and not in the store"),
            (_, true) => write!(f, "\"{path}\" is {stored} in the store and not in the config"),
            _ => write!(f, "\"{path}\" is {stored} in the store, {config} in the config"),
        }
    }
}

/// All of them, in the order of the stored definition.
pub(crate) fn differences(stored: &Value, config: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    compare("", "", stored, config, &mut found);
    found
}

fn compare(path: &str, name: &str, stored: &Value, config: &Value, found: &mut Vec<Difference>) {
    let (stored, config) = (&plain(name, stored), &plain(name, config));
    if stored == config {
        return;
    }
    match (stored, config) {
        (Value::Object(one), Value::Object(other)) => {
            let added = other.keys().filter(|name| !one.contains_key(*name));
            for name in one.keys().chain(added) {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                let absent = &Value::Null;
                let (one, other) =
                    (one.get(name).unwrap_or(absent), other.get(name).unwrap_or(absent));
                compare(&path, name, one, other, found);
            }
        }
        (Value::Array(one), Value::Array(other)) if name == "indexes" => {
            for at in 0..one.len().max(other.len()) {
                let absent = &Value::Null;
                let (one, other) = (one.get(at).unwrap_or(absent), other.get(at).unwrap_or(absent));
                compare(&format!("{path}[{at}]"), "index", one, other, found);
            }
        }
        _ => found.push(Difference {
            path: path.to_owned(),
            stored: stored.clone(),
            config: config.clone(),
        }),
    }
}

/// One way to write what may be written in several.
fn plain(name: &str, value: &Value) -> Value {
    let is_default = match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        // A field without settings is a field; a filter without conditions is none.
        Value::Object(fields) => fields.is_empty() && name == "filter",
        Value::Bool(false) => matches!(name, "required" | "unique" | "multi"),
        Value::String(text) => {
            matches!((name, text.as_str()), ("etsType", "set") | ("onDelete", "restrict"))
        }
        _ => false,
    };
    // Without effect.
    if is_default || name == "persistent" {
        return Value::Null;
    }
    match (name, value) {
        ("ttl", Value::String(text)) => milliseconds(text).map_or(value.clone(), Value::from),
        ("index", Value::String(field)) => json!({ "fields": [field] }),
        _ => value.clone(),
    }
}

fn milliseconds(text: &str) -> Option<u64> {
    let unit = match text.chars().last()? {
        's' => 1_000,
        'm' => 60_000,
        'h' => 3_600_000,
        'd' => 86_400_000,
        _ => return None,
    };
    text[..text.len() - 1].parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_differs_is_named() {
        let stored = json!({ "key": "id", "ttl": 5, "indexes": ["a"],
            "schema": { "id": { "type": "string" }, "a": { "unique": true }, "old": {} } });
        let config = json!({ "key": "id", "ttl": 6, "indexes": ["b", "c"],
            "schema": { "id": { "type": "number" }, "a": {}, "new": { "min": 1 } } });
        let said: Vec<String> =
            differences(&stored, &config).iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "\"ttl\" is 5 in the store, 6 in the config",
                "\"indexes[0].fields\" is [\"a\"] in the store, [\"b\"] in the config",
                "\"indexes[1]\" is {\"fields\":[\"c\"]} in the config and not in the store",
                "\"schema.id.type\" is \"string\" in the store, \"number\" in the config",
                "\"schema.a.unique\" is true in the store and not in the config",
                "\"schema.old\" is {} in the store and not in the config",
                "\"schema.new\" is {\"min\":1} in the config and not in the store",
            ]
        );
    }

    #[test]
    fn other_ways_to_write_the_same_are_no_difference() {
        let stored = json!({ "key": "id", "ttl": 900_000, "indexes": [{ "fields": ["a"] }],
            "schema": { "id": { "required": false } }, "etsType": "set", "maxSize": null });
        let config = json!({ "ttl": "15m", "key": "id", "indexes": ["a"], "persistent": true,
            "schema": { "id": {} } });
        assert_eq!(differences(&stored, &config), []);
    }
}
