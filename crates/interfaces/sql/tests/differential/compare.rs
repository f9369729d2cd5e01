//! What a statement answered, in a form that both can be compared in.

use rusqlite::ErrorCode;
use rusqlite::types::ValueRef;
use tandem::{Code, Error};
use tandem_sql::{Session, Value};

#[derive(Debug, PartialEq)]
pub(crate) enum Answer {
    /// Rows, in no particular order.
    Rows(Vec<Vec<String>>),
    Changed(u64),
    Failed(Class),
}

/// What kind of error it is, to the program that gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Unique,
    NotNull,
    Check,
    Reference,
    Type,
    /// The statement is wrong: no such table, a table that exists, no such savepoint.
    Statement,
    Other,
}

impl Class {
    /// Whether a rule about rows was broken. Of several, SQLite and Tandem may name
    /// different ones first.
    pub(crate) fn is_constraint(self) -> bool {
        !matches!(self, Self::Statement | Self::Other)
    }
}

pub(crate) fn by_sqlite(sqlite: &rusqlite::Connection, sql: &str) -> Answer {
    let run = || -> rusqlite::Result<Answer> {
        let mut statement = sqlite.prepare(sql)?;
        // Some ALTERs have columns, and never a row.
        if statement.column_count() == 0 || sql.starts_with("ALTER") {
            let before = sqlite.total_changes();
            let changed = if sql.starts_with("ALTER") {
                statement.query([])?.next()?;
                0
            } else {
                statement.execute([])?
            };
            let counts = sqlite.total_changes() != before;
            return Ok(Answer::Changed(if counts { changed as u64 } else { 0 }));
        }
        let columns = statement.column_count();
        let mut rows = statement.query([])?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            let shown = |at| row.get_ref(at).map(of_sqlite);
            all.push((0..columns).map(shown).collect::<rusqlite::Result<_>>()?);
        }
        all.sort();
        Ok(Answer::Rows(all))
    };
    run().unwrap_or_else(|error| Answer::Failed(class_of_sqlite(&error)))
}

fn of_sqlite(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Integer(integer) => integer.to_string(),
        ValueRef::Real(real) => format!("{real:?}"),
        ValueRef::Text(text) => format!("'{}'", String::from_utf8_lossy(text)),
        ValueRef::Blob(blob) => format!("{blob:?}"),
    }
}

fn class_of_sqlite(error: &rusqlite::Error) -> Class {
    use rusqlite::ffi;
    if let rusqlite::Error::SqlInputError { .. } = error {
        return Class::Statement;
    }
    let Some(failure) = error.sqlite_error() else { return Class::Other };
    match failure.extended_code {
        ffi::SQLITE_CONSTRAINT_UNIQUE
        | ffi::SQLITE_CONSTRAINT_PRIMARYKEY
        | ffi::SQLITE_CONSTRAINT_ROWID => Class::Unique,
        ffi::SQLITE_CONSTRAINT_NOTNULL => Class::NotNull,
        ffi::SQLITE_CONSTRAINT_CHECK => Class::Check,
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY | ffi::SQLITE_CONSTRAINT_TRIGGER => Class::Reference,
        ffi::SQLITE_CONSTRAINT_DATATYPE | ffi::SQLITE_MISMATCH => Class::Type,
        _ if failure.code == ErrorCode::Unknown => Class::Statement,
        _ => Class::Other,
    }
}

pub(crate) fn by_tandem(session: &Session, sql: &str) -> Answer {
    match session.execute(sql, ()) {
        Ok(output) if output.columns.is_empty() => Answer::Changed(output.changes),
        Ok(output) => {
            let shown = |row: &tandem_sql::Row| row.values().iter().map(of_tandem).collect();
            let mut rows: Vec<Vec<String>> = output.rows.iter().map(shown).collect();
            rows.sort();
            Answer::Rows(rows)
        }
        Err(error) => Answer::Failed(class_of_tandem(&error)),
    }
}

fn of_tandem(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Integer(integer) => integer.to_string(),
        Value::Real(real) => format!("{real:?}"),
        Value::Text(text) => format!("'{text}'"),
        Value::Blob(blob) => format!("{blob:?}"),
    }
}

fn class_of_tandem(error: &Error) -> Class {
    let message = error.message();
    match error.code() {
        Code::AlreadyExists if message.starts_with("UNIQUE") => Class::Unique,
        Code::ConstraintViolation if message.starts_with("NOT NULL") => Class::NotNull,
        Code::ConstraintViolation if message.starts_with("CHECK") => Class::Check,
        Code::ConstraintViolation if message.starts_with("cannot store") => Class::Type,
        Code::ReferenceViolation => Class::Reference,
        Code::SqlError
        | Code::BucketNotDefined
        | Code::AlreadyExists
        | Code::SavepointNotFound
        | Code::NotFound => Class::Statement,
        code => {
            eprintln!("{code}: {message}");
            Class::Other
        }
    }
}
