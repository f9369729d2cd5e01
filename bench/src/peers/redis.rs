//! Redis, the system's own, over loopback.
//!
//! An account is JSON text under its key. Redis has no secondary indexes, so the
//! client keeps them, as its users do: a key for each email, a set for each city, a
//! sorted set of all balances. A transfer is two round trips: `WATCH` and `MGET` of
//! the two accounts and of the new email, then `MULTI` with everything that changes
//! and `EXEC`, which does nothing if a watched key is another now; then it is done
//! again. So it is serializable; a set of 20 members and a skip list are what
//! an index costs.
//!
//! All data and every write are in one thread's hands. `appendfsync always` answers
//! after `fdatasync`, one for all who wait; with `everysec` a power cut takes the
//! last second or two.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use redis::{Connection, Pipeline};
use serde_json::Value;

use super::installed::{Installed, find, free_port};
use super::milliseconds;
use crate::data::{Account, DataSet, Transfer};
use crate::peer::{Client, Form, Peer, Result};

const BALANCES: &str = "balances";

pub struct Redis {
    installed: Installed,
    directory: PathBuf,
    always: bool,
}

impl Redis {
    /// Starts it if it is installed, and loads the accounts; `always` is
    /// `appendfsync`.
    pub fn start(directory: &Path, data: &DataSet, always: bool) -> Result<Option<Self>> {
        let Some(program) = find("redis-server", &[]) else { return Ok(None) };
        let (port, fsync) = (free_port()?, if always { "always" } else { "everysec" });
        let mut command = Command::new(program);
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""]);
        command.args(["--appendonly", "yes", "--appendfsync", fsync, "--loglevel", "warning"]);
        command.arg("--dir").arg(directory);
        let installed = Installed::start(command, port)?;
        let redis = Self { installed, directory: directory.to_owned(), always };
        let mut connection = redis.connection()?;
        for accounts in data.chunks(1_000) {
            let mut pipeline = redis::pipe();
            accounts.iter().for_each(|account| insert(&mut pipeline, account));
            pipeline.exec(&mut connection)?;
        }
        Ok(Some(redis))
    }

    fn connection(&self) -> Result<Connection> {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}/", self.installed.port))?;
        Ok(client.get_connection()?)
    }
}

impl Peer for Redis {
    fn durability(&self) -> &str {
        if self.always { "power cut: appendfsync always" } else { "process kill: everysec" }
    }

    fn connect(&self) -> Result<Box<dyn Client>> {
        Ok(Box::new(RedisClient { connection: self.connection()? }))
    }

    fn count(&self) -> Result<Option<u64>> {
        Ok(Some(redis::cmd("ZCARD").arg(BALANCES).query(&mut self.connection()?)?))
    }

    fn directory(&self) -> Option<&Path> {
        Some(&self.directory)
    }

    fn resident_bytes(&self) -> Option<u64> {
        self.installed.resident_bytes()
    }

    fn processor_time(&self) -> Duration {
        self.installed.processor_time()
    }
}

struct RedisClient {
    connection: Connection,
}

/// A record as it is stored: the account with its version and its times.
#[derive(serde::Deserialize, serde::Serialize)]
struct Stored {
    #[serde(flatten)]
    account: Account,
    version: u64,
    created: i64,
    updated: i64,
}

fn email_key(account: &Account) -> String {
    format!("email:{}", account.email)
}

fn insert(pipeline: &mut Pipeline, account: &Account) {
    let now = milliseconds();
    let stored = Stored { account: account.clone(), version: 1, created: now, updated: now };
    put(pipeline, &stored);
    pipeline.cmd("SET").arg(email_key(account)).arg(&account.id).ignore();
    pipeline.cmd("SADD").arg(format!("city:{}", account.city)).arg(&account.id).ignore();
}

fn put(pipeline: &mut Pipeline, stored: &Stored) {
    let Account { id, balance, .. } = &stored.account;
    let text = serde_json::to_string(stored).expect("strings and numbers");
    pipeline.cmd("SET").arg(id).arg(text).ignore();
    pipeline.cmd("ZADD").arg(BALANCES).arg(*balance).arg(id).ignore();
}

impl RedisClient {
    /// Whether nobody came between.
    fn try_transfer(&mut self, transfer: &Transfer) -> Result<bool> {
        let Transfer { from, to, amount, opened } = transfer;
        let keys = [from.clone(), to.clone(), email_key(opened)];
        let ((), (source, target, taken)): ((), (String, String, Option<String>)) = redis::pipe()
            .cmd("WATCH")
            .arg(&keys)
            .cmd("MGET")
            .arg(&keys)
            .query(&mut self.connection)?;
        if taken.is_some() {
            return Err(format!("{} is taken", opened.email).into());
        }
        let mut pipeline = redis::pipe();
        pipeline.atomic();
        for (text, amount) in [(source, -amount), (target, *amount)] {
            let mut stored: Stored = serde_json::from_str(&text)?;
            stored.account.balance += amount;
            stored.version += 1;
            stored.updated = milliseconds();
            put(&mut pipeline, &stored);
        }
        insert(&mut pipeline, opened);
        let done: Option<()> = pipeline.query(&mut self.connection)?;
        Ok(done.is_some())
    }
}

impl Client for RedisClient {
    fn transfer(&mut self, transfer: &Transfer) -> Result<u64> {
        let mut retries = 0;
        while !self.try_transfer(transfer)? {
            retries += 1;
        }
        Ok(retries)
    }

    fn read(&mut self, id: &str, form: Form) -> Result<usize> {
        let text: Option<String> = redis::cmd("GET").arg(id).query(&mut self.connection)?;
        let Some(text) = text else { return Ok(0) };
        Ok(match form {
            Form::Text => std::hint::black_box(text).len(),
            Form::Value => {
                std::hint::black_box(serde_json::from_str::<Value>(&text)?);
                1
            }
        })
    }
}
