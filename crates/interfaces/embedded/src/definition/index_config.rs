use serde_json::{Map, Value, json};
use tandem_base::{Error, Result};

/// A secondary index: which values it orders records by.
///
/// ```
/// use serde_json::json;
/// use tandem::IndexConfig;
///
/// let newest_by_author = IndexConfig::on("author.id").then_descending("published");
/// let one_active_name = IndexConfig::on("name").unique().only(json!({ "active": true }));
/// let by_tag = IndexConfig::on("tags").multi();
/// # let _ = (newest_by_author, one_active_name, by_tag);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct IndexConfig {
    config: Value,
}

impl IndexConfig {
    /// An index on a field or a dotted path; `-` before it means descending.
    #[must_use]
    pub fn on(field: impl Into<String>) -> Self {
        Self { config: json!({ "fields": [field.into()] }) }
    }

    /// An index in the wire's JSON form: a field name, or
    /// `{name?, fields, unique?, filter?, multi?}`.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` when it is neither a string nor an object. What is in
    /// it is checked when the index is defined.
    pub fn from_json(config: Value) -> Result<Self> {
        match config {
            Value::String(_) | Value::Object(_) => Ok(Self { config }),
            _ => Err(Error::validation("Index: expected a field name or an object")),
        }
    }

    /// Orders records with equal values before by a further field or path.
    #[must_use]
    pub fn then(mut self, field: impl Into<String>) -> Self {
        if let Some(Value::Array(fields)) = self.settings().get_mut("fields") {
            fields.push(Value::String(field.into()));
        }
        self
    }

    /// As [`then`](Self::then), larger values first.
    #[must_use]
    pub fn then_descending(self, field: &str) -> Self {
        self.then(format!("-{field}"))
    }

    /// The index's name; without one, its fields joined by `_`.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        self.set("name", name.into())
    }

    /// No two records may have the same values, unless one of them is null or
    /// missing.
    #[must_use]
    pub fn unique(self) -> Self {
        self.set("unique", true)
    }

    /// Only records that match `filter` are in the index.
    #[must_use]
    pub fn only(self, filter: impl Into<Value>) -> Self {
        self.set("filter", filter)
    }

    /// One entry for each element of an array.
    #[must_use]
    pub fn multi(self) -> Self {
        self.set("multi", true)
    }

    fn set(mut self, setting: &str, value: impl Into<Value>) -> Self {
        self.settings().insert(setting.to_owned(), value.into());
        self
    }

    /// The config as an object, which a plain field name becomes here.
    fn settings(&mut self) -> &mut Map<String, Value> {
        if let Value::String(field) = &self.config {
            self.config = json!({ "fields": [field] });
        }
        match &mut self.config {
            Value::Object(settings) => settings,
            _ => unreachable!("an index config is a string or an object"),
        }
    }

    /// The config in the wire's JSON form.
    #[must_use]
    pub fn to_json(&self) -> Value {
        self.config.clone()
    }
}

impl From<&str> for IndexConfig {
    fn from(field: &str) -> Self {
        Self::on(field)
    }
}

impl From<String> for IndexConfig {
    fn from(field: String) -> Self {
        Self::on(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_lists_its_parts_in_order() {
        let index = IndexConfig::on("a")
            .then("b.c")
            .then_descending("d")
            .named("abc")
            .unique()
            .only(json!({ "a": 1 }))
            .multi();
        assert_eq!(
            index.to_json(),
            json!({
                "fields": ["a", "b.c", "-d"], "name": "abc", "unique": true,
                "filter": { "a": 1 }, "multi": true,
            })
        );
    }

    #[test]
    fn a_field_name_from_json_can_be_refined() {
        let index = IndexConfig::from_json(json!("email")).unwrap();
        assert_eq!(index.to_json(), json!("email"));
        assert_eq!(index.unique().to_json(), json!({ "fields": ["email"], "unique": true }));
        assert!(IndexConfig::from_json(json!(7)).is_err());
    }
}
