//! Fate and the operator: break cables, cut the power, kill and restart the
//! server, break its disk; and do the store's maintenance meanwhile.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tandem::Durability;
use tandem_testkit::fault::{Fate, Point, Times};
use tokio::time::{sleep, timeout};

use crate::storage::Defect;
use crate::turns::notice_power_cut;
use crate::world::World;

/// Breaks things until the run is over, then sees that all is well.
pub(crate) async fn operate(world: Rc<World>) {
    let (low, high) = world.plan.weather.quiet_ms;
    while !world.is_over() {
        sleep(world.core.dice.millis(low, high)).await;
        if world.is_over() {
            break;
        }
        act(&world).await;
    }
    mend(&world).await;
}

/// Nothing breaks any more; what is broken is restarted. A server that is well
/// goes on, half of the time: what it has forgotten, no restart reminds it of.
async fn mend(world: &World) {
    let well = world.with_server(|running| {
        running.engine.disarm();
        running.store.flush().is_ok()
    });
    if well != Some(true) || world.core.dice.chance(50) {
        restart_after_kill(world).await;
    }
}

async fn act(world: &World) {
    let dice = &world.core.dice;
    let power = world.plan.durability == Durability::Sync || world.plan.may_lose;
    match dice.below(15) {
        0..=2 => {
            for cable in world.core.cables() {
                if dice.chance(30) {
                    world.core.tally().happened("cables broken");
                    cable.break_off();
                }
            }
        }
        3 => {
            if let Some(cable) = random_cable(world) {
                world.core.tally().happened("cables swallowed");
                cable.swallow();
            }
        }
        4 => {
            if let Some(cable) = random_cable(world) {
                world.core.tally().happened("cables stalled");
                cable.stall(dice.millis(50, 3_000));
            }
        }
        5 | 6 if power => cut_power(world, None).await,
        7 if power => {
            let point = *dice.pick(&[Point::Write, Point::Sync]);
            cut_power(world, Some(point)).await;
        }
        8 => restart_after_kill(world).await,
        12 | 13 => break_disk(world, power).await,
        14 => stop_gracefully(world).await,
        9..=11 if world.plan.weather.read_errors => {
            for _ in 0..dice.between(1, 6) {
                world.core.tally().happened("read errors armed");
                let nth = dice.between(1, 400);
                world.with_server(|running| running.engine.fail(Point::Read, nth, Times::Once));
            }
        }
        _ => {}
    }
}

fn random_cable(world: &World) -> Option<crate::network::Cable> {
    let cables = world.core.cables();
    (!cables.is_empty()).then(|| world.core.dice.pick(&cables).clone())
}

/// The power goes now, or in the middle of one of the next writes.
async fn cut_power(world: &World, point: Option<Point>) {
    let dice = &world.core.dice;
    if let Some(point) = point {
        let nth = dice.between(1, 4);
        world.with_server(|running| running.engine.freeze_at(point, nth));
        let _struck = timeout(dice.millis(100, 1_500), world.core.power_cut()).await;
    }
    world.with_server(|running| running.engine.freeze());
    world.core.cut_power();
    world.core.tally().happened("power cuts");
    let Some(engine) = world.tear_down() else { return };
    sleep(dice.millis(0, 700)).await;
    let fate = match world.defect {
        Defect::TearsBatches => Fate::TornBatch,
        _ => *dice.pick(&[Fate::LoseUnsynced, Fate::KeepPrefix, Fate::KeepAll]),
    };
    let found = engine.cut(fate, dice.word());
    world.core.event("found", fate as u64, b"");
    let outcome = world.core.history().reopened(&found, world.plan.may_lose);
    world.core.check(outcome);
    world.core.restore_power();
    world.boot(found);
    world.audit_store();
}

/// The process ends without warning and is started again.
async fn restart_after_kill(world: &World) {
    world.core.tally().happened("kills");
    let Some(engine) = world.tear_down() else { return };
    start_again(world, &engine).await;
}

async fn start_again(world: &World, engine: &tandem_testkit::fault::FaultStorage) {
    let dice = &world.core.dice;
    sleep(dice.millis(0, 400)).await;
    let found = engine.restart(dice.word());
    let outcome = world.core.history().reopened(&found, world.plan.may_lose);
    world.core.check(outcome);
    world.boot(found);
    world.audit_store();
}

/// One of the next writes fails. From then on the store refuses commits; later
/// somebody restarts the server.
async fn break_disk(world: &World, syncs_too: bool) {
    let dice = &world.core.dice;
    // A failed sync may lose what was only buffered, which is then no fault.
    let point = if syncs_too { *dice.pick(&[Point::Write, Point::Sync]) } else { Point::Write };
    let nth = dice.between(1, 4);
    world.core.tally().happened("disks broken");
    world.with_server(|running| running.engine.fail(point, nth, Times::Once));
    sleep(dice.millis(100, 1_500)).await;
    restart_after_kill(world).await;
}

/// The server is asked to stop, and does.
async fn stop_gracefully(world: &World) {
    let grace = *world.core.dice.pick(&[Duration::ZERO, Duration::from_millis(300)]);
    world.core.tally().happened("graceful stops");
    world.with_server(|running| running.server.stop(grace));
    // The listener sees the grace to its end; here the operator does.
    sleep(grace).await;
    world.with_server(|running| running.server.close());
    let gone = async {
        while world.with_server(|running| running.server.occupied().connections) != Some(0) {
            sleep(Duration::from_millis(20)).await;
        }
    };
    // Each connection has two seconds to send its rest and two to say goodbye.
    if timeout(Duration::from_secs(10), gone).await.is_err() {
        world.core.violation("G9: connections outlive a graceful stop");
    }
    let occupied = world.with_server(|running| running.server.occupied()).unwrap_or_default();
    if occupied != tandem_server::Occupied::default() {
        world.core.violation(format!("G9: after a graceful stop there are {occupied:?}"));
    }
    let flushed = world.with_server(|running| running.store.flush());
    let Some(engine) = world.tear_down() else { return };
    if flushed.is_some_and(|flushed| flushed.is_ok()) && world.defect == Defect::None {
        // Everything is durable then, buffered or not.
        world.core.event("flushed", 0, b"");
    }
    start_again(world, &engine).await;
}

/// Does maintenance, a few steps at a time.
pub(crate) async fn maintain(world: Rc<World>) {
    loop {
        sleep(world.core.dice.millis(20, 400)).await;
        let steps = world.core.dice.between(1, 6);
        let taken = Cell::new(0);
        let stop = || {
            taken.set(taken.get() + 1);
            taken.get() > steps
        };
        if world.core.is_powerless() {
            continue;
        }
        let engine = world.with_server(|running| {
            // A broken store refuses; the next start is near.
            let report = running.store.maintain_until(stop);
            if let Ok(report) = report {
                let mut tally = world.core.tally();
                for (what, count) in [
                    ("transactions expired", report.expired_transactions),
                    ("records expired", report.expired_records),
                    ("commits trimmed", report.trimmed_commits),
                    ("index build steps", report.build_steps),
                ] {
                    (0..count).for_each(|_| tally.happened(what));
                }
            }
            running.engine.clone()
        });
        if let Some(engine) = engine {
            notice_power_cut(&world.core, &engine);
        }
    }
}
