//! Where one statement or command is carried out and its answer shown, whoever
//! has written it.

use std::io::{self, BufWriter, Stdout, Write};

use serde_json::Value;

use crate::sql::answer::Answer;
use crate::sql::commands::{self, After};
use crate::sql::door::Door;
use crate::sql::failure::{Failure, Result};
use crate::sql::mode::Mode;

/// See the [module](self).
pub(super) struct Desk {
    pub(super) door: Box<dyn Door>,
    pub(super) mode: Mode,
    /// Whether the time that a statement took is shown.
    pub(super) timer: bool,
    /// Whether the plan of what reads is shown before it.
    pub(super) explain: bool,
    /// Whether a person is told what else happened.
    pub(super) is_talkative: bool,
    pub(super) out: BufWriter<Stdout>,
}

impl Desk {
    pub(super) fn new(door: Box<dyn Door>, mode: Mode) -> Self {
        let out = BufWriter::new(io::stdout());
        Self { door, mode, timer: false, explain: false, is_talkative: false, out }
    }

    /// Carries out text that may hold several statements, until one fails: then
    /// what a person should read is answered. `first` is the line of its input
    /// that it begins on.
    pub(super) fn run(&mut self, text: &str, first: u64) -> std::result::Result<(), String> {
        let parts = match tandem_sql::split(text) {
            Ok(parts) => parts,
            Err(error) => return Err(Failure::from(error).shown(text, first)),
        };
        for (line, statement) in parts {
            self.statement(statement)
                .map_err(|failure| failure.shown(statement, first + line - 1))?;
        }
        Ok(())
    }

    fn statement(&mut self, sql: &str) -> Result<()> {
        if self.explain && is_query(sql) {
            self.plan(sql)?;
        }
        let begun = now();
        let answer = self.door.execute(sql, &Value::Null)?;
        let took = begun.elapsed();
        self.show(&answer).map_err(unwritable)?;
        if self.timer {
            writeln!(self.out, "Time: {:.3} ms", took.as_secs_f64() * 1e3).map_err(unwritable)?;
        }
        self.flush()
    }

    fn show(&mut self, answer: &Answer) -> io::Result<()> {
        let plural = |n: u64| if n == 1 { "" } else { "s" };
        if !answer.columns.is_empty() {
            self.mode.write(answer, &mut self.out)?;
            if self.is_talkative {
                let rows = answer.rows.len() as u64;
                writeln!(self.out, "{rows} row{}", plural(rows))?;
            }
        }
        if self.is_talkative && answer.changes > 0 {
            let changes = answer.changes;
            writeln!(self.out, "{changes} record{} changed", plural(changes))?;
        }
        Ok(())
    }

    /// Shows how a statement would be carried out.
    pub(super) fn plan(&mut self, sql: &str) -> Result<()> {
        let sql = format!("EXPLAIN QUERY PLAN {sql}");
        let answer = self.door.execute(&sql, &Value::Null)?;
        // Rows are (id, parent, unused, detail), parents first.
        let mut depths = std::collections::BTreeMap::new();
        for row in &answer.rows {
            let [id, parent, _, detail] = row.as_slice() else { continue };
            let depth = depths.get(&parent.as_i64()).map_or(0, |depth| depth + 1);
            depths.insert(id.as_i64(), depth);
            self.say(&format!("{}{}", "  ".repeat(depth), detail.as_str().unwrap_or_default()))?;
        }
        self.flush()
    }

    /// Carries out a command: a line that begins with a full stop.
    pub(super) fn command(&mut self, line: &str) -> Result<After> {
        let after = commands::run(self, line)?;
        self.flush()?;
        Ok(after)
    }

    /// Writes a line.
    pub(super) fn say(&mut self, line: &str) -> Result<()> {
        writeln!(self.out, "{line}").map_err(unwritable)
    }

    pub(super) fn flush(&mut self) -> Result<()> {
        self.out.flush().map_err(unwritable)
    }
}

/// Whether it is one that `EXPLAIN QUERY PLAN` may stand before.
fn is_query(sql: &str) -> bool {
    let first = sql.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    ["SELECT", "WITH", "VALUES"].iter().any(|word| word.eq_ignore_ascii_case(first))
}

#[expect(clippy::disallowed_methods, reason = "a person is told how long it took")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

/// Nobody reads the answers any more.
fn unwritable(error: io::Error) -> Failure {
    tandem::Error::new(tandem::Code::StorageError, format!("Cannot write the answer: {error}"))
        .into()
}
