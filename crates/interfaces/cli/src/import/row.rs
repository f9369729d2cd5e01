//! What every reader of rows answers, and what they share.

use std::io::BufRead;

use serde_json::{Map, Value};

/// The longest text of one row that is read; a longer one ends the import.
pub(super) const MAX_ROW_BYTES: usize = 16 << 20;

/// A record as it stands in the file.
pub(super) struct Row {
    /// The line that it begins on, from 1.
    pub(super) line: u64,
    /// The length of its text.
    pub(super) bytes: usize,
    pub(super) fields: Map<String, Value>,
}

/// A row that cannot be imported.
#[derive(Debug)]
pub(super) struct BadRow {
    /// The line of the problem, from 1.
    pub(super) line: u64,
    pub(super) problem: String,
    /// Whether the rest of the file cannot be read either.
    pub(super) fatal: bool,
}

impl BadRow {
    pub(super) fn new(line: u64, problem: impl Into<String>) -> Self {
        Self { line, problem: problem.into(), fatal: false }
    }

    pub(super) fn fatal(line: u64, problem: impl Into<String>) -> Self {
        Self { line, problem: problem.into(), fatal: true }
    }

    pub(super) fn too_long(line: u64) -> Self {
        Self::fatal(line, format!("a row is longer than {MAX_ROW_BYTES} bytes"))
    }
}

impl Row {
    /// The row of a JSON object that begins on `line`.
    pub(super) fn from_json(text: &[u8], line: u64) -> Result<Self, BadRow> {
        match serde_json::from_slice(text.trim_ascii_end()) {
            Ok(Value::Object(fields)) => Ok(Self { line, bytes: text.len(), fields }),
            Ok(_) => Err(BadRow::new(line, "not an object")),
            Err(error) => {
                let place = format!(" at line {} column {}", error.line(), error.column());
                let problem = error.to_string().replace(&place, "");
                let line = line + (error.line() as u64).saturating_sub(1);
                Err(BadRow::new(line, format!("not JSON: {problem} (column {})", error.column())))
            }
        }
    }
}

/// Skips the mark that some programs begin UTF-8 files with.
pub(super) fn skip_byte_order_mark(input: &mut dyn BufRead) -> std::io::Result<()> {
    if input.fill_buf()?.starts_with(b"\xEF\xBB\xBF") {
        input.consume(3);
    }
    Ok(())
}
