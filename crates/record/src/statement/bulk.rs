use bytes::Bytes;
use tandem_base::{Error, Result};
use tandem_transaction::Transaction;

use crate::filter::Filter;
use crate::records::{Fields, Records};
use crate::row::Row;
use crate::statement::update::Changes;

impl Records {
    /// Inserts all records or none.
    ///
    /// # Errors
    /// That of the first record that cannot be inserted, its message preceded
    /// by `data[i]: `.
    pub fn insert_many(
        &self,
        tx: &mut Transaction,
        bucket: &str,
        data: Vec<Fields>,
    ) -> Result<Vec<Row>> {
        tx.write_statement(|tx| {
            let target = self.target(tx, bucket)?;
            data.into_iter()
                .enumerate()
                .map(|(at, fields)| {
                    self.insert_inner(tx, &target, fields).map_err(|error| at_item(error, at))
                })
                .collect()
        })
    }

    /// [Updates](Self::update) every record that `select` names, all or none.
    /// Returns how many there were. `filter` is what they were selected by: it
    /// tells which element of an array the `$` of an expression stands for.
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub fn update_selected(
        &self,
        tx: &mut Transaction,
        bucket: &str,
        changes: &Fields,
        filter: Option<&Filter>,
        select: impl FnOnce(&mut Transaction) -> Result<Vec<Bytes>>,
    ) -> Result<u64> {
        let changes = Changes::parse(changes, filter)?;
        tx.write_statement(|tx| {
            let target = self.target(tx, bucket)?;
            let mut updated = 0;
            for primary_key in select(tx)? {
                let row = self.update_row(tx, &target, &primary_key, &changes, None)?;
                updated += u64::from(row.is_some());
            }
            Ok(updated)
        })
    }

    /// Deletes every record that `select` names, all or none. Returns how many
    /// there were.
    ///
    /// # Errors
    /// As [`delete`](Self::delete).
    pub fn delete_selected(
        &self,
        tx: &mut Transaction,
        bucket: &str,
        select: impl FnOnce(&mut Transaction) -> Result<Vec<Bytes>>,
    ) -> Result<u64> {
        tx.write_statement(|tx| {
            let target = self.target(tx, bucket)?;
            let mut deleted = 0;
            for primary_key in select(tx)? {
                deleted += u64::from(self.delete_row(tx, &target, &primary_key, None)?);
            }
            Ok(deleted)
        })
    }
}

fn at_item(error: Error, at: usize) -> Error {
    error.prefixed(&format!("data[{at}]: "))
}
