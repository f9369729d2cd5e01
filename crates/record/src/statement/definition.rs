//! Defining, changing and dropping buckets and queries, in transactions.
//!
//! A definition is a row of the catalog, so isolation, rollback, durability
//! and the change log need no words of their own here. What a definition makes
//! superfluous (rows of a dropped bucket, entries of a dropped index) is marked
//! as garbage in the same commit and removed in the background: ids are never
//! reused, so nobody can read it meanwhile.

use bytes::Bytes;
use serde_json::Value;
use tandem_base::{Code, Error, Result};
use tandem_storage::KeyRange;
use tandem_transaction::{IndexDelta, Transaction, keyspace};

use crate::catalog::{
    Bucket, BucketConfig, BucketDefinition, IndexDefinition, IndexState, already_defined,
    check_name, decode_json, internal_index, parse_bucket_config,
};
use crate::keys;
use crate::records::{Fields, Records};

impl Records {
    /// Defines a bucket from its config (`{key, schema, indexes?, …}`).
    ///
    /// # Errors
    /// `ALREADY_EXISTS`; `VALIDATION_ERROR` naming the wrong setting. Nothing
    /// is half defined.
    pub fn define_bucket(&self, tx: &mut Transaction, name: &str, config: &Value) -> Result<()> {
        tx.write_statement(|tx| {
            check_name("bucket", name)?;
            let key = keys::bucket_definition(name);
            if tx.get(&key)?.is_some() {
                return Err(already_defined("Bucket", name));
            }
            let parsed = parse_bucket_config(config, &[])?;
            let mut ids = Ids::read(tx)?;
            let id = ids.next();
            let needs_order = !parsed.ordered_by_key || parsed.max_size.is_some();
            let order_index = needs_order.then(|| ids.next());
            let indexes = complete_indexes(parsed, &[], &mut ids, IndexState::Ready);
            ids.write(tx)?;
            let definition = BucketDefinition {
                id,
                schema_version: 1,
                config: config.clone(),
                added_fields: Vec::new(),
                order_index,
                indexes,
            };
            let bucket = Bucket::compile(name.into(), definition.clone())?;
            write_schema_version(tx, id, Some(1))?;
            self.announce_references(tx, &bucket)?;
            put(tx, &key, Some(definition.encode().into()))
        })
    }

    /// Drops a bucket with its records and indexes.
    ///
    /// # Errors
    /// `BUCKET_NOT_DEFINED`; `REFERENCE_VIOLATION` when another bucket refers
    /// to it.
    pub fn drop_bucket(&self, tx: &mut Transaction, name: &str) -> Result<()> {
        tx.write_statement(|tx| {
            // A reference to it that is defined meanwhile is announced by writing what
            // is guarded here, see `announce_references`.
            let crate::statement::Target { catalog, bucket, .. } = self.target(tx, name)?;
            let refers = |other: &&std::sync::Arc<Bucket>| {
                other.id != bucket.id && other.references.iter().any(|to| to.target == name)
            };
            if let Some(referrer) = catalog.buckets().into_iter().find(refers) {
                return Err(Error::new(
                    Code::ReferenceViolation,
                    format!(
                        "Cannot drop bucket \"{name}\": bucket \"{}\" refers to it",
                        referrer.name
                    ),
                )
                .with("bucket", name)
                .with("referrer", &*referrer.name));
            }
            let mut garbage = vec![
                keys::row_prefix(bucket.id),
                keys::tombstone_prefix(bucket.id),
                keys::count(bucket.id),
                keys::autoincrement(bucket.id),
            ];
            for index in &bucket.indexes {
                garbage.extend([keys::index_prefix(index.id), keys::build_progress(index.id)]);
            }
            garbage.extend(bucket.order_index.map(keys::index_prefix));
            for prefix in garbage {
                put(tx, &keys::garbage(&prefix), Some(Bytes::new()))?;
            }
            // Rows that this transaction wrote into it are not to be seen any more.
            let own: Vec<Bytes> = tx
                .writes()
                .rows_in(&KeyRange::prefix(&keys::row_prefix(bucket.id)))
                .map(|(key, _)| key.clone())
                .collect();
            for row in own {
                let current = tx.get_untracked(&row)?;
                tx.write(&row, current.as_ref(), None, None, IndexDelta::default(), None);
            }
            write_schema_version(tx, bucket.id, None)?;
            put(tx, &keys::bucket_definition(name), None)
        })
    }

