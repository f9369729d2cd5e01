use std::sync::Arc;

use serde_json::Value;
use tandem_base::Result;
use tandem_storage::KeyRange;

use crate::catalog::definition::{BucketDefinition, parse_bucket_config};
use crate::catalog::index::Index;
use crate::keys;
use crate::schema::{OnDelete, Schema};

/// A field whose values are keys of another bucket.
#[derive(Clone, Debug)]
pub struct Reference {
    /// The referring field.
    pub field: String,
    /// The bucket referred to.
    pub target: String,
    /// What a delete of the target does.
    pub on_delete: OnDelete,
    /// The index by which referrers are found.
    pub index: u32,
}

/// A bucket, compiled.
#[derive(Clone, Debug)]
pub struct Bucket {
    /// Names the bucket's rows; never reused, also not by a bucket of the
    /// same name.
    pub id: u32,
    /// Its name.
    pub name: Arc<str>,
    /// Grows when the fields change.
    pub schema_version: u64,
    /// The name of the key field.
    pub key_field: String,
    /// The field definitions.
    pub schema: Schema,
    /// All indexes, internal ones included.
    pub indexes: Vec<Arc<Index>>,
    /// The internal index over insertion order; `None` = key order.
    pub order_index: Option<u32>,
    /// Whether reads without a sort come in key order instead of insertion
    /// order.
    pub ordered_by_key: bool,
    /// How long a record lives after its insert, in milliseconds.
    pub ttl_ms: Option<u64>,
    /// How many records it holds before the oldest makes room.
    pub max_size: Option<u64>,
    /// Its references to other buckets.
    pub references: Vec<Reference>,
    /// What a person wrote.
    pub config: Value,
    /// The key that is written when the fields change, as a range: every
    /// statement remembers it.
    pub(crate) fields_key: KeyRange,
    pub(crate) definition: BucketDefinition,
}

impl Bucket {
    pub(crate) fn compile(name: Arc<str>, definition: BucketDefinition) -> Result<Self> {
        let config = parse_bucket_config(&definition.config, &definition.added_fields)?;
        let schema = config.schema;
        let indexes: Vec<_> = definition
            .indexes
            .iter()
            .map(|index| {
                Index::compile(index.clone(), |path| schema.scalar_guaranteed(path)).map(Arc::new)
            })
            .collect::<Result<_>>()?;
        let references = schema
            .references()
            .filter_map(|(field, target, on_delete)| {
                // One that is still being built watches for new referrers already.
                let leading = || indexes.iter().filter(|index| leads(index, field));
                let ready = leading().find(|index| index.is_ready());
                let index = ready.or_else(|| leading().next())?.id;
                Some(Reference {
                    field: field.to_owned(),
                    target: target.to_owned(),
                    on_delete,
                    index,
                })
            })
            .collect();
        Ok(Self {
            id: definition.id,
            name,
            schema_version: definition.schema_version,
            key_field: config.key,
            indexes,
            order_index: definition.order_index,
            ordered_by_key: config.ordered_by_key,
            ttl_ms: config.ttl_ms,
            max_size: config.max_size,
            references,
            config: definition.config.clone(),
            fields_key: KeyRange::point(&keys::schema_version(definition.id)),
            schema,
            definition,
        })
    }

    /// The index `name`.
    #[must_use]
    pub fn index(&self, name: &str) -> Option<&Arc<Index>> {
        self.indexes.iter().find(|index| index.name == name)
    }
}

/// Whether all records with one value of `field` stand together in `index`.
pub(crate) fn leads(index: &Index, field: &str) -> bool {
    index.filter.is_none()
        && !index.multi
        && index.fields.first().is_some_and(|first| first == field)
}
