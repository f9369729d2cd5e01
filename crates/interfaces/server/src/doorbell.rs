use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Which of a connection's subscriptions have something to do, and since which
/// revision. Whoever finds out rings; the connection answers when it comes to it.
/// Ringing again before that costs nothing, so a connection that does not come
/// holds two numbers per subscription and no more.
#[derive(Debug, Default)]
pub(crate) struct Doorbell {
    due: Mutex<BTreeMap<u64, u64>>,
    rung: Notify,
}

impl Doorbell {
    /// The subscription has something to do, whatever it was told of before.
    pub(crate) fn ring(&self, subscription: u64) {
        self.ring_since(subscription, 0);
    }

    /// The subscription has something to do that came with this revision. Later
    /// ones are no news until it has come.
    pub(crate) fn ring_since(&self, subscription: u64, revision: u64) {
        let mut due = self.due();
        let known = due.insert(subscription, revision);
        if let Some(before) = known {
            due.insert(subscription, before.min(revision));
        } else {
            drop(due);
            self.rung.notify_one();
        }
    }

    /// Takes what is due, with the revisions of the first rings.
    pub(crate) fn take(&self) -> BTreeMap<u64, u64> {
        std::mem::take(&mut *self.due())
    }

    /// Waits until something is due. Safe to cancel.
    pub(crate) async fn rung(&self) {
        while self.due().is_empty() {
            self.rung.notified().await;
        }
    }

    fn due(&self) -> MutexGuard<'_, BTreeMap<u64, u64>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_ring_counts_and_one_that_says_nothing_counts_for_all() {
        let doorbell = Doorbell::default();
        for (subscription, revision) in [(1, 7), (1, 9), (2, 9), (2, 8), (3, 5)] {
            doorbell.ring_since(subscription, revision);
        }
        doorbell.ring(3);
        assert_eq!(doorbell.take(), BTreeMap::from([(1, 7), (2, 8), (3, 0)]));
        assert!(doorbell.take().is_empty());
    }
}
