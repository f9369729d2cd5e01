//! Altering a bucket: another name, other fields, and every record with them.
//!
//! `update_bucket` adds to a definition and leaves records as they are. What is
//! here may also take away and rename, so records, indexes, referrers and stored
//! queries have to follow, all within the transaction:
//!
//! ```text
//! definition   stored under the name it has now; the schema version grows
//! indexes      that are defined as before stay; others get a new id, and are
//!              built by this transaction; those that nobody wants are garbage
//! records      rewritten where a field is renamed, removed or filled in, checked
//!              against definitions that are not the ones they were written under
//! referrers    of a renamed bucket refer to its new name; so do queries
//! ```
//! Whoever writes to the bucket by the old definition, or has written to it since
//! this transaction looked, is in conflict with it.

use bytes::Bytes;
use serde_json::Value;
use tandem_base::{Code, Error, Result};
use tandem_storage::{Direction, KeyRange};
use tandem_transaction::Transaction;

use crate::catalog::{
    Bucket, BucketConfig, BucketDefinition, IndexDefinition, IndexState, already_defined,
    check_name, parse_bucket_config,
};
use crate::key;
use crate::keys;
use crate::records::{Fields, Records};
use crate::row::{EXPIRES_AT, METADATA_NAMES, Row};
use crate::schema::validation_error;
use crate::statement::definition::{Ids, complete_indexes, put, write_schema_version};

/// What [`Records::alter_bucket`] makes of a bucket.
#[derive(Clone, Debug, PartialEq)]
pub struct Alteration {
    /// Its name from now on.
    pub name: String,
    /// Its config from now on, of which only the key's name, the schema, the
    /// indexes and SQL's part may be another.
    pub config: Value,
    /// What becomes of the fields of each record, one after the other.
    pub fields: Vec<FieldChange>,
}

/// What becomes of a field in each record.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldChange {
    /// It gets another name, which no record may have yet.
    Rename {
        /// The name that it has.
        from: String,
        /// The name that it gets.
        to: String,
    },
    /// It is taken out.
    Remove(String),
    /// It is put into records that do not have it.
    Fill(String, Value),
}

/// Settings that decide how records are kept, for good.
const KEPT_SETTINGS: [&str; 4] = ["etsType", "persistent", "ttl", "maxSize"];

impl Records {
    /// Alters a bucket. Records keep their keys; the version of one that is
    /// rewritten grows by one. Cost: a pass over the bucket, unless only the name
    /// is another; bounded by the transaction's size limit.
    ///
    /// # Errors
    /// `BUCKET_NOT_DEFINED`; `ALREADY_EXISTS` for the name, or when a new unique
    /// index meets duplicates; `VALIDATION_ERROR` for the config, a change that
    /// does not fit it, or with the first record that breaks a new definition;
    /// `REFERENCE_VIOLATION` for one that breaks a new reference; `LIMIT_EXCEEDED`
    /// when the bucket is too large to be rewritten within the transaction.
    pub fn alter_bucket(
        &self,
        tx: &mut Transaction,
        name: &str,
        alteration: &Alteration,
    ) -> Result<()> {
        tx.write_statement(|tx| {
            let bucket = self.unlocked(tx, name, !alteration.fields.is_empty())?;
            let is_renamed = alteration.name != name;
            if is_renamed {
                check_name("bucket", &alteration.name)?;
                if tx.get(&keys::bucket_definition(&alteration.name))?.is_some() {
                    return Err(already_defined("Bucket", &alteration.name));
                }
            }
            let mut config = alteration.config.clone();
            if is_renamed {
                redirect(&mut config, name, &alteration.name);
            }
            check_kept(&bucket, &config)?;
            check_changes(&bucket, &config, &alteration.fields)?;
            let mut before = bucket.config.clone();
            redirect(&mut before, name, &alteration.name);
            let known = KnownFields::of(&bucket, &before, &config, &alteration.fields);
            let parsed = parse_bucket_config(&config, &known.unchecked)?;

            // Definitions at the same time conflict here: one may be a reference to
            // the name that this one takes away.
            let mut ids = Ids::read(tx)?;
            let (kept, gone): (Vec<_>, Vec<_>) = bucket
                .definition
                .indexes
                .iter()
                .cloned()
                .partition(|index| is_wanted(&parsed, index));
            let added = complete_indexes(parsed, &kept, &mut ids, IndexState::Ready);
            ids.write(tx)?;
            for index in gone {
                for prefix in [keys::index_prefix(index.id), keys::build_progress(index.id)] {
                    put(tx, &keys::garbage(&prefix), Some(Bytes::new()))?;
                }
            }
            let schema_version = bucket.schema_version + 1;
            write_schema_version(tx, bucket.id, Some(schema_version))?;
            if is_renamed {
                put(tx, &keys::bucket_definition(name), None)?;
            }
            let definition = BucketDefinition {
                id: bucket.id,
                schema_version,
                config,
                added_fields: known.unchecked.clone(),
                order_index: bucket.order_index,
                indexes: kept.into_iter().chain(added.iter().cloned()).collect(),
            };
            self.store_definition(tx, &alteration.name, definition)?;
            if is_renamed {
                self.redirect_referrers(tx, name, &alteration.name)?;
            }
            let catalog = self.catalog(tx)?;
            self.announce_references(tx, catalog.bucket(&alteration.name)?)?;
            if !alteration.fields.is_empty() || !known.changed.is_empty() {
                self.rewrite(tx, alteration, &known.changed)?;
            }
            self.build_within(tx, &alteration.name, &added)
        })
    }

