//! Kill -9 under load: what was acknowledged is there, whole; nothing is half.

#![allow(clippy::unwrap_used, reason = "in tests, a failed step fails the test")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;
use tandem::{CheckOptions, Store};

const THREADS: u64 = 4;
const ROUNDS: u64 = 20;

/// Runs the writer until it has acknowledged `commits` commits and kills it.
/// Returns the last number that each thread acknowledged.
fn write_and_kill(directory: &Path, commits: u64) -> BTreeMap<u64, u64> {
    let mut writer = Command::new(env!("CARGO_BIN_EXE_kill_writer"))
        .arg(directory)
        .arg(THREADS.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(writer.stdout.take().unwrap()).lines();
    let mut acknowledged = BTreeMap::new();
    let mut note = |line: String| {
        let mut numbers = line.split(' ').map(|number| number.parse::<u64>().unwrap());
        acknowledged.insert(numbers.next().unwrap(), numbers.next().unwrap());
    };
    for _ in 0..commits {
        note(lines.next().expect("the writer goes on").unwrap());
    }
    writer.kill().unwrap();
    writer.wait().unwrap();
    // What it had acknowledged before it died; a cut line was not acknowledged.
    for line in lines.map_while(Result::ok).filter(|line| line.contains(' ')) {
        note(line);
    }
    acknowledged
}

fn verify(directory: &Path, acknowledged: &BTreeMap<u64, u64>) -> u64 {
    let store = Store::open(directory).unwrap();
    let report = store.check(&CheckOptions::new()).unwrap();
    assert!(report.is_clean(), "{report:?}");
    let mut total = 0;
    for thread in 0..THREADS {
        let counter = store.bucket("counters").get(thread).unwrap().unwrap();
        let last = counter.get("n").unwrap().as_u64().unwrap();
        let acknowledged = acknowledged.get(&thread).copied().unwrap_or(0);
        assert!(last >= acknowledged, "commit {acknowledged} of thread {thread} is lost");
        assert_eq!(counter.version(), last + 1, "one version per commit");

        let of_thread = json!({ "thread": thread });
        let numbers = |bucket: &str| -> Vec<u64> {
            let found = store.bucket(bucket).find(of_thread.clone()).sort("n").records().unwrap();
            found.iter().map(|record| record.get("n").unwrap().as_u64().unwrap()).collect()
        };
        let every: Vec<_> = (1..=last).collect();
        assert_eq!(numbers("audit"), every, "thread {thread}");
        let deleted = |n: u64| n % 3 == 2 && n < last;
        let kept: Vec<_> = every.into_iter().filter(|n| !deleted(*n)).collect();
        assert_eq!(numbers("entries"), kept, "thread {thread}");
        total += last;
    }
    store.close();
    total
}

#[test]
fn g1_g2_g3_acknowledged_commits_survive_kill_and_nothing_is_half() {
    let directory = tempfile::tempdir().unwrap();
    let mut last_total = 0;
    for round in 0..ROUNDS {
        // A different moment of the writer's life each time: while it opens,
        // early, and deep in its load.
        let acknowledged = write_and_kill(directory.path(), 1 + round * 17 % 200);
        let total = verify(directory.path(), &acknowledged);
        assert!(total > last_total, "every round commits");
        last_total = total;
    }
    println!("{ROUNDS} kills, {last_total} commits");
}
