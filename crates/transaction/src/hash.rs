//! How keys are hashed: XXH3 from a seed.
//!
//! The seed is drawn per store, so that clients cannot choose keys that collide,
//! and from the environment, so that a run can be repeated. A commit hashes each
//! key that it wrote or read several times; the standard library's hash was 9 % of
//! its instructions (`docs/benchmarks.md`).

use std::hash::{BuildHasher, Hasher};

use tandem_base::Random;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// See the [module](self).
#[derive(Clone)]
pub(crate) struct Seeded(u64);

impl Seeded {
    pub(crate) fn draw(random: &dyn Random) -> Self {
        Self(random.next_u64())
    }

    #[cfg(test)]
    pub(crate) fn fixed() -> Self {
        Self(1)
    }
}

impl BuildHasher for Seeded {
    type Hasher = Hash;

    fn build_hasher(&self) -> Hash {
        Hash(self.0)
    }
}

pub(crate) struct Hash(u64);

impl Hasher for Hash {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    /// The length of what follows. Nothing but one key is ever hashed, so it
    /// tells nothing more.
    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}
