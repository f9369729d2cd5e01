use serde_json::{Value, json};
use tandem_base::Result;
use tandem_storage::{Direction, KeyRange};
use tandem_transaction::Transaction;

use crate::catalog::{Bucket, Index};
use crate::keys;
use crate::records::Records;

/// Entries are counted exactly up to here.
const COUNTED_ENTRIES: usize = 10_000;

/// What is known about one index.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexInfo {
    /// Its name.
    pub name: String,
    /// Its parts: `a`, `b.c`, `-d`.
    pub fields: Vec<String>,
    /// At most one record per combination of values.
    pub unique: bool,
    /// One entry per array element.
    pub multi: bool,
    /// The condition of a partial index.
    pub filter: Option<Value>,
    /// Whether reads may use it.
    pub ready: bool,
    /// From 0 to 1.
    pub progress: f64,
    /// How many entries it has.
    pub entries: u64,
    /// Whether `entries` is an estimate.
    pub approximate: bool,
}

impl IndexInfo {
    /// As `store.indexes` answers it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut info = json!({
            "name": self.name, "fields": self.fields, "unique": self.unique, "multi": self.multi,
            "state": if self.ready { "ready" } else { "building" },
            "progress": self.progress, "entries": self.entries, "approximate": self.approximate,
        });
        if let Some(filter) = &self.filter {
            info["filter"] = filter.clone();
        }
        info
    }
}

impl Records {
    /// The indexes of a bucket, internal ones left out.
    ///
    /// # Errors
    /// `BUCKET_NOT_DEFINED`.
    pub fn indexes(&self, tx: &mut Transaction, bucket: &str) -> Result<Vec<IndexInfo>> {
        tx.read_statement(|tx| {
            tx.track_point(&keys::bucket_definition(bucket));
            let catalog = self.catalog(tx)?;
            let bucket = catalog.bucket(bucket)?;
            let shown = bucket.indexes.iter().filter(|index| !index.internal);
            shown.map(|index| self.index_info(tx, bucket, index)).collect()
        })
    }

    fn index_info(&self, tx: &Transaction, bucket: &Bucket, index: &Index) -> Result<IndexInfo> {
        let rows = self.count_inner(tx, bucket)?;
        let range = KeyRange::prefix(&keys::index_prefix(index.id));
        let counted =
            tx.scan_untracked(&range, Direction::Forward).take(COUNTED_ENTRIES + 1).count();
        let exact = counted <= COUNTED_ENTRIES;
        let one_each = index.is_complete() && !index.multi && index.filter.is_none();
        let progress = if index.is_complete() {
            1.0
        } else {
            let built = Self::rows_built(&**tx.view(), index.id)?;
            if rows == 0 { 0.0 } else { (built as f64 / rows as f64).min(1.0) }
        };
        Ok(IndexInfo {
            name: index.name.clone(),
            fields: index.fields.clone(),
            unique: index.unique,
            multi: index.multi,
            filter: index.filter.as_ref().map(crate::filter::Filter::to_json),
            ready: index.is_complete(),
            progress,
            entries: if exact { counted as u64 } else { rows },
            approximate: !exact && !one_each,
        })
    }
}
