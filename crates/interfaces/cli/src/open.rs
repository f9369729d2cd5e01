use std::path::PathBuf;

use tandem::{ChangeLogOptions, Code, Error, Result, Store};

/// Which store a command works on.
#[derive(clap::Args, Debug)]
pub(crate) struct Directory {
    /// The store's directory.
    #[arg(long, value_name = "DIR", default_value = "tandem-data")]
    data: PathBuf,
}

impl Directory {
    /// Opens the store, and creates it if there is none. While it is open,
    /// nothing that an import remembers of itself is forgotten.
    ///
    /// # Errors
    /// `STORE_LOCKED` when a server or another command has it open; otherwise
    /// as [`Store::open`].
    pub(crate) fn open_or_create(&self) -> Result<Store> {
        let keep = ChangeLogOptions { idempotency_age_ms: u64::MAX, ..ChangeLogOptions::default() };
        Store::builder().path(&self.data).change_log(keep).open()
    }

    /// Opens a store that exists, without background work: it is left as it is
    /// but for what the command does.
    ///
    /// # Errors
    /// `NOT_FOUND` when there is no store; otherwise as
    /// [`open_or_create`](Self::open_or_create).
    pub(crate) fn open_existing(&self) -> Result<Store> {
        let is_missing = match self.data.read_dir() {
            Ok(mut entries) => entries.next().is_none(),
            Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        };
        if is_missing {
            let message = format!("There is no store at {}", self.data.display());
            return Err(Error::new(Code::NotFound, message));
        }
        Store::builder().path(&self.data).background(false).open()
    }
}
