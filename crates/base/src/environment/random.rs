use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Random 64-bit words.
pub trait Random: Send + Sync {
    /// The next word, uniform over all values.
    fn next_u64(&self) -> u64;

    /// Sixteen random bytes, as a version 4 UUID wants them.
    fn next_u128(&self) -> u128 {
        (u128::from(self.next_u64()) << 64) | u128::from(self.next_u64())
    }
}

/// Randomness seeded once per thread by the operating system.
#[derive(Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn next_u64(&self) -> u64 {
        // `RandomState` draws its keys from the operating system once per
        // thread and SipHash-1-3 over a counter stretches them: collision-free
        // identifiers without another dependency. Not for secrets.
        thread_local! {
            static STATE: (RandomState, RandomState) = (RandomState::new(), RandomState::new());
            static COUNTER: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
        }
        let count = COUNTER.with(|counter| {
            let count = counter.get().wrapping_add(1);
            counter.set(count);
            count
        });
        STATE.with(|(a, b)| a.hash_one(count) ^ b.hash_one(!count).rotate_left(32))
    }
}

/// `SplitMix64` (Steele, Lea and Flood, 2014) from a seed: the same seed gives
/// the same words in the same order.
#[derive(Debug)]
pub struct SeededRandom {
    state: Mutex<u64>,
    draws: AtomicU64,
}

impl SeededRandom {
    /// A source that starts at `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: Mutex::new(seed), draws: AtomicU64::new(0) }
    }

    /// How many words were drawn so far.
    #[must_use]
    pub fn draws(&self) -> u64 {
        self.draws.load(Ordering::Relaxed)
    }
}

impl Random for SeededRandom {
    fn next_u64(&self) -> u64 {
        self.draws.fetch_add(1, Ordering::Relaxed);
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}
