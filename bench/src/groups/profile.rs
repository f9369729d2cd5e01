//! Where the time of a transfer goes, with timers around each call and around
//! the engine. The timers cost a little, so the rates of the other groups are
//! taken without them.

use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tandem::Store;
use tandem::layers::transaction::keyspace::CUTS;
use tandem_storage::{DiskOptions, DiskStorage, Durability, Storage};

use super::{Context, Group};
use crate::data::{BUCKET, Transfer};
use crate::measure::{Line, Plan, measure};
use crate::peer::Result;
use crate::peers::tandem::{Tandem, balance};
use crate::peers::watched::{Counters, Watch, watched};
use crate::random::Random;
use crate::report::Report;
use crate::workload::Transfers;

pub struct Profile;

impl Group for Profile {
    fn name(&self) -> &'static str {
        "profile"
    }

    fn about(&self) -> &'static str {
        "where the time of a transfer goes; timers around every call and around the disk engine"
    }

    fn run(&self, context: &Context) -> Result<Report> {
        let mut report = Report::new(self.name(), self.about(), Vec::new());
        for durability in [Durability::Sync, Durability::Buffered] {
            let opened = Opened::new(context, durability)?;
            report = report.note(opened.one_client(context)?).note(opened.many_clients(context)?);
        }
        Ok(report)
    }
}

struct Opened {
    tandem: Arc<Tandem>,
    watch: Arc<Watch>,
    durability: Durability,
}

impl Opened {
    fn new(context: &Context, durability: Durability) -> Result<Self> {
        let path = context.directory()?.join("engine");
        let engine: Arc<dyn Storage> =
            Arc::new(DiskStorage::open_cut(path, &DiskOptions::default(), CUTS)?);
        let (storage, watch) = watched(engine);
        let tandem = Arc::new(Tandem::over(storage, &context.data, durability)?);
        Ok(Self { tandem, watch, durability })
    }

    fn one_client(&self, context: &Context) -> Result<String> {
        let mut phases = Phases::new(&self.watch);
        let mut random = Random::new(3);
        let length = total(&context.plan);
        let start = Instant::now();
        let mut transfers = 0;
        while start.elapsed() < length {
            let transfer = Transfer::new(&context.data, transfers, &mut random);
            phases.start();
            transfer_in_phases(self.tandem.store(), &transfer, &mut phases)?;
            transfers += 1;
        }
        let mut text = format!("{:?}, 1 client, µs per transfer:\n", self.durability);
        let _ = writeln!(
            text,
            "  {:<16} {:>8} {:>16} {:>8} {:>8} {:>16}",
            "call", "in all", "engine writes", "syncs", "reads", "in engine reads"
        );
        for (name, nanoseconds, counters) in phases.totals() {
            let per = |value: u64| value as f64 / transfers as f64;
            let _ = writeln!(
                text,
                "  {name:<16} {:>8.2} {:>16.2} {:>8.2} {:>8.1} {:>16.2}",
                per(nanoseconds) / 1_000.0,
                per(counters.write_nanoseconds) / 1_000.0,
                per(counters.sync_nanoseconds) / 1_000.0,
                per(counters.reads),
                per(counters.read_nanoseconds) / 1_000.0,
            );
        }
        Ok(text)
    }

    fn many_clients(&self, context: &Context) -> Result<String> {
        let line = Line {
            label: "tandem, watched".into(),
            peer: self.tandem.clone(),
            workload: Arc::new(Transfers::starting_at(context.data, 100_000_000)),
            clients: context.many,
        };
        let (before, start) = (self.watch.counters(), Instant::now());
        let plan = Plan { rounds: 1, round: total(&context.plan) / 2, only: Vec::new() };
        let measured = measure(&[line], &plan)?;
        let wall = start.elapsed().as_nanos() as f64;
        let spent = self.watch.counters() - before;
        let (writes, syncs) = (spent.writes.max(1) as f64, spent.syncs.max(1) as f64);
        let transfers: u64 = measured.iter().map(|line| line.steps).sum();
        Ok(format!(
            "{:?}, {} clients: {:.1} transfers and {:.0} operations per engine write; a write \
             takes {:.1} µs, all writes {:.0} % of the time; {:.1} transfers per sync of {:.1} µs, \
             all syncs {:.0} % of the time; {:.1} engine reads per transfer at {:.2} µs\n",
            self.durability,
            context.many,
            transfers as f64 / writes,
            spent.operations as f64 / writes,
            spent.write_nanoseconds as f64 / writes / 1_000.0,
            spent.write_nanoseconds as f64 / wall * 100.0,
            transfers as f64 / syncs,
            spent.sync_nanoseconds as f64 / syncs / 1_000.0,
            spent.sync_nanoseconds as f64 / wall * 100.0,
            spent.reads as f64 / transfers.max(1) as f64,
            spent.read_nanoseconds as f64 / spent.reads.max(1) as f64 / 1_000.0,
        ))
    }
}

fn total(plan: &Plan) -> Duration {
    plan.round * u32::try_from(plan.rounds).unwrap_or(1)
}

/// The same calls as the peer makes, one by one.
fn transfer_in_phases(store: &Store, transfer: &Transfer, phases: &mut Phases<'_>) -> Result<()> {
    let transaction = store.begin()?;
    phases.end("begin");
    let accounts = transaction.bucket(BUCKET);
    let from = balance(accounts.get(transfer.from.as_str())?);
    let to = balance(accounts.get(transfer.to.as_str())?);
    phases.end("get, get");
    accounts.update(transfer.from.as_str(), json!({ "balance": from - transfer.amount }))?;
    accounts.update(transfer.to.as_str(), json!({ "balance": to + transfer.amount }))?;
    phases.end("update, update");
    accounts.insert(transfer.opened.to_value())?;
    phases.end("insert");
    transaction.commit()?;
    phases.end("commit");
    Ok(())
}

/// Time and engine calls between marks, summed by name.
struct Phases<'a> {
    watch: &'a Watch,
    last: (Instant, Counters),
    totals: Vec<(&'static str, u64, Counters)>,
}

impl<'a> Phases<'a> {
    fn new(watch: &'a Watch) -> Self {
        Self { watch, last: (Instant::now(), watch.counters()), totals: Vec::new() }
    }

    fn start(&mut self) {
        self.last = (Instant::now(), self.watch.counters());
    }

    fn end(&mut self, name: &'static str) {
        let (now, counters) = (Instant::now(), self.watch.counters());
        let nanoseconds = (now - self.last.0).as_nanos() as u64;
        let spent = counters - self.last.1;
        match self.totals.iter_mut().find(|(known, ..)| *known == name) {
            Some((_, time, total)) => {
                *time += nanoseconds;
                *total += spent;
            }
            None => self.totals.push((name, nanoseconds, spent)),
        }
        self.start();
    }

    /// Each name in order of first use, and then the sum.
    fn totals(mut self) -> Vec<(&'static str, u64, Counters)> {
        let (mut time, mut counters) = (0, Counters::default());
        for (_, nanoseconds, spent) in &self.totals {
            time += nanoseconds;
            counters += *spent;
        }
        self.totals.push(("in all", time, counters));
        self.totals
    }
}
