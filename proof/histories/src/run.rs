//! Whole runs: epochs of one open store each, ended by a fault, a power cut, a
//! kill or a close, until enough transactions were begun.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use tandem::{BucketConfig, CheckOptions, Durability, IndexConfig, Isolation, Limits, Store};
use tandem_server::{Config, Heartbeat, Server, ServerOptions};
use tandem_storage::{DiskOptions, DiskStorage, Storage};
use tandem_testkit::fault::{Fate, FaultStorage, Point, Times};
use tokio::runtime::{Builder, Runtime};

use crate::client::{Process, Shared};
use crate::door::{BUCKET, Client, Embedded, Wire};
use crate::forced::{self, Outcomes};
use crate::history::{History, Kind, Model, Step};
use crate::seeded::Seeded;

/// Where the store is and how clients reach it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The fault engine, through the library.
    Faults,
    /// The disk engine, closed and opened again, through the library.
    Disk,
    /// Memory, through WebSockets that die.
    WebSocket,
}

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub model: Model,
    pub level: Isolation,
    pub place: Place,
    pub transactions: u64,
    pub clients: u64,
    pub seed: u64,
}

/// What happened on the way.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    pub epochs: u64,
    pub failed: u64,
    pub cut: u64,
    pub index_changes: u64,
}

/// A run's history and what is known besides.
pub struct Outcome {
    pub plan: Plan,
    pub history: History,
    pub forced: Outcomes,
    pub faults: Faults,
}

/// Runs the plan.
///
/// # Panics
/// When the store does not open again, or an index does not equal its records.
#[must_use]
pub fn run(plan: Plan) -> Outcome {
    let shared = Shared::new(plan.model, plan.level);
    let mut run = Run {
        plan,
        shared: &shared,
        random: Seeded::new(plan.seed),
        forced: Outcomes::default(),
        faults: Faults::default(),
    };
    match plan.place {
        Place::Faults => run.over_faults(),
        Place::Disk => run.over_disk(),
        Place::WebSocket => run.over_websocket(),
    }
    let Run { forced, faults, .. } = run;
    let history = shared.recorder.finish(plan.model);
    Outcome { plan, history, forced, faults }
}

struct Run<'a> {
    plan: Plan,
    shared: &'a Shared,
    random: Seeded,
    forced: Outcomes,
    faults: Faults,
}

/// Makes a client; called by the thread that uses it.
type Connect<'a> = &'a (dyn Fn() -> Box<dyn Client> + Sync);

