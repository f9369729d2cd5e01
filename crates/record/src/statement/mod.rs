//! Writing statements: what one insert, update or delete does in a transaction.
//!
//! ```text
//! insert   generate → default → ttl → references → schema → make room → key free? → write
//! update   wait for lock → read → version → merge, or apply the expression → references → schema → write
//! delete   wait for lock → read → version → referrers (restrict, cascade, null) → write
//! write    index entries old → new in the own overlay, unique entries checked
//! ```
//! A wait for a lock moves the transaction's view, and the definitions in the
//! newer one may be others: whoever has waited goes on with the [`newer`] target.
//!
//! [`newer`]: Records::newer_target
//!
//! The commit repeats what depends on other transactions (see `derive`); a
//! statement only finds errors early and makes the own writes readable.

mod alteration;
mod bulk;
pub(crate) mod definition;
mod delete;
mod index;
mod insert;
mod reference;
mod update;
mod write;

pub use alteration::{Alteration, FieldChange};

use std::sync::Arc;

use serde_json::Value;
use tandem_base::{Code, Error, Result};
use tandem_transaction::{Read, Transaction};

use crate::catalog::{Bucket, Catalog};
use crate::key;
use crate::records::{Fields, Records};

/// A bucket that a statement writes to, with the catalog around it.
pub(crate) struct Target {
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) bucket: Arc<Bucket>,
    /// Of the view that the catalog is of.
    pub(crate) schema_revision: u64,
}

impl Records {
    /// Looks the bucket up and demands that its fields stay as they are until
    /// the commit.
    pub(crate) fn target(&self, tx: &mut Transaction, bucket: &str) -> Result<Target> {
        let catalog = self.catalog(tx)?;
        let bucket = catalog.bucket(bucket)?.clone();
        guard_schema(tx, &bucket);
        Ok(Target { catalog, bucket, schema_revision: tx.view().schema_revision() })
    }

    /// The target as the transaction's view has it, if a wait has moved the view
    /// to other definitions.
    pub(crate) fn newer_target(
        &self,
        tx: &mut Transaction,
        target: &Target,
    ) -> Result<Option<Target>> {
        if tx.view().schema_revision() == target.schema_revision {
            return Ok(None);
        }
        self.target(tx, &target.bucket.name).map(Some)
    }
}

impl Target {
    /// The same, for another bucket of the catalog.
    pub(crate) fn other(&self, tx: &mut Transaction, bucket: &Arc<Bucket>) -> Self {
        guard_schema(tx, bucket);
        let (catalog, schema_revision) = (self.catalog.clone(), self.schema_revision);
        Self { catalog, bucket: bucket.clone(), schema_revision }
    }
}

fn guard_schema(tx: &mut Transaction, bucket: &Bucket) {
    // A bucket that this transaction defines or changes is its own to watch.
    if tx.own_write(&bucket.fields_key.start).is_none() {
        let name = bucket.name.clone();
        tx.guard_unchanged(bucket.fields_key.clone(), move || {
            Error::new(Code::Conflict, "The bucket's definition was changed by another transaction")
                .with("bucket", &*name)
        });
    }
}

/// Names that a record cannot have: update expressions are no data.
pub(crate) fn refuse_operators(fields: &Fields) -> Result<()> {
    match fields.keys().find(|name| name.starts_with('$')) {
        None => Ok(()),
        Some(name) => Err(Error::validation(format!(
            "Invalid field name \"{name}\": names that begin with \"$\" are operators of updates"
        ))
        .with("field", name.as_str())),
    }
}

pub(crate) fn not_found(bucket: &Bucket, key: &Value) -> Error {
    let shown = key::display(key);
    Error::new(
        Code::NotFound,
        format!("Record with key \"{shown}\" not found in bucket \"{}\"", bucket.name),
    )
    .with("bucket", &*bucket.name)
    .with("key", key.clone())
}
