use std::sync::Arc;

use serde_json::{Map, Value};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::error::{Error, Result};

/// A request on its way.
pub(crate) struct Call {
    pub(crate) kind: String,
    /// Shared with whoever may send them again.
    pub(crate) fields: Arc<Map<String, Value>>,
    /// The connection on which it means something: it names a transaction.
    pub(crate) session: Option<u64>,
    pub(crate) reply: oneshot::Sender<Result<Reply>>,
    pub(crate) _room: Option<OwnedSemaphorePermit>,
}

/// A successful answer, and the connection that it came from.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) data: Value,
    pub(crate) session: u64,
}

/// Requests that change nothing: sending one twice does no harm.
const READS: [&str; 22] = [
    "store.get",
    "store.all",
    "store.where",
    "store.findOne",
    "store.count",
    "store.first",
    "store.last",
    "store.paginate",
    "store.sum",
    "store.avg",
    "store.min",
    "store.max",
    "store.groupBy",
    "store.aggregate",
    "store.explain",
    "store.getBucketSchema",
    "store.buckets",
    "store.indexes",
    "store.listQueries",
    "store.stats",
    "server.stats",
    "server.connections",
];

impl Call {
    /// Whether it may be sent on another connection after it was sent on one.
    pub(crate) fn is_repeatable(&self) -> bool {
        self.session.is_none() && READS.contains(&self.kind.as_str())
    }

    /// Whether nobody waits for the answer any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    /// Its frame.
    pub(crate) fn frame(&self, id: u64) -> String {
        frame(id, &self.kind, &self.fields)
    }

    pub(crate) fn answer(self, result: Result<Reply>) {
        let _abandoned = self.reply.send(result);
    }

    /// The connection that it was sent on, or was meant for, is lost.
    pub(crate) fn lost(self, sent: bool) {
        let ends_with_the_socket = self.session.is_some() || self.kind == "store.begin";
        let error = if ends_with_the_socket && !(sent && self.kind == "store.commit") {
            Error::rolled_back()
        } else {
            Error::unanswered()
        };
        self.answer(Err(error));
    }
}

/// A request as text, without copying its fields.
pub(crate) fn frame(id: u64, kind: &str, fields: &Map<String, Value>) -> String {
    let mut text = format!("{{\"id\":{id},\"type\":{}", Value::from(kind)).into_bytes();
    for (name, value) in fields {
        text.push(b',');
        let written = serde_json::to_writer(&mut text, name);
        written.expect("a string is written into memory");
        text.push(b':');
        let written = serde_json::to_writer(&mut text, value);
        written.expect("a value is written into memory");
    }
    text.push(b'}');
    String::from_utf8(text).expect("JSON is written as UTF-8")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_frame_has_its_fields_at_the_top_level() {
        let Value::Object(fields) = json!({ "bucket": "a\"b", "key": 1 }) else { panic!("object") };
        let text = frame(7, "store.get", &fields);
        assert_eq!(text, r#"{"id":7,"type":"store.get","bucket":"a\"b","key":1}"#);
    }
}
