//! Defining and dropping indexes in transactions.
//!
//! An index that is defined with a transaction is part of it: the statement
//! derives its entries into the transaction's own overlay, where unique values
//! are checked, and the commit derives them again for every row that is
//! committed by then. Reads use it after the commit: until then nobody else
//! maintains it. That costs one pass over the bucket in each place and is bounded by
//! the transaction's size limit; large buckets are indexed online instead
//! (`index_build`).

use tandem_base::{Code, Error, Result};
use tandem_storage::{Direction, KeyRange};
use tandem_transaction::{IndexDelta, Transaction};

use crate::catalog::{IndexDefinition, IndexState, already_defined, parse_index_config};
use crate::entries::{entries, unique_violation};
use crate::keys;
use crate::records::Records;
use crate::row::Row;
use crate::statement::definition::{Ids, put};

impl Records {
    /// Defines an index (`"field"` or `{name?, fields, unique?, filter?,
    /// multi?}`) and returns its name. `state` says who builds it: `Ready` this
    /// transaction, `Building` an online build that follows.
    ///
    /// # Errors
    /// `BUCKET_NOT_DEFINED`; `VALIDATION_ERROR`; `ALREADY_EXISTS` for the name,
    /// or with the first pair of duplicates of a unique index;
    /// `LIMIT_EXCEEDED` when the bucket is too large for one transaction.
    pub fn create_index(
        &self,
        tx: &mut Transaction,
        bucket: &str,
        config: &serde_json::Value,
        state: IndexState,
    ) -> Result<String> {
        tx.write_statement(|tx| {
            let catalog = self.catalog(tx)?;
            let old = catalog.bucket(bucket)?.clone();
            let mut index = parse_index_config(config)?;
            if old.index(&index.name).is_some() {
                return Err(already_defined("Index", &index.name).with("bucket", bucket));
            }
            let mut ids = Ids::read(tx)?;
            index.id = ids.next();
            index.state = state;
            ids.write(tx)?;
            let mut definition = old.definition.clone();
            definition.indexes.push(index.clone());
            if let serde_json::Value::Object(settings) = &mut definition.config
                && let serde_json::Value::Array(declared) =
                    settings.entry("indexes").or_insert_with(|| serde_json::json!([]))
            {
                declared.push(index.config());
            }
            self.store_definition(tx, bucket, definition)?;
            self.build_within(tx, bucket, std::slice::from_ref(&index))?;
            Ok(index.name)
        })
    }

    /// Drops an index. Its entries are removed in the background.
    ///
    /// # Errors
    /// `BUCKET_NOT_DEFINED`; `NOT_FOUND`; `VALIDATION_ERROR` for one that the
    /// schema needs (a unique field, a reference, a ttl).
    pub fn drop_index(&self, tx: &mut Transaction, bucket: &str, name: &str) -> Result<()> {
        tx.write_statement(|tx| {
            let catalog = self.catalog(tx)?;
            let old = catalog.bucket(bucket)?.clone();
            let index = old.index(name).cloned().ok_or_else(|| {
                Error::new(Code::NotFound, format!("Index \"{name}\" not found in bucket \"{bucket}\""))
                    .with("bucket", bucket)
                    .with("index", name)
            })?;
            let needed_by_reference = old.references.iter().any(|to| to.index == index.id);
            let needed_by_ttl = old.ttl_ms.is_some()
                && index.fields.first().is_some_and(|field| field == "_expiresAt");
            if index.internal
                || needed_by_reference
                || needed_by_ttl
                || old.schema.is_unique(name)
            {
                return Err(Error::validation(format!(
                    "Index \"{name}\" of bucket \"{bucket}\" belongs to its schema and cannot be dropped"
                ))
                .with("index", name));
            }
            let mut definition = old.definition.clone();
            definition.forget_index(index.id);
            for prefix in [keys::index_prefix(index.id), keys::build_progress(index.id)] {
                put(tx, &keys::garbage(&prefix), Some(bytes::Bytes::new()))?;
            }
            self.store_definition(tx, bucket, definition)
        })
    }

    /// Adds the entries of ready indexes in `added` to the own reads.
    pub(crate) fn build_within(
        &self,
        tx: &mut Transaction,
        bucket: &str,
        added: &[IndexDefinition],
    ) -> Result<()> {
        let catalog = self.catalog(tx)?;
        let bucket = catalog.bucket(bucket)?.clone();
        let is_added = |id: u32| added.iter().any(|index| index.id == id);
        let indexes: Vec<_> = bucket
            .indexes
            .iter()
            .filter(|index| index.is_complete() && is_added(index.id))
            .collect();
        if indexes.is_empty() {
            return Ok(());
        }
        let limit = tx.coordination().limits().write_set_bytes;
        let prefix = keys::row_prefix(bucket.id);
        let mut delta = IndexDelta::default();
        let mut bytes = 0;
        let mut holders = std::collections::HashMap::new();
        for entry in tx.scan_untracked(&KeyRange::prefix(&prefix), Direction::Forward) {
            let entry = entry?;
            let primary_key = entry.key.slice(prefix.len()..);
            let row = Row::from_stored(entry.value)?;
            let mut found = Vec::new();
            for index in &indexes {
                let first = found.len();
                entries(index, &row, &primary_key, &mut found)?;
                for entry in &found[first..] {
                    if entry.is_exclusive()
                        && let Some(holder) = holders.insert(entry.key.clone(), primary_key.clone())
                    {
                        return Err(unique_violation(&bucket, index, &row, &holder));
                    }
                }
            }
            for entry in found {
                bytes += entry.key.len() + entry.value.len() + 128;
                delta.puts.push((entry.key, entry.value));
            }
            if bytes > limit {
                return Err(Error::limit("transactionBytes", limit as u64, bytes as u64));
            }
        }
        tx.overlay(delta);
        Ok(())
    }
}