    /// Changes a bucket: `{addFields?, addIndexes?, ttl?}`. Records, order and
    /// counters stay; older records are checked against new fields when they
    /// are next updated. New indexes get `state`: `Ready` builds them within
    /// this transaction, `Building` leaves that to an online build. Those of
    /// unique fields are always built within it.
    ///
    /// # Errors
    /// `BUCKET_NOT_DEFINED`; `VALIDATION_ERROR`; `ALREADY_EXISTS` when a unique
    /// index meets duplicates; `LIMIT_EXCEEDED` when the bucket is too large to
    /// index within the transaction.
    pub fn update_bucket(
        &self,
        tx: &mut Transaction,
        name: &str,
        updates: &Value,
        state: IndexState,
    ) -> Result<()> {
        tx.write_statement(|tx| {
            let catalog = self.catalog(tx)?;
            let bucket = catalog.bucket(name)?.clone();
            let updates = updates
                .as_object()
                .ok_or_else(|| Error::validation("Bucket updates: expected object"))?;
            let mut definition = bucket.definition.clone();
            let fields_changed = merge_updates(&mut definition, updates)?;
            let parsed = parse_bucket_config(&definition.config, &definition.added_fields)?;
            let mut ids = Ids::read(tx)?;
            let added = complete_indexes(parsed, &definition.indexes, &mut ids, state);
            ids.write(tx)?;
            definition.indexes.extend(added.iter().cloned());
            if fields_changed {
                definition.schema_version += 1;
                write_schema_version(tx, bucket.id, Some(definition.schema_version))?;
            }
            self.store_definition(tx, name, definition)?;
            if fields_changed {
                let catalog = self.catalog(tx)?;
                self.announce_references(tx, catalog.bucket(name)?)?;
            }
            self.build_within(tx, name, &added)
        })
    }

    /// Lets transactions that delete from a bucket that `bucket` refers to
    /// conflict with the definition of that reference: they have not looked
    /// for its referrers.
    pub(super) fn announce_references(&self, tx: &mut Transaction, bucket: &Bucket) -> Result<()> {
        let catalog = self.catalog(tx)?;
        for reference in &bucket.references {
            if let Ok(target) = catalog.bucket(&reference.target) {
                write_schema_version(tx, target.id, Some(target.schema_version))?;
            }
        }
        Ok(())
    }

    pub(crate) fn store_definition(
        &self,
        tx: &mut Transaction,
        name: &str,
        definition: BucketDefinition,
    ) -> Result<()> {
        Bucket::compile(name.into(), definition.clone())?;
        put(tx, &keys::bucket_definition(name), Some(definition.encode().into()))
    }

    /// The bucket's config with later changes merged in.
    ///
    /// # Errors
    /// `BUCKET_NOT_DEFINED`.
    pub fn bucket_config(&self, tx: &mut Transaction, name: &str) -> Result<Value> {
        tx.read_statement(|tx| {
            tx.track_point(&keys::bucket_definition(name));
            Ok(self.catalog(tx)?.bucket(name)?.config.clone())
        })
    }

    /// The names of all buckets in the order of their definition.
    ///
    /// # Errors
    /// `STORAGE_ERROR`.
    pub fn bucket_names(&self, tx: &mut Transaction) -> Result<Vec<String>> {
        tx.read_statement(|tx| {
            tx.track_range(keys::bucket_definitions());
            Ok(self.catalog(tx)?.buckets().iter().map(|bucket| bucket.name.to_string()).collect())
        })
    }

    /// Defines a query. `check` refuses a config that the query layer does not
    /// understand.
    ///
    /// # Errors
    /// `ALREADY_EXISTS`, `BUCKET_NOT_DEFINED`, and what `check` answers.
    pub fn define_query(
        &self,
        tx: &mut Transaction,
        name: &str,
        config: &Value,
        check: impl FnOnce(&Value) -> Result<()>,
    ) -> Result<()> {
        tx.write_statement(|tx| {
            check_name("query", name)?;
            let key = keys::query_definition(name);
            if tx.get(&key)?.is_some() {
                return Err(already_defined("Query", name));
            }
            let Some(bucket) = config.get("bucket").and_then(Value::as_str) else {
                return Err(Error::validation(
                    "Invalid query config \"bucket\": expected non-empty string",
                ));
            };
            self.catalog(tx)?.bucket(bucket)?;
            check(config)?;
            put(tx, &key, Some(config.to_string().into()))
        })
    }

    /// Removes a query.
    ///
    /// # Errors
    /// `QUERY_NOT_DEFINED`.
    pub fn undefine_query(&self, tx: &mut Transaction, name: &str) -> Result<()> {
        tx.write_statement(|tx| {
            self.catalog(tx)?.query(name)?;
            put(tx, &keys::query_definition(name), None)
        })
    }

    /// All queries by name, with their configs.
    ///
    /// # Errors
    /// `STORAGE_ERROR`.
    pub fn queries(&self, tx: &mut Transaction) -> Result<Vec<(String, Value)>> {
        tx.read_statement(|tx| {
            tx.track_range(keys::query_definitions());
            let catalog = self.catalog(tx)?;
            Ok(catalog
                .queries()
                .map(|query| (query.name.to_string(), query.config.clone()))
                .collect())
        })
    }
}

