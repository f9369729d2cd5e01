use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tandem_base::{Error, Result};
use tandem_transaction::Read;

use crate::derive::read_count;
use crate::keys;

/// Numbers above it are never given out; records may have them.
pub(crate) const LARGEST_NUMBER: u64 = 9_223_372_036_854_775_807;

/// Autoincrement numbers. Given out once, to whichever transaction asks, so a
/// rolled-back insert leaves a gap; the last number given out is stored with
/// every commit that inserts, so a committed number is never given out again.
#[derive(Debug, Default)]
pub(crate) struct Sequences {
    last: Mutex<HashMap<u32, u64>>,
}

impl Sequences {
    /// The next number of the bucket.
    ///
    /// # Errors
    /// `LIMIT_EXCEEDED` after [`LARGEST_NUMBER`]; those of the read.
    pub(crate) fn next(&self, bucket: u32, committed: &dyn Read) -> Result<u64> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // Another process over the same data may be further than this one.
        let stored = read_count(committed.get(&keys::autoincrement(bucket))?.as_deref())?;
        let before = last.get(&bucket).copied().unwrap_or(0).max(stored);
        if before >= LARGEST_NUMBER {
            return Err(Error::limit("autoincrement", LARGEST_NUMBER, before + 1));
        }
        last.insert(bucket, before + 1);
        Ok(before + 1)
    }

    /// Numbers up to this one are not given out any more.
    pub(crate) fn pass(&self, bucket: u32, taken: u64) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let last = last.entry(bucket).or_default();
        *last = taken.max(*last);
    }

    /// The last number given out since the store was opened.
    pub(crate) fn last(&self, bucket: u32) -> Option<u64> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).get(&bucket).copied()
    }
}
