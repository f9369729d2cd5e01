//! A store under a workload, watched.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tandem::{
    BucketConfig, ChangeLogOptions, Code, DiskOptions, Durability, Error, Limits, Result,
    SimulatedClock, Store, Transaction, TransactionOptions,
};
use tandem_base::Environment;
use tandem_storage::{DiskStorage, Storage};
use tandem_transaction::keyspace::CUTS;
use xxhash_rust::xxh3::xxh3_64;

use super::ledger::{Ledger, State};
use crate::disk::{Image, Mark, Trace};
use crate::place::scratch;
use crate::watch::{Watch, Watched, shrink_journals};

/// Which constants a store is shrunk by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Everything stays in the journal.
    Journal,
    /// A write buffer of so many bytes and a journal of at most so many: the
    /// workload reaches tables, merges and new journals.
    Tables {
        /// The write buffer.
        buffer: u64,
        /// Where the library begins a new journal at the next flush.
        journal: u64,
    },
}

/// The recording of a workload, and what must be found after any cut of it.
pub struct Recorded {
    /// Its name.
    pub name: String,
    /// What was done to the files.
    pub trace: Trace,
    /// What the store showed.
    pub ledger: Ledger,
}

/// A store that is being worked on.
pub struct Run<'a> {
    directory: &'a Path,
    kind: Kind,
    watched: &'a Watched,
    ledger: Ledger,
    clock: Arc<SimulatedClock>,
    environment: Environment,
    open: Option<(Store, Arc<dyn Storage>)>,
    acknowledged: u64,
}

/// The room of a new journal.
pub const JOURNAL_ROOM: u64 = 16 << 10;

/// The engine's options in all tests here.
#[must_use]
pub fn options() -> DiskOptions {
    DiskOptions { cache_bytes: 1 << 20, ..DiskOptions::default() }
}

/// The embedded library over an engine.
///
/// # Errors
/// As the library answers.
pub fn store_over(storage: Arc<dyn Storage>, environment: Environment) -> Result<Store> {
    Store::builder()
        .storage(storage)
        .environment(environment)
        .background(false)
        .limits(Limits { maintenance_step: 16, ..Limits::default() })
        .change_log(ChangeLogOptions {
            max_age_ms: 1_000,
            step_entries: 8,
            ..ChangeLogOptions::default()
        })
        .open()
}

/// Makes an empty store with a small write buffer, as nobody can ask Tandem to.
///
/// # Panics
/// When that fails.
#[expect(clippy::disallowed_methods, reason = "this is about files")]
pub fn prepare(directory: &Path, buffer: u64) {
    let database = fjall::Database::builder(directory.join("data"))
        .worker_threads(1)
        .open()
        .expect("a database");
    let options = || fjall::KeyspaceCreateOptions::default().max_memtable_size(buffer);
    let cuts = CUTS.iter().map(|cut| format!("{cut:02x}"));
    let cuts: Vec<String> = cuts.collect();
    database.keyspace("entries", options).expect("a keyspace");
    for cut in &cuts {
        database.keyspace(&format!("entries-{cut}"), options).expect("a keyspace");
    }
    drop(database);
    // Nothing is in the journal yet: the room behind it is only in the way.
    let journal = std::fs::File::options().write(true).open(directory.join("data/0.jnl"));
    journal.and_then(|journal| journal.set_len(0)).expect("a journal");
    let head = format!("tandem disk format\nversion 2\ncut {}\n", cuts.join(" "));
    let format = format!("{head}checksum {:016x}\n", xxh3_64(head.as_bytes()));
    std::fs::write(directory.join("FORMAT"), format).expect("a format file");
}

