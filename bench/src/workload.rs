//! What one step of a client is.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::data::{ACCOUNTS_PER_CITY, DataSet, Transfer};
use crate::peer::{Client, Form, Result};
use crate::random::Random;

/// A stream of equal steps, shared by all clients of a line.
pub trait Workload: Send + Sync {
    /// Does one step. Returns how often it had to be tried again.
    fn step(&self, client: &mut dyn Client, random: &mut Random) -> Result<u64>;
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
}

impl Workload for Transfers {
    fn step(&self, client: &mut dyn Client, random: &mut Random) -> Result<u64> {
        let serial = self.next.fetch_add(1, Ordering::Relaxed);
        client.transfer(&Transfer::new(&self.data, serial, random))
    }
}

/// One record by a random key per step.
pub struct PointReads {
    pub data: DataSet,
    pub form: Form,
}

impl Workload for PointReads {
    fn step(&self, client: &mut dyn Client, random: &mut Random) -> Result<u64> {
        let id = DataSet::id(random.below(self.data.len()));
        match client.read(&id, self.form)? {
            0 => Err(format!("record {id} is missing").into()),
            _ => Ok(0),
        }
    }
}

/// The 20 records of a random city per step.
pub struct IndexReads {
    pub data: DataSet,
    pub form: Form,
}

impl Workload for IndexReads {
    fn step(&self, client: &mut dyn Client, random: &mut Random) -> Result<u64> {
        let city = DataSet::city(random.below(self.data.cities()));
        match client.read_city(&city, ACCOUNTS_PER_CITY, self.form)? {
            ACCOUNTS_PER_CITY => Ok(0),
            found => Err(format!("{city} has {found} records").into()),
        }
    }
}
