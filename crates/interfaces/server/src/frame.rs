//! Frames: one JSON object per WebSocket text message.
//!
//! Outgoing frames are spliced from parts that are JSON already, so that a
//! record's stored bytes reach the socket without being parsed again.

use bytes::Bytes;
use serde_json::{Map, Number, Value, json};
use tandem_base::{Code, Error};

/// What a client's text message turned out to be.
#[derive(Debug)]
pub(crate) enum Frame {
    /// A request: its id as sent, its type, and its other fields.
    Request(Request),
    /// The answer to a heartbeat.
    Pong,
    /// Not a frame of this protocol; the error answers it, with this id.
    Malformed(Error),
}

/// A request's envelope.
#[derive(Debug)]
pub(crate) struct Request {
    /// Echoed in the answer; any finite number.
    pub(crate) id: Number,
    /// For example `store.insert`.
    pub(crate) kind: String,
    /// Everything else at the top level.
    pub(crate) fields: Map<String, Value>,
}

/// Reads one text message.
pub(crate) fn parse(text: &[u8]) -> Frame {
    match parse_object(text) {
        Ok(frame) => frame,
        Err(error) => Frame::Malformed(error),
    }
}

fn parse_object(text: &[u8]) -> Result<Frame, Error> {
    let value: Value =
        serde_json::from_slice(text).map_err(|_| Error::new(Code::ParseError, "Invalid JSON"))?;
    let Value::Object(mut fields) = value else {
        return Err(Error::new(Code::ParseError, "Message must be a JSON object"));
    };
    let kind = match fields.shift_remove("type") {
        Some(Value::String(kind)) if !kind.is_empty() => kind,
        _ => return Err(invalid("Message must include non-empty string \"type\"")),
    };
    if kind == "pong" {
        return match fields.get("timestamp") {
            Some(Value::Number(_)) => Ok(Frame::Pong),
            _ => Err(invalid("Pong must include finite numeric \"timestamp\"")),
        };
    }
    match fields.shift_remove("id") {
        Some(Value::Number(id)) => Ok(Frame::Request(Request { id, kind, fields })),
        _ => Err(invalid("Request must include finite numeric \"id\"")),
    }
}

fn invalid(message: &'static str) -> Error {
    Error::new(Code::InvalidRequest, message)
}

/// The id of the answer to a message that has none.
pub(crate) fn no_id() -> Number {
    Number::from(0)
}

/// The first frame of a connection.
pub(crate) fn welcome(now_ms: u64) -> Vec<u8> {
    let frame = json!({
        "type": "welcome", "version": "1.0.0", "serverTime": now_ms, "requiresAuth": false
    });
    frame.to_string().into_bytes()
}

/// A heartbeat.
pub(crate) fn ping(now_ms: u64) -> Vec<u8> {
    json!({ "type": "ping", "timestamp": now_ms }).to_string().into_bytes()
}

/// Announces that the server stops after a time of grace.
pub(crate) fn shutdown(grace_period_ms: u64) -> Vec<u8> {
    let frame = json!({ "type": "system", "event": "shutdown", "gracePeriodMs": grace_period_ms });
    frame.to_string().into_bytes()
}

/// A successful answer. `data` is JSON text.
pub(crate) fn result(id: &Number, data: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(48 + data.len());
    frame.extend_from_slice(b"{\"id\":");
    frame.extend_from_slice(id.to_string().as_bytes());
    frame.extend_from_slice(b",\"type\":\"result\",\"data\":");
    frame.extend_from_slice(data);
    frame.push(b'}');
    frame
}

/// A failed answer.
pub(crate) fn error(id: &Number, error: &Error, expose_details: bool) -> Vec<u8> {
    let mut frame = Map::new();
    frame.insert("id".into(), Value::Number(id.clone()));
    frame.insert("type".into(), "error".into());
    frame.insert("code".into(), error.code().as_str().into());
    frame.insert("message".into(), error.message().into());
    frame.insert("retryable".into(), error.retryable().into());
    if expose_details && let Some(details) = error.details() {
        frame.insert("details".into(), details.clone());
    }
    Value::Object(frame).to_string().into_bytes()
}

/// Something that a subscription has to say. `data` is JSON text.
pub(crate) fn push(channel: &str, subscription: u64, data: &[u8]) -> Vec<u8> {
    let mut frame = push_head(channel, subscription, data.len());
    frame.extend_from_slice(data);
    frame.push(b'}');
    frame
}