    /// The bucket, when nobody has a record of it locked that will be rewritten.
    fn unlocked(
        &self,
        tx: &mut Transaction,
        name: &str,
        rewrites: bool,
    ) -> Result<std::sync::Arc<Bucket>> {
        loop {
            let target = self.target(tx, name)?;
            if !rewrites || tx.coordination().locks().is_empty() {
                return Ok(target.bucket);
            }
            let rows = KeyRange::prefix(&keys::row_prefix(target.bucket.id));
            let rows: Vec<Bytes> = tx
                .scan_untracked(&rows, Direction::Forward)
                .map(|entry| entry.map(|entry| entry.key))
                .collect::<Result<_>>()?;
            for row in rows {
                tx.wait_for_lock(&row)?;
            }
            if self.newer_target(tx, &target)?.is_none() {
                return Ok(target.bucket);
            }
        }
    }

    /// Rewrites the records, which are checked against the definitions of the
    /// fields in `changed`.
    fn rewrite(
        &self,
        tx: &mut Transaction,
        alteration: &Alteration,
        changed: &[String],
    ) -> Result<()> {
        let target = self.target(tx, &alteration.name)?;
        let bucket = &*target.bucket;
        let rows = KeyRange::prefix(&keys::row_prefix(bucket.id));
        let name = bucket.name.clone();
        tx.guard_unchanged(rows.clone(), move || {
            Error::new(Code::Conflict, "Records of an altered bucket were changed meanwhile")
                .with("bucket", &*name)
        });
        let refers = |field: &String| {
            bucket.schema.field(field).is_some_and(|field| field.reference.is_some())
        };
        let has_new_references = changed.iter().any(refers);
        let limit = tx.coordination().limits().write_set_bytes;
        let mut bytes = 0;
        let mut altered: Vec<(Bytes, Row, Fields, bool)> = Vec::new();
        for entry in tx.scan_untracked(&rows, Direction::Forward) {
            let entry = entry?;
            let primary_key = entry.key.slice(rows.start.len()..);
            let size = entry.key.len() + entry.value.len();
            let current = Row::from_stored(entry.value)?;
            let before = current.fields()?;
            let mut fields = before.clone();
            for change in &alteration.fields {
                fields = change.applied(bucket, &primary_key, fields)?;
            }
            let issues = bucket.schema.validate_fields(&fields, changed);
            if !issues.is_empty() {
                let error = validation_error(&bucket.name, &issues);
                return Err(error.with("key", key::decode_key(&primary_key)));
            }
            let is_rewritten = fields != before;
            if is_rewritten || has_new_references {
                bytes += size;
                if bytes > limit {
                    return Err(Error::limit("transactionBytes", limit as u64, bytes as u64));
                }
                altered.push((primary_key, current, fields, is_rewritten));
            }
        }
        for (primary_key, current, fields, is_rewritten) in altered {
            let is_changed = |field: &str| changed.iter().any(|changed| changed == field);
            self.check_references(tx, &target, |field| fields.get(field).cloned(), is_changed)?;
            if is_rewritten {
                let metadata = self.updated(tx, bucket, &primary_key, &current);
                let row = Row::encode(&fields, metadata)?;
                self.write_row(tx, &target, &primary_key, Some(&current), Some(&row), None)?;
            }
        }
        Ok(())
    }

    /// Lets buckets and queries that name the bucket `from` name it `to`.
    fn redirect_referrers(&self, tx: &mut Transaction, from: &str, to: &str) -> Result<()> {
        let catalog = self.catalog(tx)?;
        for other in catalog.buckets() {
            if &*other.name == to || other.references.iter().all(|known| known.target != from) {
                continue;
            }
            let mut definition = other.definition.clone();
            redirect(&mut definition.config, from, to);
            definition.schema_version += 1;
            write_schema_version(tx, other.id, Some(definition.schema_version))?;
            self.store_definition(tx, &other.name, definition)?;
        }
        for query in catalog.queries().filter(|query| query.bucket == from) {
            let mut config = query.config.clone();
            config["bucket"] = to.into();
            put(tx, &keys::query_definition(&query.name), Some(config.to_string().into()))?;
        }
        Ok(())
    }
}

