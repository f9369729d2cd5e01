//! Rows as a table in a frame:
//!
//! ```text
//! +----+------+
//! | id | name |
//! +----+------+
//! |  1 | Ada  |
//! +----+------+
//! ```

use std::io::{self, Write};

use serde_json::Value;

use crate::sql::answer::Answer;

/// Writes the table.
///
/// # Errors
/// Those of `out`.
pub(super) fn write(answer: &Answer, out: &mut dyn Write) -> io::Result<()> {
    let head: Vec<String> = answer.columns.iter().map(|column| one_line(&column.name)).collect();
    let rows: Vec<Vec<String>> =
        answer.rows.iter().map(|row| row.iter().map(shown).collect()).collect();
    let width = |text: &String| text.chars().count();
    let mut widths: Vec<usize> = head.iter().map(width).collect();
    for row in &rows {
        for (widest, text) in widths.iter_mut().zip(row) {
            *widest = width(text).max(*widest);
        }
    }
    let rule: String = widths.iter().map(|width| format!("+{}", "-".repeat(width + 2))).collect();
    writeln!(out, "{rule}+")?;
    for (name, width) in head.iter().zip(&widths) {
        write!(out, "| {name:<width$} ")?;
    }
    writeln!(out, "|\n{rule}+")?;
    for (row, values) in rows.iter().zip(&answer.rows) {
        for ((text, value), width) in row.iter().zip(values).zip(&widths) {
            if value.is_number() {
                write!(out, "| {text:>width$} ")?;
            } else {
                write!(out, "| {text:<width$} ")?;
            }
        }
        writeln!(out, "|")?;
    }
    if !rows.is_empty() {
        writeln!(out, "{rule}+")?;
    }
    Ok(())
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::String(text) => one_line(text),
        other => other.to_string(),
    }
}

/// Without what would break the frame, or steer the terminal.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line
}
