//! Tables in the documents say what the code says.

#![allow(clippy::unwrap_used, reason = "in tests, a failed step fails the test")]

use std::fs;
use std::path::Path;

use tandem::{Code, Kind};

fn document(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    fs::read_to_string(path).unwrap()
}

/// The cells of each row of a document's tables.
fn rows(text: &str) -> Vec<Vec<String>> {
    text.lines()
        .filter(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

#[test]
fn errors_lists_every_code_with_its_kind() {
    let listed: Vec<(String, String)> = rows(&document("errors.md"))
        .into_iter()
        .filter(|row| row[0].starts_with('`'))
        .map(|row| (row[0].trim_matches('`').to_owned(), row[2].clone()))
        .collect();
    let known: Vec<(String, String)> = Code::ALL
        .iter()
        .map(|code| {
            let advice = match code.kind() {
                Kind::Retry => "retry the transaction",
                Kind::FixInput => "fix the input",
                Kind::Wait => "wait",
                Kind::Reopen => "reopen",
                Kind::GiveUp => "give up",
            };
            (code.as_str().to_owned(), advice.to_owned())
        })
        .collect();
    assert_eq!(listed, known);
}