/// Merges `{addFields?, addIndexes?, ttl?}` into the config; says whether the
/// fields changed.
fn merge_updates(definition: &mut BucketDefinition, updates: &Fields) -> Result<bool> {
    let wrong = |setting: &str, problem: &str| {
        Error::validation(format!("Invalid bucket update \"{setting}\": {problem}"))
            .with("setting", setting)
    };
    let Value::Object(config) = &mut definition.config else {
        return Err(Error::corrupted("The definition of a bucket is damaged"));
    };
    let mut fields_changed = false;
    for (setting, value) in updates {
        match (setting.as_str(), value) {
            ("addFields", Value::Object(fields)) => {
                let Some(Value::Object(schema)) = config.get_mut("schema") else {
                    return Err(Error::corrupted("The definition of a bucket is damaged"));
                };
                for (field, field_definition) in fields {
                    if schema.contains_key(field) {
                        return Err(wrong(
                            "addFields",
                            &format!("field \"{field}\" already exists"),
                        ));
                    }
                    schema.insert(field.clone(), field_definition.clone());
                    definition.added_fields.push(field.clone());
                    fields_changed = true;
                }
            }
            ("addIndexes", Value::Array(added)) => {
                let indexes = config
                    .entry("indexes")
                    .or_insert_with(|| Value::Array(Vec::new()))
                    .as_array_mut()
                    .ok_or_else(|| Error::corrupted("The definition of a bucket is damaged"))?;
                for index in added {
                    if !indexes.contains(index) {
                        indexes.push(index.clone());
                    }
                }
            }
            ("ttl", Value::Null) => {
                config.shift_remove("ttl");
            }
            ("ttl", ttl) => {
                config.insert("ttl".to_owned(), ttl.clone());
            }
            ("addFields", _) => return Err(wrong(setting, "expected object")),
            ("addIndexes", _) => return Err(wrong(setting, "expected array")),
            _ => return Err(wrong(setting, "unknown setting")),
        }
    }
    Ok(fields_changed)
}

/// The indexes that the config asks for or its references and ttl need, and
/// that are not among `existing`.
pub(super) fn complete_indexes(
    parsed: BucketConfig,
    existing: &[IndexDefinition],
    ids: &mut Ids,
    state: IndexState,
) -> Vec<IndexDefinition> {
    let BucketConfig { schema, indexes: mut wanted, ttl_ms, .. } = parsed;
    let serves = |index: &IndexDefinition, field: &str| {
        index.fields[0] == field && index.filter.is_none() && !index.multi
    };
    let mut needed: Vec<(String, String)> = schema
        .references()
        .map(|(field, ..)| (format!("_ref_{field}"), field.to_owned()))
        .collect();
    if ttl_ms.is_some() {
        needed.push(("_ttl".to_owned(), "_expiresAt".to_owned()));
    }
    for (name, field) in needed {
        if !wanted.iter().chain(existing).any(|index| serves(index, &field)) {
            wanted.push(internal_index(name, &field));
        }
    }
    wanted
        .into_iter()
        .filter(|index| existing.iter().all(|known| known.name != index.name))
        .map(|index| {
            // A unique field holds from its definition on: an online build that
            // met duplicates would leave a constraint that nothing enforces.
            let state = if schema.is_unique(&index.name) { IndexState::Ready } else { state };
            IndexDefinition { id: ids.next(), state, ..index }
        })
        .collect()
}

/// The ids of buckets and indexes. Definitions that run at the same time
/// conflict here, whatever their isolation level.
pub(super) struct Ids {
    next: u32,
}

impl Ids {
    pub(super) fn read(tx: &mut Transaction) -> Result<Self> {
        if tx.own_write(keys::NEXT_ID).is_none() {
            tx.guard_unchanged(KeyRange::point(keys::NEXT_ID), || {
                Error::new(Code::Conflict, "The definitions were changed by another transaction")
            });
        }
        let next = match tx.get_untracked(keys::NEXT_ID)? {
            None => 1,
            Some(stored) => decode_json(&stored)?
                .as_u64()
                .and_then(|next| u32::try_from(next).ok())
                .ok_or_else(|| Error::corrupted("The id counter of the catalog is damaged"))?,
        };
        Ok(Self { next })
    }

    pub(super) fn next(&mut self) -> u32 {
        let id = self.next;
        self.next += 1;
        id
    }

    pub(super) fn write(&self, tx: &mut Transaction) -> Result<()> {
        put(tx, &Bytes::from_static(keys::NEXT_ID), Some(self.next.to_string().into()))
    }
}

pub(super) fn write_schema_version(
    tx: &mut Transaction,
    bucket: u32,
    version: Option<u64>,
) -> Result<()> {
    put(tx, &keys::schema_version(bucket), version.map(|version| version.to_string().into()))
}

/// Writes a row that has no index: a definition or a garbage mark.
pub(super) fn put(tx: &mut Transaction, key: &Bytes, value: Option<Bytes>) -> Result<()> {
    debug_assert!(matches!(key[0], keyspace::CATALOG | keyspace::GARBAGE));
    let current = tx.get_untracked(key)?;
    tx.write(key, current.as_ref(), value, None, IndexDelta::default(), None);
    Ok(())
}
