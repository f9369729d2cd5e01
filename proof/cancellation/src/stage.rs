use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use serde_json::json;
use tandem::{
    BucketConfig, CheckOptions, Code, Environment, Error, Field, IndexConfig, Limits, Notice,
    Store, SubscribeOptions, Subscription, TransactionLimits,
};
use tandem_base::SimulatedClock;
use tandem_storage::{Durability, Storage};
use tandem_testkit::fault::{Fate, FaultStorage};
use tandem_transaction::{Coordination, LocalCoordinator};

use crate::engine::{Doors, Guarded};
use crate::gate::Gate;
use crate::picture::Picture;

/// A store whose callers can be stopped. Its clock stands still.
pub struct Stage {
    /// In front of the engine and of the coordination.
    pub gate: Arc<Gate>,
    /// What is below the gate.
    pub engine: Arc<FaultStorage>,
    /// Behind the gate.
    pub local: Arc<LocalCoordinator>,
    /// The time limits' clock.
    pub clock: Arc<SimulatedClock>,
    /// The revision before any story.
    pub begin: u64,
    store: Mutex<Option<Store>>,
    follower: Mutex<Option<Subscription>>,
}

impl Stage {
    /// A store that holds the first records; with a record cache that knows
    /// them, or without one.
    ///
    /// # Panics
    /// If they cannot be written.
    #[must_use]
    pub fn new(cached: bool) -> Self {
        static FOUNDED: OnceLock<FaultStorage> = OnceLock::new();
        let founded = FOUNDED.get_or_init(|| {
            let engine = Arc::new(FaultStorage::new());
            let stage = Self::over(engine.clone(), false);
            found(&stage.store()).expect("nothing strikes yet");
            engine.cut(Fate::LoseUnsynced, 0)
        });
        let stage = Self::over(Arc::new(founded.restart(0)), cached);
        if cached {
            // Fills the cache.
            for id in 1..=3 {
                stage.store().bucket("accounts").require(id).expect("nothing strikes yet");
            }
        }
        stage
    }

    /// Opens what `engine` holds.
    ///
    /// # Panics
    /// If that fails.
    #[must_use]
    pub fn over(engine: Arc<FaultStorage>, cached: bool) -> Self {
        Self::open(engine, cached, false)
    }

    /// An empty store with a background thread that hardly rests.
    #[must_use]
    pub fn with_maintenance() -> Self {
        Self::open(Arc::new(FaultStorage::new()), false, true)
    }

    fn open(engine: Arc<FaultStorage>, cached: bool, background: bool) -> Self {
        let gate = Arc::new(Gate::default());
        let (environment, clock) = Environment::simulated(11);
        let record_cache_bytes = if cached { 64 << 10 } else { 0 };
        let limits = TransactionLimits { record_cache_bytes, ..TransactionLimits::default() };
        let made = Arc::new(OnceLock::new());
        let (make, guarded) = (made.clone(), Guarded::new(engine.clone(), gate.clone()));
        let (doors, surroundings) = (gate.clone(), environment.clone());
        let store = Store::builder()
            .coordination(move |derive, listener| {
                let local = Arc::new(LocalCoordinator::open(
                    Arc::new(guarded) as Arc<dyn Storage>,
                    derive,
                    listener,
                    surroundings,
                    limits,
                    Durability::Sync,
                )?);
                let _ = make.set(local.clone());
                Ok(Arc::new(Doors::new(local, doors)))
            })
            .environment(environment)
            .limits(Limits { maintenance_interval: Duration::from_millis(1), ..Limits::default() })
            .background(background)
            .open()
            .expect("the store opens without help");
        let local = made.get().cloned().expect("the builder made one");
        let begin = store.revision().expect("it reads");
        let follower = store.subscribe(SubscribeOptions::new().from(begin)).expect("it follows");
        Self {
            gate,
            engine,
            local,
            clock,
            begin,
            store: Mutex::new(Some(store)),
            follower: Mutex::new(Some(follower)),
        }
    }

    /// A handle.
    ///
    /// # Panics
    /// After [`abandon`](Self::abandon).
    #[must_use]
    pub fn store(&self) -> Store {
        let store = self.store.lock().expect("nobody dies holding it");
        store.clone().expect("not abandoned")
    }

    /// Drops every handle that the stage itself holds.
    pub fn abandon(&self) {
        let follower = self.follower.lock().expect("nobody dies holding it").take();
        let store = self.store.lock().expect("nobody dies holding it").take();
        drop((follower, store));
    }

