use std::path::{Path, PathBuf};
use std::sync::Arc;

use tandem_base::{Environment, Error, Result};
use tandem_change::{ChangeHub, ChangeLogOptions, ChangeLogRetention, EventDispatcher};
use tandem_record::Records;
use tandem_storage::{DiskOptions, DiskStorage, Durability, MemoryStorage, Storage};
use tandem_transaction::{CommitListener, Coordination, Derive, LocalCoordinator, keyspace};

use crate::limits::Limits;
use crate::maintenance::Builds;
use crate::store::{Inner, Store};

/// Makes the [`Coordination`] that a store runs over, from what it is told
/// about rows ([`Derive`]) and who wants to know of commits.
pub type MakeCoordination =
    Box<dyn FnOnce(Arc<dyn Derive>, Arc<dyn CommitListener>) -> Result<Arc<dyn Coordination>>>;

/// Says how a store is opened; from [`Store::builder`].
///
/// ```
/// # fn main() -> tandem::Result<()> {
/// # let directory = tempfile::tempdir().map_err(|e| tandem::Error::internal(e.to_string()))?;
/// # let directory = directory.path();
/// use std::time::Duration;
/// use tandem::{Durability, Limits, Store};
///
/// let store = Store::builder()
///     .path(directory)
///     .durability(Durability::Buffered)
///     .limits(Limits { maintenance_interval: Duration::from_secs(5), ..Limits::default() })
///     .open()?;
/// # let _ = store;
/// # Ok(())
/// # }
/// ```
pub struct StoreBuilder {
    place: Place,
    disk: DiskOptions,
    durability: Durability,
    environment: Environment,
    limits: Limits,
    change_log: ChangeLogOptions,
    background: bool,
}

enum Place {
    Nowhere,
    Directory(PathBuf),
    Memory,
    Engine(Arc<dyn Storage>),
    Coordination(MakeCoordination),
}

impl StoreBuilder {
    pub(crate) fn new() -> Self {
        Self {
            place: Place::Nowhere,
            disk: DiskOptions::default(),
            durability: Durability::Sync,
            environment: Environment::system(),
            limits: Limits::default(),
            change_log: ChangeLogOptions::default(),
            background: true,
        }
    }

    /// Keeps the data in a directory.
    #[must_use]
    pub fn path(mut self, directory: impl AsRef<Path>) -> Self {
        self.place = Place::Directory(directory.as_ref().to_owned());
        self
    }

    /// How much memory and disk the directory's engine uses.
    #[must_use]
    pub fn disk(mut self, options: DiskOptions) -> Self {
        self.disk = options;
        self
    }

    /// Keeps the data in memory.
    #[must_use]
    pub fn memory(mut self) -> Self {
        self.place = Place::Memory;
        self
    }

    /// Keeps the data in an engine of yours.
    #[must_use]
    pub fn storage(mut self, engine: Arc<dyn Storage>) -> Self {
        self.place = Place::Engine(engine);
        self
    }

    /// Runs over another implementation of the contract between a connection
    /// and whatever commits for it. Its limits and environment are its own.
    #[must_use]
    pub fn coordination(
        mut self,
        make: impl FnOnce(Arc<dyn Derive>, Arc<dyn CommitListener>) -> Result<Arc<dyn Coordination>>
        + 'static,
    ) -> Self {
        self.place = Place::Coordination(Box::new(make));
        self
    }

    /// What must be true before a commit is acknowledged that says nothing
    /// about it: [`Durability::Sync`] (survives a power cut) unless set.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Where time, randomness and threads come from.
    #[must_use]
    pub fn environment(mut self, environment: Environment) -> Self {
        self.environment = environment;
        self
    }

    /// The bounds of the store.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How long changes are kept.
    #[must_use]
    pub fn change_log(mut self, options: ChangeLogOptions) -> Self {
        self.change_log = options;
        self
    }

    /// Whether a background thread does the maintenance; without it,
    /// [`Store::maintain`] has to be called.
    #[must_use]
    pub fn background(mut self, background: bool) -> Self {
        self.background = background;
        self
    }

    /// Opens the store.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` when nothing says where the data is; `STORE_LOCKED`,
    /// `FORMAT_UNSUPPORTED`, `CORRUPTED`, `STORAGE_ERROR` as the engine answers.
    pub fn open(self) -> Result<Store> {
        let Self { place, disk, durability, environment, limits, change_log, background } = self;
        let records = Arc::new(Records::new(environment.clone()));
        let changes = Arc::new(ChangeHub::new(environment.clone(), &change_log));
        let local = |storage: Arc<dyn Storage>, limits: &Limits| -> Result<_> {
            let coordinator: Arc<dyn Coordination> = Arc::new(LocalCoordinator::open(
                storage.clone(),
                records.clone(),
                changes.clone(),
                environment.clone(),
                limits.transaction.clone(),
                durability,
            )?);
            Ok((coordinator, Some(storage)))
        };
        let (coordination, storage) = match place {
            Place::Nowhere => {
                return Err(Error::validation("The store has no path, memory or storage"));
            }
            Place::Directory(path) => {
                let storage = DiskStorage::open_cut(path, &disk, keyspace::CUTS)?;
                local(Arc::new(storage), &limits)?
            }
            Place::Memory => local(Arc::new(MemoryStorage::new()), &limits)?,
            Place::Engine(engine) => local(engine, &limits)?,
            Place::Coordination(make) => (make(records.clone(), changes.clone())?, None),
        };
        let inner = Inner {
            events: EventDispatcher::new(changes.clone(), coordination.clone()),
            retention: ChangeLogRetention::new(changes.clone(), change_log),
            coordination,
            records,
            changes,
            storage,
            environment,
            limits,
            builds: Builds::default(),
            closed: false.into(),
        };
        Store::start(inner, background)
    }
}

impl std::fmt::Debug for StoreBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreBuilder")
            .field("durability", &self.durability)
            .field("limits", &self.limits)
            .field("background", &self.background)
            .finish_non_exhaustive()
    }
}
