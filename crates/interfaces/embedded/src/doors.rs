//! Calls for the doors to a store that are not written in Rust: the server and
//! the command line.

use serde_json::Value;
use tandem_base::Result;
use tandem_storage::{Durability, WriteBatch};

use tandem_record::Records;
use tandem_transaction::{Read, Transaction as Engine};

use crate::session::Session;
use crate::store::Store;

impl Store {
    /// The config of a stored query.
    ///
    /// # Errors
    /// `QUERY_NOT_DEFINED`.
    pub fn query_config(&self, name: &str) -> Result<Value> {
        Session::Autocommit(self)
            .read(|records, tx| Ok(records.catalog(tx)?.query(name)?.config.clone()))
    }

    /// The number that names a bucket's data. It is never used again: a bucket
    /// that is dropped and defined anew has another one.
    ///
    /// # Errors
    /// `BUCKET_NOT_DEFINED`.
    pub fn bucket_id(&self, name: &str) -> Result<u32> {
        Session::Autocommit(self).read(|records, tx| Ok(records.catalog(tx)?.bucket(name)?.id))
    }

    /// Runs reading statements on the newest revision, and tells which it is.
    ///
    /// # Errors
    /// What `work` answers; `STORAGE_ERROR`, `CLOSED`.
    pub fn read_at<T>(
        &self,
        work: impl FnOnce(&Records, &mut Engine) -> Result<T>,
    ) -> Result<(u64, T)> {
        Session::Autocommit(self).read(|records, tx| {
            let revision = tx.view().revision();
            Ok((revision, work(records, tx)?))
        })
    }

    /// Makes every commit so far survive a power cut, those that were only
    /// [`Buffered`](Durability::Buffered) too. Does nothing for a store over
    /// another coordination, whose commits are its own affair.
    ///
    /// # Errors
    /// `STORE_FAILED`: reopen the store to learn what is there.
    pub fn flush(&self) -> Result<()> {
        self.coordination()?;
        match &self.inner().storage {
            Some(storage) => storage.write(WriteBatch::new(), Durability::Sync),
            None => Ok(()),
        }
    }
}