impl FieldChange {
    fn applied(&self, bucket: &Bucket, primary_key: &[u8], mut fields: Fields) -> Result<Fields> {
        match self {
            Self::Rename { from, to } => {
                if fields.contains_key(to) {
                    return Err(Error::validation(format!(
                        "Records of bucket \"{}\" have a field \"{to}\" already",
                        bucket.name
                    ))
                    .with("bucket", &*bucket.name)
                    .with("field", to.as_str())
                    .with("key", key::decode_key(primary_key)));
                }
                if fields.contains_key(from) {
                    let renamed = |name: String| if name == *from { to.clone() } else { name };
                    fields =
                        fields.into_iter().map(|(name, value)| (renamed(name), value)).collect();
                }
            }
            Self::Remove(field) => {
                fields.shift_remove(field);
            }
            Self::Fill(field, value) => {
                fields.entry(field.clone()).or_insert_with(|| value.clone());
            }
        }
        Ok(fields)
    }
}

/// Which fields of an altered bucket its records were checked against.
struct KnownFields {
    /// Those whose definition is not one that the records were written under.
    changed: Vec<String>,
    /// Those that older records were not checked against before, and are not now.
    unchecked: Vec<String>,
}

impl KnownFields {
    fn of(bucket: &Bucket, old: &Value, config: &Value, changes: &[FieldChange]) -> Self {
        let mut known = Self { changed: Vec::new(), unchecked: Vec::new() };
        for (name, definition) in config["schema"].as_object().into_iter().flatten() {
            // What the field was called before.
            let mut before = name.as_str();
            for change in changes.iter().rev() {
                match change {
                    FieldChange::Rename { from, to } if to == before => before = from,
                    _ => {}
                }
            }
            let is_same = match (old["schema"].get(before), definition) {
                (Some(Value::Object(old)), Value::Object(new)) => {
                    // To what a reference leads is checked whenever it is another.
                    let rules = |rules: &Fields| -> Fields {
                        let mut rules = rules.clone();
                        rules.retain(|rule, _| !matches!(rule.as_str(), "default" | "onDelete"));
                        rules
                    };
                    rules(old) == rules(new)
                }
                _ => false,
            };
            if !is_same {
                known.changed.push(name.clone());
            } else if bucket.definition.added_fields.iter().any(|added| added == before) {
                known.unchecked.push(name.clone());
            }
        }
        known
    }
}

/// Whether the index is one of those that the new config asks for or needs.
fn is_wanted(parsed: &BucketConfig, index: &IndexDefinition) -> bool {
    if index.internal {
        let serves = |field: &str| index.name == format!("_ref_{field}");
        return parsed.schema.references().any(|(field, ..)| serves(field))
            || parsed.ttl_ms.is_some() && index.name == "_ttl";
    }
    parsed.indexes.iter().any(|wanted| {
        wanted.name == index.name
            && wanted.fields == index.fields
            && wanted.unique == index.unique
            && wanted.multi == index.multi
            && wanted.filter == index.filter
    })
}

fn check_kept(bucket: &Bucket, config: &Value) -> Result<()> {
    for setting in KEPT_SETTINGS {
        if config.get(setting) != bucket.config.get(setting) {
            return Err(Error::validation(format!(
                "Invalid bucket config \"{setting}\": it cannot be altered"
            ))
            .with("setting", setting));
        }
    }
    Ok(())
}

/// The key field keeps its values, so it may be renamed and nothing else; what the
/// store itself knows of a record is no field.
fn check_changes(bucket: &Bucket, config: &Value, changes: &[FieldChange]) -> Result<()> {
    let wrong = |field: &str, problem: &str| {
        Error::validation(format!("Invalid change of field \"{field}\": {problem}"))
            .with("field", field)
    };
    let mut key = bucket.key_field.as_str();
    for change in changes {
        let field = match change {
            FieldChange::Rename { from, to } => {
                if from == key {
                    key = to;
                }
                to
            }
            FieldChange::Remove(field) | FieldChange::Fill(field, _) => field,
        };
        if *field == *key && !matches!(change, FieldChange::Rename { .. }) {
            return Err(wrong(field, "it is the key"));
        }
        if METADATA_NAMES.contains(&field.as_str()) || field == EXPIRES_AT || field.starts_with('$')
        {
            return Err(wrong(field, "the name is reserved"));
        }
    }
    if config.get("key").and_then(Value::as_str) != Some(key) {
        return Err(wrong(key, "it is the key"));
    }
    Ok(())
}

/// Lets the references of a config to the bucket `from` lead to `to`.
fn redirect(config: &mut Value, from: &str, to: &str) {
    let Some(Value::Object(schema)) = config.get_mut("schema") else { return };
    for field in schema.values_mut() {
        if field["ref"] == from {
            field["ref"] = to.into();
        }
    }
}
