use serde_json::{Map, Value, json};
use tandem_record::OnDelete;

/// What the values of a field must be.
///
/// A null or missing value passes every check but [`required`](Self::required).
///
/// ```
/// use tandem::{Field, Format};
///
/// let email = Field::string().required().unique().format(Format::Email).max_length(200);
/// let address = Field::object()
///     .property("street", Field::string())
///     .property("zip", Field::string().pattern("^[0-9]{5}$"));
/// let tags = Field::array(Field::string()).default([] as [&str; 0]);
/// # let _ = (email, address, tags);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    definition: Map<String, Value>,
}

/// A textual format that a string can be required to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// `someone@example.com`.
    Email,
    /// An absolute URL.
    Url,
    /// `2026-01-31`, optionally with `T12:00:00Z` and the like.
    IsoDate,
}

impl Field {
    /// Any JSON value.
    #[must_use]
    pub fn any() -> Self {
        Self { definition: Map::new() }
    }

    /// A string.
    #[must_use]
    pub fn string() -> Self {
        Self::typed("string")
    }

    /// A number; 64-bit integers are kept exactly.
    #[must_use]
    pub fn number() -> Self {
        Self::typed("number")
    }

    /// `true` or `false`.
    #[must_use]
    pub fn boolean() -> Self {
        Self::typed("boolean")
    }

    /// A date: text, or milliseconds since the Unix epoch.
    #[must_use]
    pub fn date() -> Self {
        Self::typed("date")
    }

    /// An object; [`property`](Self::property) says what is in it.
    #[must_use]
    pub fn object() -> Self {
        Self::typed("object")
    }

    /// An array whose elements are as `items` says.
    #[must_use]
    pub fn array(items: Field) -> Self {
        let field = Self::typed("array");
        if items.definition.is_empty() { field } else { field.set("items", items.into_json()) }
    }

    fn typed(name: &str) -> Self {
        Self::any().set("type", name)
    }

    /// Null and missing are refused.
    #[must_use]
    pub fn required(self) -> Self {
        self.set("required", true)
    }

    /// The value of a record that is inserted without one.
    #[must_use]
    pub fn default(self, value: impl Into<Value>) -> Self {
        self.set("default", value)
    }

    /// A record that is inserted without a value gets a random (version 4) UUID.
    #[must_use]
    pub fn generated_uuid(self) -> Self {
        self.set("generated", "uuid")
    }

    /// A record that is inserted without a value gets `c` and 32 hex digits.
    #[must_use]
    pub fn generated_cuid(self) -> Self {
        self.set("generated", "cuid")
    }

    /// A record that is inserted without a value gets the bucket's next number,
    /// from 1. Rolled-back inserts leave gaps; a key that a record brought with
    /// it is passed over.
    #[must_use]
    pub fn generated_autoincrement(self) -> Self {
        self.set("generated", "autoincrement")
    }

    /// A record that is inserted without a value gets the present time, in
    /// milliseconds since the Unix epoch.
    #[must_use]
    pub fn generated_timestamp(self) -> Self {
        self.set("generated", "timestamp")
    }

    /// Only these values.
    #[must_use]
    pub fn one_of<V: Into<Value>>(self, values: impl IntoIterator<Item = V>) -> Self {
        let values: Vec<Value> = values.into_iter().map(Into::into).collect();
        self.set("enum", values)
    }

    /// Strings of this format only.
    #[must_use]
    pub fn format(self, format: Format) -> Self {
        self.set(
            "format",
            match format {
                Format::Email => "email",
                Format::Url => "url",
                Format::IsoDate => "iso-date",
            },
        )
    }

    /// The least number, included.
    #[must_use]
    pub fn min(self, least: impl Into<Value>) -> Self {
        self.set("min", least)
    }

    /// The greatest number, included.
    #[must_use]
    pub fn max(self, greatest: impl Into<Value>) -> Self {
        self.set("max", greatest)
    }

    /// The least length of a string, in UTF-16 units.
    #[must_use]
    pub fn min_length(self, units: usize) -> Self {
        self.set("minLength", units)
    }

    /// The greatest length of a string, in UTF-16 units.
    #[must_use]
    pub fn max_length(self, units: usize) -> Self {
        self.set("maxLength", units)
    }

    /// A regular expression that must match somewhere in a string.
    #[must_use]
    pub fn pattern(self, pattern: &str) -> Self {
        self.set("pattern", pattern)
    }

    /// No two records of the bucket have the same value; null and missing
    /// never collide. Makes a unique index.
    #[must_use]
    pub fn unique(self) -> Self {
        self.set("unique", true)
    }

    /// A value must be the key of a record in `bucket`, now and at commit.
    #[must_use]
    pub fn references(self, bucket: &str) -> Self {
        self.set("ref", bucket)
    }

    /// What deleting the record referred to does; [`OnDelete::Restrict`]
    /// unless said otherwise.
    #[must_use]
    pub fn on_delete(self, action: OnDelete) -> Self {
        self.set(
            "onDelete",
            match action {
                OnDelete::Restrict => "restrict",
                OnDelete::Cascade => "cascade",
                OnDelete::SetNull => "set_null",
            },
        )
    }

    /// Describes a property of an object.
    #[must_use]
    pub fn property(mut self, name: &str, field: Field) -> Self {
        let properties = self.definition.entry("properties").or_insert_with(|| json!({}));
        if let Value::Object(properties) = properties {
            properties.insert(name.to_owned(), field.into_json());
        }
        self
    }

    fn set(mut self, setting: &str, value: impl Into<Value>) -> Self {
        self.definition.insert(setting.to_owned(), value.into());
        self
    }

    /// The definition in the wire's JSON form.
    #[must_use]
    pub fn into_json(self) -> Value {
        Value::Object(self.definition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_its_name_on_the_wire() {
        let field = Field::string()
            .required()
            .default("a")
            .one_of(["a", "b"])
            .format(Format::IsoDate)
            .min_length(1)
            .max_length(9)
            .pattern("^a")
            .unique()
            .references("users")
            .on_delete(OnDelete::SetNull);
        assert_eq!(
            field.into_json(),
            json!({
                "type": "string", "required": true, "default": "a", "enum": ["a", "b"],
                "format": "iso-date", "minLength": 1, "maxLength": 9, "pattern": "^a",
                "unique": true, "ref": "users", "onDelete": "set_null",
            })
        );
        assert_eq!(
            Field::number().generated_autoincrement().min(0).max(1.5).into_json(),
            json!({ "type": "number", "generated": "autoincrement", "min": 0, "max": 1.5 })
        );
    }

    #[test]
    fn objects_and_arrays_describe_what_is_inside() {
        let field = Field::array(Field::object().property("zip", Field::string()));
        assert_eq!(
            field.into_json(),
            json!({
                "type": "array",
                "items": { "type": "object", "properties": { "zip": { "type": "string" } } },
            })
        );
        assert_eq!(Field::array(Field::any()).into_json(), json!({ "type": "array" }));
    }
}
