//! SQLite (bundled with rusqlite) in WAL mode.
//!
//! The account is JSON text in one column; what is indexed is extracted into
//! columns of its own, because SQLite maintains an index on a column for less
//! than one on an expression. The table is clustered on the key (`WITHOUT
//! ROWID`: one tree search per read by key, where a rowid table needs two). As
//! in Tandem, a record carries a version and two times, and a transfer reads
//! both balances before it moves them. The new text is made by SQLite's own
//! `json_set`, without a round of parsing in the application. SQLite keeps no
//! change log; Tandem's commits contain one.
//!
//! Statements are prepared once per connection. Cache and memory map are large
//! enough for all data.
//!
//! Many clients: either each has a connection, begins with `BEGIN IMMEDIATE`
//! (a deferred one would fail at its first write whenever somebody else had
//! committed) and waits with `busy_timeout`; or all share one connection behind
//! a mutex, which saves SQLite its polling and its cache invalidation.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Params, params};
use serde_json::Value;

use super::milliseconds;
use crate::data::{Account, DataSet, Transfer};
use crate::peer::{Client, Form, Peer, Result};

/// `PRAGMA synchronous`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Synchronous {
    Full,
    Normal,
    Off,
}

/// How clients come to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    OneEach,
    OneForAll,
}

pub struct Sqlite {
    path: PathBuf,
    synchronous: Synchronous,
    shared: Option<Arc<Mutex<Connection>>>,
}

const SCHEMA: &str = "
    CREATE TABLE accounts (
        id TEXT PRIMARY KEY, data TEXT NOT NULL,
        email TEXT NOT NULL, city TEXT NOT NULL, balance INTEGER NOT NULL,
        version INTEGER NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE UNIQUE INDEX accounts_email ON accounts (email);
    CREATE INDEX accounts_city ON accounts (city);
    CREATE INDEX accounts_balance ON accounts (balance);";

const INSERT: &str = "INSERT INTO accounts VALUES (?1, ?2, ?3, ?4, ?5, 1, ?6, ?6)";
const BALANCE: &str = "SELECT balance FROM accounts WHERE id = ?1";
const UPDATE: &str = "UPDATE accounts SET data = json_set(data, '$.balance', ?2), balance = ?2, \
    version = version + 1, updated_at = ?3 WHERE id = ?1";
const READ: &str = "SELECT data FROM accounts WHERE id = ?1";
const READ_CITY: &str = "SELECT data FROM accounts WHERE city = ?1 LIMIT ?2";
const READ_BALANCES: &str =
    "SELECT data FROM accounts WHERE balance >= ?1 ORDER BY balance LIMIT ?2";
const SCAN: &str = "SELECT data FROM accounts WHERE id >= ?1 ORDER BY id LIMIT ?2";

impl Sqlite {
    pub fn open(
        directory: &Path,
        data: &DataSet,
        synchronous: Synchronous,
        sharing: Sharing,
    ) -> Result<Self> {
        let path = directory.join("sqlite.db");
        let mut connection = connect(&path, synchronous)?;
        connection.execute_batch(SCHEMA)?;
        let load = connection.transaction()?;
        for accounts in data.chunks(1_000) {
            for account in &accounts {
                insert(&load, account)?;
            }
        }
        load.commit()?;
        connection.execute_batch("ANALYZE; PRAGMA wal_checkpoint(TRUNCATE);")?;
        let shared = (sharing == Sharing::OneForAll).then(|| Arc::new(Mutex::new(connection)));
        Ok(Self { path, synchronous, shared })
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is loaded already; a connection each.
    pub fn reopen(directory: &Path, synchronous: Synchronous) -> Self {
        Self { path: directory.join("sqlite.db"), synchronous, shared: None }
    }
}

pub fn connect(path: &Path, synchronous: Synchronous) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(60))?;
    let synchronous = match synchronous {
        Synchronous::Full => "FULL",
        Synchronous::Normal => "NORMAL",
        Synchronous::Off => "OFF",
    };
    connection.execute_batch(&format!(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous};
         PRAGMA cache_size = -65536; PRAGMA mmap_size = 1073741824;"
    ))?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

impl Peer for Sqlite {
    fn durability(&self) -> &str {
        match self.synchronous {
            Synchronous::Full => "power cut: WAL, FULL",
            Synchronous::Normal => "process kill: WAL, NORMAL",
            Synchronous::Off => "process kill: WAL, OFF",
        }
    }

    fn directory(&self) -> Option<&Path> {
        self.path.parent()
    }

