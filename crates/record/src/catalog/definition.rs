//! Definitions as they are stored, and as a person writes them.
//!
//! A person writes a *bucket config* (`{key, schema, indexes?, …}`); what is
//! stored adds what the store decided: ids, index names and states, and which
//! fields came later than the bucket.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tandem_base::{Code, Error, Result};

use crate::filter::Filter;
use crate::schema::{Schema, parse_ttl};
use crate::value::Path;

/// Bounds on definitions; `docs/limits.md` lists them all.
pub(crate) const MAX_NAME_BYTES: usize = 128;
const MAX_INDEXES: usize = 64;
const MAX_INDEX_PARTS: usize = 16;

/// Whether an index may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IndexState {
    /// Maintained by every commit, but rows from before its definition are
    /// still being added: not yet read.
    Building,
    /// Complete: every read may use it.
    Ready,
}

/// An index as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IndexDefinition {
    pub(crate) id: u32,
    pub(crate) name: String,
    pub(crate) fields: Vec<String>,
    #[serde(default)]
    pub(crate) unique: bool,
    #[serde(default)]
    pub(crate) multi: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) filter: Option<Value>,
    pub(crate) state: IndexState,
    /// Not asked for by anybody, needed by a reference or a ttl.
    #[serde(default)]
    pub(crate) internal: bool,
}

/// A bucket as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BucketDefinition {
    pub(crate) id: u32,
    pub(crate) schema_version: u64,
    /// What a person wrote, later changes merged in.
    pub(crate) config: Value,
    /// Fields that came after the bucket: older records were never checked
    /// against them.
    #[serde(default)]
    pub(crate) added_fields: Vec<String>,
    #[serde(default)]
    pub(crate) order_index: Option<u32>,
    pub(crate) indexes: Vec<IndexDefinition>,
}

impl BucketDefinition {
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes)
            .map_err(|_| Error::corrupted("The definition of a bucket is damaged"))
    }

    /// Takes an index out, of what a person wrote too.
    pub(crate) fn forget_index(&mut self, id: u32) {
        let Some(at) = self.indexes.iter().position(|index| index.id == id) else { return };
        let index = self.indexes.remove(at);
        if let Some(Value::Array(declared)) = self.config.get_mut("indexes") {
            declared.retain(|config| {
                parse_index_config(config).is_ok_and(|declared| declared.name != index.name)
            });
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("definitions have string keys only")
    }
}

/// What a bucket config says, checked.
pub(crate) struct BucketConfig {
    pub(crate) key: String,
    pub(crate) schema: Schema,
    pub(crate) ordered_by_key: bool,
    pub(crate) ttl_ms: Option<u64>,
    pub(crate) max_size: Option<u64>,
    /// Declared and unique-field indexes, without ids.
    pub(crate) indexes: Vec<IndexDefinition>,
}

const CONFIG_KEYS: [&str; 8] =
    ["key", "schema", "indexes", "etsType", "persistent", "ttl", "maxSize", "sql"];

/// Checks a bucket config. `added` names the fields that came later.
pub(crate) fn parse_bucket_config(config: &Value, added: &[String]) -> Result<BucketConfig> {
    let config =
        config.as_object().ok_or_else(|| Error::validation("Bucket config: expected object"))?;
    if let Some(unknown) = config.keys().find(|key| !CONFIG_KEYS.contains(&key.as_str())) {
        return Err(invalid(unknown, "unknown setting"));
    }
    let key = match config.get("key") {
        Some(Value::String(key)) if !key.is_empty() => key.clone(),
        _ => return Err(invalid("key", "expected non-empty string")),
    };
    let fields = match config.get("schema") {
        Some(Value::Object(fields)) => fields,
        _ => return Err(invalid("schema", "expected object")),
    };
    if !fields.contains_key(&key) {
        return Err(invalid("key", &format!("field \"{key}\" is not in the schema")));
    }
    let schema = Schema::parse(fields, &key, added)?;
    let ordered_by_key = match config.get("etsType") {
        None => false,
        Some(Value::String(kind)) => match kind.as_str() {
            "set" | "bag" | "duplicate_bag" => false,
            "ordered_set" => true,
            _ => {
                return Err(invalid(
                    "etsType",
                    "expected one of: set, ordered_set, bag, duplicate_bag",
                ));
            }
        },
        Some(_) => return Err(invalid("etsType", "expected string")),
    };
    if !matches!(config.get("persistent"), None | Some(Value::Bool(_))) {
        return Err(invalid("persistent", "expected boolean"));
    }
    // What SQL's door keeps of a table that was defined there; its own affair.
    if !matches!(config.get("sql"), None | Some(Value::Object(_))) {
        return Err(invalid("sql", "expected object"));
    }
    let ttl_ms = match config.get("ttl") {
        None | Some(Value::Null) => None,
        Some(ttl) => Some(parse_ttl(ttl)?),
    };
    let max_size = match config.get("maxSize") {
        None | Some(Value::Null) => None,
        Some(size) => match size.as_u64() {
            Some(size) if size >= 1 => Some(size),
            _ => return Err(invalid("maxSize", "expected positive integer")),
        },
    };
    let indexes = parse_indexes(config, fields)?;
    Ok(BucketConfig { key, schema, ordered_by_key, ttl_ms, max_size, indexes })
}

