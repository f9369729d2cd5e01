//! Why a statement or a command failed, at either door.

use std::fmt;

use serde_json::{Map, Value, json};

use crate::message;

/// See the [module](self).
#[derive(Clone, Debug)]
pub(super) struct Failure {
    code: String,
    message: String,
    retryable: bool,
    details: Box<Map<String, Value>>,
}

pub(super) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// Something that the person has to write otherwise.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        tandem::Error::validation(message.into()).into()
    }

    /// As programs read it: the details beside code and message.
    pub(super) fn to_json(&self) -> Value {
        let mut error = json!({
            "code": self.code, "message": self.message, "retryable": self.retryable,
        });
        for (name, value) in &*self.details {
            error[name] = value.clone();
        }
        json!({ "error": error })
    }

    /// The error as a person reads it below the statement that begins on line
    /// `first` of its input: with the place, and the line that it is in.
    pub(super) fn shown(&self, statement: &str, first: u64) -> String {
        let Some((line, column)) = self.place() else { return self.to_string() };
        let mut shown = format!("{self} (line {}, column {column})", first + line as u64 - 1);
        if let Some(text) = statement.lines().nth(line - 1) {
            // A tab before the place is one before the caret, however wide it is.
            let before: String =
                text.chars().take(column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            shown.push_str(&format!("\n  {text}\n  {before}^"));
        }
        shown
    }

    fn place(&self) -> Option<(usize, usize)> {
        let number = |name: &str| {
            let number = usize::try_from(self.details.get(name)?.as_u64()?).ok()?;
            (number > 0).then_some(number)
        };
        Some((number("line")?, number("column")?))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = format!("{}: {}", self.code, self.message);
        f.write_str(&message::with_details(said, |name| self.details.get(name)))
    }
}

impl From<tandem::Error> for Failure {
    fn from(error: tandem::Error) -> Self {
        Self {
            code: error.code().as_str().to_owned(),
            message: error.message().to_owned(),
            retryable: error.retryable(),
            details: fields(error.details()),
        }
    }
}

impl From<tandem_client::Error> for Failure {
    fn from(error: tandem_client::Error) -> Self {
        Self {
            code: error.code().to_owned(),
            message: error.message().to_owned(),
            retryable: error.retryable(),
            details: fields(error.details()),
        }
    }
}

fn fields(details: Option<&Value>) -> Box<Map<String, Value>> {
    Box::new(details.and_then(Value::as_object).cloned().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_shown_in_its_line() {
        let error = tandem::Error::new(tandem::Code::SqlError, "no such column: x");
        let failure = Failure::from(error.with("line", 2).with("column", 5));
        assert_eq!(
            failure.shown("SELECT\n\tab x", 10),
            "SQL_ERROR: no such column: x (line 11, column 5)\n  \tab x\n  \t   ^"
        );
    }
}
