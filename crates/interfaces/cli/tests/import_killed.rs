//! `tandem import`, killed half-way.

mod support;

use std::fs::OpenOptions;
use std::io::Write;
use std::process::Command;

use support::{Place, in_time};

const ROWS: usize = 30_000;

fn rows() -> String {
    (0..ROWS).map(|n| format!("{{\"n\":{n},\"text\":\"{}\"}}\n", "x".repeat(40))).collect()
}

/// The file is a pipe at first: when it has taken the first half, the importer
/// has read that but for what a pipe and a buffer hold, and has committed what
/// it read but for one batch.
#[test]
#[expect(clippy::disallowed_methods, reason = "the test feeds a pipe")]
fn g1_a_killed_import_is_completed_and_nothing_is_there_twice() {
    let place = Place::new();
    let text = rows();
    let pipe = place.path("rows.ndjson");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs").success());
    let command = ["import", "rows.ndjson", "--bucket", "items", "--index", "n", "--batch", "500"];
    let mut import = place.start(&command);
    let half = text.as_bytes()[..text.len() / 2].to_vec();
    let fed = pipe.clone();
    let feeder = in_time("the first half", move || {
        let mut feeder = OpenOptions::new().write(true).open(fed).expect("the importer reads");
        feeder.write_all(&half).expect("taken");
        feeder
    });
    import.signal("-KILL");
    assert_eq!(import.wait().code(), None, "killed");
    drop(feeder);

    place.assert_consistent();
    let before = place.records("items").len();
    assert!((ROWS / 4..=ROWS / 2).contains(&before), "{before}");
    assert_eq!(before % 500, 0, "whole batches");

    std::fs::remove_file(&pipe).expect("removed");
    place.write("rows.ndjson", &text);
    let ended = place.run(&command).succeeded();
    let ended = ended.says(&format!("imported {} records into items", ROWS - before));
    ended.says(&format!("{before} records were imported before"));
    let found = place.field("items", "n");
    assert!(found.iter().enumerate().all(|(at, n)| *n == at), "each once, in order");
    assert_eq!(found.len(), ROWS);
    place.assert_consistent();
}
