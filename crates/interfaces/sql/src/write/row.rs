//! One row, known by its values, as a table that SQLite evaluates expressions over.

use crate::table::{Affinity, Table, quoted};
use crate::value::Value;

/// `(SELECT ?1 AS "a", …)`: of the columns, those that the expressions mention.
#[derive(Debug)]
pub(crate) struct RowText {
    text: String,
    /// The columns whose values it takes; `None` = the row number.
    parts: Vec<Option<usize>>,
}

impl RowText {
    /// `before` parameters come before those of the row.
    pub(crate) fn new(table: &Table, expressions: &str, before: usize) -> Self {
        let expressions = expressions.to_lowercase();
        let mut parts = Vec::new();
        let mut list = Vec::new();
        for (at, column) in table.columns.iter().enumerate() {
            // A name that has to be escaped is not looked for.
            if column.name.contains('"') || expressions.contains(&column.name.to_lowercase()) {
                parts.push(Some(at));
                let parameter = parameter(column.affinity, before + parts.len());
                list.push(format!("{parameter} AS {}", quoted(&column.name)));
            }
        }
        for name in ["rowid", "oid", "_rowid_"] {
            if table.is_rowid_name(name) && expressions.contains(name) {
                parts.push(None);
                list.push(format!("?{} AS {name}", before + parts.len()));
            }
        }
        if list.is_empty() {
            list.push("NULL AS \"\"".to_owned());
        }
        Self { text: format!("(SELECT {})", list.join(", ")), parts }
    }

    /// The table in a FROM clause.
    pub(crate) fn named(&self, name: &str) -> String {
        format!("{} AS {}", self.text, quoted(name))
    }

    /// The columns that it has.
    pub(crate) fn columns(&self) -> impl Iterator<Item = usize> {
        self.parts.iter().copied().flatten()
    }

    /// The values of its parameters.
    pub(crate) fn values(&self, value: impl Fn(Option<usize>) -> Value) -> Vec<Value> {
        self.parts.iter().map(|part| value(*part)).collect()
    }
}

/// A parameter that compares as a column of that affinity does. The casts leave
/// what such a column stores as it is.
pub(crate) fn parameter(affinity: Affinity, number: usize) -> String {
    match affinity {
        Affinity::Integer | Affinity::Numeric | Affinity::Boolean => {
            format!("CAST(?{number} AS NUMERIC)")
        }
        Affinity::Real => format!("CAST(?{number} AS REAL)"),
        Affinity::Text => format!("CAST(?{number} AS TEXT)"),
        Affinity::Date | Affinity::Json | Affinity::Any => format!("?{number}"),
    }
}
