//! Keeping SQLite's tables those of the catalog, as a transaction sees it.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::Connection;
use tandem::Transaction;
use tandem_base::Result;
use tandem_record::catalog::Catalog;

use crate::shared::Shared;
use crate::table::{Table, quoted};
use crate::virtual_table;

/// The catalog that SQLite's tables were last made for.
#[derive(Debug, Default)]
pub(crate) struct Known(Option<Arc<Catalog>>);

impl Known {
    /// Makes the tables those of the catalog that the transaction sees, unless they
    /// are.
    pub(crate) fn update(
        &mut self,
        sqlite: &Connection,
        shared: &Arc<Shared>,
        transaction: &Transaction,
    ) -> Result<()> {
        let catalog = transaction.statement(|records, tx| records.catalog(tx))?;
        if self.0.as_ref().is_some_and(|known| Arc::ptr_eq(known, &catalog)) {
            return Ok(());
        }
        self.0 = None;
        apply(sqlite, shared, &catalog)?;
        self.0 = Some(catalog);
        Ok(())
    }
}

impl Known {
    /// Drops all tables; the next update makes them anew. Says whether it could: one
    /// that a statement is reading is kept.
    pub(crate) fn forget(&mut self, sqlite: &Connection, shared: &Arc<Shared>) -> bool {
        sqlite.flush_prepared_statement_cache();
        self.0 = None;
        let names: Vec<String> = shared.tables().keys().cloned().collect();
        for name in names {
            if sqlite.execute_batch(&format!("DROP TABLE IF EXISTS {}", quoted(&name))).is_err() {
                return false;
            }
            shared.tables().remove(&name);
        }
        true
    }
}

/// Drops the tables whose buckets are gone or changed, and makes those that are
/// missing.
fn apply(sqlite: &Connection, shared: &Arc<Shared>, catalog: &Catalog) -> Result<()> {
    let mut wanted = HashMap::new();
    for bucket in catalog.buckets() {
        let name = bucket.name.to_lowercase();
        // SQLite keeps such names for itself; of names that differ in case alone
        // the first is the table.
        if !name.starts_with("sqlite_") {
            wanted.entry(name).or_insert(bucket);
        }
    }
    let stale: Vec<String> = shared
        .tables()
        .iter()
        .filter(|(name, table)| {
            wanted.get(*name).is_none_or(|bucket| !is_same(&table.bucket, bucket))
        })
        .map(|(name, _)| name.clone())
        .collect();
    let run =
        |sql: &str| sqlite.execute_batch(sql).map_err(|error| crate::error::of(error, shared));
    shared.columns().clear();
    if !stale.is_empty() {
        // A compiled statement would tell the columns of before.
        sqlite.flush_prepared_statement_cache();
    }
    for name in stale {
        run(&format!("DROP TABLE IF EXISTS {}", quoted(&name)))?;
        shared.tables().remove(&name);
    }
    for (name, bucket) in wanted {
        if shared.tables().contains_key(&name) {
            continue;
        }
        let table = Arc::new(Table::of(bucket));
        shared.tables().insert(name.clone(), table.clone());
        if let Err(error) = run(&virtual_table::create_statement(&table)) {
            shared.tables().remove(&name);
            return Err(error);
        }
    }
    Ok(())
}

/// Whether a table made for one definition serves the other.
fn is_same(
    one: &Arc<tandem_record::catalog::Bucket>,
    other: &Arc<tandem_record::catalog::Bucket>,
) -> bool {
    Arc::ptr_eq(one, other)
        || one.id == other.id
            && one.name == other.name
            && one.schema_version == other.schema_version
            && one.config == other.config
            && one.indexes.len() == other.indexes.len()
            && one
                .indexes
                .iter()
                .zip(&other.indexes)
                // A transaction may not read an index that it has just built: what
                // was planned then is planned anew after its commit.
                .all(|(one, other)| one.id == other.id && one.is_ready() == other.is_ready())
}
