//! A killed process loses nothing that was acknowledged, also when it was only
//! buffered.
#![expect(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use tandem_base::Result;
use tandem_storage::{
    Direction, DiskOptions, DiskStorage, Durability, KeyRange, Storage, WriteBatch,
};

const NAME: &str = "g2_a_killed_process_loses_no_acknowledged_buffered_write";

fn open(path: &Path) -> DiskStorage {
    let options = DiskOptions { write_buffer_bytes: 1 << 20, ..DiskOptions::default() };
    DiskStorage::open(path, &options).unwrap()
}

/// Writes batches of two keys for ever, telling each one that was acknowledged.
fn write_until_killed(path: &Path, from: u64) -> ! {
    let storage = open(path);
    let mut output = std::io::stdout();
    for number in from.. {
        let value = number.to_be_bytes().repeat(100);
        let mut batch = WriteBatch::new();
        batch.put([b"first ", &number.to_be_bytes()[..]].concat(), value.clone());
        batch.put([b"second", &number.to_be_bytes()[..]].concat(), value);
        storage.write(batch, Durability::Buffered).unwrap();
        writeln!(output, "acknowledged {number}").unwrap();
        output.flush().unwrap();
    }
    unreachable!("the parent kills this process")
}

#[test]
fn g2_a_killed_process_loses_no_acknowledged_buffered_write() {
    if let Some(path) = std::env::var_os("TANDEM_TEST_DIRECTORY") {
        let from = std::env::var("TANDEM_TEST_FROM").unwrap().parse().unwrap();
        write_until_killed(path.as_ref(), from);
    }
    let directory = tempfile::tempdir().unwrap();
    let mut next = 0;
    for round in 0..4 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", NAME, "--nocapture"])
            .env("TANDEM_TEST_DIRECTORY", directory.path())
            .env("TANDEM_TEST_FROM", next.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut acknowledged = None;
        let mut seen = 0;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            let Some((_, number)) = line.split_once("acknowledged ") else { continue };
            acknowledged = Some(number.parse::<u64>().unwrap());
            seen += 1;
            if seen == 700 + 150 * round {
                child.kill().unwrap(); // SIGKILL; what is in the pipe is still read.
            }
        }
        child.wait().unwrap();
        let acknowledged = acknowledged.expect("the child wrote");

        let storage = open(directory.path());
        let snapshot = storage.snapshot().unwrap();
        let entries: Vec<_> =
            snapshot.scan(&KeyRange::all(), Direction::Forward).collect::<Result<_>>().unwrap();
        let (first, second) = entries.split_at(entries.len() / 2);
        let batches = first.len() as u64;
        assert!(batches > acknowledged, "round {round}: {acknowledged} is lost");
        for (number, ((first, value), (second, same))) in (0u64..).zip(first.iter().zip(second)) {
            assert_eq!(first[6..], number.to_be_bytes(), "no batch is missing");
            assert_eq!(second[6..], number.to_be_bytes(), "no batch is there in part");
            assert!(value == same && value[..8] == number.to_be_bytes());
        }
        next = batches;
    }
}
