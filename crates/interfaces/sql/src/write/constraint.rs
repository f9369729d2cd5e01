//! Constraints, and what happens when a row breaks one.

use serde_json::Value as Json;
use tandem_base::{Code, Error, Result};

use crate::scope::Scope;
use crate::session::Done;
use crate::table::Table;
use crate::value::Value;
use crate::write::parse::Resolution;
use crate::write::row::RowText;

/// Why a row is not written.
pub(crate) enum Failure {
    /// It breaks a constraint: the conflict clause says what follows.
    Constraint(Error),
    /// The statement fails.
    Statement(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Statement(error)
    }
}

impl Failure {
    /// What comes of the statement; `None`: it goes on with the next row.
    pub(crate) fn resolve(self, resolution: Resolution) -> Result<Option<Done>> {
        match (self, resolution) {
            (Self::Constraint(_), Resolution::Ignore) => Ok(None),
            (Self::Constraint(error), Resolution::Fail) => Ok(Some(Done::InPart(error))),
            (Self::Constraint(error), Resolution::Rollback) => Ok(Some(Done::RolledBack(error))),
            (Self::Constraint(error) | Self::Statement(error), _) => Err(error),
        }
    }

    /// The same where no conflict clause counts.
    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::Constraint(error) | Self::Statement(error) => error,
        }
    }
}

/// What keeps two records from having the same value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unique {
    Key,
    Index(String),
}

/// A row collides with another record.
pub(crate) struct Collision {
    pub(crate) unique: Unique,
    /// The key of the other record.
    pub(crate) holder: Json,
    pub(crate) error: Error,
}

impl Collision {
    /// What the record layer answered to a write, as a collision if it is one.
    pub(crate) fn of(table: &Table, error: Error) -> std::result::Result<Self, Failure> {
        if error.code() == Code::ValidationError && matches!(error.details(), Some(Json::Array(_)))
        {
            // What the bucket's schema demands is a kind of CHECK.
            return Err(Failure::Constraint(error));
        }
        if error.code() != Code::AlreadyExists {
            return Err(Failure::Statement(error));
        }
        let (unique, holder) = match error.detail("index").and_then(Json::as_str) {
            Some(index) => (Unique::Index(index.to_owned()), error.detail("existingKey")),
            None => (Unique::Key, error.detail("key")),
        };
        let holder = holder.cloned().unwrap_or_default();
        let columns: Vec<String> = match (&unique, error.detail("fields")) {
            (Unique::Index(_), Some(Json::Array(fields))) => fields
                .iter()
                .filter_map(Json::as_str)
                .map(|field| format!("{}.{field}", table.name))
                .collect(),
            _ => {
                let key = table.key.map_or("rowid", |key| table.columns[key].name.as_str());
                vec![format!("{}.{key}", table.name)]
            }
        };
        let message = format!("UNIQUE constraint failed: {}", columns.join(", "));
        let details = error.details().cloned().unwrap_or_default();
        let error = Error::new(Code::AlreadyExists, message).with_details(details);
        Ok(Self { unique, holder, error })
    }
}

/// `NOT NULL constraint failed`.
pub(crate) fn is_null(table: &Table, column: &str) -> Error {
    let message = format!("NOT NULL constraint failed: {}.{column}", table.name);
    Error::new(Code::ConstraintViolation, message)
        .with("bucket", &*table.name)
        .with("field", column)
}

/// The CHECKs of a table.
pub(crate) struct Checks {
    sql: String,
    row: RowText,
}

impl Checks {
    /// `None` if there are none.
    pub(crate) fn of(table: &Table) -> Option<Self> {
        if table.checks.is_empty() {
            return None;
        }
        let expressions: Vec<String> =
            table.checks.iter().map(|check| format!("({})", check.expression)).collect();
        let list = expressions.join(", ");
        let row = RowText::new(table, &list, 0);
        let sql = format!("SELECT {list} FROM {}", row.named(&table.name));
        Some(Self { sql, row })
    }

    /// Whether a CHECK looks at one of these columns.
    pub(crate) fn looks_at(&self, mut is_it: impl FnMut(usize) -> bool) -> bool {
        self.row.columns().any(&mut is_it)
    }

    /// Whether the row that has these values may be; NULL passes.
    pub(crate) fn check(
        &self,
        scope: &Scope<'_>,
        table: &Table,
        value: impl Fn(Option<usize>) -> Value,
    ) -> std::result::Result<(), Failure> {
        let answers = scope.evaluate(&self.sql, &self.row.values(value))?;
        let failed = |answer: &Value| match answer {
            Value::Integer(integer) => *integer == 0,
            Value::Real(real) => *real == 0.0,
            // As numbers, and no CHECK is written so.
            Value::Text(text) => text.trim().parse::<f64>().unwrap_or(0.0) == 0.0,
            Value::Null | Value::Blob(_) => false,
        };
        let Some(at) = answers.iter().position(failed) else { return Ok(()) };
        let check = &table.checks[at];
        let name = check.name.as_ref().unwrap_or(&check.expression);
        let error =
            Error::new(Code::ConstraintViolation, format!("CHECK constraint failed: {name}"))
                .with("bucket", &*table.name)
                .with("check", name.as_str());
        Err(Failure::Constraint(error))
    }
}
