//! PostgreSQL, the system's own, over loopback.
//!
//! The account is one JSONB column beside its key, its version and its two times,
//! with indexes on the expressions that take email, city and balance out of it. A
//! transfer is one call of a function that the server holds, thus one request: it
//! locks both accounts in the order of their keys, so that two transfers never wait
//! for each other in a circle, which makes it serializable too. Statements are
//! prepared once per connection. Sizes are the defaults but for shared buffers that
//! hold all data, and a WAL that is synced with `fdatasync`.
//!
//! It refuses to run as root, so root starts it as the user `postgres`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use postgres::error::SqlState;
use postgres::{NoTls, Statement};
use serde_json::Value;

use super::installed::{Installed, PATIENCE, User, find, free_port};
use crate::data::{Account, DataSet, Transfer};
use crate::peer::{Client, Form, Peer, Result};

const SCHEMA: &str = "
    CREATE TABLE accounts (
        id text PRIMARY KEY, data jsonb NOT NULL, version bigint NOT NULL,
        created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL
    );
    CREATE UNIQUE INDEX ON accounts ((data->>'email'));
    CREATE INDEX ON accounts ((data->>'city'));
    CREATE INDEX ON accounts (((data->>'balance')::bigint));
    CREATE FUNCTION add(account text, amount bigint) RETURNS void LANGUAGE sql AS $$
        UPDATE accounts SET version = version + 1, updated_at = now(), data = jsonb_set(
            data, '{balance}', to_jsonb((data->>'balance')::bigint + amount))
        WHERE id = account
    $$;
    CREATE FUNCTION transfer(source text, target text, amount bigint, opened jsonb)
    RETURNS void LANGUAGE plpgsql AS $$ BEGIN
        PERFORM data FROM accounts WHERE id IN (source, target) ORDER BY id FOR UPDATE;
        PERFORM add(source, -amount), add(target, amount);
        INSERT INTO accounts VALUES (opened->>'id', opened, 1, now(), now());
    END $$;";

const LOAD: &str = "INSERT INTO accounts SELECT data->>'id', data, 1, now(), now() \
    FROM (SELECT line::jsonb AS data FROM unnest($1::text[]) AS line) AS lines";
const TRANSFER: &str = "SELECT transfer($1, $2, $3, $4::text::jsonb)";
const READ: &str = "SELECT data::text FROM accounts WHERE id = $1";

/// The server that peers are connections to.
pub struct Server {
    installed: Installed,
    programs: PathBuf,
    user: Option<User>,
    directory: PathBuf,
}

impl Server {
    /// Starts it with no data, if it is installed.
    pub fn start(directory: &Path, connections: usize) -> Result<Option<Arc<Self>>> {
        let Some(initdb) = find("initdb", &versions()) else { return Ok(None) };
        // The links that a system may have in its PATH lead to where the others are.
        let initdb = initdb.canonicalize()?;
        let programs = initdb.parent().ok_or("a program in no directory")?.to_owned();
        let root = std::fs::metadata("/proc/self").is_ok_and(|own| {
            use std::os::unix::fs::MetadataExt;
            own.uid() == 0
        });
        let user =
            if root { Some(User::named("postgres").ok_or("no user postgres")?) } else { None };
        let directory = directory.join("postgres");
        std::fs::create_dir(&directory)?;
        if let Some(user) = user {
            user.own(&directory)?;
        }
        let command = |program: &str| {
            let mut command = Command::new(programs.join(program));
            command.current_dir(&directory).arg("-D").arg(&directory);
            if let Some(user) = user {
                user.run(&mut command);
            }
            command
        };
        let made = command("initdb")
            .args(["--auth=trust", "--username=bench", "--encoding=UTF8", "--locale=C"])
            .stdout(Stdio::null())
            .status()?;
        if !made.success() {
            return Err(format!("initdb: {made}").into());
        }
        let port = free_port()?;
        let mut server = command("postgres");
        for setting in [
            format!("port={port}"),
            "listen_addresses=127.0.0.1".to_owned(),
            "unix_socket_directories=".to_owned(),
            format!("max_connections={connections}"),
            "shared_buffers=512MB".to_owned(),
            "wal_sync_method=fdatasync".to_owned(),
            "log_min_messages=panic".to_owned(),
        ] {
            server.args(["-c", &setting]);
        }
        let installed = Installed::start(server, port)?;
        let server = Self { installed, programs, user, directory };
        server.wait()?;
        Ok(Some(Arc::new(server)))
    }

