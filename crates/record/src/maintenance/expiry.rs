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
        let mut purged = 0;
        let mut last_seen: Option<Bytes> = None;
        // Records that are restricted stand before others that are not.
        while purged == 0 {
            let expired = tx.read_statement(|tx| {
                let catalog = self.catalog(tx)?;
                self.expired(tx, catalog.bucket(bucket)?, now, last_seen.as_ref(), max)
            })?;
            last_seen = expired.last().map(|(entry, _)| entry.clone());
            if last_seen.is_none() {
                break;
            }
            purged += self.purge(tx, bucket, expired)?;
        }
        Ok(purged)
    }

    /// Deletes those of the records that no reference restricts.
    fn purge(
        &self,
        tx: &mut Transaction,
        bucket: &str,
        expired: Vec<(Bytes, Bytes)>,
    ) -> Result<u64> {
        let mut purged = 0;
        for (_, primary_key) in expired {
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

    /// Up to `max` expired records after the entry `after`: their entries in the
    /// index on expiry, and their keys.
    fn expired(
        &self,
        tx: &Transaction,
        bucket: &Bucket,
        now: u64,
        after: Option<&Bytes>,
        max: usize,
    ) -> Result<Vec<(Bytes, Bytes)>> {
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
        let mut range = KeyRange::new(start, end);
        if let Some(next) = after.and_then(|after| KeyRange::point(after).end) {
            range.start = next;
        }
        tx.scan(&range, Direction::Forward)
            .take(max)
            .map(|entry| {
                let entry = entry?;
                let primary_key = primary_key_of(index, &entry.key, &entry.value)?;
                Ok((entry.key, primary_key))
            })
            .collect()
    }
}
