//! The administrator's door: `POST /rpc` on an address of its own.
//!
//! The body is any wire request, the answer is its wire response. There is no
//! login; whoever reaches the address has every right. So it binds to loopback
//! only, unless the config says otherwise in so many words, and a request that carries an `Origin` comes from a web page in a
//! browser on this machine and is refused.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::ORIGIN;
use hyper::{Method, Request, StatusCode};
use serde_json::json;
use tandem_base::{Error, Result};
use tracing::Instrument;

use crate::data::Data;
use crate::dispatch::dispatch;
use crate::frame::{self, Frame};
use crate::http::{Answer, Destroy, status, text};
use crate::observe::Observed;
use crate::peer::Peer;
use crate::request::Fields;
use crate::shared::Shared;

/// Requests whose effect would end with the request.
const NEED_A_CONNECTION: [&str; 4] =
    ["store.begin", "store.subscribe", "store.subscribeChanges", "store.unsubscribe"];

/// Answers one HTTP request.
///
/// # Errors
/// [`Destroy`] when the body breaks off.
pub(crate) async fn answer(
    shared: Arc<Shared>,
    address: IpAddr,
    request: Request<Incoming>,
) -> Result<Answer, Destroy> {
    if request.uri().path() != "/rpc" {
        return Ok(status(StatusCode::NOT_FOUND));
    }
    if request.method() != Method::POST {
        return Ok(status(StatusCode::METHOD_NOT_ALLOWED));
    }
    if request.headers().contains_key(ORIGIN) {
        return Ok(status(StatusCode::FORBIDDEN));
    }
    let body =
        match Limited::new(request.into_body(), shared.config.max_payload_bytes).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                return Ok(status(StatusCode::PAYLOAD_TOO_LARGE));
            }
            Err(_) => return Err(Destroy),
        };
    // In a task of its own: a client that goes away does not cancel it.
    let work = tokio::spawn(async move { respond(shared, address, &body).await });
    Ok(match work.await {
        Ok(frame) => text("application/json", frame),
        Err(failure) => {
            tracing::error!(%failure, "an administrator's request failed");
            status(StatusCode::INTERNAL_SERVER_ERROR)
        }
    })
}

/// The frame that answers one request.
pub(crate) async fn respond(shared: Arc<Shared>, address: IpAddr, body: &[u8]) -> Vec<u8> {
    let malformed = match frame::parse(body) {
        Frame::Malformed(error) => error,
        Frame::Pong => Error::validation("A pong needs a WebSocket"),
        Frame::Request(request) => {
            let id = request.id.clone();
            let observed = Observed::begin(&shared, 0, &request);
            let answer = carry_out(&shared, address, request).instrument(observed.span()).await;
            observed.end(&shared, &answer);
            return shared.response(&id, answer);
        }
    };
    shared.metrics.request("", Some(&malformed), Duration::ZERO);
    shared.response(&frame::no_id(), Err(malformed))
}

async fn carry_out(shared: &Arc<Shared>, address: IpAddr, request: frame::Request) -> Result<Data> {
    let kind = request.kind.as_str();
    if NEED_A_CONNECTION.contains(&kind) {
        return Err(Error::validation(format!("\"{kind}\" needs a WebSocket")));
    }
    if kind == "server.shutdown" {
        return shutdown(shared, Fields(request.fields));
    }
    let mut peer = Peer::administrator(shared.clone(), address);
    dispatch(&mut peer, request).await
}

/// `{gracePeriodMs?}` → `{stopping: true}`.
fn shutdown(shared: &Shared, mut fields: Fields) -> Result<Data> {
    let grace = fields.optional_milliseconds("gracePeriodMs", true)?;
    shared.shutdown.request(grace.unwrap_or(Duration::ZERO));
    Ok(Data::value(json!({ "stopping": true })))
}
