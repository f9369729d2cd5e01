use std::path::PathBuf;

use tandem::{Result, Store};

/// Which store a command works on.
#[derive(clap::Args, Debug)]
pub struct Directory {
    /// The store's directory.
    #[arg(long, default_value = "tandem-data")]
    data: PathBuf,
}

impl Directory {
    /// Opens it.
    ///
    /// # Errors
    /// `STORE_LOCKED` when a server or another command has it open.
    pub fn open(&self) -> Result<Store> {
        Store::open(&self.data)
    }
}
