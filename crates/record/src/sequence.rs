use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tandem_base::Result;
use tandem_transaction::Read;

use crate::derive::read_count;
use crate::keys;

/// Autoincrement numbers. Given out once, to whichever transaction asks, so a
/// rolled-back insert leaves a gap; the last number given out is stored with
/// every commit that inserts, so a committed number is never given out again.
#[derive(Debug, Default)]
pub(crate) struct Sequences {
    last: Mutex<HashMap<u32, u64>>,
}

impl Sequences {
    /// The next number of the bucket.
    pub(crate) fn next(&self, bucket: u32, committed: &dyn Read) -> Result<u64> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // Another process over the same data may be further than this one.
        let stored = read_count(committed.get(&keys::autoincrement(bucket))?.as_deref())?;
        let next = last.get(&bucket).copied().unwrap_or(0).max(stored) + 1;
        last.insert(bucket, next);
        Ok(next)
    }

    /// The last number given out since the store was opened.
    pub(crate) fn last(&self, bucket: u32) -> Option<u64> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).get(&bucket).copied()
    }
}
