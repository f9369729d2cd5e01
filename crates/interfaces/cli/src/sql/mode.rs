//! How rows are shown.

use std::io::{self, Write};

use serde_json::{Map, Value};

use crate::sql::answer::Answer;
use crate::sql::table;

/// See the [module](self).
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Mode {
    /// Aligned columns in a frame.
    Table,
    /// One array of objects.
    Json,
    /// Comma-separated values below a line that names the columns.
    Csv,
    /// A line for each value.
    Line,
}

impl Mode {
    pub(super) const NAMES: &str = "table, json, csv or line";

    pub(super) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "table" => Self::Table,
            "json" => Self::Json,
            "csv" => Self::Csv,
            "line" => Self::Line,
            _ => return None,
        })
    }

    /// Writes the rows of an answer that has columns.
    ///
    /// # Errors
    /// Those of `out`.
    pub(super) fn write(self, answer: &Answer, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Table => table::write(answer, out),
            Self::Json => json(answer, out),
            Self::Csv => csv(answer, out),
            Self::Line => line(answer, out),
        }
    }
}

/// A value as text; null is empty.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn json(answer: &Answer, out: &mut dyn Write) -> io::Result<()> {
    for (at, row) in answer.rows.iter().enumerate() {
        let names = answer.columns.iter().map(|column| column.name.clone());
        let object: Map<String, Value> = names.zip(row.iter().cloned()).collect();
        let before = if at == 0 { "[" } else { ",\n" };
        write!(out, "{before}{}", Value::Object(object))?;
    }
    writeln!(out, "{}", if answer.rows.is_empty() { "[]" } else { "]" })
}

fn csv(answer: &Answer, out: &mut dyn Write) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(answer.columns.iter().map(|column| column.name.as_str()))?;
    for row in &answer.rows {
        writer.write_record(row.iter().map(text))?;
    }
    writer.flush()
}

fn line(answer: &Answer, out: &mut dyn Write) -> io::Result<()> {
    let widest = answer.columns.iter().map(|column| column.name.chars().count()).max();
    let width = widest.unwrap_or_default();
    for (at, row) in answer.rows.iter().enumerate() {
        if at > 0 {
            writeln!(out)?;
        }
        for (column, value) in answer.columns.iter().zip(row) {
            writeln!(out, "{:>width$} = {}", column.name, text(value))?;
        }
    }
    Ok(())
}
