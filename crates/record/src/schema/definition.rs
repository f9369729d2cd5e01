use serde_json::{Number, Value};

use crate::pattern::Pattern;

/// What a field's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FieldType {
    /// A string.
    String,
    /// A number.
    Number,
    /// A boolean.
    Boolean,
    /// An object.
    Object,
    /// An array.
    Array,
    /// Any string or number.
    Date,
}

/// How the store makes a value that an insert leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Generated {
    /// A random UUID, version 4.
    Uuid,
    /// `c` and 32 random hexadecimal digits.
    Cuid,
    /// The bucket's counter, from 1.
    Autoincrement,
    /// The time of the insert, in milliseconds since 1970.
    Timestamp,
}

/// What the text of a string must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Something that looks like an e-mail address.
    Email,
    /// An absolute URL.
    Url,
    /// A calendar date, with or without a time.
    IsoDate,
}

/// What happens to referrers when the record that they refer to is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum OnDelete {
    /// The delete is refused.
    #[default]
    Restrict,
    /// They are deleted too.
    Cascade,
    /// Their reference becomes null.
    SetNull,
}

/// The bucket whose keys are a field's values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferenceTo {
    /// The name of the bucket.
    pub bucket: String,
    /// What a delete there does.
    pub on_delete: OnDelete,
}

/// A field definition, compiled.
#[derive(Clone, Debug, Default)]
pub struct FieldDefinition {
    /// What its values are; `None` = any JSON value.
    pub field_type: Option<FieldType>,
    /// Neither missing nor null.
    pub required: bool,
    /// What a missing value becomes at insert.
    pub default: Option<Value>,
    /// How a missing value is made at insert.
    pub generated: Option<Generated>,
    /// The only values allowed.
    pub allowed: Option<Vec<Value>>,
    /// What the text of a string must be.
    pub format: Option<Format>,
    /// The least number.
    pub min: Option<Number>,
    /// The largest number.
    pub max: Option<Number>,
    /// The least length of a string, in UTF-16 units.
    pub min_length: Option<u64>,
    /// The largest length of a string, in UTF-16 units.
    pub max_length: Option<u64>,
    /// At most one record has each value.
    pub unique: bool,
    /// The bucket whose keys are the values.
    pub reference: Option<ReferenceTo>,
    /// The fields of an object.
    pub properties: Vec<(String, FieldDefinition)>,
    /// The elements of an array.
    pub items: Option<Box<FieldDefinition>>,
    pub(crate) pattern: Option<Pattern>,
}

impl FieldDefinition {
    /// The definition of a field of the object.
    #[must_use]
    pub fn property(&self, name: &str) -> Option<&Self> {
        self.properties.iter().find(|(property, _)| property == name).map(|(_, field)| field)
    }
}

/// Names of a definition's words, in both directions.
pub(super) trait Named: Copy + PartialEq + 'static {
    const NAMES: &'static [(&'static str, Self)];

    fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, word)| *word)
    }

    fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, word)| *word == self).map_or("", |(name, _)| name)
    }
}

impl Named for FieldType {
    const NAMES: &'static [(&'static str, Self)] = &[
        ("string", Self::String),
        ("number", Self::Number),
        ("boolean", Self::Boolean),
        ("object", Self::Object),
        ("array", Self::Array),
        ("date", Self::Date),
    ];
}

impl Named for Generated {
    const NAMES: &'static [(&'static str, Self)] = &[
        ("uuid", Self::Uuid),
        ("cuid", Self::Cuid),
        ("autoincrement", Self::Autoincrement),
        ("timestamp", Self::Timestamp),
    ];
}

impl Named for Format {
    const NAMES: &'static [(&'static str, Self)] =
        &[("email", Self::Email), ("url", Self::Url), ("iso-date", Self::IsoDate)];
}

impl Named for OnDelete {
    const NAMES: &'static [(&'static str, Self)] =
        &[("restrict", Self::Restrict), ("cascade", Self::Cascade), ("set_null", Self::SetNull)];
}
