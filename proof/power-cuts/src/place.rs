//! Where images are put: in memory if the system has a place for that.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A directory of its own, removed when dropped.
///
/// # Panics
/// When none can be made.
#[must_use]
pub fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    let builder = |place: &Path| tempfile::Builder::new().prefix("tandem-cuts-").tempdir_in(place);
    builder(memory)
        .or_else(|_| builder(&std::env::temp_dir()))
        .expect("a temporary directory can be made")
}

/// Where an image that fails is kept, to be looked at and opened again.
#[must_use]
pub fn keep(name: &str) -> PathBuf {
    std::env::temp_dir().join("tandem-power-cuts").join(name)
}
