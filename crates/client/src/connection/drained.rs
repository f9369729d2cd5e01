use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Which subscriptions have room again, or nobody who listens: their readers say
/// so, the driver looks at these and at no others.
#[derive(Debug, Default)]
pub(crate) struct Drained {
    due: Mutex<BTreeSet<u64>>,
    rung: Notify,
}

impl Drained {
    /// The subscription of that number has been drained.
    pub(crate) fn ring(&self, subscription: u64) {
        if self.due().insert(subscription) {
            self.rung.notify_one();
        }
    }

    /// Takes those that are due.
    pub(crate) fn take(&self) -> BTreeSet<u64> {
        std::mem::take(&mut *self.due())
    }

    /// Waits until there are some. Safe to cancel.
    pub(crate) async fn rung(&self) {
        while self.due().is_empty() {
            self.rung.notified().await;
        }
    }

    fn due(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
