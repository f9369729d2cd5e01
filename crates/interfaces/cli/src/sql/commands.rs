//! The commands of the shell: lines that begin with a full stop.

use std::path::Path;

use serde_json::Value;

use crate::sql::desk::Desk;
use crate::sql::failure::{Failure, Result};
use crate::sql::mode::Mode;

/// What a command is called, and what it does.
pub(super) const COMMANDS: [(&str, &str); 11] = [
    (".tables", "the tables"),
    (".schema [TABLE]", "what would make the tables and their indexes"),
    (".indexes [TABLE]", "the indexes"),
    (".import FILE TABLE", "records from a .json, .ndjson or .csv file"),
    (".mode MODE", "how rows are shown: table, json, csv or line"),
    (".timer on|off", "whether the time of each statement is shown"),
    (".explain SQL", "how a statement would be carried out"),
    (".explain on|off", "whether that is shown before each one that reads"),
    (".check", "compares every index with its rows"),
    (".help", "this"),
    (".quit", "the end; an open transaction is rolled back"),
];

/// What comes after a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    GoOn,
    Quit,
}

/// Carries out a line.
///
/// # Errors
/// `VALIDATION_ERROR` for a command that is not known or lacks something; what
/// the door answers.
pub(super) fn run(desk: &mut Desk, line: &str) -> Result<After> {
    // A habit of SQL; nothing here ends with it.
    let line = line.trim().trim_end_matches(';').trim_end();
    let (command, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let words = words(rest);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match (command, words.as_slice()) {
        (".tables", []) => tables(desk)?,
        (".schema", [] | [_]) => schema(desk, words.first().copied())?,
        (".indexes" | ".indices", [] | [_]) => indexes(desk, words.first().copied())?,
        (".import", [file, table]) => import(desk, file, table)?,
        (".mode", [mode]) => {
            desk.mode = Mode::parse(mode).ok_or_else(|| {
                Failure::invalid(format!("A mode is {}, not {mode}", Mode::NAMES))
            })?;
        }
        (".timer", ["on"]) => desk.timer = true,
        (".timer", ["off"]) => desk.timer = false,
        (".explain", ["on"]) => desk.explain = true,
        (".explain", ["off"]) => desk.explain = false,
        (".explain", [_, ..]) => desk.plan(rest.trim())?,
        (".check", []) => check(desk)?,
        (".help", []) => help(desk)?,
        (".quit" | ".exit", []) => return Ok(After::Quit),
        _ => return Err(not_known(command)),
    }
    Ok(After::GoOn)
}

fn not_known(command: &str) -> Failure {
    let is_it = |shown: &str| shown.split(' ').next() == Some(command);
    match COMMANDS.iter().find(|(shown, _)| is_it(shown)) {
        Some((shown, what)) => Failure::invalid(format!("It is {shown}: {what}")),
        None => Failure::invalid(format!("There is no command {command}; .help lists them")),
    }
}

/// Words, which quotes may hold together.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (word, after) = if matches!(first, '"' | '\'') {
            rest[1..].split_once(first).unwrap_or((&rest[1..], ""))
        } else {
            rest.split_once(char::is_whitespace).unwrap_or((rest, ""))
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    words
}

/// The table of that name, or all.
fn chosen(desk: &mut Desk, table: Option<&str>) -> Result<Vec<String>> {
    match table {
        Some(name) => Ok(vec![desk.door.table(name)?]),
        None => desk.door.tables(),
    }
}

fn tables(desk: &mut Desk) -> Result<()> {
    for table in desk.door.tables()? {
        desk.say(&table)?;
    }
    Ok(())
}

fn schema(desk: &mut Desk, table: Option<&str>) -> Result<()> {
    for table in chosen(desk, table)? {
        let config = desk.door.config(&table)?;
        desk.say(&tandem_sql::schema_of(&table, &config))?;
    }
    Ok(())
}

fn indexes(desk: &mut Desk, table: Option<&str>) -> Result<()> {
    for table in chosen(desk, table)? {
        for index in desk.door.indexes(&table)? {
            let fields = index["fields"].as_array().into_iter().flatten();
            let fields: Vec<&str> = fields.filter_map(Value::as_str).collect();
            let mut line = format!("{table}.{} ({})", text(&index["name"]), fields.join(", "));
            for property in ["unique", "multi"] {
                if index[property] == true {
                    line = format!("{line} {property}");
                }
            }
            if let Some(filter) = index.get("filter") {
                line = format!("{line} where {filter}");
            }
            let about = if index["approximate"] == true { "about " } else { "" };
            let (state, entries) = (text(&index["state"]), &index["entries"]);
            desk.say(&format!("{line}: {state}, {about}{entries} entries"))?;
        }
    }
    Ok(())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn import(desk: &mut Desk, file: &str, table: &str) -> Result<()> {
    // The summary goes around the buffer.
    desk.flush()?;
    let known = desk.door.tables()?.iter().any(|known| known.eq_ignore_ascii_case(table));
    let table = if known { desk.door.table(table)? } else { table.to_owned() };
    if desk.door.import(Path::new(file), &table)? {
        Ok(())
    } else {
        Err(Failure::invalid(format!("Not every row of {file} was imported")))
    }
}

fn check(desk: &mut Desk) -> Result<()> {
    let report = desk.door.check()?;
    desk.say(&format!(
        "compared {} rows and {} index entries of {} buckets at revision {}",
        report["rows"], report["entries"], report["buckets"], report["revision"]
    ))?;
    for problem in report["problems"].as_array().into_iter().flatten() {
        desk.say(&format!("{problem}"))?;
    }
    let counts = ["missing", "dangling", "wrongCounts"].map(|name| &report[name]);
    desk.say(&format!(
        "{} missing, {} dangling, {} wrong counts",
        counts[0], counts[1], counts[2]
    ))?;
    if counts.iter().all(|count| **count == 0) {
        Ok(())
    } else {
        Err(Failure::invalid("Indexes and rows disagree; \"tandem check --repair\" mends them"))
    }
}

fn help(desk: &mut Desk) -> Result<()> {
    for (command, what) in COMMANDS {
        desk.say(&format!("{command:<20} {what}"))?;
    }
    desk.say("A statement ends with a semicolon and may be written on several lines.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hold_words_together() {
        assert_eq!(words(" a  'b c' \"d'e\" f"), ["a", "b c", "d'e", "f"]);
        assert_eq!(words("'open"), ["open"]);
        assert!(words("  ").is_empty());
    }
}