impl Run<'_> {
    fn over_faults(&mut self) {
        let mut engine = Arc::new(FaultStorage::new());
        while self.is_unfinished() {
            let durability = [Durability::Sync, Durability::Sync, Durability::Buffered]
                [usize::try_from(self.random.below(3)).unwrap_or(0)];
            let store = self.open(engine.clone(), durability);
            self.arm(&engine, durability);
            self.epoch(&store, &|| Box::new(Embedded::new(store.clone())));
            store.close();
            drop(store);
            engine = Arc::new(self.find_again(&engine, durability));
        }
        let store = self.open(engine, Durability::Sync);
        self.read_everything(&store);
    }

    /// Lets one fault strike after a while, and reads fail now and then.
    fn arm(&mut self, engine: &FaultStorage, durability: Durability) {
        let nth = 20 + self.random.below(250);
        let is_sync = durability == Durability::Sync;
        match self.random.below(6) {
            0 => engine.fail(Point::Write, nth, Times::Once),
            // What was only buffered may be lost by these, by contract.
            1 if is_sync => engine.fail(Point::Sync, nth, Times::Once),
            2 if is_sync => engine.freeze_at(Point::Write, nth),
            3 if is_sync => engine.freeze_at(Point::Sync, nth),
            _ => {}
        }
        for _ in 0..8 {
            engine.fail(Point::Read, 1 + self.random.below(200_000), Times::Once);
        }
    }

    /// The store as it is found: after a power cut, or after a kill.
    fn find_again(&mut self, engine: &FaultStorage, durability: Durability) -> FaultStorage {
        let fates = [Fate::LoseUnsynced, Fate::KeepPrefix, Fate::KeepAll];
        let fate = fates[usize::try_from(self.random.below(3)).unwrap_or(0)];
        if durability == Durability::Sync && self.random.percent(60) {
            self.faults.cut += 1;
            return engine.cut(fate, self.random.word());
        }
        let found = engine.restart(self.random.word());
        // Durable from here on, or a later cut would lose what was acknowledged.
        found.write(tandem_storage::WriteBatch::new(), Durability::Sync).expect("it is sound");
        found
    }

    fn over_disk(&mut self) {
        let directory = tempfile::tempdir().expect("a directory");
        let open = || DiskStorage::open(directory.path(), &DiskOptions::default());
        while self.is_unfinished() {
            let store = self.open(Arc::new(open().expect("it opens")), Durability::Buffered);
            self.epoch(&store, &|| Box::new(Embedded::new(store.clone())));
        }
        let store = self.open(Arc::new(open().expect("it opens")), Durability::Sync);
        self.read_everything(&store);
    }

    fn over_websocket(&mut self) {
        let store = self.open(Arc::new(tandem_storage::MemoryStorage::new()), Durability::Sync);
        let runtime = runtime();
        // Clients answer no pings, however long an epoch takes.
        let long = Duration::from_secs(3_600);
        let heartbeat = Heartbeat { interval: long, timeout: long };
        let config = Config { heartbeat, ..Config::memory() };
        let options = ServerOptions::new(config).listen("127.0.0.1:0").store(store.clone());
        let server = runtime.block_on(Server::start(options)).expect("a server starts");
        let address = server.address();
        while self.is_unfinished() {
            self.epoch(&store, &|| Box::new(Wire::connect(address)));
        }
        runtime.block_on(server.shutdown(Duration::ZERO)).expect("the server stops");
        self.settle(&store);
        self.read_everything(&store);
    }

    /// Also while a story is left to tell, within reason: how many turns the thread
    /// that tells them gets is the scheduler's choice.
    fn is_unfinished(&self) -> bool {
        let begun = self.shared.begun.load(Ordering::Relaxed);
        let longest = 20 * self.plan.transactions;
        begun < self.plan.transactions || (begun < longest && !self.forced.are_all_told())
    }

    /// Opens the store, checks what is there and settles what was unknown.
    fn open(&mut self, engine: Arc<dyn Storage>, durability: Durability) -> Store {
        let maintenance_interval = Duration::from_millis(20);
        let store = Store::builder()
            .storage(engine)
            .durability(durability)
            .limits(Limits { maintenance_interval, ..Limits::default() })
            .open()
            .expect("the store opens again without help");
        if store.bucket_names().expect("readable").is_empty() {
            store.define_bucket(BUCKET, bucket()).expect("the bucket is new");
        }
        let report = store.check(&CheckOptions::new()).expect("the store can be read");
        assert!(report.is_clean(), "{report:?}");
        self.settle(&store);
        self.shared.down.store(false, Ordering::Relaxed);
        self.faults.epochs += 1;
        store
    }

    /// Asks by name what became of the commits that nobody heard of.
    fn settle(&self, store: &Store) {
        let unsettled = std::mem::take(&mut *self.shared.unsettled.lock().expect("no panic"));
        for one in unsettled {
            let receipt = store.committed(one.name.as_bytes()).expect("readable");
            let (kind, steps) = match receipt {
                Some(_) => (Kind::Ok, one.seen),
                None => (Kind::Fail, one.planned),
            };
            let revision = receipt.map(|receipt| receipt.revision);
            self.shared.recorder.note(one.process, kind, steps, revision);
        }
    }

    /// One open store, many clients.
    fn epoch(&mut self, store: &Store, connect: Connect<'_>) {
        let begun = self.shared.begun.load(Ordering::Relaxed);
        let end = begun + 300 + self.random.below(700);
        // Those who are late in telling go on until they have.
        let end = end.min(self.plan.transactions.max(begun + 100));
        let shared = self.shared;
        let is_over =
            || shared.down.load(Ordering::Relaxed) || shared.begun.load(Ordering::Relaxed) >= end;
        let (forced, is_over) = (&self.forced, &is_over);
        std::thread::scope(|scope| {
            for _ in 1..self.plan.clients {
                let seed = Seeded::new(self.random.word());
                scope.spawn(move || {
                    let mut client = connect();
                    let mut process = Process::new(shared, seed);
                    while !is_over() {
                        process.transact(&mut *client);
                    }
                });
            }
            // This thread plays the forced pairs, and changes the indexes.
            let mut clients = [connect(), connect()];
            let mut process = Process::new(shared, Seeded::new(self.random.word()));
            let mut turn = self.random.below(1_000);
            while !is_over() {
                turn += 1;
                process.transact(&mut *clients[0]);
                if turn.is_multiple_of(8) {
                    forced::play(shared, &mut clients, &mut self.random, turn / 8, forced);
                }
                if turn.is_multiple_of(30) {
                    self.faults.index_changes +=
                        u64::from(change_index(store, turn.is_multiple_of(60)));
                }
            }
        });
        self.faults.failed += u64::from(shared.down.load(Ordering::Relaxed));
    }

    /// Reads every list, so that the order of all versions is known.
    fn read_everything(&mut self, store: &Store) {
        let mut process = Process::new(self.shared, Seeded::new(self.random.word()));
        let mut client = Embedded::new(store.clone());
        let keys = store.bucket(BUCKET).all().fields(["id"]).records().expect("readable");
        let keys: Vec<u64> = keys.iter().filter_map(|key| key.get("id")?.as_u64()).collect();
        for keys in keys.chunks(40) {
            process.invoke(keys.iter().map(|key| Step::Read { key: *key, values: None }).collect());
            client.begin(self.plan.level, true).expect("no faults any more");
            for key in keys {
                process.get(&mut client, *key).expect("no faults any more");
            }
            assert!(process.commit(&mut client), "no faults any more");
        }
        let report = store.check(&CheckOptions::new()).expect("the store can be read");
        assert!(report.is_clean(), "{report:?}");
    }
}

/// Builds or drops, beside everything else, the index that label reads use.
fn change_index(store: &Store, build: bool) -> bool {
    let label = IndexConfig::on("label").named("label");
    let changed = if build {
        store.create_index_in_background(BUCKET, label).map(drop)
    } else {
        store.drop_index(BUCKET, "label")
    };
    changed.is_ok()
}

fn bucket() -> BucketConfig {
    let config: Value = json!({ "key": "id", "etsType": "ordered_set",
        "schema": { "id": { "type": "number" }, "name": {}, "label": {}, "group": {},
                    "items": { "type": "array" } },
        "indexes": ["name", "group"] });
    BucketConfig::from_json(config).expect("a definition")
}

fn runtime() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().expect("a runtime starts")
}
