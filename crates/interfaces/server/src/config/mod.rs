//! The server's settings: one JSON file, read once at start.
//!
//! A setting that this server cannot honour stops it from starting: unknown
//! keys and features that are not built yet are refused by name, because a
//! setting that is silently ignored is worse than none.

mod apply;
mod difference;
mod parse;
mod section;

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value};
use tandem::{ChangeLogOptions, Durability};
use tandem_base::Result;

pub(crate) use apply::apply_definitions;

/// Everything that a server can be told. [`Config::default`] listens to the
/// defaults of `docs/protocol.md`; [`Config::from_json`] reads the config file.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The server's name in `server.stats`.
    pub name: String,
    /// The one path that accepts WebSocket upgrades.
    pub path: String,
    /// Bytes of the largest request frame; a larger one closes with 1009.
    pub max_payload_bytes: usize,
    /// Requests per client and window; `None` = unlimited.
    pub rate_limit: Option<RateLimit>,
    /// When clients are pinged and given up.
    pub heartbeat: Heartbeat,
    /// How much may wait to be sent to one client.
    pub backpressure: Backpressure,
    /// What one connection, and all together, may hold.
    pub connection_limits: ConnectionLimits,
    /// Bounds of `sql.execute`.
    pub sql: SqlLimits,
    /// Whether error frames carry `details`.
    pub expose_error_details: bool,
    /// Origins that may connect from a browser; `None` = any.
    pub allowed_origins: Option<Vec<String>>,
    /// Connections of one address; `None` = unlimited.
    pub max_connections_per_ip: Option<usize>,
    /// Requests that take this long are logged; zero = none.
    pub slow_request: Duration,
    /// Whether administrators, who need no login, may be listened for on an
    /// address that other machines reach.
    pub admin_listen_beyond_loopback: bool,
    /// The store behind the server.
    pub store: StoreConfig,
}

/// At most `max_requests` in any `window`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests that are answered in one window.
    pub max_requests: usize,
    /// The length of the sliding window.
    pub window: Duration,
}

/// A ping every `interval`; no pong within `timeout` closes with 4001.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// Time between pings.
    pub interval: Duration,
    /// Time that a client has to answer one.
    pub timeout: Duration,
}

/// Bounds of one connection's outgoing buffer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backpressure {
    /// Bytes above which the connection's subscriptions are cut.
    pub max_buffered_bytes: usize,
    /// The part of it, 0 to 1, above which pushes coalesce.
    pub high_water_mark: f64,
}

impl Backpressure {
    /// The mark in bytes.
    #[must_use]
    pub fn mark_bytes(&self) -> usize {
        // Both factors are validated; the product is below the first.
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a byte count times a fraction between 0 and 1"
        )]
        let mark = (self.max_buffered_bytes as f64 * self.high_water_mark) as usize;
        mark
    }
}

/// What one connection, and all together, may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Subscriptions of one connection.
    pub max_subscriptions_per_connection: usize,
    /// Subscriptions of all connections.
    pub max_total_subscriptions: usize,
    /// Open transactions of one connection.
    pub max_transactions_per_connection: usize,
    /// Bytes of results of subscribed queries that are kept to be shared and
    /// kept up with commits. A query that finds no room is run again for each
    /// of its subscribers, whenever a commit matters to it.
    pub max_live_result_bytes: usize,
}

/// Bounds of `sql.execute`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SqlLimits {
    /// The most rows of one answer.
    pub max_rows: usize,
    /// The most bytes of the values of one answer.
    pub max_result_bytes: usize,
    /// How long a statement may run.
    pub statement_time: Duration,
    /// Statements that run at once; the next one waits.
    pub max_sessions: usize,
}

impl Default for SqlLimits {
    fn default() -> Self {
        Self {
            max_rows: 1_000_000,
            max_result_bytes: 64 << 20,
            statement_time: Duration::from_secs(30),
            // More than may wait for a record's lock: whoever holds one can go on.
            max_sessions: 192,
        }
    }
}

/// The store behind the server.
#[derive(Clone, Debug, PartialEq)]
pub struct StoreConfig {
    /// The store's name in `store.stats`.
    pub name: String,
    /// Its directory; `None` = memory only.
    pub data: Option<PathBuf>,
    /// What an acknowledged write survives.
    pub durability: Durability,
    /// How often expired records are removed; zero = never.
    pub ttl_check_interval: Duration,
    /// How much of the past is kept to resume from.
    pub change_log: ChangeLogConfig,
    /// Buckets that have to exist: created when missing.
    pub buckets: Map<String, Value>,
    /// Queries that have to exist: created when missing.
    pub queries: Map<String, Value>,
}

/// What the change log keeps; whichever bound is met first counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangeLogConfig {
    /// Bytes of entries, before compression.
    pub max_bytes: u64,
    /// The age of an entry.
    pub max_age: Duration,
}

impl Default for ChangeLogConfig {
    fn default() -> Self {
        let library = ChangeLogOptions::default();
        let max_age = Duration::from_millis(library.max_age_ms);
        Self { max_bytes: library.max_bytes, max_age }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: "tandem".into(),
            path: "/".into(),
            max_payload_bytes: 1 << 20,
            rate_limit: None,
            heartbeat: Heartbeat {
                interval: Duration::from_secs(30),
                timeout: Duration::from_secs(10),
            },
            backpressure: Backpressure { max_buffered_bytes: 1 << 20, high_water_mark: 0.8 },
            connection_limits: ConnectionLimits {
                max_subscriptions_per_connection: 100,
                max_total_subscriptions: 10_000,
                max_transactions_per_connection: 16,
                max_live_result_bytes: 64 << 20,
            },
            sql: SqlLimits::default(),
            expose_error_details: true,
            allowed_origins: None,
            max_connections_per_ip: None,
            slow_request: Duration::from_secs(1),
            admin_listen_beyond_loopback: false,
            store: StoreConfig::default(),
        }
    }
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            name: "main".into(),
            data: Some(PathBuf::from("tandem-data")),
            durability: Durability::Sync,
            ttl_check_interval: Duration::from_secs(1),
            change_log: ChangeLogConfig::default(),
            buckets: Map::new(),
            queries: Map::new(),
        }
    }
}

impl Config {
    /// The defaults over a store that lives in memory.
    #[must_use]
    pub fn memory() -> Self {
        let store = StoreConfig { data: None, ..StoreConfig::default() };
        Self { store, ..Self::default() }
    }

    /// Reads a config file's content.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` that names the unknown, unsupported or wrong keys.
    pub fn from_json(json: &Value) -> Result<Self> {
        parse::config(json)
    }
}