    /// It listens before it lets anybody in.
    fn wait(&self) -> Result<()> {
        let started = Instant::now();
        loop {
            let Err(error) = configuration(self, "postgres").connect(NoTls) else { return Ok(()) };
            let starting = error.code() == Some(&SqlState::CANNOT_CONNECT_NOW);
            if !starting || started.elapsed() > PATIENCE {
                return Err(error.into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    /// Killed, it would leave shared memory behind.
    fn drop(&mut self) {
        let mut stop = Command::new(self.programs.join("pg_ctl"));
        stop.current_dir("/").args(["stop", "-m", "immediate", "-D"]).arg(&self.directory);
        if let Some(user) = self.user {
            user.run(&mut stop);
        }
        if stop.stdout(Stdio::null()).status().is_ok_and(|status| status.success()) {
            self.installed.reap();
        }
    }
}

/// Where Debian puts them, the newest first.
fn versions() -> Vec<PathBuf> {
    let entries = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<_> = entries.map(|entry| entry.path().join("bin")).collect();
    versions.sort();
    versions.reverse();
    versions
}

/// A database of its own in the server.
pub struct Postgres {
    server: Arc<Server>,
    database: &'static str,
    synchronous: bool,
}

impl Postgres {
    /// Loads the accounts; `synchronous` is `synchronous_commit`.
    pub fn load(server: Arc<Server>, data: &DataSet, synchronous: bool) -> Result<Self> {
        let database = if synchronous { "durable" } else { "relaxed" };
        connect(&server, "postgres")?.batch_execute(&format!("CREATE DATABASE {database}"))?;
        let mut client = connect(&server, database)?;
        client.batch_execute(SCHEMA)?;
        let load = client.prepare(LOAD)?;
        for accounts in data.chunks(1_000) {
            let lines: Vec<String> = accounts.iter().map(Account::to_json).collect();
            client.execute(&load, &[&lines])?;
        }
        client.batch_execute("VACUUM ANALYZE accounts")?;
        client.batch_execute("CHECKPOINT")?;
        Ok(Self { server, database, synchronous })
    }

    fn client(&self) -> Result<postgres::Client> {
        let mut client = connect(&self.server, self.database)?;
        if !self.synchronous {
            client.batch_execute("SET synchronous_commit = off")?;
        }
        Ok(client)
    }
}

fn configuration(server: &Server, database: &str) -> postgres::Config {
    let mut config = postgres::Config::new();
    config.host("127.0.0.1").port(server.installed.port).user("bench").dbname(database);
    config
}

fn connect(server: &Server, database: &str) -> Result<postgres::Client> {
    Ok(configuration(server, database).connect(NoTls)?)
}

impl Peer for Postgres {
    fn durability(&self) -> &str {
        if self.synchronous { "power cut: fdatasync" } else { "all but the last 0.6 s: off" }
    }

    fn connect(&self) -> Result<Box<dyn Client>> {
        let mut client = self.client()?;
        let (transfer, read) = (client.prepare(TRANSFER)?, client.prepare(READ)?);
        Ok(Box::new(PostgresClient { client, transfer, read }))
    }

    fn count(&self) -> Result<Option<u64>> {
        let row = self.client()?.query_one("SELECT count(*) FROM accounts", &[])?;
        Ok(Some(u64::try_from(row.get::<_, i64>(0))?))
    }

    fn directory(&self) -> Option<&Path> {
        Some(&self.server.directory)
    }

    fn resident_bytes(&self) -> Option<u64> {
        self.server.installed.resident_bytes()
    }

    fn processor_time(&self) -> Duration {
        self.server.installed.processor_time()
    }
}

struct PostgresClient {
    client: postgres::Client,
    transfer: Statement,
    read: Statement,
}

impl Client for PostgresClient {
    fn transfer(&mut self, transfer: &Transfer) -> Result<u64> {
        let Transfer { from, to, amount, opened } = transfer;
        let opened = opened.to_json();
        self.client.execute(&self.transfer, &[from, to, amount, &opened])?;
        Ok(0)
    }

    fn read(&mut self, id: &str, form: Form) -> Result<usize> {
        let Some(row) = self.client.query_opt(&self.read, &[&id])? else { return Ok(0) };
        let text: &str = row.get(0);
        Ok(match form {
            Form::Text => std::hint::black_box(text.to_owned()).len(),
            Form::Value => {
                std::hint::black_box(serde_json::from_str::<Value>(text)?);
                1
            }
        })
    }
}
