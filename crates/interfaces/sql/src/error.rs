//! Errors of SQLite as errors of Tandem.

use rusqlite::ffi;
use tandem_base::{Code, Error};

use crate::output::sql_error;
use crate::shared::Shared;

/// What `error` is to a user. If a table of Tandem caused it, that one's error,
/// whole.
pub(crate) fn of(error: rusqlite::Error, shared: &Shared) -> Error {
    if let Some(cause) = shared.take_failure() {
        return cause;
    }
    match error {
        rusqlite::Error::SqlInputError { msg, sql, offset, .. } => {
            let error = sql_error(msg);
            let Some(before) = usize::try_from(offset).ok().and_then(|at| sql.get(..at)) else {
                return error;
            };
            let line = before.matches('\n').count() + 1;
            let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
            error.with("line", line).with("column", column)
        }
        rusqlite::Error::SqliteFailure(failure, message) => {
            let message = message.unwrap_or_else(|| failure.to_string());
            let code = match failure.extended_code & 0xff {
                ffi::SQLITE_INTERRUPT => return too_late(),
                ffi::SQLITE_TOOBIG => return beyond("sqlBytes", message),
                ffi::SQLITE_NOMEM => return beyond("sqlHeapBytes", message),
                _ => Code::SqlError,
            };
            Error::new(code, message)
        }
        other => sql_error(other.to_string()),
    }
}

/// A statement has run for longer than it may.
pub(crate) fn too_late() -> Error {
    Error::new(Code::Timeout, "The statement ran for too long").with("limit", "statementTime")
}

/// SQLite tells that a limit was reached, and not by how much.
fn beyond(limit: &str, message: String) -> Error {
    Error::new(Code::LimitExceeded, message).with("limit", limit)
}
