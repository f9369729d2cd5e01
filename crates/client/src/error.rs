use std::borrow::Cow;
use std::fmt;

use serde_json::Value;
use tandem_base::Code;

/// The result of every fallible call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The code of an error of the client itself: the connection was lost, or could
/// not be made, before the answer came. [`Error::outcome`] says what is known
/// of the request.
pub const CONNECTION_LOST: &str = "CONNECTION_LOST";

/// The code of an error of the client itself: the server answered something
/// that the protocol does not allow.
pub const INVALID_ANSWER: &str = "INVALID_ANSWER";

/// Why a request failed: the server's reason, or the client's.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    code: Cow<'static, str>,
    message: Cow<'static, str>,
    retryable: bool,
    details: Option<Value>,
    outcome: Outcome,
}

/// What has become of a request that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Nothing was done.
    Nothing,
    /// The connection was lost after the request was sent: it may have been
    /// carried out, whole, or not at all.
    Unknown,
}

impl Error {
    fn new(code: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            code: code.into(),
            message: message.into(),
            retryable: false,
            details: None,
            outcome: Outcome::Nothing,
        }))
    }

    /// An error frame of the server.
    pub(crate) fn from_frame(frame: &mut Value) -> Self {
        let text = |field: &Value| field.as_str().unwrap_or_default().to_owned();
        let mut error = Self::new(text(&frame["code"]), text(&frame["message"]));
        error.0.retryable = frame["retryable"].as_bool().unwrap_or(false);
        error.0.details = frame.get_mut("details").map(Value::take);
        error
    }

    /// Why a query has ended, if not because it is gone.
    pub(crate) fn from_ending(push: Value) -> Option<Self> {
        if push["reason"] != "limit_exceeded" {
            return None;
        }
        let message = "The result of the query is more than the server answers at once";
        let mut error = Self::new(Code::LimitExceeded.as_str(), message);
        error.0.details = Some(push);
        Some(error)
    }

    pub(crate) fn not_connected(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(CONNECTION_LOST, message)
    }

    /// The transaction has ended with the connection that held it.
    pub(crate) fn rolled_back() -> Self {
        let mut error = Self::new(
            CONNECTION_LOST,
            "The connection was lost and the transaction rolled back with it",
        );
        error.0.retryable = true;
        error
    }

    pub(crate) fn unanswered() -> Self {
        let mut error = Self::new(
            CONNECTION_LOST,
            "The connection was lost before the answer: the request may have been carried out",
        );
        error.0.outcome = Outcome::Unknown;
        error
    }

    pub(crate) fn closed(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::Closed.as_str(), message)
    }

    pub(crate) fn invalid_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::ValidationError.as_str(), message)
    }

    pub(crate) fn invalid_answer(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(INVALID_ANSWER, message)
    }

    /// The stable code, as `docs/errors.md` lists them, or one of the client's
    /// own: [`CONNECTION_LOST`], [`INVALID_ANSWER`].
    #[must_use]
    pub fn code(&self) -> &str {
        &self.0.code
    }

    /// Whether the error has this code.
    #[must_use]
    pub fn is(&self, code: Code) -> bool {
        self.0.code == code.as_str()
    }

    /// The message for a person.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Whether running the whole transaction again may succeed.
    #[must_use]
    pub fn retryable(&self) -> bool {
        self.0.retryable
    }

    /// The structured fields: bucket, key, versions, index, limit and so on.
    #[must_use]
    pub fn details(&self) -> Option<&Value> {
        self.0.details.as_ref()
    }

    /// One structured field.
    #[must_use]
    pub fn detail(&self, field: &str) -> Option<&Value> {
        self.0.details.as_ref()?.get(field)
    }

    /// What has become of the request.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.0.outcome
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code, self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        if let Some(details) = &self.0.details {
            write!(f, " {details}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
