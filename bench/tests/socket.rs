//! The group `socket` from end to end, in small: its servers are processes of
//! their own, which no unit test can start.

#![expect(clippy::disallowed_methods, reason = "reads what a run has written")]

use std::process::Command;

use serde_json::Value;

fn texts<'a>(rows: &'a Value, field: &str) -> Vec<&'a str> {
    let rows = rows.as_array().expect("rows");
    rows.iter().map(|row| row[field].as_str().expect("a text")).collect()
}

#[test]
fn every_line_is_measured_beside_its_peer_and_says_what_it_survives() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("run.json");
    let run = Command::new(env!("CARGO_BIN_EXE_tandem-bench"))
        .args(["socket", "--smoke", "--directory"])
        .arg(directory.path())
        .arg("--json")
        .arg(&file)
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let run: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let group = &run["groups"][0];
    let mut expected = Vec::new();
    let mut ratios = Vec::new();
    for request in ["get", "insert", "batch of 3"] {
        for shape in ["1 × 1", "8 × 16"] {
            expected.extend([format!("raw {request}, {shape}"), format!("{request}, {shape}")]);
            ratios.push(format!("{request}, {shape}"));
        }
    }
    expected.extend(["transfer, embedded".to_owned(), "transfer, socket".to_owned()]);
    ratios.push("transfer, socket".to_owned());
    assert_eq!(texts(&group["lines"], "line"), expected);
    assert_eq!(texts(&group["ratios"], "of"), ratios);
    for line in group["lines"].as_array().unwrap() {
        let is_raw = line["line"].as_str().unwrap().starts_with("raw ");
        let survives = if is_raw { "nothing: no store" } else { "power cut: fdatasync" };
        assert_eq!(line["survives"], survives, "{line}");
    }
    let bounds = texts(&group["bounds"], "what");
    assert!(bounds.iter().any(|what| what.starts_with("delivery to 20")), "{bounds:?}");
}
