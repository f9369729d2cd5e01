use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Number;
use tandem::Store;
use tandem_base::Result;

use crate::config::Config;
use crate::connections::Connections;
use crate::data::Data;
use crate::encoded::EncodedCommits;
use crate::feed::Feed;
use crate::frame;
use crate::limits::{ConnectionsPerAddress, Gauge, NamedGauge, RateLimiter};
use crate::live::SubscriptionStatistics;
use crate::metrics::Metrics;
use crate::shutdown::Shutdown;
use crate::sql_sessions::SqlSessions;
use crate::workers::Workers;

/// What all connections share: the store, the settings, the limits, the
/// counters.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) store: Store,
    pub(crate) workers: Workers,
    pub(crate) sql: SqlSessions,
    pub(crate) connections: Connections,
    pub(crate) addresses: ConnectionsPerAddress,
    pub(crate) shutdown: Shutdown,
    pub(crate) metrics: Metrics,
    pub(crate) open_transactions: Gauge,
    pub(crate) subscriptions: Gauge,
    pub(crate) active_queries: NamedGauge,
    pub(crate) feed: Feed,
    pub(crate) encoded: EncodedCommits,
    rate: Option<RateLimiter>,
    last_transaction: AtomicU64,
    last_subscription: AtomicU64,
}

impl Shared {
    /// Follows the store from now on; see also [`keep_up`](Self::keep_up).
    ///
    /// # Errors
    /// `CLOSED`, `STORAGE_ERROR`.
    pub(crate) fn start(config: Config, store: Store, workers: Workers) -> Result<Arc<Self>> {
        let feed = Feed::start(&store, config.connection_limits.max_live_result_bytes)?;
        Ok(Arc::new(Self {
            rate: config.rate_limit.map(RateLimiter::new),
            metrics: Metrics::new(store.clone()),
            sql: SqlSessions::new(config.sql),
            config,
            store,
            workers,
            connections: Connections::default(),
            addresses: ConnectionsPerAddress::default(),
            shutdown: Shutdown::new(),
            open_transactions: Gauge::default(),
            subscriptions: Gauge::default(),
            active_queries: NamedGauge::default(),
            feed,
            encoded: EncodedCommits::default(),
            last_transaction: AtomicU64::new(0),
            last_subscription: AtomicU64::new(0),
        }))
    }

    /// What subscriptions have cost so far.
    pub(crate) fn subscription_statistics(&self) -> SubscriptionStatistics {
        self.feed.queries.statistics()
    }

    /// Milliseconds since the Unix epoch, by the store's clock: for what the
    /// server tells its clients.
    pub(crate) fn now_ms(&self) -> u64 {
        self.store.environment().clock.now_ms()
    }

    /// The clock that durations are measured with.
    pub(crate) fn monotonic(&self) -> Duration {
        self.store.environment().clock.monotonic()
    }

    /// Counts one request of that address against the rate limit.
    ///
    /// # Errors
    /// `RATE_LIMITED`.
    pub(crate) fn admit(&self, address: IpAddr) -> Result<()> {
        self.rate.as_ref().map_or(Ok(()), |rate| rate.admit(address))
    }

    /// The frame that answers the request `id`.
    pub(crate) fn response(&self, id: &Number, answer: Result<Data>) -> Vec<u8> {
        match answer {
            Ok(data) => frame::result(id, data.text()),
            Err(error) => frame::error(id, &error, self.config.expose_error_details),
        }
    }

    /// `tx-N`, counted for the whole process.
    pub(crate) fn next_transaction_handle(&self) -> String {
        format!("tx-{}", self.last_transaction.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// The N of `sub-N`, counted for the whole process.
    pub(crate) fn next_subscription(&self) -> u64 {
        self.last_subscription.fetch_add(1, Ordering::Relaxed) + 1
    }
}
