use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use tandem_server::{StoreCall, StoreCalls};
use tandem_storage::Storage;
use tandem_testkit::fault::FaultStorage;
use tokio::time::sleep;

use crate::core::Core;

/// Runs the server's store calls on the one thread, each when the dice say so:
/// between being asked for and being done, and between being done and being
/// answered, others have their turn.
pub(crate) struct Turns {
    pub(crate) core: Arc<Core>,
    pub(crate) engine: Arc<FaultStorage>,
    /// Percent of calls that take their time.
    pub(crate) slow: u64,
    pub(crate) count: AtomicU64,
}

impl StoreCalls for Turns {
    fn run(&self, call: StoreCall) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let (core, engine, slow) = (self.core.clone(), self.engine.clone(), self.slow);
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            rest(&core, slow).await;
            if core.is_powerless() {
                return pending().await;
            }
            core.event("store call", number, b"");
            call();
            if notice_power_cut(&core, &engine) {
                return pending().await;
            }
            rest(&core, slow).await;
        })
    }
}

async fn rest(core: &Core, slow: u64) {
    if core.dice.chance(slow) {
        sleep(core.dice.millis(1, 40)).await;
    } else {
        step_aside().await;
    }
}

/// Lets others have their turn.
pub(crate) async fn step_aside() {
    let mut stepped = false;
    poll_fn(|context| {
        if std::mem::replace(&mut stepped, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// The engine's power may have gone in the middle of a write.
pub(crate) fn notice_power_cut(core: &Core, engine: &FaultStorage) -> bool {
    // Taking a snapshot fails only without power.
    let gone = engine.snapshot().is_err();
    if gone {
        core.cut_power();
    }
    gone
}
