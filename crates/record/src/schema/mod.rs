//! What a bucket's definition says about its fields: parsed once, strictly;
//! then used to fill and to check each record.
//!
//! A record may have fields that the schema does not know; they are stored as
//! they are. A field without a `type` takes any JSON value. The *key field* is
//! always required, and a string, number or boolean whatever the schema says.
//!
//! Nested definitions (`properties`, `items`) only check: what concerns the
//! record as a whole (`generated`, `default`, `unique`, `ref`) stands on
//! top-level fields.

mod definition;
mod format;
mod generate;
mod issue;
mod parse;
mod ttl;
mod validate;

use std::sync::Arc;

use serde_json::{Map, Value};
use tandem_base::{Error, Result};

pub use definition::{FieldDefinition, FieldType, Format, Generated, OnDelete, ReferenceTo};
pub use issue::{Issue, validation_error};
pub use ttl::parse_ttl;

use crate::row::METADATA_NAMES;
use crate::value::Path;

/// How deep `properties` and `items` may stand inside each other.
pub const MAX_SCHEMA_NESTING: usize = 10;

/// How many fields a schema may define.
pub const MAX_SCHEMA_FIELDS: usize = 1000;

/// The fields of a bucket, compiled. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Schema {
    key: Arc<str>,
    fields: Arc<[Field]>,
}

#[derive(Debug)]
struct Field {
    name: String,
    definition: FieldDefinition,
    /// Whether every record of the bucket was checked against the definition;
    /// records older than an added field were not.
    always_validated: bool,
}

impl Schema {
    /// Parses the `schema` of a bucket whose key field is `key`. `added` names
    /// the fields that came after the bucket, whose older records were never
    /// checked against them.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` that names the field and the rule; `LIMIT_EXCEEDED`
    /// above [`MAX_SCHEMA_FIELDS`].
    pub fn parse(fields: &Map<String, Value>, key: &str, added: &[String]) -> Result<Self> {
        if fields.len() > MAX_SCHEMA_FIELDS {
            let (max, actual) = (MAX_SCHEMA_FIELDS as u64, fields.len() as u64);
            return Err(Error::limit("fieldsPerBucket", max, actual));
        }
        let fields: Arc<[Field]> = fields
            .iter()
            .map(|(name, definition)| {
                let definition = parse::top_level(name, definition)?;
                let always_validated = !added.contains(name);
                Ok(Field { name: name.clone(), definition, always_validated })
            })
            .collect::<Result<_>>()?;
        let schema = Self { key: key.into(), fields };
        schema.check_key_field()?;
        Ok(schema)
    }

    fn check_key_field(&self) -> Result<()> {
        let Some(definition) = self.field(&self.key) else {
            return Err(parse::invalid(&self.key, "key", "the key field is not in the schema"));
        };
        if matches!(definition.field_type, Some(FieldType::Object | FieldType::Array)) {
            return Err(parse::invalid(&self.key, "type", "a key is a string, number or boolean"));
        }
        if definition.reference.as_ref().is_some_and(|to| to.on_delete == OnDelete::SetNull) {
            return Err(parse::invalid(&self.key, "onDelete", "set_null on the key field"));
        }
        Ok(())
    }

    /// The definition of a field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&FieldDefinition> {
        self.fields.iter().find(|field| field.name == name).map(|field| &field.definition)
    }

    /// All fields in the order of the schema.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &FieldDefinition)> {
        self.fields.iter().map(|field| (field.name.as_str(), &field.definition))
    }

    /// The name of the key field.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Whether the store generates the field.
    #[must_use]
    pub fn is_generated(&self, name: &str) -> bool {
        self.field(name).is_some_and(|definition| definition.generated.is_some())
    }

    /// The fields that the store generates.
    pub fn generated_fields(&self) -> impl Iterator<Item = &str> {
        self.fields().filter(|(_, definition)| definition.generated.is_some()).map(|(name, _)| name)
    }

    /// Whether no two records may have the same value in the field.
    #[must_use]
    pub fn is_unique(&self, name: &str) -> bool {
        self.field(name).is_some_and(|definition| definition.unique)
    }

    /// The fields whose values are keys of another bucket: field, bucket, and
    /// what a delete there does.
    pub fn references(&self) -> impl Iterator<Item = (&str, &str, OnDelete)> {
        self.fields().filter_map(|(name, definition)| {
            let to = definition.reference.as_ref()?;
            Some((name, to.bucket.as_str(), to.on_delete))
        })
    }

    /// Removes from the changes of an update what an update cannot change:
    /// metadata, the key field, generated fields.
    pub fn strip_update(&self, changes: &mut Map<String, Value>) {
        changes.retain(|name, _| {
            !METADATA_NAMES.contains(&name.as_str())
                && *name != *self.key
                && !self.is_generated(name)
        });
    }

    /// Whether no record of the bucket, however old, can have an array or an
    /// object at `path`, nor an array on the way.
    #[must_use]
    pub fn scalar_guaranteed(&self, path: &Path) -> bool {
        let mut names = path.names();
        let first = names.next().unwrap_or_default();
        if METADATA_NAMES.contains(&first) || *first == *self.key {
            return path.is_single();
        }
        let Some(field) = self.fields.iter().find(|field| field.name == first) else {
            return false;
        };
        let mut definition = &field.definition;
        for name in names {
            if definition.field_type != Some(FieldType::Object) {
                return false;
            }
            match definition.property(name) {
                Some(property) => definition = property,
                None => return false,
            }
        }
        field.always_validated
            && !matches!(definition.field_type, None | Some(FieldType::Object | FieldType::Array))
    }
}
