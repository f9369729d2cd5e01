//! What the clients of a line do.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::data::{ACCOUNTS_PER_CITY, DataSet, Transfer};
use crate::measure::Part;
use crate::peer::{Client, Form, Request, Result};
use crate::random::Random;

/// A stream of equal steps, shared by all clients of a line.
pub trait Workload: Send + Sync {
    /// Does steps until the round is over.
    fn run(&self, client: &mut dyn Client, part: &mut Part<'_>) -> Result<()>;

    /// The records that so many steps have left behind, all those of its clients.
    fn records(&self, _steps: u64) -> u64 {
        0
    }
}

/// Two updates and one insert per step.
pub struct Transfers {
    data: DataSet,
    next: AtomicU64,
}

impl Transfers {
    pub fn new(data: DataSet) -> Self {
        Self::starting_at(data, 0)
    }

    /// With serial numbers from `first`, in a store that has lower ones.
    pub fn starting_at(data: DataSet, first: u64) -> Self {
        Self { data, next: AtomicU64::new(first) }
    }

    fn step(&self, client: &mut dyn Client, random: &mut Random) -> Result<u64> {
        let serial = self.next.fetch_add(1, Ordering::Relaxed);
        client.transfer(&Transfer::new(&self.data, serial, random))
    }
}

impl Workload for Transfers {
    fn run(&self, client: &mut dyn Client, part: &mut Part<'_>) -> Result<()> {
        part.one_by_one(|random| self.step(client, random))
    }

    fn records(&self, steps: u64) -> u64 {
        steps
    }
}

/// Transfers that are due by the clock.
pub struct Arrivals {
    pub transfers: Arc<Transfers>,
    /// Of one client, per second.
    pub rate: f64,
}

impl Workload for Arrivals {
    fn run(&self, client: &mut dyn Client, part: &mut Part<'_>) -> Result<()> {
        part.by_the_clock(self.rate, |random| self.transfers.step(client, random))
    }

    fn records(&self, steps: u64) -> u64 {
        steps
    }
}

/// One record by a random key per step.
pub struct PointReads {
    pub data: DataSet,
    pub form: Form,
}

impl Workload for PointReads {
    fn run(&self, client: &mut dyn Client, part: &mut Part<'_>) -> Result<()> {
        part.one_by_one(|random| {
            let id = DataSet::id(random.below(self.data.len()));
            match client.read(&id, self.form)? {
                0 => Err(format!("record {id} is missing").into()),
                _ => Ok(0),
            }
        })
    }
}

/// The 20 records of a random city per step.
pub struct IndexReads {
    pub data: DataSet,
    pub form: Form,
}

impl Workload for IndexReads {
    fn run(&self, client: &mut dyn Client, part: &mut Part<'_>) -> Result<()> {
        part.one_by_one(|random| {
            let city = DataSet::city(random.below(self.data.cities()));
            match client.read_city(&city, ACCOUNTS_PER_CITY, self.form)? {
                ACCOUNTS_PER_CITY => Ok(0),
                found => Err(format!("{city} has {found} records").into()),
            }
        })
    }
}

/// One request to a server per step, several of each client under way at once.
pub struct Requests {
    pub data: DataSet,
    pub request: Request,
    pub in_flight: usize,
    /// The serial number of the next new record; shared by all that write to the
    /// same store.
    pub next: Arc<AtomicU64>,
}

impl Requests {
    /// What the next request that writes is about.
    pub fn draw(&self, random: &mut Random) -> Transfer {
        let serial = self.next.fetch_add(1, Ordering::Relaxed);
        Transfer::new(&self.data, serial, random)
    }
}

impl Workload for Requests {
    fn run(&self, client: &mut dyn Client, part: &mut Part<'_>) -> Result<()> {
        client.requests(self, part)
    }

    fn records(&self, steps: u64) -> u64 {
        match self.request {
            Request::Get => 0,
            Request::Insert | Request::Batch => steps,
        }
    }
}
