//! From a request's type to what answers it.

use tandem_base::{Code, Error, Result};

use crate::data::Data;
use crate::frame::Request;
use crate::peer::Peer;
use crate::request::{Fields, server_operation, store_operation};

/// Carries out one request.
pub(crate) async fn dispatch(peer: &mut Peer, request: Request) -> Result<Data> {
    let kind = request.kind.as_str();
    let fields = Fields(request.fields);
    match kind.split_once('.').map(|(prefix, _)| prefix) {
        Some("store") => store(peer, kind, fields).await,
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
