//! One file per group: which lines run together, and what is compared.

mod index_read;
mod point_read;
mod profile;
mod reading;
mod socket;
mod transfer;

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::data::DataSet;
use crate::measure::{Line, Measured, Plan};
use crate::peer::Result;
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
        Box::new(transfer::Durable::HERE),
        Box::new(transfer::Durable::SLOW),
        Box::new(transfer::Relaxed),
        Box::new(point_read::PointRead),
        Box::new(index_read::IndexRead),
        Box::new(socket::Socket),
        Box::new(profile::Profile),
    ]
}

/// What a group needs to know of the run.
pub struct Context {
    pub plan: Plan,
    pub data: DataSet,
    /// The clients of the lines with many.
    pub many: usize,
    /// Who follows the changes of a server.
    pub subscribers: usize,
    directory: PathBuf,
    opened: AtomicUsize,
}

impl Context {
    pub fn new(
        plan: Plan,
        data: DataSet,
        many: usize,
        subscribers: usize,
        directory: PathBuf,
    ) -> Self {
        Self { plan, data, many, subscribers, directory, opened: AtomicUsize::new(0) }
    }

    /// A new, empty directory; all are on the same file system.
    pub fn directory(&self) -> Result<PathBuf> {
        let number = self.opened.fetch_add(1, Ordering::Relaxed);
        let path = self.directory.join(number.to_string());
        std::fs::create_dir_all(&path)?;
        Ok(path)
    }
}

/// Every acknowledged write must have left its record in its store.
fn check_counts(lines: &[Line], measured: &[Measured], loaded: usize) -> Result<()> {
    for line in lines {
        let Some(found) = line.peer.count()? else { continue };
        let same = lines
            .iter()
            .zip(measured)
            .filter(|(other, _)| std::sync::Arc::ptr_eq(&other.peer, &line.peer));
        let written =
            same.map(|(other, measured)| measured.steps * other.workload.records_per_step());
        let expected = loaded as u64 + written.sum::<u64>();
        if found != expected {
            return Err(format!("{}: {found} records, not {expected}", line.label).into());
        }
    }
    Ok(())
}