fn parse_indexes(
    config: &Map<String, Value>,
    fields: &Map<String, Value>,
) -> Result<Vec<IndexDefinition>> {
    let is_unique =
        |field: &str| fields.get(field).is_some_and(|field| field["unique"] == json!(true));
    let mut indexes: Vec<IndexDefinition> = Vec::new();
    for field in fields.keys().filter(|field| is_unique(field)) {
        indexes.push(IndexDefinition { unique: true, ..on_field(field) });
    }
    let declared = match config.get("indexes") {
        None => &[][..],
        Some(Value::Array(declared)) => declared,
        Some(_) => return Err(invalid("indexes", "expected array")),
    };
    for declared in declared {
        if let Value::String(field) = declared {
            if !fields.contains_key(field) {
                return Err(invalid("indexes", &format!("field \"{field}\" is not in the schema")));
            }
            if !is_unique(field) {
                indexes.push(on_field(field));
            }
        } else {
            indexes.push(parse_index_config(declared)?);
        }
    }
    if indexes.len() > MAX_INDEXES {
        return Err(Error::limit("indexesPerBucket", MAX_INDEXES as u64, indexes.len() as u64));
    }
    for (at, index) in indexes.iter().enumerate() {
        if indexes[..at].iter().any(|other| other.name == index.name) {
            return Err(invalid("indexes", &format!("index \"{}\" is defined twice", index.name)));
        }
    }
    Ok(indexes)
}

fn on_field(field: &str) -> IndexDefinition {
    IndexDefinition {
        id: 0,
        name: field.to_owned(),
        fields: vec![field.to_owned()],
        unique: false,
        multi: false,
        filter: None,
        state: IndexState::Ready,
        internal: false,
    }
}

/// An internal ascending index on one field.
pub(crate) fn internal_index(name: String, field: &str) -> IndexDefinition {
    IndexDefinition { name, internal: true, ..on_field(field) }
}

const INDEX_KEYS: [&str; 5] = ["name", "fields", "unique", "filter", "multi"];

/// Checks an index config: `"field"` or `{name?, fields, unique?, filter?, multi?}`.
pub(crate) fn parse_index_config(config: &Value) -> Result<IndexDefinition> {
    if let Value::String(field) = config {
        return parse_index_config(&json!({ "fields": [field] }));
    }
    let config = config
        .as_object()
        .ok_or_else(|| Error::validation("Index: expected a field name or an object"))?;
    if let Some(unknown) = config.keys().find(|key| !INDEX_KEYS.contains(&key.as_str())) {
        return Err(invalid_index(unknown, "unknown setting"));
    }
    let flag = |name: &str| match config.get(name) {
        None => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(_) => Err(invalid_index(name, "expected boolean")),
    };
    let fields: Vec<String> = match config.get("fields") {
        Some(Value::Array(fields)) if !fields.is_empty() => fields
            .iter()
            .map(|field| field.as_str().filter(|field| !field.is_empty()).map(str::to_owned))
            .collect::<Option<_>>()
            .ok_or_else(|| invalid_index("fields", "expected non-empty strings"))?,
        _ => return Err(invalid_index("fields", "expected non-empty array")),
    };
    if fields.len() > MAX_INDEX_PARTS {
        return Err(Error::limit("indexParts", MAX_INDEX_PARTS as u64, fields.len() as u64));
    }
    for (at, field) in fields.iter().enumerate() {
        Path::parse(field.strip_prefix('-').unwrap_or(field))?;
        if fields[..at].contains(field) {
            return Err(invalid_index("fields", "a field occurs twice"));
        }
    }
    let name = match config.get("name") {
        None => fields.join("_"),
        Some(Value::String(name)) => name.clone(),
        Some(_) => return Err(invalid_index("name", "expected string")),
    };
    check_name("index", &name)?;
    let filter = config.get("filter").cloned().filter(|filter| !filter.is_null());
    if let Some(filter) = &filter
        && Filter::parse(filter)?.has_expression()
    {
        return Err(invalid_index("filter", "an index takes no \"$expr\""));
    }
    Ok(IndexDefinition {
        id: 0,
        name,
        fields,
        unique: flag("unique")?,
        multi: flag("multi")?,
        filter,
        state: IndexState::Ready,
        internal: false,
    })
}

/// A name of a bucket, index or query that can be defined by a user.
pub(crate) fn check_name(what: &str, name: &str) -> Result<()> {
    if name.is_empty() {
        return Err(Error::validation(format!("Invalid {what} name: expected non-empty string")));
    }
    if name.len() > MAX_NAME_BYTES {
        return Err(Error::limit("nameBytes", MAX_NAME_BYTES as u64, name.len() as u64));
    }
    if name.chars().any(char::is_control) {
        return Err(Error::validation(format!("Invalid {what} name: control characters")));
    }
    if name.starts_with('_') && what != "index" {
        return Err(Error::validation(format!(
            "Invalid {what} name \"{name}\": names that begin with \"_\" are reserved"
        )));
    }
    Ok(())
}

pub(crate) fn already_defined(what: &str, name: &str) -> Error {
    Error::new(Code::AlreadyExists, format!("{what} \"{name}\" is already defined"))
        .with("name", name)
}

fn invalid(setting: &str, problem: &str) -> Error {
    Error::validation(format!("Invalid bucket config \"{setting}\": {problem}"))
        .with("setting", setting)
}

fn invalid_index(setting: &str, problem: &str) -> Error {
    Error::validation(format!("Invalid index config \"{setting}\": {problem}"))
        .with("setting", setting)
}

impl IndexDefinition {
    /// What a person would have to write to get this index.
    pub(crate) fn config(&self) -> Value {
        let mut config = json!({ "name": self.name, "fields": self.fields });
        for (setting, on) in [("unique", self.unique), ("multi", self.multi)] {
            if on {
                config[setting] = json!(true);
            }
        }
        if let Some(filter) = &self.filter {
            config["filter"] = filter.clone();
        }
        config
    }
}
