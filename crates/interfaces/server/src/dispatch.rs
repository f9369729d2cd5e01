//! From a request's type to what answers it.

use tandem_base::{Code, Error, Result};
use tokio::task::coop::consume_budget;

use crate::data::Data;
use crate::frame::Request;
use crate::peer::Peer;
use crate::request::{Fields, at_hand, server_operation, store_operation};
use crate::workers::at_once;

/// Carries out one request.
pub(crate) async fn dispatch(peer: &mut Peer, request: Request) -> Result<Data> {
    let kind = request.kind.as_str();
    let fields = Fields(request.fields);
    match kind.split_once('.').map(|(prefix, _)| prefix) {
        Some("store") => store(peer, kind, fields).await,
        Some("sql") => {
            peer.sql_request(kind, fields).await.unwrap_or_else(|| Err(unknown_operation(kind)))
        }
        Some("server") => server_operation(peer, kind).await,
        Some("auth") => Err(unknown("Authentication is not configured")),
        Some("identity") => Err(unknown("Identity management is not configured")),
        Some("audit") => Err(unknown("Audit log is not configured")),
        Some("rules") => Err(Error::new(Code::RulesNotAvailable, "No rules engine is configured")),
        _ => Err(unknown_operation(kind)),
    }
}

async fn store(peer: &mut Peer, kind: &str, mut fields: Fields) -> Result<Data> {
    if let Some((class, handler)) = store_operation(kind) {
        let handle = fields.optional_string("transaction")?;
        if handle.is_none()
            && let Some(at_hand) = at_hand(kind)
        {
            // However many come at once: others have their turn between them.
            consume_budget().await;
            if let Some(answer) = at_once(|| at_hand(peer.store(), &fields).transpose())? {
                return Ok(answer);
            }
        }
        return peer.on_store(class, handle.as_deref(), move |scope| handler(scope, fields)).await;
    }
    if let Some(answer) = peer.transaction_request(kind, &mut fields).await {
        return answer;
    }
    if let Some(answer) = peer.subscription_request(kind, &mut fields).await {
        return answer;
    }
    match kind {
        "store.stats" => server_operation(peer, kind).await,
        _ => Err(unknown_operation(kind)),
    }
}

pub(crate) fn unknown_operation(kind: &str) -> Error {
    unknown(format!("Unknown operation \"{kind}\""))
}

fn unknown(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(Code::UnknownOperation, message)
}
