//! Many rows into a new table with two indexes, as fast as they go in.
//!
//! The rows have the shape and the number of the flights that `demo/run` imports
//! (`delay`, `distance`, `time`), with an index on `distance` and `delay` together
//! and one on `time`. They are made before the clock starts and lie in memory as JSON
//! lines; Tandem reads them as `tandem import` does, for SQLite each is parsed and its
//! text and three of its values are inserted. `engine` is the disk engine alone, fed
//! with the batches that Tandem makes of them: nothing over it can be faster.

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use rusqlite::params;
use serde_json::{Value, json};
use tandem::layers::transaction::keyspace::CUTS;
use tandem::{BucketConfig, Field, IndexConfig, Store};
use tandem_cli::{Format, import_rows};
use tandem_storage::{DiskOptions, DiskStorage, Durability, MemoryStorage, Storage, WriteBatch};

use super::{Context, Group};
use crate::measure::{Measured, bytes_on_disk};
use crate::peer::Result;
use crate::peers::sqlite::{self, Synchronous};
use crate::peers::watched::watched;
use crate::process;
use crate::random::Random;
use crate::report::Report;

pub struct Import;

/// The flights of the demo's largest file, in a full run.
const FLIGHTS: usize = 231_083;

/// What Tandem commits at once, as `tandem import` does.
const BATCH: usize = 1_000;

impl Group for Import {
    fn name(&self) -> &'static str {
        "import"
    }

    fn about(&self) -> &'static str {
        "flights (id, delay, distance, time) from JSON lines into a new table with two indexes, per \
         second: Tandem in transactions of 1,000, SQLite in one transaction for all, its fastest way"
    }

    fn run(&self, context: &Context) -> Result<Report> {
        let count = FLIGHTS.min(context.large.len());
        let flights = Flights::new(count)?;
        let mut lines = [
            (Measured::new("tandem", 1, "power cut: fdatasync")?, tandem as Way),
            (Measured::new("engine", 1, "power cut: fdatasync")?, engine as Way),
            (Measured::new("sqlite FULL", 1, "power cut: WAL, FULL")?, into_sqlite as Way),
        ];
        // The first round is the warm-up.
        for round in 0..=context.plan.rounds.min(3) {
            for (line, import) in &mut lines {
                let directory = context.directory()?;
                let before = process::own_processor_time();
                let start = Instant::now();
                import(&directory, &flights)?;
                let (elapsed, after) = (start.elapsed(), process::own_processor_time());
                if round > 0 {
                    line.rates.push(count as f64 / elapsed.as_secs_f64());
                    line.steps += count as u64;
                    line.cpu_per_step = (after - before).div_f64(count as f64);
                    line.bytes_on_disk = Some(bytes_on_disk(&directory)?);
                }
                std::fs::remove_dir_all(&directory)?;
            }
        }
        let measured = lines.into_iter().map(|(line, _)| line).collect();
        Ok(Report::new(self.name(), self.about(), measured)
            .ratio("tandem", "sqlite FULL", Some(1.5))
            .ratio("engine", "sqlite FULL", None)
            .note(format!("{count} flights.\n")))
    }
}

/// One way to get them in.
type Way = fn(&Path, &Flights) -> Result<()>;

struct Flights {
    count: usize,
    /// One JSON object a line.
    lines: Arc<[u8]>,
    /// What Tandem writes to its engine for them.
    batches: Vec<WriteBatch>,
}

impl Flights {
    fn new(count: usize) -> Result<Self> {
        let mut lines = Vec::new();
        for number in 0..count {
            serde_json::to_writer(&mut lines, &flight(number))?;
            lines.push(b'\n');
        }
        let mut flights = Self { count, lines: lines.into(), batches: Vec::new() };
        let (storage, watch) = watched(Arc::new(MemoryStorage::new()));
        let store = Store::builder().storage(storage).open()?;
        watch.keep_batches(usize::MAX);
        flights.import_into(&store)?;
        store.close();
        flights.batches = watch.take_batches();
        Ok(flights)
    }

    fn import_into(&self, store: &Store) -> Result<()> {
        let config = BucketConfig::new("id")
            .field("id", Field::number().required())
            .index(IndexConfig::on("distance").then("delay"))
            .index(IndexConfig::on("time"));
        store.define_bucket("flights", config)?;
        let lines = Cursor::new(self.lines.clone());
        import_rows(store, "flights", Format::Ndjson, lines, BATCH)?;
        match store.bucket("flights").count(json!({}))? {
            found if found == self.count as u64 => Ok(()),
            found => Err(format!("{found} flights").into()),
        }
    }
}

fn flight(number: usize) -> Value {
    let mut random = Random::new(number as u64);
    json!({
        "id": number,
        "delay": random.below(200) as i64 - 30,
        "distance": 50 + random.below(2_500),
        "time": f64::from(random.below(24 * 60) as u32) / 60.0,
    })
}

fn tandem(directory: &Path, flights: &Flights) -> Result<()> {
    let builder = Store::builder().path(directory.join("tandem"));
    flights.import_into(&builder.durability(Durability::Sync).open()?)
}

fn engine(directory: &Path, flights: &Flights) -> Result<()> {
    let path = directory.join("engine");
    let storage = DiskStorage::open_cut(path, &DiskOptions::default(), CUTS)?;
    for batch in &flights.batches {
        storage.write(batch.clone(), Durability::Sync)?;
    }
    Ok(())
}

fn into_sqlite(directory: &Path, flights: &Flights) -> Result<()> {
    let mut connection = sqlite::connect(&directory.join("sqlite.db"), Synchronous::Full)?;
    connection.execute_batch(
        "CREATE TABLE flights (id INTEGER PRIMARY KEY, data TEXT NOT NULL,
             delay INTEGER, distance INTEGER, time REAL);
         CREATE INDEX by_distance ON flights (distance, delay);
         CREATE INDEX by_time ON flights (time);",
    )?;
    let transaction = connection.transaction()?;
    {
        let mut insert = transaction.prepare("INSERT INTO flights VALUES (?1, ?2, ?3, ?4, ?5)")?;
        for line in flights.lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let flight: Value = serde_json::from_slice(line)?;
            insert.execute(params![
                flight["id"].as_i64(),
                str::from_utf8(line)?,
                flight["delay"].as_i64(),
                flight["distance"].as_i64(),
                flight["time"].as_f64(),
            ])?;
        }
    }
    transaction.commit()?;
    Ok(())
}
