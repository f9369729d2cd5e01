use std::time::Duration;

use tandem_base::{Random, SeededRandom};

/// What befalls a request on its way to the cluster. The same seed draws the
/// same events in the same order.
pub struct Weather {
    random: SeededRandom,
    spurious_conflicts: u64,
    reruns: u64,
    pauses: u64,
}

impl Weather {
    /// Reads and commits take their time and are run again inside, and nothing
    /// of it shows outside.
    #[must_use]
    pub fn changeable(seed: u64) -> Self {
        Self { random: SeededRandom::new(seed), spurious_conflicts: 0, reruns: 300, pauses: 50 }
    }

    /// Moreover, one commit in three answers a `CONFLICT` for no reason that
    /// the caller could know; running the transaction again helps.
    #[must_use]
    pub fn stormy(seed: u64) -> Self {
        Self { spurious_conflicts: 333, ..Self::changeable(seed) }
    }

    pub(super) fn conflicts_spuriously(&self) -> bool {
        self.happens(self.spurious_conflicts)
    }

    pub(super) fn runs_again(&self) -> bool {
        self.happens(self.reruns)
    }

    /// Lets others go first, now and then for longer.
    pub(super) fn pause(&self) {
        std::thread::yield_now();
        if self.happens(self.pauses) {
            #[expect(clippy::disallowed_methods, reason = "a delay, not a synchronisation")]
            std::thread::sleep(Duration::from_micros(50));
        }
    }

    /// How many revisions the next commit leaves out.
    pub(super) fn gap(&self) -> u64 {
        self.random.next_u64() % 3
    }

    fn happens(&self, per_mille: u64) -> bool {
        self.random.next_u64() % 1000 < per_mille
    }
}
