//! The catalog: which buckets, indexes and queries there are.
//!
//! The catalog is data. A definition is a row like any other: written in a
//! transaction, isolated, rolled back, durable, in the change log. What is
//! compiled from the definitions (schemas, filters, index parts) is cached by
//! the *schema revision* of the state it was read from, so two connections
//! that look at the same revision can never disagree about a schema.

mod bucket;
mod cache;
mod definition;
mod index;
mod withhold;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::Value;
use tandem_base::{Code, Error, Result};

pub use bucket::{Bucket, Reference};
pub(crate) use cache::{CatalogCache, with_own_definitions};
pub use definition::IndexState;
pub(crate) use definition::{
    BucketConfig, BucketDefinition, IndexDefinition, already_defined, check_name, internal_index,
    parse_bucket_config, parse_index_config,
};
pub use index::{Index, IndexPart};
pub(crate) use withhold::withhold;

/// A stored, declarative query.
#[derive(Clone, Debug, PartialEq)]
pub struct QueryDefinition {
    /// Its name.
    pub name: Arc<str>,
    /// The bucket that it reads.
    pub bucket: String,
    /// The definition as it was given.
    pub config: Value,
}

/// All definitions as of one schema revision, compiled.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    buckets: BTreeMap<Arc<str>, Arc<Bucket>>,
    by_id: HashMap<u32, Arc<Bucket>>,
    queries: BTreeMap<Arc<str>, Arc<QueryDefinition>>,
}

impl Catalog {
    /// The bucket `name`.
    ///
    /// # Errors
    /// `BUCKET_NOT_DEFINED`.
    pub fn bucket(&self, name: &str) -> Result<&Arc<Bucket>> {
        self.buckets.get(name).ok_or_else(|| Error::bucket_not_defined(name))
    }

    /// The bucket with that id.
    #[must_use]
    pub fn bucket_by_id(&self, id: u32) -> Option<&Arc<Bucket>> {
        self.by_id.get(&id)
    }

    /// All buckets in the order of their definition.
    #[must_use]
    pub fn buckets(&self) -> Vec<&Arc<Bucket>> {
        let mut buckets: Vec<_> = self.buckets.values().collect();
        buckets.sort_by_key(|bucket| bucket.id);
        buckets
    }

    /// The query `name`.
    ///
    /// # Errors
    /// `QUERY_NOT_DEFINED`.
    pub fn query(&self, name: &str) -> Result<&Arc<QueryDefinition>> {
        self.queries.get(name).ok_or_else(|| {
            Error::new(Code::QueryNotDefined, format!("Query \"{name}\" is not defined"))
                .with("query", name)
        })
    }

    /// All queries by name.
    pub fn queries(&self) -> impl Iterator<Item = &Arc<QueryDefinition>> {
        self.queries.values()
    }

    /// The index with that id, with its bucket.
    #[must_use]
    pub fn index_by_id(&self, id: u32) -> Option<(&Arc<Bucket>, &Arc<Index>)> {
        self.buckets.values().find_map(|bucket| {
            bucket.indexes.iter().find(|index| index.id == id).map(|index| (bucket, index))
        })
    }

    pub(crate) fn put(&mut self, bucket: Arc<Bucket>) {
        self.by_id.insert(bucket.id, bucket.clone());
        self.buckets.insert(bucket.name.clone(), bucket);
    }

    /// Takes in one catalog row (`None` = removed).
    pub(crate) fn apply(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        let Some((kind, name)) = key.get(1..).and_then(<[u8]>::split_first) else { return Ok(()) };
        let name = || -> Result<Arc<str>> {
            std::str::from_utf8(name)
                .map(Arc::from)
                .map_err(|_| Error::corrupted("A name in the catalog is damaged"))
        };
        match kind {
            b'b' => {
                let name = name()?;
                if let Some(old) = self.buckets.remove(&name) {
                    // A renamed one may already be there under its new name.
                    if self.by_id.get(&old.id).is_some_and(|known| known.name == name) {
                        self.by_id.remove(&old.id);
                    }
                }
                if let Some(value) = value {
                    let definition = BucketDefinition::decode(value)?;
                    let bucket = Arc::new(Bucket::compile(name, definition)?);
                    self.put(bucket);
                }
            }
            b'q' => {
                let name = name()?;
                self.queries.remove(&name);
                if let Some(value) = value {
                    let config = decode_json(value)?;
                    let bucket = config["bucket"].as_str().unwrap_or_default().to_owned();
                    let query = QueryDefinition { name: name.clone(), bucket, config };
                    self.queries.insert(name, Arc::new(query));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

pub(crate) fn decode_json(bytes: &[u8]) -> Result<Value> {
    serde_json::from_slice(bytes)
        .map_err(|_| Error::corrupted("A definition in the catalog is damaged"))
}
