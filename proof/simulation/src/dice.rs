use std::time::Duration;

use tandem_base::{Random, SeededRandom};

/// Everything that a run leaves to chance is drawn here, from its seed.
#[derive(Debug)]
pub struct Dice {
    words: SeededRandom,
}

impl Dice {
    /// The dice of one seed, or of one part of a run.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { words: SeededRandom::new(seed) }
    }

    /// Any number.
    pub fn word(&self) -> u64 {
        self.words.next_u64()
    }

    /// 0 to `bound` - 1.
    pub fn below(&self, bound: usize) -> usize {
        usize::try_from(self.word() % bound.max(1) as u64).unwrap_or(0)
    }

    /// `low` to `high`, both included.
    pub fn between(&self, low: u64, high: u64) -> u64 {
        low + self.word() % (high - low + 1)
    }

    /// True so many times in a hundred.
    pub fn chance(&self, percent: u64) -> bool {
        self.word() % 100 < percent
    }

    /// One of them.
    pub fn pick<'a, T>(&self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    /// A time between two numbers of milliseconds.
    pub fn millis(&self, low: u64, high: u64) -> Duration {
        Duration::from_millis(self.between(low, high))
    }
}