    /// Whether later commits are refused.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.local.poison().is_some()
    }

    /// What the engine holds.
    #[must_use]
    pub fn picture(&self) -> Picture {
        Picture::of_engine(&*self.engine)
    }

    /// What readers see.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn seen(&self) -> Picture {
        Picture::of_view(&self.local.view().expect("the view is in memory"))
    }

    /// The commits that a follower has got since the stage was set.
    ///
    /// # Panics
    /// If they cannot be read.
    #[must_use]
    pub fn followed(&self) -> Vec<(u64, usize)> {
        let mut follower = self.follower.lock().expect("nobody dies holding it");
        let follower = follower.as_mut().expect("not abandoned");
        let mut commits = Vec::new();
        while let Some(notice) = follower.try_next().expect("it follows") {
            if let Notice::Commit(commit) = notice {
                commits.push((commit.revision, commit.changes.len()));
            }
        }
        commits
    }

    /// No transaction is open, no record locked, nobody waits, every entry of
    /// every index is right.
    ///
    /// # Errors
    /// What is left, in words.
    pub fn is_clean(&self) -> Result<(), String> {
        self.nothing_is_left()?;
        let report =
            self.store().check(&CheckOptions::new()).map_err(|error| format!("check: {error}"))?;
        if report.is_clean() { Ok(()) } else { Err(format!("check: {report:?}")) }
    }

    /// No transaction is open, no record locked, nobody waits.
    ///
    /// # Errors
    /// What is left, in words.
    pub fn nothing_is_left(&self) -> Result<(), String> {
        let open = self.local.registry().len();
        let (unlocked, waits) = (self.local.locks().is_empty(), self.local.locks().waiters() > 0);
        if open != 0 || !unlocked || waits || self.local.commits_under_way() != 0 {
            return Err(format!(
                "{open} transactions are open; no lock is held: {unlocked}; waiting for one: \
                 {waits}; {} commits are under way",
                self.local.commits_under_way()
            ));
        }
        Ok(())
    }

    /// Another writer locks every record at once, and commits; or, if the store
    /// is poisoned, is told so.
    ///
    /// # Errors
    /// What went wrong, in words.
    pub fn goes_on(&self) -> Result<(), String> {
        let store = self.store();
        let tx = store.begin().map_err(|error| format!("begin: {error}"))?;
        let failed = |error: &Error| self.is_poisoned() && error.code() == Code::StoreFailed;
        for id in 1..=4 {
            match tx.lock("accounts", id, Some(Duration::ZERO)) {
                Ok(_) => {}
                // What may have been written there is not known.
                Err(error) if failed(&error) => {}
                Err(error) => return Err(format!("account {id} cannot be locked: {error}")),
            }
        }
        let written = tx
            .bucket("accounts")
            .insert(json!({ "id": 99, "owner": "next", "email": "next@x", "tags": ["n"] }))
            .and_then(|_| tx.commit());
        match written {
            Ok(_) if !self.is_poisoned() => self.is_clean(),
            Err(error) if failed(&error) => self.nothing_is_left(),
            other => Err(format!("poisoned: {}; the next commit: {other:?}", self.is_poisoned())),
        }
    }

    /// The stores that can be found when this one's process ends now: killed,
    /// or with the power cut and the un-synced batches lost or kept.
    #[must_use]
    pub fn reopened(&self) -> Vec<Self> {
        let found = [
            self.engine.restart(0),
            self.engine.cut(Fate::LoseUnsynced, 0),
            self.engine.cut(Fate::KeepAll, 0),
        ];
        found.into_iter().map(|engine| Self::over(Arc::new(engine), false)).collect()
    }
}

fn found(store: &Store) -> tandem::Result<()> {
    let accounts = BucketConfig::new("id")
        .field("email", Field::string().unique())
        .index("owner")
        .index(IndexConfig::on("owner").then_descending("balance").named("richest"))
        .index(IndexConfig::on("tags").multi());
    store.define_bucket("accounts", accounts)?;
    let journal = BucketConfig::new("id").field("account", Field::number().references("accounts"));
    store.define_bucket("journal", journal)?;
    let record = |id: u64, owner: &str, tags: &[&str]| {
        let email = format!("{owner}@x");
        json!({ "id": id, "owner": owner, "email": email, "balance": 100, "tags": tags })
    };
    store.bucket("accounts").insert_many([
        record(1, "ada", &["a", "b"]),
        record(2, "bob", &["b"]),
        record(3, "cyd", &["c"]),
    ])?;
    let of_eve_and_all = json!({ "owner": { "$in": ["eve", "all"] } });
    store.define_query("watched", &json!({ "bucket": "accounts", "filter": of_eve_and_all }))?;
    Ok(())
}
