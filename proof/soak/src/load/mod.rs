//! Who uses the server, each for itself until the end.
//!
//! | who | does |
//! |---|---|
//! | bankers | transfers in open transactions, with savepoints that are rolled back, some abandoned with their socket |
//! | counter | batches by idempotency key over sockets that die before the answer |
//! | churners | bulk writes and deletes of records up to 20 kB over a fixed range of keys |
//! | visitors | records that expire |
//! | builder | indexes created, used and dropped |
//! | readers | sorts, filters, pages, groups |
//! | watchers | query subscriptions that come and go |
//! | followers | the changes, from where they were before, across reconnects |
//! | sleepers | subscribe and ask, and do not read |
//! | vandals | what no client should send |

mod bank;
mod churn;
mod follow;
mod hostile;
mod read;

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinSet;

use crate::client::{self, Client};
use crate::dice::Dice;

/// Accounts of the bank.
pub const ACCOUNTS: u64 = 40;
/// What each begins with.
pub const BALANCE: u64 = 1_000;

/// How long what is wanted may take after the time that was said.
const PATIENCE: Duration = Duration::from_secs(120);

/// What everybody knows of each other.
#[derive(Debug)]
pub struct World {
    pub address: SocketAddr,
    end: Instant,
    /// What was done at least once before the end, and how long that may take more.
    wanted: &'static [Did],
    last: Instant,
    stopped: AtomicBool,
    counted: AtomicU64,
    uncertain: AtomicU64,
    complaints: Mutex<Vec<String>>,
    did: [AtomicU64; Did::NAMES.len()],
}

/// What is counted, so that a load that does nothing is seen.
#[derive(Clone, Copy, Debug)]
pub enum Did {
    Transfers,
    Conflicts,
    Abandoned,
    Batches,
    Repeated,
    Churned,
    Visits,
    Indexes,
    Reads,
    Pushes,
    Followed,
    Resumed,
    Slept,
    Vandalised,
}

impl Did {
    const NAMES: [&'static str; 14] = [
        "transfers",
        "conflicts",
        "sockets dropped in a transaction",
        "batches",
        "batches repeated after a lost socket",
        "bulk writes",
        "records that expire",
        "indexes built and dropped",
        "reads",
        "pushes of queries",
        "commits followed",
        "subscriptions resumed",
        "clients that did not read",
        "hostile clients",
    ];
}

impl World {
    #[must_use]
    pub fn new(address: SocketAddr, duration: Duration, wanted: &'static [Did]) -> Self {
        let end = Instant::now() + duration;
        Self {
            address,
            end,
            wanted,
            last: end + PATIENCE,
            stopped: AtomicBool::new(false),
            counted: AtomicU64::new(0),
            uncertain: AtomicU64::new(0),
            complaints: Mutex::default(),
            did: Default::default(),
        }
    }

    /// Whether to go on: for the time that was said, and on a slow machine until
    /// everything that is wanted was done.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        let now = Instant::now();
        let is_time = || now < self.end || (now < self.last && self.lacks_something());
        !self.stopped.load(Ordering::Relaxed) && is_time()
    }

    fn lacks_something(&self) -> bool {
        self.wanted.iter().any(|did| self.times(*did) == 0)
    }

    /// The time until the end.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    pub fn did(&self, what: Did) {
        self.did[what as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How often.
    #[must_use]
    pub fn times(&self, what: Did) -> u64 {
        self.did[what as usize].load(Ordering::Relaxed)
    }

    pub fn complain(&self, complaint: String) {
        self.complaints.lock().unwrap_or_else(PoisonError::into_inner).push(complaint);
    }

    pub fn take_complaints(&self) -> Vec<String> {
        std::mem::take(&mut *self.complaints.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What the counter may show: acknowledged, and with those that nobody
    /// heard of.
    #[must_use]
    pub fn counter_bounds(&self) -> (u64, u64) {
        let counted = self.counted.load(Ordering::Relaxed);
        (counted, counted + self.uncertain.load(Ordering::Relaxed))
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, count) in Did::NAMES.iter().zip(&self.did) {
            writeln!(f, "{name} {}", count.load(Ordering::Relaxed))?;
        }
        Ok(())
    }
}

/// Fills the buckets.
///
/// # Panics
/// When the server refuses it.
pub async fn prepare(world: &World) {
    let client = client::connect(world.address).await.expect("the server accepts");
    let accounts: Vec<_> =
        (0..ACCOUNTS).map(|id| json!({ "id": id, "balance": BALANCE })).collect();
    client.bucket("accounts").insert_many(accounts).await.expect("inserted");
    client.bucket("counters").insert(json!({ "id": 1, "n": 0 })).await.expect("inserted");
}

/// Starts everybody.
pub fn start(world: &Arc<World>, seed: u64, tasks: &mut JoinSet<()>) {
    let mut seeds = Dice::new(seed);
    let mut next = || (world.clone(), Dice::new(seeds.below(u64::MAX)));
    for _ in 0..4 {
        let (world, dice) = next();
        tasks.spawn(bank::transfer(world, dice));
    }
    for _ in 0..2 {
        let (world, dice) = next();
        tasks.spawn(churn::churn(world, dice));
        let (world, dice) = next();
        tasks.spawn(read::read(world, dice));
        let (world, dice) = next();
        tasks.spawn(follow::watch(world, dice));
        let (world, dice) = next();
        tasks.spawn(follow::follow(world, dice));
        let (world, dice) = next();
        tasks.spawn(hostile::sleep(world, dice));
        let (world, dice) = next();
        tasks.spawn(hostile::vandalise(world, dice));
    }
    let (world, dice) = next();
    tasks.spawn(bank::count(world, dice));
    let (world, dice) = next();
    tasks.spawn(churn::visit(world, dice));
    let (world, _) = next();
    tasks.spawn(churn::build(world));
}

/// A client as applications have it, which connects again by itself; `None` at the
/// end.
async fn application(world: &World) -> Option<tandem_client::Client> {
    while world.goes_on() {
        if let Ok(client) = client::connect(world.address).await {
            return Some(client);
        }
    }
    None
}

/// A connection; `None` at the end.
async fn connect(world: &World) -> Option<Client> {
    while world.goes_on() {
        if let Ok(client) = Client::connect(world.address).await {
            return Some(client);
        }
    }
    None
}
