//! The same store twice: by its record API, and by its SQL.
//!
//! Both hand out each field as a value of its own, because that is what a row of SQL
//! is; so does SQLite, whose columns they are. Texts of SQL are kept compiled by the
//! session, as those of SQLite by its connection. Reads are either transactions of
//! their own, or all in one that only reads and is open as long as the client.

use std::path::{Path, PathBuf};

use rusqlite::types::Value as Sqlite;
use serde_json::json;
use tandem::{Find, Isolation, Record, Store, Transaction, TransactionOptions};
use tandem_sql::{Output, Session, params};

use super::sqlite::{self, Synchronous};
use super::tandem::Tandem;
use crate::data::{Account, BUCKET, DataSet};
use crate::peer::{Client, Form, Peer, Result};

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    Records,
    Sql,
}

/// In which transaction reads are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    Alone,
    InOne,
}

/// A store behind one of its doors.
pub struct Behind {
    store: Store,
    durability: String,
    directory: Option<PathBuf>,
    door: Door,
    reads: Reads,
}

impl Behind {
    pub fn new(tandem: &Tandem, door: Door, reads: Reads) -> Self {
        Self {
            store: tandem.store().clone(),
            durability: tandem.durability().to_owned(),
            directory: tandem.directory().map(Path::to_owned),
            door,
            reads,
        }
    }
}

impl Peer for Behind {
    fn durability(&self) -> &str {
        &self.durability
    }

    fn directory(&self) -> Option<&Path> {
        self.directory.as_deref()
    }

    fn connect(&self) -> Result<Box<dyn Client>> {
        let (store, in_one) = (self.store.clone(), self.reads == Reads::InOne);
        Ok(match self.door {
            Door::Records => {
                let reading = TransactionOptions::new().isolation(Isolation::Snapshot).read_only();
                let open = in_one.then(|| store.begin_with(&reading)).transpose()?;
                Box::new(RecordsClient { store, open })
            }
            Door::Sql => {
                let session = Session::new(&store)?;
                if in_one {
                    session.execute("BEGIN ISOLATION LEVEL SNAPSHOT READ ONLY", ())?;
                }
                Box::new(SqlClient { session })
            }
        })
    }

    fn count(&self) -> Result<Option<u64>> {
        Ok(Some(self.store.bucket(BUCKET).count(json!({}))?))
    }
}

struct RecordsClient {
    store: Store,
    open: Option<Transaction>,
}

impl RecordsClient {
    fn bucket(&self) -> tandem::Bucket<'_> {
        match &self.open {
            Some(transaction) => transaction.bucket(BUCKET),
            None => self.store.bucket(BUCKET),
        }
    }
}

/// The fields in the order of the columns.
const FIELDS: [&str; 5] = ["id", "email", "city", "balance", "note"];

fn hand_out(record: &Record) {
    std::hint::black_box(FIELDS.map(|field| record.get(field)));
}

fn hand_out_all(find: Find<'_>) -> Result<usize> {
    let records = find.records()?;
    records.iter().for_each(hand_out);
    Ok(records.len())
}

impl Client for RecordsClient {
    fn read(&mut self, id: &str, _form: Form) -> Result<usize> {
        let record = self.bucket().get(id)?;
        record.iter().for_each(hand_out);
        Ok(record.iter().len())
    }

    fn read_city(&mut self, city: &str, limit: usize, _form: Form) -> Result<usize> {
        hand_out_all(self.bucket().find(json!({ "city": city })).limit(limit))
    }

    fn read_balances(&mut self, from: i64, limit: usize, _form: Form) -> Result<usize> {
        let filter = json!({ "balance": { "$gte": from } });
        hand_out_all(self.bucket().find(filter).sort("balance").limit(limit))
    }

    fn insert(&mut self, account: &Account) -> Result<u64> {
        self.store.bucket(BUCKET).insert(account.to_value())?;
        Ok(0)
    }

    fn update(&mut self, id: &str, balance: i64) -> Result<u64> {
        self.store.bucket(BUCKET).update(id, json!({ "balance": balance }))?;
        Ok(0)
    }
}

struct SqlClient {
    session: Session,
}

const READ: &str = "SELECT id, email, city, balance, note FROM accounts WHERE id = ?1";
const READ_CITY: &str =
    "SELECT id, email, city, balance, note FROM accounts WHERE city = ?1 LIMIT ?2";
const READ_BALANCES: &str = "SELECT id, email, city, balance, note FROM accounts \
    WHERE balance >= ?1 ORDER BY balance LIMIT ?2";
const INSERT: &str =
    "INSERT INTO accounts (id, email, city, balance, note) VALUES (?1, ?2, ?3, ?4, ?5)";
const UPDATE: &str = "UPDATE accounts SET balance = ?2 WHERE id = ?1";

fn rows(output: Output) -> usize {
    std::hint::black_box(output).rows.len()
}

impl Client for SqlClient {
    fn read(&mut self, id: &str, _form: Form) -> Result<usize> {
        Ok(rows(self.session.query(READ, params![id])?))
    }

    fn read_city(&mut self, city: &str, limit: usize, _form: Form) -> Result<usize> {
        Ok(rows(self.session.query(READ_CITY, params![city, limit as i64])?))
    }

    fn read_balances(&mut self, from: i64, limit: usize, _form: Form) -> Result<usize> {
        Ok(rows(self.session.query(READ_BALANCES, params![from, limit as i64])?))
    }

    fn insert(&mut self, account: &Account) -> Result<u64> {
        let Account { id, email, city, balance, note } = account;
        self.session.execute(INSERT, params![id, email, city, *balance, note])?;
        Ok(0)
    }

    fn update(&mut self, id: &str, balance: i64) -> Result<u64> {
        self.session.execute(UPDATE, params![id, balance])?;
        Ok(0)
    }
}

/// SQLite's point read, to values of its columns.
pub struct SqliteColumns(sqlite::Sqlite);

impl SqliteColumns {
    pub fn open(directory: &Path, data: &DataSet) -> Result<Self> {
        let (synchronous, sharing) = (Synchronous::Full, sqlite::Sharing::OneEach);
        Ok(Self(sqlite::Sqlite::open(directory, data, synchronous, sharing)?))
    }
}

impl Peer for SqliteColumns {
    fn durability(&self) -> &str {
        self.0.durability()
    }

    fn directory(&self) -> Option<&Path> {
        self.0.directory()
    }

    fn connect(&self) -> Result<Box<dyn Client>> {
        let connection = sqlite::connect(self.0.path(), Synchronous::Full)?;
        Ok(Box::new(SqliteClient { connection }))
    }
}

struct SqliteClient {
    connection: rusqlite::Connection,
}

impl Client for SqliteClient {
    fn read(&mut self, id: &str, _form: Form) -> Result<usize> {
        // The text has the note, and what the other columns have once more.
        let mut statement = self
            .connection
            .prepare_cached("SELECT id, email, city, balance, data FROM accounts WHERE id = ?1")?;
        let mut rows = statement.query([id])?;
        let Some(row) = rows.next()? else { return Ok(0) };
        let values: Vec<Sqlite> =
            (0..FIELDS.len()).map(|at| row.get(at)).collect::<rusqlite::Result<_>>()?;
        std::hint::black_box(values);
        Ok(1)
    }
}
