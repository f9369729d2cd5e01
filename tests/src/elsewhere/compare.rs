//! Validation by comparison: a transaction may commit if what it relied on is
//! still the same, byte for byte.
//!
//! A row carries its version, which never repeats, so a row that was changed
//! and changed back is still seen to have changed.

use bytes::Bytes;
use tandem_base::Result;
use tandem_storage::{Direction, KeyRange};
use tandem_transaction::{Read, ReadSet, View};

/// Whether `key` has the same value in both.
pub(super) fn same_value(then: &View, now: &View, key: &[u8]) -> Result<bool> {
    Ok(then.get(key)? == now.get(key)?)
}

/// The first key of `range` whose entry differs.
pub(super) fn difference(then: &View, now: &View, range: &KeyRange) -> Result<Option<Bytes>> {
    let mut old = then.scan(range, Direction::Forward);
    let mut new = now.scan(range, Direction::Forward);
    loop {
        match (old.next().transpose()?, new.next().transpose()?) {
            (None, None) => return Ok(None),
            (Some(old), Some(new)) if old == new => {}
            (Some(old), Some(new)) => return Ok(Some(old.0.min(new.0))),
            (Some(one), None) | (None, Some(one)) => return Ok(Some(one.0)),
        }
    }
}

/// A key that was read and has another value now.
pub(super) fn changed_read(then: &View, now: &View, reads: &ReadSet) -> Result<Option<Bytes>> {
    for key in reads.points() {
        if !same_value(then, now, key)? {
            return Ok(Some(key.clone()));
        }
    }
    for range in reads.ranges() {
        if let Some(key) = difference(then, now, range)? {
            return Ok(Some(key));
        }
    }
    Ok(None)
}
