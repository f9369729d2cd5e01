//! Many rows into a new table with two indexes, as fast as they go in.
//!
//! The rows have the shape and the number of the flights that `demo/run` imports
//! (`delay`, `distance`, `time`), with an index on `distance` and `delay` together
//! and one on `time`. They are made before the clock starts and lie there as JSON
//! values, as a reader of JSON lines would hand them over.

use std::path::Path;
use std::time::Instant;

use rusqlite::params;
use serde_json::{Value, json};
use tandem::{BucketConfig, Field, IndexConfig, Store};
use tandem_storage::Durability;

use super::{Context, Group};
use crate::measure::{Measured, bytes_on_disk};
use crate::peer::Result;
use crate::peers::sqlite::{self, Synchronous};
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
        "flights (id, delay, distance, time) into a new table with two indexes, per second: Tandem \
         in transactions of 1,000, SQLite in one transaction for all, its fastest way"
    }

    fn run(&self, context: &Context) -> Result<Report> {
        let count = FLIGHTS.min(context.large.len());
        let flights: Vec<Value> = (0..count).map(flight).collect();
        let mut lines = [
            (Measured::new("tandem", 1, "power cut: fdatasync")?, tandem as Way),
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
            .note(format!("{count} flights.\n")))
    }
}

/// One way to get them in.
type Way = fn(&Path, &[Value]) -> Result<()>;

fn flight(number: usize) -> Value {
    let mut random = Random::new(number as u64);
    json!({
        "id": number,
        "delay": random.below(200) as i64 - 30,
        "distance": 50 + random.below(2_500),
        "time": f64::from(random.below(24 * 60) as u32) / 60.0,
    })
}

fn tandem(directory: &Path, flights: &[Value]) -> Result<()> {
    let builder = Store::builder().path(directory.join("tandem"));
    let store = builder.durability(Durability::Sync).open()?;
    let config = BucketConfig::new("id")
        .field("id", Field::number().required())
        .index(IndexConfig::on("distance").then("delay"))
        .index(IndexConfig::on("time"));
    store.define_bucket("flights", config)?;
    for batch in flights.chunks(BATCH) {
        store.bucket("flights").insert_many(batch.iter().cloned())?;
    }
    match store.bucket("flights").count(json!({}))? {
        found if found == flights.len() as u64 => Ok(()),
        found => Err(format!("{found} flights").into()),
    }
}

fn into_sqlite(directory: &Path, flights: &[Value]) -> Result<()> {
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
        for flight in flights {
            insert.execute(params![
                flight["id"].as_i64(),
                flight.to_string(),
                flight["delay"].as_i64(),
                flight["distance"].as_i64(),
                flight["time"].as_f64(),
            ])?;
        }
    }
    transaction.commit()?;
    Ok(())
}
