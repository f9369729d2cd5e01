//! One error type for every door of Tandem.
//!
//! A caller decides by [`Kind`] (what to do), a program by [`Code`] (stable,
//! the same word on the wire, in SQL and in Rust), a person by the message,
//! and a tool by the structured details. The codes and their meaning are
//! listed in `docs/errors.md`, which a test compares with this file.

use std::borrow::Cow;
use std::fmt;

use serde_json::{Map, Value, json};

/// The result of every fallible call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $kind:ident;)*) => {
        /// Stable identification of what went wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// Every code, in the order of `docs/errors.md`.
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];

            /// The code as it stands on the wire, e.g. `CONFLICT`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Code::$name => $text,)* }
            }

            /// What the caller should do about it.
            #[must_use]
            pub const fn kind(self) -> Kind {
                match self { $(Code::$name => Kind::$kind,)* }
            }
        }
    };
}

codes! {
    /// The frame or file is not JSON, or not an object.
    ParseError = "PARSE_ERROR", FixInput;
    /// The envelope of a request is malformed.
    InvalidRequest = "INVALID_REQUEST", FixInput;
    /// No request of that type exists.
    UnknownOperation = "UNKNOWN_OPERATION", FixInput;
    /// A field of the request, a record or a definition breaks its rules.
    ValidationError = "VALIDATION_ERROR", FixInput;
    /// The named record, subscription, index or other thing does not exist.
    NotFound = "NOT_FOUND", FixInput;
    /// The key, name or unique value is taken.
    AlreadyExists = "ALREADY_EXISTS", FixInput;
    /// A reference points to nothing, or is still pointed to.
    ReferenceViolation = "REFERENCE_VIOLATION", FixInput;
    /// A check constraint refused the record.
    ConstraintViolation = "CONSTRAINT_VIOLATION", FixInput;
    /// Another transaction committed first; run the whole transaction again.
    Conflict = "CONFLICT", Retry;
    /// The transaction exceeded its idle or total time and was rolled back.
    TransactionExpired = "TRANSACTION_EXPIRED", Retry;
    /// No open transaction has this handle.
    TransactionNotFound = "TRANSACTION_NOT_FOUND", FixInput;
    /// An earlier failure ended this transaction; only rollback is possible.
    TransactionAborted = "TRANSACTION_ABORTED", Retry;
    /// The transaction was begun read-only.
    ReadOnly = "READ_ONLY", FixInput;
    /// No savepoint of that name is open in the transaction.
    SavepointNotFound = "SAVEPOINT_NOT_FOUND", FixInput;
    /// Another transaction kept the record locked for too long.
    LockTimeout = "LOCK_TIMEOUT", Retry;
    /// Two transactions waited for each other; this one was chosen to give way.
    Deadlock = "DEADLOCK", Retry;
    /// A stated limit was reached.
    LimitExceeded = "LIMIT_EXCEEDED", Wait;
    /// Too many requests, logins or subscriptions.
    RateLimited = "RATE_LIMITED", Wait;
    /// The connection cannot take more data now.
    Backpressure = "BACKPRESSURE", Wait;
    /// The operation took longer than allowed.
    Timeout = "TIMEOUT", Wait;
    /// The change log no longer reaches back to the asked revision.
    ResyncRequired = "RESYNC_REQUIRED", FixInput;
    /// The bucket is not defined.
    BucketNotDefined = "BUCKET_NOT_DEFINED", FixInput;
    /// The query is not defined.
    QueryNotDefined = "QUERY_NOT_DEFINED", FixInput;
    /// Not logged in, or the session is over.
    Unauthorized = "UNAUTHORIZED", FixInput;
    /// Logged in, but not allowed.
    Forbidden = "FORBIDDEN", FixInput;
    /// No rules engine is configured.
    RulesNotAvailable = "RULES_NOT_AVAILABLE", FixInput;
    /// A statement of SQL is wrong.
    SqlError = "SQL_ERROR", FixInput;
    /// A write to storage failed; the store takes no writes until it is opened again.
    StoreFailed = "STORE_FAILED", Reopen;
    /// Another process has the directory open.
    StoreLocked = "STORE_LOCKED", Wait;
    /// The directory was written by an incompatible format version.
    FormatUnsupported = "FORMAT_UNSUPPORTED", GiveUp;
    /// Stored bytes are damaged.
    Corrupted = "CORRUPTED", GiveUp;
    /// Reading or writing files failed.
    StorageError = "STORAGE_ERROR", Reopen;
    /// The store, connection or subscription is closed.
    Closed = "CLOSED", Reopen;
    /// A defect of Tandem itself.
    InternalError = "INTERNAL_ERROR", GiveUp;
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the caller should do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Run the whole transaction again; it may well succeed.
    Retry,
    /// Change the request, the record or the definition.
    FixInput,
    /// Try again later, or ask for less.
    Wait,
    /// Open the store or connection again.
    Reopen,
    /// No action of the caller helps.
    GiveUp,
}

/// An error with a stable [`Code`], a message and structured details.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    code: Code,
    message: Cow<'static, str>,
    retryable: Option<bool>,
    details: Option<Value>,
}

impl Error {
    /// An error with a code and a message.
    #[must_use]
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner { code, message: message.into(), retryable: None, details: None }))
    }

    /// Replaces the details wholesale.
    #[must_use]
    pub fn with_details(mut self, details: Value) -> Self {
        self.0.details = Some(details);
        self
    }

    /// Adds one structured detail.
    #[must_use]
    pub fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        let details = self.0.details.get_or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(map) = details {
            map.insert(field.to_owned(), value.into());
        }
        self
    }

    /// Puts `prefix` before the message, e.g. `operations[2]: `.
    #[must_use]
    pub fn prefixed(mut self, prefix: &str) -> Self {
        self.0.message = format!("{prefix}{}", self.0.message).into();
        self
    }

    /// States whether running the transaction again can help, where that
    /// differs from what the code's [`Kind`] says (a stale `expectedVersion`
    /// is a `CONFLICT` that no blind retry cures).
    #[must_use]
    pub fn with_retryable(mut self, retryable: bool) -> Self {
        self.0.retryable = Some(retryable);
        self
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// What the caller should do.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.0.retryable {
            Some(true) => Kind::Retry,
            Some(false) if self.0.code.kind() == Kind::Retry => Kind::FixInput,
            _ => self.0.code.kind(),
        }
    }

    /// Whether running the whole transaction again may succeed.
    #[must_use]
    pub fn retryable(&self) -> bool {
        self.kind() == Kind::Retry
    }

    /// The message for a person.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
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

    /// A `VALIDATION_ERROR` with a message.
    #[must_use]
    pub fn validation(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::ValidationError, message)
    }

    /// A `LIMIT_EXCEEDED` that names the limit, its value and what was asked.
    #[must_use]
    pub fn limit(limit: &str, max: u64, actual: u64) -> Self {
        Self::new(Code::LimitExceeded, format!("Limit \"{limit}\" exceeded"))
            .with_details(json!({ "limit": limit, "max": max, "actual": actual }))
    }

    /// An `INTERNAL_ERROR`: an invariant of Tandem does not hold.
    #[must_use]
    pub fn internal(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::InternalError, message)
    }

    /// A `CORRUPTED`: stored bytes do not decode.
    #[must_use]
    pub fn corrupted(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::Corrupted, message)
    }

    /// A `BUCKET_NOT_DEFINED`.
    #[must_use]
    pub fn bucket_not_defined(bucket: &str) -> Self {
        Self::new(Code::BucketNotDefined, format!("Bucket \"{bucket}\" is not defined"))
            .with("bucket", bucket)
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
