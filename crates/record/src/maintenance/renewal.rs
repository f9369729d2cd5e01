use tandem_base::Result;
use tandem_storage::Durability;
use tandem_transaction::{Coordination, Derived, keyspace};

use crate::maintenance::in_commit_section;
use crate::records::Records;

impl Records {
    /// Has readers share a newer view of the same state, so that the engine may
    /// let go of what only the older one could read. Takes no revision.
    ///
    /// # Errors
    /// `STORE_FAILED`, `STORAGE_ERROR`.
    pub fn renew_view(coordination: &dyn Coordination) -> Result<()> {
        in_commit_section(coordination, Some(Durability::Buffered), |state, _| {
            // Something has to be written; this is there in every store's first tree.
            let trimmed = state.get(keyspace::TRIMMED_REVISION)?;
            let trimmed = trimmed.unwrap_or_else(|| 0_u64.to_be_bytes().to_vec().into());
            let writes = vec![(keyspace::TRIMMED_REVISION.into(), Some(trimmed))];
            Ok((Derived { writes, ..Derived::default() }, ()))
        })
    }
}
