use std::sync::{Arc, Mutex, PoisonError};

use tandem_base::Result;
use tandem_storage::Direction;
use tandem_transaction::{Read, WriteSet};

use crate::catalog::Catalog;
use crate::keys;

/// Compiled catalogs of the last few schema revisions.
#[derive(Debug, Default)]
pub(crate) struct CatalogCache {
    recent: Mutex<Vec<(u64, Arc<Catalog>)>>,
}

/// Long-running snapshots may look at older catalogs while new ones appear.
const KEPT: usize = 8;

impl CatalogCache {
    /// The committed catalog of `state`.
    pub(crate) fn at(&self, state: &dyn Read) -> Result<Arc<Catalog>> {
        let revision = state.schema_revision();
        if let Some((_, catalog)) = self.lock().iter().rev().find(|(cached, _)| *cached == revision)
        {
            return Ok(catalog.clone());
        }
        let mut catalog = Catalog::default();
        for entry in state.scan(&keys::catalog(), Direction::Forward) {
            let (key, value) = entry?;
            catalog.apply(&key, Some(&value))?;
        }
        let catalog = Arc::new(catalog);
        let mut recent = self.lock();
        if recent.len() == KEPT {
            recent.remove(0);
        }
        recent.push((revision, catalog.clone()));
        Ok(catalog)
    }

    /// The newest catalog that anybody has looked at, for messages.
    pub(crate) fn newest(&self) -> Option<Arc<Catalog>> {
        self.lock().iter().max_by_key(|(revision, _)| *revision).map(|(_, catalog)| catalog.clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(u64, Arc<Catalog>)>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `committed` with the definitions that `writes` adds, changes and drops.
pub(crate) fn with_own_definitions(
    committed: Arc<Catalog>,
    writes: &WriteSet,
) -> Result<Arc<Catalog>> {
    let definitions = keys::catalog();
    let mut own = writes.rows_in(&definitions).peekable();
    if own.peek().is_none() {
        return Ok(committed);
    }
    let mut catalog = Catalog::clone(&committed);
    for (key, write) in own {
        catalog.apply(key, write.after.as_deref())?;
    }
    Ok(Arc::new(catalog))
}
