use std::time::Duration;

use serde_json::{Map, Value, json};
use tandem_base::{Error, Result};

use crate::definition::{Field, IndexConfig};

/// What a bucket is: its key field, its fields, its indexes, its bounds.
///
/// ```
/// use std::time::Duration;
/// use tandem::{BucketConfig, Field, IndexConfig};
///
/// let sessions = BucketConfig::new("token")
///     .field("token", Field::string().generated_uuid())
///     .field("user", Field::string().required().references("users"))
///     .field("device", Field::string())
///     .index(IndexConfig::on("user").then("device"))
///     .ttl(Duration::from_secs(3600));
/// assert_eq!(sessions.to_json()["key"], "token");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct BucketConfig {
    config: Map<String, Value>,
}

impl BucketConfig {
    /// A bucket whose records are found by the field `key`. Unless
    /// [`field`](Self::field) says more about it, a key is any string, number
    /// or boolean.
    #[must_use]
    pub fn new(key: impl Into<String>) -> Self {
        let key = key.into();
        let mut schema = Map::new();
        schema.insert(key.clone(), json!({}));
        let mut config = Map::new();
        config.insert("key".to_owned(), Value::String(key));
        config.insert("schema".to_owned(), Value::Object(schema));
        Self { config }
    }

    /// A config in the wire's JSON form, `{key, schema, indexes?, ttl?, …}`.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` when it is not an object. What is in it is checked
    /// when the bucket is defined.
    pub fn from_json(config: Value) -> Result<Self> {
        match config {
            Value::Object(config) => Ok(Self { config }),
            _ => Err(Error::validation("Bucket config: expected object")),
        }
    }

    /// Describes a field. Fields that are not described are stored as they are.
    #[must_use]
    pub fn field(mut self, name: impl Into<String>, field: Field) -> Self {
        let schema = self.config.entry("schema").or_insert_with(|| json!({}));
        if let Value::Object(schema) = schema {
            schema.insert(name.into(), field.into_json());
        }
        self
    }

    /// Adds an index: a field name or an [`IndexConfig`].
    #[must_use]
    pub fn index(mut self, index: impl Into<IndexConfig>) -> Self {
        let indexes = self.config.entry("indexes").or_insert_with(|| json!([]));
        if let Value::Array(indexes) = indexes {
            indexes.push(index.into().to_json());
        }
        self
    }

    /// Reads without a sort come in key order instead of insertion order.
    #[must_use]
    pub fn ordered_by_key(self) -> Self {
        self.set("etsType", "ordered_set")
    }

    /// How long a record lives after its insert, in whole milliseconds.
    #[must_use]
    pub fn ttl(self, ttl: Duration) -> Self {
        let ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        self.set("ttl", ms)
    }

    /// How many records the bucket holds before an insert removes the oldest.
    #[must_use]
    pub fn max_size(self, records: u64) -> Self {
        self.set("maxSize", records)
    }

    fn set(mut self, setting: &str, value: impl Into<Value>) -> Self {
        self.config.insert(setting.to_owned(), value.into());
        self
    }

    /// The config in the wire's JSON form.
    #[must_use]
    pub fn to_json(&self) -> Value {
        Value::Object(self.config.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_builder_writes_the_config_of_the_wire() {
        let config = BucketConfig::new("id")
            .field("id", Field::string().generated_uuid())
            .field("email", Field::string().required().unique())
            .index("name")
            .index(IndexConfig::on("country").then_descending("age"))
            .ordered_by_key()
            .ttl(Duration::from_secs(60))
            .max_size(10);
        assert_eq!(
            config.to_json(),
            json!({
                "key": "id",
                "schema": {
                    "id": { "type": "string", "generated": "uuid" },
                    "email": { "type": "string", "required": true, "unique": true },
                },
                "indexes": [{ "fields": ["name"] }, { "fields": ["country", "-age"] }],
                "etsType": "ordered_set",
                "ttl": 60_000,
                "maxSize": 10,
            })
        );
    }

    #[test]
    fn a_config_that_is_not_an_object_is_refused() {
        assert!(BucketConfig::from_json(json!("users")).is_err());
        let config = json!({ "key": "id", "schema": { "id": {} } });
        assert_eq!(BucketConfig::from_json(config).unwrap(), BucketConfig::new("id"));
    }
}
