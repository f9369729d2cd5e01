//! What is noted of one request: a span around it, a figure for `/metrics`,
//! and a line in the log when it was slow.
//!
//! ```text
//! request{connection=3 type=store.update id=17}: answered outcome=ok took=1.2ms    (debug)
//! request{connection=3 type=store.where id=18}: slow outcome=ok took=2.4s          (warn)
//! ```
//! The span goes with the request to the thread that carries it out, so that
//! whatever is logged there says whose request it was.

use std::time::Duration;

use tandem_base::Result;
use tracing::Span;

use crate::data::Data;
use crate::frame::Request;
use crate::shared::Shared;

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Observed {
    kind: String,
    begun: Duration,
    span: Span,
}

impl Observed {
    /// A request begins; an administrator's has connection 0.
    pub(crate) fn begin(shared: &Shared, connection: u64, request: &Request) -> Self {
        let kind = request.kind.clone();
        let span =
            tracing::debug_span!("request", connection, r#type = kind.as_str(), id = %request.id);
        Self { kind, begun: shared.monotonic(), span }
    }

    /// The span that the request runs in.
    pub(crate) fn span(&self) -> Span {
        self.span.clone()
    }

    /// The request is not carried out, and nobody has looked at its type.
    pub(crate) fn refused(&mut self) {
        self.kind.clear();
    }

    /// The answer is known.
    pub(crate) fn end(self, shared: &Shared, answer: &Result<Data>) {
        let took = shared.monotonic().saturating_sub(self.begun);
        let error = answer.as_ref().err();
        shared.metrics.request(&self.kind, error, took);
        let outcome = error.map_or("ok", |error| error.code().as_str());
        let _inside = self.span.enter();
        let slow = shared.config.slow_request;
        if !slow.is_zero() && took >= slow {
            shared.metrics.slow_request();
            // Not every subscriber shows the span's fields.
            tracing::warn!(r#type = self.kind, outcome, ?took, "slow");
        } else {
            tracing::debug!(outcome, ?took, "answered");
        }
    }
}
