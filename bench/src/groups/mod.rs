//! One file per group: which lines run together, and what is compared.

mod footprint;
mod import;
mod index_cost;
mod index_read;
mod latency;
mod limits;
mod ordered_page;
mod point_read;
mod profile;
mod reading;
mod scaling;
mod socket;
mod sql;
mod transfer;
mod transfer_served;
mod ycsb;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::data::DataSet;
use crate::measure::{Line, Measured, Plan};
use crate::peer::{Peer, Result};
use crate::peers::by_hand::ByHand;
use crate::peers::fjall::Fjall;
use crate::peers::lmdb::Lmdb;
use crate::peers::redb::Redb;
#[cfg(feature = "rocksdb")]
use crate::peers::rocksdb::RocksDb;
use crate::report::Report;

/// A set of lines that are measured in turns and printed as one table.
pub trait Group {
    /// What it is called on the command line.
    fn name(&self) -> &'static str;
    /// What it does, in a sentence.
    fn about(&self) -> &'static str;
    fn run(&self, context: &Context) -> Result<Report>;
}

/// Every group, in the order of a full run.
pub fn all() -> Vec<Box<dyn Group>> {
    vec![
        Box::new(limits::Limits),
        Box::new(transfer::Durable::HERE),
        Box::new(transfer::Durable::SLOW),
        Box::new(transfer::Relaxed),
        Box::new(latency::Latency),
        Box::new(point_read::PointRead),
        Box::new(index_read::IndexRead),
        Box::new(ordered_page::OrderedPage),
        Box::new(sql::Sql),
        Box::new(index_cost::IndexCost),
        Box::new(import::Import),
        Box::new(scaling::Scaling),
        Box::new(ycsb::Ycsb),
        Box::new(transfer_served::TransferServed),
        Box::new(socket::Socket),
        Box::new(footprint::Footprint),
        Box::new(profile::Profile),
    ]
}

/// What a group needs to know of the run.
pub struct Context {
    pub plan: Plan,
    pub data: DataSet,
    /// What the groups hold to which size matters.
    pub large: DataSet,
    /// The clients of the lines with many.
    pub many: usize,
    /// Who follows the changes of a server.
    pub subscribers: usize,
    /// Where the stores lie.
    pub root: PathBuf,
    pub opened: AtomicUsize,
}

impl Context {
    /// A new, empty directory; all are on the same file system.
    pub fn directory(&self) -> Result<PathBuf> {
        let number = self.opened.fetch_add(1, Ordering::Relaxed);
        let path = self.root.join(number.to_string());
        std::fs::create_dir_all(&path)?;
        Ok(path)
    }
}

/// Loaded stores whose indexes are kept by hand.
fn by_hand(context: &Context, durable: bool) -> Result<Vec<(&'static str, Arc<dyn Peer>)>> {
    let (data, directory) = (&context.data, || context.directory());
    Ok(vec![
        ("redb", Arc::new(ByHand::load(Redb::open(&directory()?, durable)?, data)?)),
        ("lmdb", Arc::new(ByHand::load(Lmdb::open(&directory()?, durable)?, data)?)),
        ("fjall by hand", Arc::new(ByHand::load(Fjall::open(&directory()?, durable)?, data)?)),
        #[cfg(feature = "rocksdb")]
        ("rocksdb", Arc::new(ByHand::load(RocksDb::open(&directory()?, durable)?, data)?)),
    ])
}

/// Every acknowledged write must have left its record in its store.
fn check_counts(lines: &[Line], measured: &[Measured], loaded: usize) -> Result<()> {
    for line in lines {
        let Some(found) = line.peer.count()? else { continue };
        let same =
            lines.iter().zip(measured).filter(|(other, _)| Arc::ptr_eq(&other.peer, &line.peer));
        let written = same.map(|(other, measured)| other.workload.records(measured.steps));
        let expected = loaded as u64 + written.sum::<u64>();
        if found != expected {
            return Err(format!("{}: {found} records, not {expected}", line.label).into());
        }
    }
    Ok(())
}
