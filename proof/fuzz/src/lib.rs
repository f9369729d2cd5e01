//! Everything in Tandem that reads what others wrote, each behind one function
//! of bytes.
//!
//! A [`Target`] takes any bytes and panics when they break a promise: a panic
//! inside, an `INTERNAL_ERROR`, two ways to the same answer that disagree, more
//! memory than the input deserves. The same functions run
//!
//! ```text
//! libFuzzer ──coverage──> src/bin/<target>.rs ─┐
//! cargo test ──corpus, seeded mutants────────> ├─> TARGETS[n].run(bytes)
//! replay (a file that broke something) ──────> ┘
//! ```
//!
//! Two guards watch every run: [`memory`] bounds what an input may allocate,
//! [`clock`] ends the process when an input takes too long.

pub mod clock;
pub mod config;
pub mod damage;
pub mod filters;
pub mod import;
pub mod keys;
pub mod memory;
pub mod mutate;
pub mod sql;
pub mod verdict;
pub mod wire;

/// Something that reads bytes of others.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name, which is that of its corpus and of its fuzzer.
    pub name: &'static str,
    run: fn(&[u8]),
    /// The most bytes that one input may have allocated at once.
    allocation: usize,
}

/// Every target.
pub const TARGETS: [Target; 7] = [
    Target { name: "wire", run: wire::target, allocation: 256 << 20 },
    Target { name: "filters", run: filters::target, allocation: 256 << 20 },
    Target { name: "keys", run: keys::target, allocation: 64 << 20 },
    Target { name: "config", run: config::target, allocation: 64 << 20 },
    Target { name: "import", run: import::target, allocation: 128 << 20 },
    Target { name: "sql", run: sql::target, allocation: 256 << 20 },
    Target { name: "damage", run: damage::target, allocation: 512 << 20 },
];

impl Target {
    /// The target of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        TARGETS.into_iter().find(|target| target.name == name)
    }

    /// Feeds it one input under both guards.
    ///
    /// # Panics
    /// When the input breaks a promise.
    pub fn feed(&self, data: &[u8]) {
        let _in_time = clock::Watch::start(self.name, data);
        memory::bounded(self.allocation, || (self.run)(data));
    }
}

/// One input of libFuzzer. Its panic hook would end the process at the first
/// panic, also at one that Tandem catches (opening damaged files does); without
/// it, a panic ends the process where it leaves the target.
///
/// # Panics
/// When the input breaks a promise, or no target has that name.
pub fn fuzz(name: &str, data: &[u8]) {
    static QUIET: std::sync::Once = std::sync::Once::new();
    QUIET.call_once(|| drop(std::panic::take_hook()));
    Target::named(name).expect("a target of that name").feed(data);
}

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;
