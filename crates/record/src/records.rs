use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use tandem_base::{Environment, Result};
use tandem_storage::KeyRange;
use tandem_transaction::{Read, Transaction};

use crate::catalog::{Bucket, Catalog, CatalogCache, with_own_definitions, withhold};
use crate::derive::read_count;
use crate::key;
use crate::keys;
use crate::row::Row;
use crate::sequence::Sequences;

/// What a store knows about records: its catalog, its generators and, as
/// [`Derive`](tandem_transaction::Derive), what follows from a row change.
///
/// One per store, shared by its connections. Every operation is one statement
/// of the transaction that it is given: it succeeds whole or leaves the
/// transaction as it was.
#[derive(Debug)]
pub struct Records {
    environment: Environment,
    catalogs: CatalogCache,
    sequences: Sequences,
}

/// A JSON object as users give it.
pub type Fields = Map<String, Value>;

impl Records {
    /// The record layer of one store.
    #[must_use]
    pub fn new(environment: Environment) -> Self {
        Self { environment, catalogs: CatalogCache::default(), sequences: Sequences::default() }
    }

    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
    }

    pub(crate) fn catalogs(&self) -> &CatalogCache {
        &self.catalogs
    }

    pub(crate) fn sequences(&self) -> &Sequences {
        &self.sequences
    }

    /// The catalog as the transaction sees it, own definitions included. An
    /// index that would miss records in its reads is shown as not ready.
    ///
    /// # Errors
    /// `STORAGE_ERROR`, `CORRUPTED`.
    pub fn catalog(&self, tx: &Transaction) -> Result<Arc<Catalog>> {
        let committed = self.catalogs.at(&**tx.view())?;
        let catalog = with_own_definitions(committed.clone(), tx.writes())?;
        withhold(tx, &committed, catalog)
    }

    /// The bucket `name` as the transaction sees it, to be read: that it is
    /// defined as it is, or not at all, is remembered as read.
    ///
    /// # Errors
    /// `BUCKET_NOT_DEFINED`; `STORAGE_ERROR`, `CORRUPTED`.
    pub fn bucket(&self, tx: &Transaction, name: &str) -> Result<Arc<Bucket>> {
        let bucket = self.catalog(tx)?.bucket(name).cloned();
        match &bucket {
            Ok(bucket) => tx.track_point(&bucket.fields_key.start),
            Err(_) => tx.track_point(&keys::bucket_definition(name)),
        }
        bucket
    }

    /// The committed catalog of a state.
    ///
    /// # Errors
    /// `STORAGE_ERROR`, `CORRUPTED`.
    pub fn catalog_at(&self, state: &dyn Read) -> Result<Arc<Catalog>> {
        self.catalogs.at(state)
    }

    /// The record with that key, or `None`.
    ///
    /// # Errors
    /// `BUCKET_NOT_DEFINED`; `VALIDATION_ERROR` for what cannot be a key.
    pub fn get(&self, tx: &mut Transaction, bucket: &str, key: &Value) -> Result<Option<Row>> {
        tx.read_statement(|tx| {
            let bucket = self.bucket(tx, bucket)?;
            let primary_key = key::encode_key(key)?;
            let row_key = keys::row(bucket.id, &primary_key);
            tx.track_point(&row_key);
            row_at(tx, &row_key)
        })
    }

    /// Locks the record with that key until the transaction ends, and returns
    /// it as it is now. A key without a record can be locked too.
    ///
    /// # Errors
    /// `LOCK_TIMEOUT`, `DEADLOCK`; `CONFLICT` when the record was changed after
    /// the transaction had read something.
    pub fn lock(
        &self,
        tx: &mut Transaction,
        bucket: &str,
        key: &Value,
        wait: Option<Duration>,
    ) -> Result<Option<Row>> {
        tx.write_statement(|tx| {
            // To lock is not to read: until then the view may move, and a bucket
            // of that name be another one.
            loop {
                let id = self.catalog(tx)?.bucket(bucket)?.id;
                let row_key = keys::row(id, &key::encode_key(key)?);
                tx.lock(&row_key, wait)?;
                if self.catalog(tx)?.bucket(bucket)?.id == id {
                    tx.track_point(&row_key);
                    return row_at(tx, &row_key);
                }
            }
        })
    }

    /// The number of records in a bucket, as the transaction sees it.
    ///
    /// # Errors
    /// `BUCKET_NOT_DEFINED`.
    pub fn count(&self, tx: &mut Transaction, bucket: &str) -> Result<u64> {
        tx.read_statement(|tx| {
            let bucket = self.bucket(tx, bucket)?;
            self.count_inner(tx, &bucket)
        })
    }

    /// As [`count`](Self::count), inside a statement. Cost: the own writes to
    /// the bucket.
    ///
    /// # Errors
    /// `STORAGE_ERROR`.
    pub fn count_inner(&self, tx: &Transaction, bucket: &Bucket) -> Result<u64> {
        let key = keys::count(bucket.id);
        let mut count = read_count(tx.get(&key)?.as_deref())?;
        for (row_key, write) in tx.writes().rows_in(&KeyRange::prefix(&keys::row_prefix(bucket.id)))
        {
            let committed = tx.view().get(row_key)?.is_some();
            match (committed, write.after.is_some()) {
                (false, true) => count += 1,
                (true, false) => count -= 1,
                _ => {}
            }
        }
        Ok(count)
    }
}

/// The row at `row_key` as the transaction sees it; nothing is remembered as read. What
/// lies in memory was looked at when it came there.
///
/// # Errors
/// `STORAGE_ERROR`, `CORRUPTED`.
pub(crate) fn row_at(tx: &Transaction, row_key: &[u8]) -> Result<Option<Row>> {
    match tx.get_cached(row_key) {
        Some(whole) => whole.map(Row::from_whole).transpose(),
        None => tx.get_untracked(row_key)?.map(Row::from_stored).transpose(),
    }
}
