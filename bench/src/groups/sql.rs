//! What SQL costs beside the record API: the same store, the same reads and writes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tandem_storage::Durability;

use super::ordered_page::Pages;
use super::{Context, Group, check_counts};
use crate::data::{DataSet, LOWEST_BALANCE, Transfer};
use crate::measure::{Line, Part, measure};
use crate::peer::{Client, Form, Peer, Result};
use crate::peers::sql::{Behind, Door, Reads, SqliteColumns};
use crate::peers::tandem::Tandem;
use crate::report::Report;
use crate::statistics::Spread;
use crate::workload::{IndexReads, PointReads, Workload};

pub struct Sql;

/// How many times the record API's time an indexed read may take.
const TARGET: f64 = 3.0;

const DOORS: [(Door, &str); 2] = [(Door::Records, "records"), (Door::Sql, "sql")];

impl Group for Sql {
    fn name(&self) -> &'static str {
        "sql"
    }

    fn about(&self) -> &'static str {
        "the record API and SQL on the same store, one client: a record by its key, the 20 of a \
         city by an index, a page of 50 in an index's order, each field as a value; in one open \
         transaction, and each a transaction of its own; and commits that survive the death of \
         the process"
    }

    fn run(&self, context: &Context) -> Result<Report> {
        let data = context.data;
        let form = Form::Value;
        let reads: [(&str, Arc<dyn Workload>); 3] = [
            ("point", Arc::new(PointReads { data, form })),
            ("index", Arc::new(IndexReads { data, form })),
            ("page", Arc::new(Pages { data })),
        ];
        let engines = [
            ("memory", Tandem::memory(&data)?),
            ("disk", Tandem::open(&context.directory()?, &data, Durability::Sync)?),
        ];
        let (mut lines, mut compared) = (Vec::new(), Vec::new());
        for (engine, tandem) in &engines {
            for (how, name) in [(Reads::InOne, "in one"), (Reads::Alone, "alone")] {
                let peers = DOORS
                    .map(|(door, _)| -> Arc<dyn Peer> { Arc::new(Behind::new(tandem, door, how)) });
                for (read, workload) in &reads {
                    let what = format!("{read}, {engine}, {name}");
                    for ((_, door), peer) in DOORS.iter().zip(&peers) {
                        lines.push(line(format!("{door}: {what}"), peer, workload));
                    }
                    compared.push((what, Some(TARGET)));
                }
            }
        }
        let sqlite: Arc<dyn Peer> = Arc::new(SqliteColumns::open(&context.directory()?, &data)?);
        lines.push(line("sqlite: point".into(), &sqlite, &reads[0].1));

        // A store for each, so that neither writes what the other has to read.
        for (door, name) in DOORS {
            let tandem = Tandem::open(&context.directory()?, &data, Durability::Buffered)?;
            let peer: Arc<dyn Peer> = Arc::new(Behind::new(&tandem, door, Reads::Alone));
            let inserts: Arc<dyn Workload> = Arc::new(Inserts { data, next: AtomicU64::new(0) });
            let updates: Arc<dyn Workload> = Arc::new(Updates { data });
            lines.push(line(format!("{name}: insert"), &peer, &inserts));
            lines.push(line(format!("{name}: update"), &peer, &updates));
        }
        compared.extend(["insert", "update"].map(|what| (what.to_owned(), None)));

        let measured = measure(&lines, &context.plan)?;
        check_counts(&lines, &measured, data.len())?;
        let mut report = Report::new(self.name(), self.about(), measured);
        for (what, target) in compared {
            report = compare(report, &what, target);
        }
        Ok(report.ratio("sql: point, disk, alone", "sqlite: point", None))
    }
}

fn line(label: String, peer: &Arc<dyn Peer>, workload: &Arc<dyn Workload>) -> Line {
    Line { label, peer: peer.clone(), workload: workload.clone(), clients: 1 }
}

/// The time that SQL takes over that of the record API, taken round by round.
fn compare(report: Report, what: &str, target: Option<f64>) -> Report {
    let rates = |name| report.line(&format!("{name}: {what}")).map(|line| &line.rates);
    let Some((records, sql)) = rates("records").zip(rates("sql")) else { return report };
    let times: Vec<f64> = records.iter().zip(sql).map(|(records, sql)| records / sql).collect();
    let (median, what) = (Spread::of(&times).median, format!("sql over records: {what}"));
    match target {
        Some(target) => report.at_most(what, median, "×", target),
        None => report.figure(what, median, "×"),
    }
}

struct Inserts {
    data: DataSet,
    next: AtomicU64,
}

impl Workload for Inserts {
    fn run(&self, client: &mut dyn Client, part: &mut Part<'_>) -> Result<()> {
        part.one_by_one(|random| {
            let serial = self.next.fetch_add(1, Ordering::Relaxed);
            client.insert(&Transfer::new(&self.data, serial, random).opened)
        })
    }

    fn records(&self, steps: u64) -> u64 {
        steps
    }
}

struct Updates {
    data: DataSet,
}

impl Workload for Updates {
    fn run(&self, client: &mut dyn Client, part: &mut Part<'_>) -> Result<()> {
        part.one_by_one(|random| {
            let id = DataSet::id(random.below(self.data.len()));
            client.update(&id, LOWEST_BALANCE + random.below(self.data.len()) as i64)
        })
    }
}
