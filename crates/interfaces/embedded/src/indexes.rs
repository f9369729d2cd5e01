//! Indexes of buckets in use: building, dropping, looking at and checking them.
//!
//! On a store, an index is built online: first it is defined in state
//! *building*, and every later commit maintains it; then the older rows are
//! added in small steps, each its own commit, while readers and writers go on.
//! A build survives a crash: the maintenance of the reopened store resumes it.

use serde_json::Value;
use tandem_base::Result;
use tandem_record::{BuildStep, CheckReport, IndexInfo, IndexState};

use crate::definition::IndexConfig;
use crate::session::Session;
use crate::store::Store;
use crate::transaction::Transaction;

/// Buckets up to this many records are changed with their new indexes in one
/// transaction; larger ones are indexed online.
const BUILT_WITHIN: u64 = 10_000;

/// What [`Store::check`] looks at, and what it does about findings.
#[derive(Clone, Debug, Default)]
pub struct CheckOptions {
    bucket: Option<String>,
    repair: bool,
}

impl CheckOptions {
    /// Every bucket, nothing is changed.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One bucket only.
    #[must_use]
    pub fn bucket(mut self, name: impl Into<String>) -> Self {
        self.bucket = Some(name.into());
        self
    }

    /// Mends what is wrong.
    #[must_use]
    pub fn repair(mut self) -> Self {
        self.repair = true;
        self
    }
}

impl Store {
    /// Defines an index and builds it online; returns its name once reads use
    /// it. Cost: reads every row; other commits wait for single steps only.
    ///
    /// # Errors
    /// `BUCKET_NOT_DEFINED`; `VALIDATION_ERROR`; `ALREADY_EXISTS` for the name,
    /// or with the first pair of duplicates of a unique index. Then nothing is
    /// left of it.
    pub fn create_index(&self, bucket: &str, index: impl Into<IndexConfig>) -> Result<String> {
        let _builder = self.inner().builds.lock();
        let name = self.start_index(bucket, &index.into())?;
        self.build(bucket)?;
        Ok(name)
    }

    /// Defines an index and returns at once; the store's maintenance builds it.
    /// [`indexes`](Self::indexes) shows how far it is. A unique index that meets
    /// duplicates disappears again.
    ///
    /// # Errors
    /// `BUCKET_NOT_DEFINED`; `VALIDATION_ERROR`; `ALREADY_EXISTS` for the name.
    pub fn create_index_in_background(
        &self,
        bucket: &str,
        index: impl Into<IndexConfig>,
    ) -> Result<String> {
        let name = self.start_index(bucket, &index.into())?;
        self.wake_maintenance();
        Ok(name)
    }

    fn start_index(&self, bucket: &str, index: &IndexConfig) -> Result<String> {
        let config = index.to_json();
        Session::Autocommit(self).write((), |records, tx, ()| {
            records.create_index(tx, bucket, &config, IndexState::Building)
        })
    }

    /// Changes a bucket: `{addFields?, addIndexes?, ttl?}`; `"ttl": null`
    /// removes it. Older records are checked against new fields when they are
    /// next updated.
    ///
    /// A bucket of more than 10 000 records gets its new indexes online, after
    /// the other changes: when one of them meets duplicates, that one is gone
    /// and the rest stays. Otherwise all happens together or not at all.
    ///
    /// # Errors
    /// `BUCKET_NOT_DEFINED`; `VALIDATION_ERROR`; `ALREADY_EXISTS` when a unique
    /// index meets duplicates.
    pub fn update_bucket(&self, name: &str, updates: &Value) -> Result<()> {
        let _builder = self.inner().builds.lock();
        let large =
            Session::Autocommit(self).read(|records, tx| records.count(tx, name))? > BUILT_WITHIN;
        let state = if large { IndexState::Building } else { IndexState::Ready };
        Session::Autocommit(self)
            .write((), |records, tx, ()| records.update_bucket(tx, name, updates, state))?;
        self.build(name)
    }

    /// Finishes every unfinished build of the bucket.
    fn build(&self, bucket: &str) -> Result<()> {
        let coordination = self.coordination()?;
        let unfinished = self.records().unfinished_builds(&*coordination.view()?)?;
        for (_, index) in unfinished.iter().filter(|(of, _)| of == bucket) {
            loop {
                let rows = self.limits().maintenance_step;
                match self.records().build_step(&**coordination, *index, rows)? {
                    BuildStep::Building { .. } => {}
                    BuildStep::Done => break,
                    BuildStep::Failed(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// Drops an index. Its entries are removed in the background.
    ///
    /// # Errors
    /// `BUCKET_NOT_DEFINED`; `NOT_FOUND`; `VALIDATION_ERROR` for one that the
    /// bucket's schema needs.
    pub fn drop_index(&self, bucket: &str, name: &str) -> Result<()> {
        Session::Autocommit(self).write((), |records, tx, ()| records.drop_index(tx, bucket, name))
    }

    /// The indexes of a bucket, with their state and size.
    ///
    /// # Errors
    /// `BUCKET_NOT_DEFINED`.
    pub fn indexes(&self, bucket: &str) -> Result<Vec<IndexInfo>> {
        Session::Autocommit(self).read(|records, tx| records.indexes(tx, bucket))
    }

    /// Compares every index with its rows, in both directions, at one revision,
    /// while the store is in use.
    ///
    /// # Errors
    /// `BUCKET_NOT_DEFINED`; `CORRUPTED` when a row cannot be read. Findings
    /// are no errors: see [`CheckReport::is_clean`].
    pub fn check(&self, options: &CheckOptions) -> Result<CheckReport> {
        let coordination = self.coordination()?;
        self.records().check(&**coordination, options.bucket.as_deref(), options.repair)
    }
}

impl Transaction {
    /// Defines an index that is ready within this transaction and rolled back
    /// with it. Cost: one pass over the bucket now and one at commit; bounded by
    /// the transaction's size limit.
    ///
    /// # Errors
    /// `BUCKET_NOT_DEFINED`; `VALIDATION_ERROR`; `ALREADY_EXISTS` for the name,
    /// or with the first pair of duplicates of a unique index;
    /// `LIMIT_EXCEEDED` when the bucket is too large.
    pub fn create_index(&self, bucket: &str, index: impl Into<IndexConfig>) -> Result<String> {
        let config = index.into().to_json();
        self.with(|records, tx| records.create_index(tx, bucket, &config, IndexState::Ready))
    }

    /// Drops an index when the transaction commits.
    ///
    /// # Errors
    /// As [`Store::drop_index`].
    pub fn drop_index(&self, bucket: &str, name: &str) -> Result<()> {
        self.with(|records, tx| records.drop_index(tx, bucket, name))
    }

    /// The indexes of a bucket as this transaction sees them.
    ///
    /// # Errors
    /// `BUCKET_NOT_DEFINED`.
    pub fn indexes(&self, bucket: &str) -> Result<Vec<IndexInfo>> {
        self.with(|records, tx| records.indexes(tx, bucket))
    }

    /// Changes a bucket, as [`Store::update_bucket`]; new indexes are built
    /// within the transaction.
    ///
    /// # Errors
    /// As there; `LIMIT_EXCEEDED` when the bucket is too large to be indexed
    /// within a transaction.
    pub fn update_bucket(&self, name: &str, updates: &Value) -> Result<()> {
        self.with(|records, tx| records.update_bucket(tx, name, updates, IndexState::Ready))
    }
}