    fn connect(&self) -> Result<Box<dyn Client>> {
        let connection = match &self.shared {
            Some(shared) => shared.clone(),
            None => Arc::new(Mutex::new(connect(&self.path, self.synchronous)?)),
        };
        Ok(Box::new(SqliteClient { connection }))
    }

    fn count(&self) -> Result<Option<u64>> {
        let connection = connect(&self.path, self.synchronous)?;
        let count: i64 =
            connection.query_row("SELECT count(*) FROM accounts", [], |row| row.get(0))?;
        Ok(u64::try_from(count).ok())
    }
}

/// A connection of its own is behind a mutex too, which nobody contends for.
struct SqliteClient {
    connection: Arc<Mutex<Connection>>,
}

impl SqliteClient {
    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, work: impl FnOnce(&Connection) -> Result<()>) -> Result<u64> {
        let connection = self.connection();
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let done = work(&connection);
        let end = if done.is_ok() { "COMMIT" } else { "ROLLBACK" };
        connection.prepare_cached(end)?.execute([])?;
        done.map(|()| 0)
    }

    fn hand_out_all(&self, sql: &str, of: impl Params, form: Form) -> Result<usize> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query(of)?;
        let mut found = 0;
        while let Some(row) = rows.next()? {
            hand_out(row, form)?;
            found += 1;
        }
        Ok(found)
    }
}

impl Client for SqliteClient {
    fn transfer(&mut self, transfer: &Transfer) -> Result<u64> {
        self.write(|connection| apply(connection, transfer))
    }

    fn read(&mut self, id: &str, form: Form) -> Result<usize> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(READ)?;
        let mut rows = statement.query([id])?;
        match rows.next()? {
            Some(row) => hand_out(row, form),
            None => Ok(0),
        }
    }

    fn read_city(&mut self, city: &str, limit: usize, form: Form) -> Result<usize> {
        self.hand_out_all(READ_CITY, params![city, limit as i64], form)
    }

    fn read_balances(&mut self, from: i64, limit: usize, form: Form) -> Result<usize> {
        self.hand_out_all(READ_BALANCES, params![from, limit as i64], form)
    }

    fn scan(&mut self, id: &str, limit: usize) -> Result<usize> {
        self.hand_out_all(SCAN, params![id, limit as i64], Form::Text)
    }

    fn insert(&mut self, account: &Account) -> Result<u64> {
        self.write(|connection| insert(connection, account))
    }

    fn update(&mut self, id: &str, balance: i64) -> Result<u64> {
        self.write(|connection| {
            connection.prepare_cached(UPDATE)?.execute(params![id, balance, milliseconds()])?;
            Ok(())
        })
    }

    fn update_all(&mut self, updates: &[(String, i64)]) -> Result<()> {
        self.write(|connection| {
            let mut update = connection.prepare_cached(UPDATE)?;
            for (id, balance) in updates {
                update.execute(params![id, balance, milliseconds()])?;
            }
            Ok(())
        })?;
        Ok(())
    }

    fn modify(&mut self, id: &str, amount: i64) -> Result<u64> {
        self.write(|connection| {
            let mut statement = connection.prepare_cached(BALANCE)?;
            let balance: i64 = statement.query_row([id], |row| row.get(0))?;
            let balance = balance + amount;
            connection.prepare_cached(UPDATE)?.execute(params![id, balance, milliseconds()])?;
            Ok(())
        })
    }
}

fn apply(connection: &Connection, transfer: &Transfer) -> Result<()> {
    let mut balance = connection.prepare_cached(BALANCE)?;
    let from: i64 = balance.query_row([&transfer.from], |row| row.get(0))?;
    let to: i64 = balance.query_row([&transfer.to], |row| row.get(0))?;
    let mut update = connection.prepare_cached(UPDATE)?;
    let now = milliseconds();
    update.execute(params![transfer.from, from - transfer.amount, now])?;
    update.execute(params![transfer.to, to + transfer.amount, now])?;
    insert(connection, &transfer.opened)
}

fn insert(connection: &Connection, account: &Account) -> Result<()> {
    connection.prepare_cached(INSERT)?.execute(params![
        account.id,
        account.to_json(),
        account.email,
        account.city,
        account.balance,
        milliseconds()
    ])?;
    Ok(())
}

fn hand_out(row: &rusqlite::Row<'_>, form: Form) -> Result<usize> {
    let text = row.get_ref(0)?.as_bytes()?;
    Ok(match form {
        Form::Text => std::hint::black_box(text.to_vec()).len(),
        Form::Value => {
            std::hint::black_box(serde_json::from_slice::<Value>(text)?);
            1
        }
    })
}
