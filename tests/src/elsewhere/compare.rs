//! Validation by comparison: a transaction may commit if what it relied on is
//! still the same, byte for byte, as it was in the state that it read.
//!
//! Stored values carry the number of the write that they are from, so a value
//! that was written again is seen to have changed, even if it is equal.

use bytes::Bytes;
use tandem_base::Result;
use tandem_storage::{Direction, KeyRange, Snapshot};
use tandem_transaction::ReadSet;

/// Whether `key` has the same value in both.
pub(super) fn same_value(then: &dyn Snapshot, now: &dyn Snapshot, key: &[u8]) -> Result<bool> {
    Ok(then.get(key)? == now.get(key)?)
}

/// The first key of `range` whose entry differs.
pub(super) fn difference(
    then: &dyn Snapshot,
    now: &dyn Snapshot,
    range: &KeyRange,
) -> Result<Option<Bytes>> {
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
pub(super) fn changed_read(
    then: &dyn Snapshot,
    now: &dyn Snapshot,
    reads: &ReadSet,
) -> Result<Option<Bytes>> {
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
