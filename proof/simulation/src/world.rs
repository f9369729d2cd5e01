//! The world of one run: a server that comes and goes, its machine, and the
//! cables to it.

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tandem::{CheckOptions, Environment, Store};
use tandem_base::{Random, SeededRandom};
use tandem_server::SocketServer;
use tandem_testkit::fault::{FaultStorage, Point, Times};

use crate::core::Core;
use crate::executor::{Executor, TaskId};
use crate::history::records_of;
use crate::network::{self, End};
use crate::plan::Plan;
use crate::storage::{Defect, Watched};
use crate::threads::NoThreads;
use crate::turns::Turns;

/// See the [module](self).
pub(crate) struct World {
    pub(crate) core: Arc<Core>,
    pub(crate) plan: Plan,
    pub(crate) executor: Rc<Executor>,
    pub(crate) defect: Defect,
    server: RefCell<Option<Running>>,
    environment: Environment,
    cables: Cell<u64>,
    over: Cell<bool>,
    writers: Cell<usize>,
    clients: Cell<usize>,
}

/// A server that runs.
pub(crate) struct Running {
    pub(crate) server: SocketServer,
    pub(crate) store: Store,
    pub(crate) engine: Arc<FaultStorage>,
    tasks: Vec<TaskId>,
}

impl World {
    pub(crate) fn new(core: Arc<Core>, plan: Plan, seed: u64, defect: Defect) -> Rc<Self> {
        let random: Arc<dyn Random> = Arc::new(SeededRandom::new(!seed));
        let threads = Arc::new(NoThreads(core.clone()));
        Rc::new(Self {
            executor: Rc::new(Executor::new(core.clone())),
            environment: Environment { clock: core.clone(), random, threads },
            core,
            plan,
            defect,
            server: RefCell::default(),
            cables: Cell::new(0),
            over: Cell::new(false),
            writers: Cell::new(0),
            clients: Cell::new(0),
        })
    }

    /// Opens the store on `engine` and serves it.
    pub(crate) fn boot(&self, engine: FaultStorage) {
        let engine = Arc::new(engine);
        if let Err(error) = self.try_boot(&engine) {
            self.core.violation(format!("the server does not start: {error}"));
        }
    }

    fn try_boot(&self, engine: &Arc<FaultStorage>) -> tandem::Result<()> {
        let (core, durability) = (self.core.clone(), self.plan.durability);
        let watched = Watched::new(engine.clone(), core, durability, self.defect);
        let store = Store::builder()
            .storage(Arc::new(watched))
            .durability(self.plan.durability)
            .environment(self.environment.clone())
            .limits(self.plan.limits.clone())
            .change_log(self.plan.change_log.clone())
            .background(false)
            .open()?;
        let turns = Turns {
            core: self.core.clone(),
            engine: engine.clone(),
            slow: self.plan.weather.slow_calls,
            count: AtomicU64::new(0),
        };
        let server = SocketServer::start(self.plan.config.clone(), &store, Arc::new(turns))?;
        let running = Running { server, store, engine: engine.clone(), tasks: Vec::new() };
        *self.server.borrow_mut() = Some(running);
        self.core.event("up", 0, b"");
        Ok(())
    }

    /// Ends the server where it stands, as the end of its process does. What is
    /// left is its engine.
    pub(crate) fn tear_down(&self) -> Option<Arc<FaultStorage>> {
        let Running { server, store, engine, tasks } = self.server.borrow_mut().take()?;
        self.core.event("down", 0, b"");
        for cable in self.core.cables() {
            cable.break_off();
        }
        for task in tasks {
            self.executor.abort(task);
        }
        drop(server);
        drop(store);
        Some(engine)
    }

    /// Looks at the server, if it is up.
    pub(crate) fn with_server<T>(&self, look: impl FnOnce(&Running) -> T) -> Option<T> {
        self.server.borrow().as_ref().map(look)
    }

    /// Where reads fail at all, one of the next few may.
    pub(crate) fn tempt_fate(&self) {
        let dice = &self.core.dice;
        if self.plan.weather.read_errors && !self.is_over() && dice.chance(40) {
            self.core.tally().happened("read errors armed");
            let nth = dice.between(1, 12);
            self.with_server(|running| running.engine.fail(Point::Read, nth, Times::Once));
        }
    }

    /// A new connection, unless nobody answers. To a client that does not read,
    /// little is on its way.
    pub(crate) fn dial(&self, slow: bool) -> Option<End> {
        let mut server = self.server.borrow_mut();
        let running = server.as_mut().filter(|_| !self.core.is_powerless())?;
        let number = self.cables.get() + 1;
        self.cables.set(number);
        let mut quality = self.plan.weather.quality;
        if slow {
            quality.room = quality.room.min(400);
        }
        let (cable, near, far) = network::cable(&self.core, number, quality);
        self.core.plug(cable);
        self.core.event("dial", number, b"");
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let task = self.executor.spawn(running.server.serve(address, far));
        running.tasks.push(task);
        Some(near)
    }

    /// Nothing new is begun, nothing is broken any more.
    pub(crate) fn end(&self) {
        self.core.event("over", 0, b"");
        self.over.set(true);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.get()
    }

    /// Whether every client that writes is done.
    pub(crate) fn is_quiet(&self) -> bool {
        self.writers.get() == 0
    }

    pub(crate) fn client_begins(&self, writes: bool) {
        self.clients.set(self.clients.get() + 1);
        self.writers.set(self.writers.get() + usize::from(writes));
    }

    pub(crate) fn client_ends(&self, writes: bool) {
        self.clients.set(self.clients.get() - 1);
        self.writers.set(self.writers.get() - usize::from(writes));
    }

    pub(crate) fn clients(&self) -> usize {
        self.clients.get()
    }

    /// Compares every record with the history, and every index with its
    /// records.
    pub(crate) fn audit_store(&self) {
        let outcome = self.with_server(|running| self.compare(&running.store));
        self.core.check(outcome.unwrap_or(Ok(())));
    }

    fn compare(&self, store: &Store) -> Result<(), String> {
        let text = |error: tandem::Error| error.to_string();
        let report = store.check(&CheckOptions::new()).map_err(text)?;
        if !report.is_clean() {
            return Err(format!("G3: check found {}", report.to_json()));
        }
        let state = self.core.history().state_at(u64::MAX);
        for bucket in store.bucket_names().map_err(text)? {
            let expected = records_of(&state, &bucket);
            let records = store.bucket(bucket.as_str()).all().records().map_err(text)?;
            let same = records.len() == expected.len()
                && records.iter().all(|record| {
                    let json = record.to_json();
                    expected.get(&json["id"].to_string()).is_some_and(|other| **other == json)
                });
            if !same {
                return Err(format!("G1: {bucket} is not what was committed: {records:?}"));
            }
        }
        Ok(())
    }
}
