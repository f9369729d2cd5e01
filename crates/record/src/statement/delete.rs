use bytes::Bytes;
use serde_json::Value;
use tandem_base::Result;
use tandem_transaction::Transaction;

use crate::derive::check_version;
use crate::key;
use crate::records::Records;
use crate::statement::Target;

impl Records {
    /// Deletes the record; says whether there was one. Referrers are treated as
    /// their field's `onDelete` says.
    ///
    /// # Errors
    /// `REFERENCE_VIOLATION` when a referrer restricts it; `CONFLICT` when
    /// `expected_version` is not the record's, or there is no record.
    pub fn delete(
        &self,
        tx: &mut Transaction,
        bucket: &str,
        key: &Value,
        expected_version: Option<u64>,
    ) -> Result<bool> {
        tx.write_statement(|tx| {
            let target = self.target(tx, bucket)?;
            let primary_key = Bytes::from(key::encode_key(key)?);
            self.delete_row(tx, &target, &primary_key, expected_version)
        })
    }

    pub(crate) fn delete_row(
        &self,
        tx: &mut Transaction,
        target: &Target,
        primary_key: &Bytes,
        expected_version: Option<u64>,
    ) -> Result<bool> {
        let newer = self.wait_for(tx, target, primary_key)?;
        let target = newer.as_ref().unwrap_or(target);
        let Some(current) = self.current(tx, target, primary_key, expected_version)? else {
            return match expected_version {
                Some(expected) => {
                    check_version(&target.bucket, primary_key, expected, None).map(|()| false)
                }
                None => Ok(false),
            };
        };
        // The row goes first, so that a circle of cascades ends.
        self.write_row(tx, target, primary_key, Some(&current), None, expected_version)?;
        self.release_referrers(tx, target, primary_key)?;
        Ok(true)
    }
}
