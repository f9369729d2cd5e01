use std::path::{Path, PathBuf};
use std::time::Duration;

use tandem::{ChangeLogOptions, Code, Error, Limits, Result, Store, TransactionLimits};

/// Which store a command works on.
#[derive(clap::Args, Debug)]
pub(crate) struct Directory {
    /// The store's directory.
    #[arg(long, value_name = "DIR", default_value = "tandem-data")]
    data: PathBuf,
}

/// How long a person may think about an open transaction.
const PATIENCE: Duration = Duration::from_secs(24 * 60 * 60);

/// Opens a store for a person who works with it, and creates it if there is none:
/// a transaction may stay open for a day. What imports remember of themselves is
/// kept, as by [`Directory::open_or_create`].
///
/// # Errors
/// As there.
pub(crate) fn for_a_person(directory: &Path) -> Result<Store> {
    let transaction = TransactionLimits {
        total_time: PATIENCE,
        idle_time: PATIENCE,
        ..TransactionLimits::default()
    };
    let limits = Limits { transaction, ..Limits::default() };
    Store::builder().path(directory).limits(limits).change_log(keep_imports()).open()
}

fn keep_imports() -> ChangeLogOptions {
    ChangeLogOptions { idempotency_age_ms: u64::MAX, ..ChangeLogOptions::default() }
}

impl Directory {
    /// Opens the store, and creates it if there is none. While it is open,
    /// nothing that an import remembers of itself is forgotten.
    ///
    /// # Errors
    /// `STORE_LOCKED` when a server or another command has it open; otherwise
    /// as [`Store::open`].
    pub(crate) fn open_or_create(&self) -> Result<Store> {
        Store::builder().path(&self.data).change_log(keep_imports()).open()
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
