//! The port's HTTP side: WebSocket upgrades, and a few plain `GET`s.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, ORIGIN, SEC_WEBSOCKET_ACCEPT,
    SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};

use crate::connection;
use crate::heartbeat::Heartbeat;
use crate::metered::Metered;
use crate::metrics::{CONTENT_TYPE as CONTENT_TYPE_OF_METRICS, Open, Refused};
use crate::outbox::Closing;
use crate::peer::Peer;
use crate::shared::Shared;
use crate::shutdown::Phase;
use crate::workers::Class;

/// What is read of a socket at once, unless one message is larger. The library
/// clears the whole of it before every read, and keeps it while the socket is
/// idle: at its 128 KiB that was a tenth of the time of a request, and four times
/// what an idle socket may take.
const READ_BUFFER: usize = 8 << 10;

/// The connection is to be destroyed without an answer.
#[derive(Debug)]
pub(crate) struct Destroy;

impl std::fmt::Display for Destroy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("refused without an answer")
    }
}

impl std::error::Error for Destroy {}

/// An HTTP answer; bodies are small and held whole.
pub(crate) type Answer = Response<Full<Bytes>>;

/// Where an accepted upgrade waits for its answer to be sent.
pub(crate) type Pending = Arc<Mutex<Option<OnUpgrade>>>;

/// Answers one HTTP request.
///
/// # Errors
/// [`Destroy`] for an upgrade on a path that is not the configured one.
pub(crate) async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
    pending: Pending,
) -> Result<Answer, Destroy> {
    if wants_upgrade(&request) {
        return upgrade(&shared, request, &pending);
    }
    if request.method() != Method::GET {
        return Ok(status(StatusCode::METHOD_NOT_ALLOWED));
    }
    Ok(match request.uri().path() {
        "/health" => text("application/json", r#"{"status":"ok"}"#),
        "/ready" => ready(&shared),
        "/metrics" => metrics(&shared).await,
        _ => status(StatusCode::NOT_FOUND),
    })
}

fn wants_upgrade(request: &Request<Incoming>) -> bool {
    has_token(request, &CONNECTION, "upgrade") && has_token(request, &UPGRADE, "websocket")
}

fn has_token(request: &Request<Incoming>, name: &HeaderName, token: &str) -> bool {
    let values = request.headers().get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(token))
}

fn upgrade(
    shared: &Shared,
    mut request: Request<Incoming>,
    pending: &Pending,
) -> Result<Answer, Destroy> {
    if request.uri().path() != shared.config.path {
        shared.metrics.refused(Refused::Path);
        return Err(Destroy);
    }
    if !origin_allowed(shared, request.headers().get(ORIGIN)) {
        shared.metrics.refused(Refused::Origin);
        return Ok(status(StatusCode::FORBIDDEN));
    }
    let key = request.headers().get(SEC_WEBSOCKET_KEY).cloned();
    let version = request.headers().get(SEC_WEBSOCKET_VERSION);
    let Some(key) = key.filter(|_| version.is_some_and(|version| version == "13")) else {
        shared.metrics.refused(Refused::Handshake);
        let mut refused = status(StatusCode::BAD_REQUEST);
        refused.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        return Ok(refused);
    };
    let upgraded = hyper::upgrade::on(&mut request);
    *pending.lock().unwrap_or_else(PoisonError::into_inner) = Some(upgraded);
    let mut response = status(StatusCode::SWITCHING_PROTOCOLS);
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::from_str(&derive_accept_key(key.as_bytes())) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    Ok(response)
}

/// Clients that are no browsers send no origin and are always accepted.
fn origin_allowed(shared: &Shared, origin: Option<&HeaderValue>) -> bool {
    match (&shared.config.allowed_origins, origin) {
        (Some(allowed), Some(origin)) => {
            allowed.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes())
        }
        _ => true,
    }
}

/// Serves the WebSocket that an HTTP connection has become.
pub(crate) async fn serve(shared: Arc<Shared>, address: IpAddr, upgraded: OnUpgrade) {
    match upgraded.await {
        Ok(socket) => serve_socket(shared, address, TokioIo::new(socket)).await,
        Err(error) => tracing::debug!(%address, %error, "the upgrade did not happen"),
    }
}

/// Serves a byte stream whose handshake is over.
pub(crate) async fn serve_socket<S>(shared: Arc<Shared>, address: IpAddr, socket: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let max = shared.config.max_payload_bytes;
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .max_message_size(Some(max))
        .max_frame_size(Some(max));
    let socket = Metered::new(socket);
    let mut socket = WebSocketStream::from_raw_socket(socket, Role::Server, Some(config)).await;
    let Some(slot) = shared.addresses.take(address, shared.config.max_connections_per_ip) else {
        shared.metrics.refused(Refused::TooMany);
        let Closing { code, reason } = Closing::TOO_MANY;
        let frame = CloseFrame { code: code.into(), reason: reason.into() };
        connection::refuse(&mut socket, frame).await;
        return;
    };
    let heartbeat = Heartbeat::new(shared.config.heartbeat);
    connection::serve(socket, Peer::new(shared, address, slot), heartbeat).await;
}

fn ready(shared: &Shared) -> Answer {
    if shared.shutdown.phase() == Phase::Running {
        return text("application/json", r#"{"status":"ready"}"#);
    }
    let mut answer = text("application/json", r#"{"status":"stopping"}"#);
    *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    answer
}

async fn metrics(shared: &Arc<Shared>) -> Answer {
    let open = Open {
        connections: shared.connections.len(),
        subscriptions: shared.subscriptions.value(),
        transactions: shared.open_transactions.value(),
        sql: shared.sql.open(),
    };
    let figures = shared.clone();
    let page = shared
        .workers
        .run(Class::Read, move || figures.metrics.page(open, figures.subscription_statistics()))
        .await;
    match page {
        Ok(page) => text(CONTENT_TYPE_OF_METRICS, page),
        Err(error) => {
            tracing::warn!(%error, "the figures cannot be read");
            status(StatusCode::SERVICE_UNAVAILABLE)
        }
    }
}

pub(crate) fn text(kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut response = Response::new(Full::new(body.into()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

pub(crate) fn status(status: StatusCode) -> Answer {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    if !status.is_informational() {
        // As the base: nothing more is heard on a refused connection.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
