//! What an answer may be: anything but an `INTERNAL_ERROR`.

use tandem_base::{Code, Error, Result};

/// The value, or `None` for an error with a code that blames the input.
///
/// # Panics
/// For an `INTERNAL_ERROR`, which blames Tandem.
pub fn coded<T>(answer: Result<T>) -> Option<T> {
    match answer {
        Ok(value) => Some(value),
        Err(error) => {
            blame(&error);
            None
        }
    }
}

/// Panics for an `INTERNAL_ERROR`.
///
/// # Panics
/// As said.
pub fn blame(error: &Error) {
    assert!(error.code() != Code::InternalError, "an input was answered by {error:?}");
}
