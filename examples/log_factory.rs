//! Presents [`LogStorage`] to the conformance suite.

use std::sync::Arc;

use tandem_base::{Code, Error, Result};
use tandem_storage::Storage;
use tandem_testkit::conformance::{EngineFactory, Home};
use tempfile::TempDir;

use super::log_storage::LogStorage;

/// Makes logs in temporary directories.
pub struct LogFactory;

impl EngineFactory for LogFactory {
    fn home(&self) -> Result<Box<dyn Home>> {
        let directory = tempfile::tempdir()
            .map_err(|cause| Error::new(Code::StorageError, cause.to_string()))?;
        Ok(Box::new(LogHome(directory)))
    }

    fn persistent(&self) -> bool {
        true
    }
}

struct LogHome(TempDir);

impl Home for LogHome {
    fn open(&mut self) -> Result<Arc<dyn Storage>> {
        Ok(Arc::new(LogStorage::open(&self.0.path().join("store.log"))?))
    }
}
