//! What one more secondary index costs a write.
//!
//! Inserts of the same records, with eight more numbers in each, into tables that
//! have 0, 1, 2, 4 and 8 indexes on those numbers, and none on anything else.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::params_from_iter;
use rusqlite::types::Value as Sql;
use tandem::{BucketConfig, Field, IndexConfig, Store};
use tandem_storage::Durability;

use super::{Context, Group, check_counts};
use crate::data::{Account, BUCKET, DataSet, Transfer};
use crate::measure::{Line, Part, measure};
use crate::peer::{Client, Peer, Result};
use crate::peers::sqlite::{self, Synchronous};
use crate::random::Random;
use crate::report::Report;
use crate::statistics::Spread;
use crate::workload::Workload;

pub struct IndexCost;

const NUMBERS: usize = 8;
const INDEXES: [usize; 5] = [0, 1, 2, 4, NUMBERS];

/// What a further index may cost, in µs.
const TARGET: f64 = 2.0;

impl Group for IndexCost {
    fn name(&self) -> &'static str {
        "index-cost"
    }

    fn about(&self) -> &'static str {
        "one new record of about 300 bytes per commit, one client, into tables with 0 to 8 \
         secondary indexes on random numbers; survives the death of the process"
    }

    fn run(&self, context: &Context) -> Result<Report> {
        let mut lines = Vec::new();
        for indexes in INDEXES {
            let tandem = Tandem::open(&context.directory()?, indexes)?;
            let sqlite = Sqlite::open(&context.directory()?, indexes)?;
            let peers: [(&str, Arc<dyn Peer>); 2] =
                [("tandem", Arc::new(tandem)), ("sqlite OFF", Arc::new(sqlite))];
            for (name, peer) in peers {
                let (label, data) = (label(name, indexes), context.data);
                let workload = Arc::new(Inserts { data, next: AtomicU64::new(0) });
                lines.push(Line { label, peer, workload, clients: 1 });
            }
        }
        let measured = measure(&lines, &context.plan)?;
        check_counts(&lines, &measured, 0)?;
        let mut report = Report::new(self.name(), self.about(), measured);
        for name in ["tandem", "sqlite OFF"] {
            let time = |indexes| -> Option<f64> {
                let line = report.line(&label(name, indexes))?;
                Some(1e6 / Spread::of(&line.rates).median)
            };
            let Some((none, all)) = time(0).zip(time(NUMBERS)) else { continue };
            let what = format!("{name}: each further index on a write");
            let each = (all - none) / NUMBERS as f64;
            report = if name == "tandem" {
                report.at_most(what, each, "µs", TARGET)
            } else {
                report.figure(what, each, "µs")
            };
        }
        Ok(report)
    }
}

fn label(name: &str, indexes: usize) -> String {
    format!("{name}, {indexes} indexes")
}

/// The same for the same account.
fn numbers(account: &Account) -> [i64; NUMBERS] {
    let seed = account
        .id
        .bytes()
        .fold(0_u64, |seed, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let mut random = Random::new(seed);
    std::array::from_fn(|_| (random.next() >> 20) as i64)
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

struct Tandem {
    store: Store,
    directory: PathBuf,
}

impl Tandem {
    fn open(directory: &Path, indexes: usize) -> Result<Self> {
        let builder = Store::builder().path(directory.join("tandem"));
        let store = builder.durability(Durability::Buffered).open()?;
        let mut config = BucketConfig::new("id").field("id", Field::string().required());
        for number in 0..indexes {
            config = config.index(IndexConfig::on(format!("n{number}")));
        }
        store.define_bucket(BUCKET, config)?;
        Ok(Self { store, directory: directory.to_owned() })
    }
}

impl Peer for Tandem {
    fn durability(&self) -> &str {
        "process kill"
    }

    fn connect(&self) -> Result<Box<dyn Client>> {
        Ok(Box::new(TandemClient { store: self.store.clone() }))
    }

    fn count(&self) -> Result<Option<u64>> {
        Ok(Some(self.store.bucket(BUCKET).count(serde_json::json!({}))?))
    }

    fn directory(&self) -> Option<&Path> {
        Some(&self.directory)
    }
}

struct TandemClient {
    store: Store,
}

impl Client for TandemClient {
    fn insert(&mut self, account: &Account) -> Result<u64> {
        let mut record = account.to_value();
        for (number, value) in numbers(account).into_iter().enumerate() {
            record[format!("n{number}")] = value.into();
        }
        self.store.bucket(BUCKET).insert(record)?;
        Ok(0)
    }
}

struct Sqlite {
    path: PathBuf,
}

impl Sqlite {
    fn open(directory: &Path, indexes: usize) -> Result<Self> {
        let path = directory.join("sqlite.db");
        let columns: Vec<_> = (0..NUMBERS).map(|number| format!("n{number} INTEGER")).collect();
        let mut schema = format!(
            "CREATE TABLE accounts (id TEXT PRIMARY KEY, data TEXT NOT NULL, {}) WITHOUT ROWID;",
            columns.join(", ")
        );
        for number in 0..indexes {
            schema += &format!("CREATE INDEX by_n{number} ON accounts (n{number});");
        }
        sqlite::connect(&path, Synchronous::Off)?.execute_batch(&schema)?;
        Ok(Self { path })
    }
}

impl Peer for Sqlite {
    fn durability(&self) -> &str {
        "process kill: WAL, OFF"
    }

    fn connect(&self) -> Result<Box<dyn Client>> {
        Ok(Box::new(SqliteClient { connection: sqlite::connect(&self.path, Synchronous::Off)? }))
    }

    fn count(&self) -> Result<Option<u64>> {
        let connection = sqlite::connect(&self.path, Synchronous::Off)?;
        let count: i64 =
            connection.query_row("SELECT count(*) FROM accounts", [], |row| row.get(0))?;
        Ok(u64::try_from(count).ok())
    }

    fn directory(&self) -> Option<&Path> {
        self.path.parent()
    }
}

struct SqliteClient {
    connection: rusqlite::Connection,
}

impl Client for SqliteClient {
    fn insert(&mut self, account: &Account) -> Result<u64> {
        let text = [Sql::from(account.id.clone()), Sql::from(account.to_json())];
        let values = text.into_iter().chain(numbers(account).map(Sql::from));
        self.connection
            .prepare_cached("INSERT INTO accounts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?
            .execute(params_from_iter(values))?;
        Ok(0)
    }
}
