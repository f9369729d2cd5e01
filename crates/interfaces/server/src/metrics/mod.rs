//! What `/metrics` tells: figures that the server counts as things happen, and
//! those of the store, read when somebody asks.
//!
//! Durations are in seconds. Every label has few values: request types that
//! the server knows, error codes, close codes, fixed reasons.

mod page;
mod store;
mod subscriptions;

use std::borrow::Cow;
use std::time::Duration;

use prometheus_client::encoding::prometheus_text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Metric, Registry};
use tandem::Store;
use tandem_base::{Code, Error, Result};

use crate::live::SubscriptionStatistics;
use crate::metrics::store::StoreFigures;
use crate::metrics::subscriptions::SubscriptionFigures;
use crate::sql_sessions::OpenSessions;

pub(crate) use prometheus_text::CONTENT_TYPE;

type Labels<const N: usize> = [(&'static str, Cow<'static, str>); N];
type HistogramFamily = Family<Labels<1>, Histogram, fn() -> Histogram>;

/// The type of a request that was not carried out: unreadable, unknown, or
/// refused by the rate limit. What a client invents must not become a label.
const OTHER: &str = "other";

/// The figures of one server since its start.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    store: Store,
    requests: Family<Labels<2>, Counter>,
    request_seconds: HistogramFamily,
    slow_requests: Counter,
    received: Counter,
    sent: Counter,
    connections: Gauge,
    opened: Counter,
    refused: Family<Labels<1>, Counter>,
    closed: Family<Labels<1>, Counter>,
    subscriptions: Gauge,
    open_transactions: Gauge,
    sql_sessions: Family<Labels<1>, Gauge>,
}

/// What is open at the moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Open {
    pub(crate) connections: usize,
    pub(crate) subscriptions: usize,
    pub(crate) transactions: usize,
    pub(crate) sql: OpenSessions,
}

/// Why somebody who wanted a WebSocket did not get one.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Refused {
    Origin,
    Path,
    Handshake,
    TooMany,
}

impl Refused {
    fn reason(self) -> &'static str {
        match self {
            Self::Origin => "origin",
            Self::Path => "path",
            Self::Handshake => "handshake",
            Self::TooMany => "too_many_connections",
        }
    }
}

impl Metrics {
    /// Counters get `_total` added to their names where they are written.
    pub(crate) fn new(store: Store) -> Self {
        let mut registry = Registry::default();
        let all = &mut registry;
        Self {
            requests: added(all, "tandem_requests", "Requests answered"),
            request_seconds: {
                let times: HistogramFamily = Family::new_with_constructor(request_histogram);
                let help = "Time from a request to its answer";
                all.register("tandem_request_seconds", help, times.clone());
                times
            },
            slow_requests: added(all, "tandem_slow_requests", "Requests logged as slow"),
            received: added(all, "tandem_received_bytes", "Bytes of frames received"),
            sent: added(all, "tandem_sent_bytes", "Bytes of frames sent"),
            connections: added(all, "tandem_connections", "Open connections"),
            opened: added(all, "tandem_connections_opened", "Connections opened"),
            refused: added(all, "tandem_connections_refused", "Upgrades refused, by reason"),
            closed: added(
                all,
                "tandem_connections_closed",
                "Connections ended, by the server's close code, or gone",
            ),
            subscriptions: added(all, "tandem_subscriptions", "Open subscriptions"),
            open_transactions: added(
                all,
                "tandem_open_transactions",
                "Transactions held open by connections",
            ),
            sql_sessions: added(all, "tandem_sql_sessions", "Sessions of SQL, by state"),
            registry,
            store,
        }
    }

    /// A request was answered; one that was not read or not admitted has no type.
    pub(crate) fn request(&self, kind: &str, error: Option<&Error>, took: Duration) {
        let not_carried_out = matches!(
            error.map(Error::code),
            Some(Code::UnknownOperation | Code::RulesNotAvailable)
        );
        let kind: Cow<'static, str> =
            if kind.is_empty() || not_carried_out { OTHER.into() } else { kind.to_owned().into() };
        let outcome = error.map_or("ok", |error| error.code().as_str());
        self.request_seconds.get_or_create(&[("type", kind.clone())]).observe(took.as_secs_f64());
        self.requests.get_or_create(&[("type", kind), ("outcome", outcome.into())]).inc();
    }

    /// A request took long enough to be logged.
    pub(crate) fn slow_request(&self) {
        self.slow_requests.inc();
    }

    /// A frame has come in.
    pub(crate) fn received(&self, bytes: usize) {
        self.received.inc_by(bytes as u64);
    }

    /// A frame was handed to the socket.
    pub(crate) fn sent(&self, bytes: usize) {
        self.sent.inc_by(bytes as u64);
    }

    /// A connection was opened.
    pub(crate) fn opened(&self) {
        self.opened.inc();
    }

    /// A client did not get a connection.
    pub(crate) fn refused(&self, why: Refused) {
        self.refused.get_or_create(&[("reason", why.reason().into())]).inc();
    }

    /// A connection has ended; without a code, the client ended it.
    pub(crate) fn closed(&self, code: Option<u16>) {
        let code = code.map_or("gone".into(), |code| code.to_string().into());
        self.closed.get_or_create(&[("code", code)]).inc();
    }

    /// The page. Reads the store: to be called where blocking is allowed.
    ///
    /// # Errors
    /// `STORAGE_ERROR`, `CLOSED`: nobody can tell the store's figures.
    pub(crate) fn page(&self, open: Open, subscriptions: SubscriptionStatistics) -> Result<String> {
        let set = |gauge: &Gauge, value: usize| {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        set(&self.connections, open.connections);
        set(&self.subscriptions, open.subscriptions);
        set(&self.open_transactions, open.transactions);
        for (state, sessions) in [("busy", open.sql.busy), ("idle", open.sql.idle)] {
            set(&self.sql_sessions.get_or_create(&[("state", state.into())]), sessions);
        }
        let mut figures = Registry::default();
        figures.register_collector(Box::new(StoreFigures(self.store.statistics()?)));
        figures.register_collector(Box::new(SubscriptionFigures(subscriptions)));
        let mut page = String::new();
        prometheus_text::encode(&mut page, &self.registry)
            .and_then(|()| prometheus_text::encode(&mut page, &figures))
            .map_err(|_| Error::internal("A metric cannot be written"))?;
        Ok(page)
    }
}

fn added<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

/// From 50 µs to 26 s, each bound twice the one before.
fn request_histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.000_05, 2.0, 20))
}