impl Recorded {
    /// Runs a workload on a new store and records it.
    ///
    /// # Errors
    /// As the store answers: without a cut, nothing fails.
    ///
    /// # Panics
    /// When the recording does not account for every byte on the disk.
    pub fn of(
        name: &str,
        kind: Kind,
        workload: impl FnOnce(&mut Run<'_>) -> Result<()>,
    ) -> Result<Self> {
        let scratch = scratch();
        let directory = scratch.path();
        shrink_journals(JOURNAL_ROOM);
        let mut watch = Watch::default();
        if let Kind::Tables { buffer, journal } = kind {
            prepare(directory, buffer);
            watch.rotates_at = Some(journal);
        }
        let watched = watch.begin(directory);
        let (environment, clock) = Environment::simulated(1);
        let ledger = Ledger::default();
        let mut run = Run {
            directory,
            kind,
            watched: &watched,
            ledger,
            clock,
            environment,
            open: None,
            acknowledged: 0,
        };
        run.open()?;
        workload(&mut run)?;
        run.close();
        let ledger = run.ledger;
        let trace = watched.end();
        let found = Image::read(directory).expect("a directory that can be read");
        if let Some(difference) = trace.live().difference(&found) {
            panic!("{name}: the recording does not account for {difference}");
        }
        Ok(Self { name: name.to_owned(), trace, ledger })
    }
}

/// What a workload was told while something failed below it.
pub struct Disturbed {
    /// The watch, with its fault still armed.
    pub watched: Watched,
    /// The newest revision that was acknowledged.
    pub acknowledged: u64,
    /// What ended it.
    pub error: Option<Error>,
    /// If the store had failed: whether it refused the next commit, and what
    /// readers saw then.
    pub after: Option<After>,
}

/// What a store that has failed does.
pub struct After {
    /// The answer to one more commit.
    pub commit: Result<()>,
    /// What readers see: the revision and the state.
    pub read: Result<(u64, State)>,
}

impl Disturbed {
    pub(super) fn of(
        directory: &Path,
        kind: Kind,
        mut watch: Watch,
        workload: impl FnOnce(&mut Run<'_>) -> Result<()>,
    ) -> Self {
        shrink_journals(JOURNAL_ROOM);
        watch.forgetful = true;
        if let Kind::Tables { buffer, journal } = kind {
            prepare(directory, buffer);
            watch.rotates_at = Some(journal);
        }
        let watched = watch.begin(directory);
        let (environment, clock) = Environment::simulated(1);
        let ledger = Ledger::default();
        let mut run = Run {
            directory,
            kind,
            watched: &watched,
            ledger,
            clock,
            environment,
            open: None,
            acknowledged: 0,
        };
        let error = run.open().and_then(|()| workload(&mut run)).err();
        let failed = error.as_ref().is_some_and(|error| error.code() == Code::StoreFailed);
        let after = run.open.as_ref().filter(|_| failed).map(|(store, _)| After {
            commit: store.define_bucket("more", BucketConfig::new("id")),
            read: store.revision().and_then(|revision| Ok((revision, State::read(store)?))),
        });
        run.close();
        let acknowledged = run.acknowledged;
        drop(run);
        Self { watched, acknowledged, error, after }
    }
}

impl Run<'_> {
    /// Opens the store, again if it was closed.
    ///
    /// # Errors
    /// As the store answers.
    pub fn open(&mut self) -> Result<()> {
        self.watched.mark(Mark::Step("open".to_owned()));
        let storage: Arc<dyn Storage> = Arc::new(self.engine()?);
        let store = store_over(storage.clone(), self.environment.clone())?;
        self.ledger.note(&store, &*storage)?;
        self.open = Some((store, storage));
        Ok(())
    }

    /// Where tables are small, little has to be written before their room is given
    /// back.
    fn engine(&self) -> Result<DiskStorage> {
        let storage = DiskStorage::open_cut(self.directory, &options(), CUTS)?;
        Ok(match self.kind {
            Kind::Journal => storage,
            Kind::Tables { buffer, .. } => storage.reclaiming_after(buffer),
        })
    }

    /// Closes the store.
    pub fn close(&mut self) {
        self.watched.mark(Mark::Step("close".to_owned()));
        self.open = None;
    }

    /// Time goes by.
    pub fn wait(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// The store.
    ///
    /// # Panics
    /// When it is closed.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.open.as_ref().expect("an open store").0
    }

    /// Does something whose commits are synced. If it commits nothing (there was
    /// nothing to maintain), it promises nothing about earlier ones.
    ///
    /// # Errors
    /// As the store answers.
    pub fn step(&mut self, name: &str, work: impl FnOnce(&Store) -> Result<()>) -> Result<()> {
        self.watched.mark(Mark::Step(name.to_owned()));
        let before = self.store().revision()?;
        work(self.store())?;
        let commits = self.store().revision()? > before;
        self.acknowledge(commits)
    }

    /// Makes what was buffered durable.
    ///
    /// # Errors
    /// As the store answers.
    pub fn flush(&mut self) -> Result<()> {
        self.watched.mark(Mark::Step("flush".to_owned()));
        self.store().flush()?;
        self.acknowledge(true)
    }

    /// One transaction.
    ///
    /// # Errors
    /// As the store answers.
    pub fn commit(
        &mut self,
        durability: Durability,
        work: impl Fn(&Transaction) -> Result<()>,
    ) -> Result<()> {
        self.watched.mark(Mark::Step(format!("commit {durability:?}")));
        let options = TransactionOptions::new().durability(durability);
        let outcome = self.store().transaction_with(&options, |tx| work(tx));
        outcome?;
        self.acknowledge(durability == Durability::Sync)
    }

    fn acknowledge(&mut self, synced: bool) -> Result<()> {
        let (store, storage) = self.open.as_ref().expect("an open store");
        // Marked before anything is read: reading may touch files.
        let revision = store.revision()?;
        self.acknowledged = revision;
        self.watched.mark(Mark::Acknowledged { revision, synced });
        self.ledger.note(store, &**storage)?;
        Ok(())
    }
}
