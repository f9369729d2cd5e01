//! What a statement answers.

use std::sync::Arc;

use tandem_base::{Code, Error, Result};

use crate::value::Value;

/// A column of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputColumn {
    /// Its name: what `AS` says, or the expression.
    pub name: String,
    /// The type that the column was declared with; `None` for an expression.
    pub declared_type: Option<String>,
}

/// The answer of one statement.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Output {
    /// Its columns; none for a statement that answers no rows.
    pub columns: Arc<[OutputColumn]>,
    /// Its rows.
    pub rows: Vec<Row>,
    /// How many records it inserted, updated or deleted.
    pub changes: u64,
    /// The key of the record that it inserted last.
    pub last_key: Option<serde_json::Value>,
}

/// A row of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub(crate) columns: Arc<[OutputColumn]>,
    pub(crate) values: Vec<Value>,
}

impl Row {
    /// Its values, in the order of the columns.
    #[must_use]
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// The value of the column at a place (from 0) or of a name, as a type of
    /// Rust.
    ///
    /// ```
    /// # fn main() -> tandem::Result<()> {
    /// let store = tandem::Store::memory()?;
    /// let session = tandem_sql::Session::new(&store)?;
    /// let answer = session.query("SELECT 1 AS one, 'a', NULL", ())?;
    /// let row = &answer.rows[0];
    /// assert_eq!(row.get::<i64>("one")?, 1);
    /// assert_eq!(row.get::<String>(1)?, "a");
    /// assert_eq!(row.get::<Option<f64>>(2)?, None);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `VALIDATION_ERROR`: no such column, or its value is of another type.
    pub fn get<T: FromValue>(&self, column: impl ColumnIndex) -> Result<T> {
        let at = column.find(&self.columns).filter(|at| *at < self.values.len());
        let at = at.ok_or_else(|| Error::validation("The answer has no such column"))?;
        T::from_value(&self.values[at]).ok_or_else(|| {
            Error::validation(format!(
                "Column \"{}\" is no {}",
                self.columns[at].name,
                std::any::type_name::<T>()
            ))
            .with("column", self.columns[at].name.as_str())
        })
    }
}

/// What names a column: its place or its name.
pub trait ColumnIndex {
    /// The place of the column among `columns`.
    fn find(&self, columns: &[OutputColumn]) -> Option<usize>;
}

impl ColumnIndex for usize {
    fn find(&self, columns: &[OutputColumn]) -> Option<usize> {
        (*self < columns.len()).then_some(*self)
    }
}

impl ColumnIndex for &str {
    fn find(&self, columns: &[OutputColumn]) -> Option<usize> {
        columns.iter().position(|column| column.name.eq_ignore_ascii_case(self))
    }
}

/// A type that a value of SQL can be read as.
pub trait FromValue: Sized {
    /// `None` if the value is of another kind.
    fn from_value(value: &Value) -> Option<Self>;
}

macro_rules! from_value {
    ($($type:ty: $pattern:pat => $read:expr;)*) => {
        $(impl FromValue for $type {
            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    $pattern => Some($read),
                    _ => None,
                }
            }
        })*
    };
}

from_value! {
    i64: Value::Integer(integer) => *integer;
    bool: Value::Integer(integer) => *integer != 0;
    String: Value::Text(text) => text.clone();
    Vec<u8>: Value::Blob(bytes) => bytes.clone();
}

impl FromValue for Value {
    fn from_value(value: &Value) -> Option<Self> {
        Some(value.clone())
    }
}

impl FromValue for f64 {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Real(real) => Some(*real),
            #[expect(clippy::cast_precision_loss, reason = "asked for as a float")]
            Value::Integer(integer) => Some(*integer as f64),
            _ => None,
        }
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: &Value) -> Option<Self> {
        if value.is_null() { Some(None) } else { T::from_value(value).map(Some) }
    }
}

pub(crate) fn sql_error(message: impl Into<String>) -> Error {
    Error::new(Code::SqlError, message.into())
}
