//! One run: a seed, from the first definition to the last power cut.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tandem_server::Occupied;
use tandem_testkit::fault::{Fate, FaultStorage};
use tokio::runtime::Builder;
use tokio::time::{sleep, timeout};

use crate::audit::audit;
use crate::client::Client;
use crate::core::Core;
use crate::dice::Dice;
use crate::operator::{maintain, operate};
use crate::plan::{Plan, Role};
use crate::storage::Defect;
use crate::workload;
use crate::world::World;

/// What a run is to be like, besides its seed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Break the storage on purpose.
    pub defect: Defect,
    /// Print every event.
    pub print: bool,
}

/// What a run has shown.
#[derive(Clone, Debug)]
pub struct Report {
    /// Replays it.
    pub seed: u64,
    /// Over every event: two runs of one seed have the same.
    pub digest: u128,
    /// How many events there were.
    pub events: u64,
    /// Simulated milliseconds.
    pub elapsed_ms: u64,
    /// Commits.
    pub commits: usize,
    /// How often what happened.
    pub figures: BTreeMap<&'static str, u64>,
    /// The first invariant that did not hold.
    pub violation: Option<String>,
}

/// How long clients may take to finish once nothing is broken any more, in
/// simulated time.
const FINISH: Duration = Duration::from_secs(180);

/// Runs one seed, on the calling thread.
#[must_use]
pub fn run(seed: u64, options: Options) -> Report {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without threads and sockets can be built");
    let core = runtime.block_on(async { Core::new(seed, options.print) });
    let ran = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(simulate(core.clone(), seed, options.defect));
    }));
    runtime.block_on(async {
        if let Err(panic) = ran {
            let text = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied());
            core.violation(format!("panic: {}", text.unwrap_or("without a text")));
        }
        let trace = core.trace();
        let (digest, events) = (trace.digest(), trace.events());
        drop(trace);
        let commits = core.history().commits();
        let figures = core.tally().figures();
        let violation = core.first_violation();
        let elapsed_ms = core.elapsed_ms();
        Report { seed, digest, events, elapsed_ms, commits, figures, violation }
    })
}

async fn simulate(core: Arc<Core>, seed: u64, defect: Defect) {
    // Other dice than the run's, so that looking at the plan changes nothing.
    let plan = Plan::draw(&Dice::new(seed.rotate_left(32)));
    core.event("plan", seed, format!("{:?} {:?}", plan.weather, plan.roles).as_bytes());
    let world = World::new(core.clone(), plan, seed, defect);
    let executor = world.executor.clone();
    let main = {
        let world = world.clone();
        async move {
            let story = story(&world);
            tokio::select! {
                biased;
                () = world.core.violated() => {}
                () = story => {}
            }
        }
    };
    executor.run(main).await;
    // Nothing of the world may outlive the clock it is told the time by.
    world.tear_down();
    executor.clear();
}

async fn story(world: &Rc<World>) {
    world.boot(FaultStorage::new());
    let mut founder = Client::new(world.clone(), 0);
    found(&mut founder).await;
    drop(founder);
    // The workload may lose commits that are only buffered; not the ground that
    // it stands on.
    world.with_server(|running| running.store.flush());
    world.executor.spawn(maintain(world.clone()));
    for (number, role) in world.plan.roles.clone().into_iter().enumerate() {
        let writes = !matches!(role, Role::Follower { .. } | Role::Watcher { .. });
        let client = Client::new(world.clone(), number as u64 + 1);
        let ends = world.clone();
        world.client_begins(writes);
        world.executor.spawn(async move {
            client.work(role).await;
            ends.client_ends(writes);
        });
    }
    let work = world.plan.work;
    let operator = operate(world.clone());
    let clock = async {
        sleep(work).await;
        world.end();
    };
    tokio::join!(biased; clock, operator);
    let finished = async {
        while world.clients() > 0 {
            sleep(Duration::from_millis(50)).await;
        }
    };
    if timeout(FINISH, finished).await.is_err() {
        world.core.violation(format!("{} clients do not come to their end", world.clients()));
    }
    // Sessions end, swallowed connections are given up, lost ones are noticed.
    sleep(Duration::from_secs(25)).await;
    audit(world).await;
    sleep(Duration::from_secs(10)).await;
    nothing_is_left(world);
    last_power_cut(world);
}

/// Defines and fills the buckets.
async fn found(client: &mut Client) {
    for (name, config) in workload::buckets() {
        expect(client, "store.defineBucket", json!({ "name": name, "config": config })).await;
    }
    for (name, config) in workload::queries() {
        expect(client, "store.defineQuery", json!({ "name": name, "config": config })).await;
    }
    for (bucket, data) in workload::first_records() {
        expect(client, "store.insertMany", json!({ "bucket": bucket, "data": data })).await;
    }
}

async fn expect(client: &mut Client, kind: &str, fields: serde_json::Value) {
    if let Err(failure) = client.call(kind, fields).await {
        client.violation(format!("founding: {kind}: {failure:?}"));
    }
}

fn nothing_is_left(world: &World) {
    let left = world.with_server(|running| {
        let open = running.store.statistics().map_or(0, |figures| figures.open_transactions);
        (running.server.occupied(), open)
    });
    if left != Some((Occupied::default(), 0)) {
        world.core.violation(format!("G9: when all are gone, there are left {left:?}"));
    }
}

/// What was acknowledged is there, also after the last power cut of all.
fn last_power_cut(world: &World) {
    // What was asked to be only buffered is flushed first.
    if let Some(Err(error)) = world.with_server(|running| running.store.flush()) {
        world.core.violation(format!("the last flush: {error}"));
    }
    let Some(engine) = world.tear_down() else { return };
    let found = engine.cut(Fate::LoseUnsynced, 0);
    let outcome = world.core.history().reopened(&found, false);
    world.core.check(outcome);
    world.boot(found);
    world.audit_store();
}
