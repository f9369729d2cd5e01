//! The server: listens, accepts, and stops.

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tandem::{ChangeLogOptions, Limits, Store, TransactionLimits};
use tandem_base::{Code, Error, Result};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use crate::config::{ChangeLogConfig, Config, apply_definitions};
use crate::http;
use crate::live::SubscriptionStatistics;
use crate::rpc;
use crate::shared::Shared;
use crate::shutdown::Phase;
use crate::workers::Workers;

/// How long a client has to send the head of its HTTP request.
const HEADER_WAIT: Duration = Duration::from_secs(10);

/// The longest time that a client may ask to hold a transaction open for.
const LONGEST_TRANSACTION: Duration = Duration::from_secs(10 * 60);

/// How long a request that is being answered may hold up the server's end.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// What a server is started with.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// The settings.
    pub config: Config,
    /// Where it listens; port 0 picks a free one.
    pub listen: String,
    /// Where administrators send requests without a login: a loopback
    /// address, unless the config allows others, or `None`.
    pub admin_listen: Option<String>,
    /// A store that is open already, instead of the one that the config
    /// describes. It stays open when the server stops.
    pub store: Option<Store>,
}

impl ServerOptions {
    /// A server on `127.0.0.1:8080`.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config, listen: "127.0.0.1:8080".into(), admin_listen: None, store: None }
    }

    /// Listens there instead.
    #[must_use]
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.listen = address.into();
        self
    }

    /// Also listens there for `POST /rpc`.
    #[must_use]
    pub fn admin_listen(mut self, address: impl Into<String>) -> Self {
        self.admin_listen = Some(address.into());
        self
    }

    /// Serves this store.
    #[must_use]
    pub fn store(mut self, store: Store) -> Self {
        self.store = Some(store);
        self
    }
}

/// Starts servers.
#[derive(Debug)]
pub struct Server;

impl Server {
    /// Opens the store, creates what the config defines, and listens. Runs on
    /// the present tokio runtime, which has to allow
    /// [`BLOCKING_THREADS`](crate::BLOCKING_THREADS).
    ///
    /// # Errors
    /// What opening the store answers; `VALIDATION_ERROR` when a bucket or
    /// query of the config differs from the one that exists; `STORAGE_ERROR`
    /// when the address cannot be listened to. Nothing is left running.
    pub async fn start(options: ServerOptions) -> Result<RunningServer> {
        let ServerOptions { config, listen, admin_listen, store } = options;
        let owned = store.is_none();
        let opening = config.clone();
        let store = blocking(move || {
            let store = match store {
                Some(store) => store,
                None => open_store(&opening)?,
            };
            apply_definitions(&store, &opening.store)?;
            Ok(store)
        })
        .await?;
        let (listener, address) = bind(&listen).await?;
        let admin = match &admin_listen {
            Some(admin) if config.admin_listen_beyond_loopback => Some(bind(admin).await?),
            Some(admin) => Some(bind_loopback(admin).await?),
            None => None,
        };
        warn_of_open_doors(&config, address, admin.as_ref().map(|(_, address)| *address));
        let shared = Shared::start(config, store.clone(), Workers::new(None))?;
        shared.keep_up();
        let mut accepting = vec![tokio::spawn(accept(listener, shared.clone(), Door::Clients))];
        tracing::info!(%address, "listening");
        let admin_address = admin.as_ref().map(|(_, address)| *address);
        if let Some((listener, address)) = admin {
            accepting.push(tokio::spawn(accept(listener, shared.clone(), Door::Administrators)));
            tracing::info!(%address, "listening for administrators");
        }
        let store = owned.then_some(store);
        Ok(RunningServer { address, admin_address, shared, accepting, store })
    }
}

async fn bind(listen: &str) -> Result<(TcpListener, SocketAddr)> {
    let failed = |error: std::io::Error| {
        Error::new(Code::StorageError, format!("Cannot listen on {listen}: {error}"))
    };
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

async fn bind_loopback(listen: &str) -> Result<(TcpListener, SocketAddr)> {
    let bound = bind(listen).await?;
    if bound.1.ip().is_loopback() {
        return Ok(bound);
    }
    Err(Error::validation(format!(
        "Cannot listen on {listen} for administrators: it is no loopback address, and the config \
         does not say \"adminListenBeyondLoopback\": true"
    )))
}

/// Says what other machines may do here.
fn warn_of_open_doors(config: &Config, address: SocketAddr, admin: Option<SocketAddr>) {
    if !address.ip().is_loopback() && config.rate_limit.is_none() {
        tracing::warn!(%address, "clients of other machines are served without a rate limit");
    }
    if let Some(address) = admin.filter(|address| !address.ip().is_loopback()) {
        tracing::warn!(%address, "whoever reaches this address is an administrator");
    }
}

fn open_store(config: &Config) -> Result<Store> {
    let builder = match &config.store.data {
        Some(directory) => Store::builder().path(directory),
        None => Store::builder().memory(),
    };
    let ChangeLogConfig { max_bytes, max_age } = config.store.change_log;
    let max_age_ms = u64::try_from(max_age.as_millis()).unwrap_or(u64::MAX);
    let change_log = ChangeLogOptions { max_bytes, max_age_ms, ..ChangeLogOptions::default() };
    let builder = builder.durability(config.store.durability).limits(limits(config));
    builder.change_log(change_log).open()
}

fn limits(config: &Config) -> Limits {
    let transaction =
        TransactionLimits { total_time: LONGEST_TRANSACTION, ..TransactionLimits::default() };
    let ttl_check_interval = config.store.ttl_check_interval;
    Limits { transaction, ttl_check_interval, ..Limits::default() }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(failure) => Err(Error::internal(format!("A start-up task failed: {failure}"))),
    }
}

