use tandem_base::Result;
use tandem_storage::{Direction, Durability, KeyRange};
use tandem_transaction::{Coordination, Derived, keyspace};

use crate::maintenance::in_commit_section;
use crate::records::Records;

impl Records {
    /// Removes up to `keys` keys of dropped buckets and indexes. Returns
    /// whether any are left.
    ///
    /// # Errors
    /// `STORE_FAILED`, `STORAGE_ERROR`.
    pub fn collect_garbage(coordination: &dyn Coordination, keys: usize) -> Result<bool> {
        let marks = KeyRange::prefix(&[keyspace::GARBAGE]);
        if coordination.view()?.scan_first(&marks)?.is_none() {
            return Ok(false);
        }
        in_commit_section(coordination, Some(Durability::Buffered), move |state, _| {
            let mut derived = Derived::default();
            let first = state.scan(&marks, Direction::Forward).next().transpose()?;
            let Some((mark, _)) = first else { return Ok((derived, false)) };
            let prefix = KeyRange::prefix(&mark[1..]);
            for entry in state.scan(&prefix, Direction::Forward).take(keys) {
                derived.writes.push((entry?.0, None));
            }
            if derived.writes.len() < keys {
                derived.writes.push((mark, None));
            }
            Ok((derived, true))
        })
    }
}
