//! The server: listens, accepts, and stops.

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tandem::Store;
use tandem_base::{Code, Error, Result};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::config::{Config, apply_definitions};
use crate::feed::Feed;
use crate::http;
use crate::shared::Shared;
use crate::shutdown::Phase;

/// How long a client has to send the head of its HTTP request.
const HEADER_WAIT: Duration = Duration::from_secs(10);

/// What a server is started with.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// The settings.
    pub config: Config,
    /// Where it listens; port 0 picks a free one.
    pub listen: String,
    /// A store that is open already, instead of the one that the config
    /// describes. It stays open when the server stops.
    pub store: Option<Store>,
}

impl ServerOptions {
    /// A server on `127.0.0.1:8080`.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config, listen: "127.0.0.1:8080".into(), store: None }
    }

    /// Listens there instead.
    #[must_use]
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.listen = address.into();
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
    /// the present tokio runtime, which should allow
    /// [`BLOCKING_THREADS`](crate::BLOCKING_THREADS).
    ///
    /// # Errors
    /// What opening the store answers; `VALIDATION_ERROR` when a bucket or
    /// query of the config differs from the one that exists; `STORAGE_ERROR`
    /// when the address cannot be listened to. Nothing is left running.
    pub async fn start(options: ServerOptions) -> Result<RunningServer> {
        let ServerOptions { config, listen, store } = options;
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
        let listener = TcpListener::bind(&listen).await.map_err(|error| {
            Error::new(Code::StorageError, format!("Cannot listen on {listen}: {error}"))
        })?;
        let address = listener
            .local_addr()
            .map_err(|error| Error::new(Code::StorageError, format!("No address: {error}")))?;
        let shared = Shared::new(config, store.clone(), Feed::start(&store)?);
        let accepting = tokio::spawn(accept(listener, shared.clone()));
        tracing::info!(%address, "listening");
        let store = owned.then_some(store);
        Ok(RunningServer { address, shared, accepting: Some(accepting), store })
    }
}

fn open_store(config: &Config) -> Result<Store> {
    let builder = match &config.store.data {
        Some(directory) => Store::builder().path(directory),
        None => Store::builder().memory(),
    };
    builder
        .durability(config.store.durability)
        .ttl_check_interval(config.store.ttl_check_interval)
        .open()
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
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
    store: Option<Store>,
}

impl RunningServer {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The store that it serves.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.shared.store
    }

    /// Stops: the listener closes; with a `grace`, clients are told and served
    /// until it is over or all have left; then sockets are closed with 1000,
    /// open transactions roll back, and a store that the server opened is
    /// flushed and closed.
    ///
    /// # Errors
    /// `STORE_FAILED` when the flush fails.
    pub async fn shutdown(mut self, grace: Duration) -> Result<()> {
        self.shared.shutdown.request(grace);
        if let Some(accepting) = self.accepting.take()
            && accepting.await.is_err()
        {
            tracing::error!("the listener had failed");
        }
        let Some(store) = self.store.take() else { return Ok(()) };
        blocking(move || {
            // Buffered commits are on disk before the process may end.
            store.flush()?;
            store.close()
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

/// Accepts until the server stops, then sees every connection to its end.
async fn accept(listener: TcpListener, shared: Arc<Shared>) {
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
                    sockets.spawn(http_connection(socket, peer, shared.clone()));
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
    if let Phase::Grace(time) = shared.shutdown.phase() {
        let all_left = async { while sockets.join_next().await.is_some() {} };
        let _over = tokio::time::timeout(time, all_left).await;
        shared.shutdown.close();
    }
    while sockets.join_next().await.is_some() {}
}

async fn http_connection(socket: TcpStream, peer: SocketAddr, shared: Arc<Shared>) {
    // Answers are small; waiting to fill a packet would only delay them.
    let _best_effort = socket.set_nodelay(true);
    let mut signal = shared.shutdown.signal();
    let pending = http::Pending::default();
    let service = {
        let (shared, pending) = (shared.clone(), pending.clone());
        service_fn(move |request| http::answer(shared.clone(), request, pending.clone()))
    };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_WAIT)
        .serve_connection(TokioIo::new(socket), service)
        .with_upgrades();
    tokio::pin!(connection);
    loop {
        // Neither branch is cancelled half-way: the connection keeps its state.
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%peer, %error, "an HTTP connection ended");
                }
                break;
            }
            // An idle keep-alive connection would hold the server up.
            _ = signal.changed() => connection.as_mut().graceful_shutdown(),
        }
    }
    let upgraded = pending.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(upgraded) = upgraded {
        http::serve(shared, peer.ip(), upgraded).await;
    }
}