/// A server that listens. Dropping it without [`shutdown`](Self::shutdown)
/// closes its connections, but waits for nothing.
pub struct RunningServer {
    address: SocketAddr,
    admin_address: Option<SocketAddr>,
    shared: Arc<Shared>,
    accepting: Vec<JoinHandle<()>>,
    store: Option<Store>,
}

impl RunningServer {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens for administrators.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// Waits until an administrator has asked the server to stop; then
    /// [`shutdown`](Self::shutdown) sees it to its end. Safe to cancel.
    pub async fn stopping(&self) {
        self.shared.shutdown.signal().requested().await;
    }

    /// The store that it serves.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.shared.store
    }

    /// What subscriptions have cost since the start.
    #[must_use]
    pub fn subscription_statistics(&self) -> SubscriptionStatistics {
        self.shared.subscription_statistics()
    }

    /// Stops: the listener closes; with a `grace`, clients are told and served
    /// until it is over or all have left; then sockets are closed with 1000,
    /// open transactions roll back, and a store that the server opened is
    /// flushed and closed. When the stop was asked for before, that request
    /// has decided about the grace.
    ///
    /// # Errors
    /// `STORE_FAILED` when the flush fails.
    pub async fn shutdown(mut self, grace: Duration) -> Result<()> {
        self.shared.shutdown.request(grace);
        for accepting in self.accepting.drain(..) {
            if let Err(failure) = accepting.await {
                tracing::error!(%failure, "a listener had failed");
            }
        }
        // Nobody but the owner holds the store then.
        self.shared.workers.rest().await;
        let Some(store) = self.store.take() else { return Ok(()) };
        blocking(move || {
            // Buffered commits are on disk before the process may end.
            store.flush()?;
            store.close();
            Ok(())
        })
        .await
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        self.shared.shutdown.close();
    }
}

impl std::fmt::Debug for RunningServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunningServer").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Who comes in where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    Clients,
    Administrators,
}

/// Accepts until the server stops, then sees every connection to its end.
async fn accept(listener: TcpListener, shared: Arc<Shared>, door: Door) {
    let mut signal = shared.shutdown.signal();
    let mut sockets = JoinSet::new();
    while shared.shutdown.phase() == Phase::Running {
        // Every branch is safe to cancel: a socket is either handed out by
        // `accept` or still in the listener's queue.
        tokio::select! {
            _ = signal.changed() => {}
            Some(_) = sockets.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((socket, peer)) => {
                    // Answers are small; waiting to fill a packet would only
                    // delay them.
                    let _best_effort = socket.set_nodelay(true);
                    match door {
                        Door::Clients => sockets.spawn(serve_client(socket, peer, shared.clone())),
                        Door::Administrators => {
                            sockets.spawn(serve_administrator(socket, peer, shared.clone()))
                        }
                    };
                }
                Err(error) => {
                    // Out of file descriptors, most likely: wait for some.
                    tracing::warn!(%error, "accepting a connection failed");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
        }
    }
    drop(listener);
    if let Phase::Grace(time) = shared.shutdown.phase()
        && door == Door::Clients
    {
        let all_left = async { while sockets.join_next().await.is_some() {} };
        let _over = timeout(time, all_left).await;
        shared.shutdown.close();
    }
    while sockets.join_next().await.is_some() {}
}

async fn serve_client(socket: TcpStream, peer: SocketAddr, shared: Arc<Shared>) {
    let pending = http::Pending::default();
    let service = {
        let (shared, pending) = (shared.clone(), pending.clone());
        service_fn(move |request| http::answer(shared.clone(), request, pending.clone()))
    };
    let connection = http_server().serve_connection(TokioIo::new(socket), service).with_upgrades();
    tokio::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => log_end(peer, ended),
        () = stopping(&shared) => {
            // An idle keep-alive connection would hold the server up.
            connection.as_mut().graceful_shutdown();
            let _late = timeout(CLOSE_WAIT, connection.as_mut()).await;
        }
    }
    let upgraded = pending.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(upgraded) = upgraded {
        http::serve(shared, peer.ip(), upgraded).await;
    }
}

async fn serve_administrator(socket: TcpStream, peer: SocketAddr, shared: Arc<Shared>) {
    let service = {
        let shared = shared.clone();
        service_fn(move |request| rpc::answer(shared.clone(), peer.ip(), request))
    };
    let connection = http_server().serve_connection(TokioIo::new(socket), service);
    tokio::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => log_end(peer, ended),
        () = stopping(&shared) => {
            connection.as_mut().graceful_shutdown();
            let _late = timeout(CLOSE_WAIT, connection.as_mut()).await;
        }
    }
}

async fn stopping(shared: &Shared) {
    shared.shutdown.signal().requested().await;
}

fn http_server() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADER_WAIT);
    builder
}

fn log_end(peer: SocketAddr, ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "an HTTP connection ended");
    }
}