/// As [`push`], with data that other subscriptions get too.
pub(crate) fn shared_push(channel: &str, subscription: u64, data: Bytes) -> Outgoing {
    Outgoing { own: push_head(channel, subscription, 0), shared: Some(data) }
}

fn push_head(channel: &str, subscription: u64, room: usize) -> Vec<u8> {
    let mut frame = Vec::with_capacity(80 + room);
    frame.extend_from_slice(b"{\"type\":\"push\",\"channel\":\"");
    frame.extend_from_slice(channel.as_bytes());
    frame.extend_from_slice(b"\",\"subscriptionId\":\"sub-");
    frame.extend_from_slice(subscription.to_string().as_bytes());
    frame.extend_from_slice(b"\",\"data\":");
    frame
}

/// A frame that waits to be sent. What it has in common with others is held
/// once, however many wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outgoing {
    own: Vec<u8>,
    shared: Option<Bytes>,
}

impl Outgoing {
    /// Whether it tells what others are told as well: a push, and not an answer.
    pub(crate) fn is_shared(&self) -> bool {
        self.shared.is_some()
    }

    /// The bytes that it will be.
    pub(crate) fn len(&self) -> usize {
        self.own.len() + self.shared.as_ref().map_or(0, |shared| shared.len() + 1)
    }

    /// The frame as it is sent.
    pub(crate) fn into_text(self) -> Vec<u8> {
        let mut text = self.own;
        if let Some(shared) = self.shared {
            text.reserve_exact(shared.len() + 1);
            text.extend_from_slice(&shared);
            text.push(b'}');
        }
        text
    }
}

impl From<Vec<u8>> for Outgoing {
    fn from(own: Vec<u8>) -> Self {
        Self { own, shared: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> (Code, String) {
        match parse(text.as_bytes()) {
            Frame::Malformed(error) => (error.code(), error.message().to_owned()),
            other => panic!("accepted: {other:?}"),
        }
    }

    #[test]
    fn malformed_envelopes_are_answered_as_documented() {
        for (text, code, message) in [
            ("{", Code::ParseError, "Invalid JSON"),
            ("[1]", Code::ParseError, "Message must be a JSON object"),
            ("null", Code::ParseError, "Message must be a JSON object"),
            ("{}", Code::InvalidRequest, "Message must include non-empty string \"type\""),
            (
                r#"{"type":""}"#,
                Code::InvalidRequest,
                "Message must include non-empty string \"type\"",
            ),
            (
                r#"{"type":"pong"}"#,
                Code::InvalidRequest,
                "Pong must include finite numeric \"timestamp\"",
            ),
            (r#"{"type":"x"}"#, Code::InvalidRequest, "Request must include finite numeric \"id\""),
            (
                r#"{"type":"x","id":"1"}"#,
                Code::InvalidRequest,
                "Request must include finite numeric \"id\"",
            ),
        ] {
            assert_eq!(refused(text), (code, message.to_owned()), "{text}");
        }
    }

    #[test]
    fn any_finite_number_is_an_id_and_is_echoed() {
        for id in ["0", "-3", "1.5", "9007199254740993", "18446744073709551615"] {
            let text = format!(r#"{{"type":"x","id":{id}}}"#);
            let Frame::Request(request) = parse(text.as_bytes()) else { panic!("a request") };
            let answer = String::from_utf8(result(&request.id, b"1")).expect("text");
            assert_eq!(answer, format!(r#"{{"id":{id},"type":"result","data":1}}"#));
        }
    }

    #[test]
    fn a_push_reads_the_same_whether_its_data_is_shared_or_not() {
        let shared = shared_push("changes", 7, Bytes::from_static(b"[1]"));
        let own = push("changes", 7, b"[1]");
        assert_eq!(shared.len(), own.len());
        assert_eq!(shared.into_text(), own);
    }

    #[test]
    fn every_error_frame_says_whether_a_retry_helps() {
        let conflict = Error::new(Code::Conflict, "m").with("bucket", "b");
        let text = String::from_utf8(error(&no_id(), &conflict, true)).expect("text");
        assert!(text.contains("\"retryable\":true") && text.contains("\"details\""));
        let hidden = String::from_utf8(error(&no_id(), &conflict, false)).expect("text");
        assert!(!hidden.contains("details"));
    }
}
