use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Which of a connection's subscriptions have something to do. Whoever finds
/// out rings; the connection answers when it comes to it. Ringing again before
/// that costs nothing, so a connection that does not come holds one number per
/// subscription and no more.
#[derive(Debug, Default)]
pub(crate) struct Doorbell {
    due: Mutex<BTreeSet<u64>>,
    rung: Notify,
}

impl Doorbell {
    /// The subscription has something to do.
    pub(crate) fn ring(&self, subscription: u64) {
        if self.due().insert(subscription) {
            self.rung.notify_one();
        }
    }

    /// Takes what is due.
    pub(crate) fn take(&self) -> BTreeSet<u64> {
        std::mem::take(&mut *self.due())
    }

    /// Waits until something is due. Safe to cancel.
    pub(crate) async fn rung(&self) {
        while self.due().is_empty() {
            self.rung.notified().await;
        }
    }

    fn due(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
