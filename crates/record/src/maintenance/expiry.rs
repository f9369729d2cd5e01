use bytes::Bytes;
use serde_json::json;
use tandem_base::{Code, Result};
use tandem_storage::{Direction, KeyRange};
use tandem_transaction::Transaction;

use crate::catalog::Bucket;
use crate::entries::primary_key_of;
use crate::key;
use crate::keys;
use crate::records::Records;

impl Records {
    /// Deletes up to `max` records of the bucket whose `_expiresAt` (ms) is not
    /// after `now`. A record that a reference restricts stays. Returns how many
    /// were deleted.
    ///
    /// # Errors
    /// `BUCKET_NOT_DEFINED`, `STORAGE_ERROR`.
    pub fn purge_expired(
        &self,
        tx: &mut Transaction,
        bucket: &str,
        now: u64,
        max: usize,
    ) -> Result<u64> {
        let expired = tx.read_statement(|tx| {
            let catalog = self.catalog(tx)?;
            self.expired(tx, catalog.bucket(bucket)?, now, max)
        })?;
        let mut purged = 0;
        for primary_key in expired {
            let deleted = tx.write_statement(|tx| {
                let target = self.target(tx, bucket)?;
                self.delete_row(tx, &target, &primary_key, None)
            });
            match deleted {
                Ok(deleted) => purged += u64::from(deleted),
                Err(error) if error.code() == Code::ReferenceViolation => {}
                Err(error) => return Err(error),
            }
        }
        Ok(purged)
    }

    fn expired(
        &self,
        tx: &Transaction,
        bucket: &Bucket,
        now: u64,
        max: usize,
    ) -> Result<Vec<Bytes>> {
        let by_expiry = bucket.indexes.iter().find(|index| {
            index.is_ready()
                && index.filter.is_none()
                && !index.multi
                && index.fields.first().is_some_and(|field| field == "_expiresAt")
        });
        let (Some(index), Some(_)) = (by_expiry, bucket.ttl_ms) else { return Ok(Vec::new()) };
        let numbers_from =
            |value: f64, out: &mut Vec<u8>| key::encode_part(&json!(value), false, out);
        let mut start = keys::index_prefix(index.id).to_vec();
        let mut end = start.clone();
        numbers_from(f64::MIN, &mut start);
        key::encode_part(&json!(now.saturating_add(1)), false, &mut end);
        tx.scan(&KeyRange::new(start, end), Direction::Forward)
            .take(max)
            .map(|entry| entry.and_then(|entry| primary_key_of(index, &entry.key, &entry.value)))
            .collect()
    }
}
