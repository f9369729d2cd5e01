use std::io::{IsTerminal, Read};

use indicatif::{ProgressBar, ProgressStyle};

use crate::import::row::BadRow;

/// Bad rows are listed up to here, counted beyond.
const LISTED: u64 = 100;

/// What a person sees of an import: a progress bar on a terminal, bad rows with
/// their lines, a summary.
pub(super) struct Report {
    bar: ProgressBar,
    imported: u64,
    imported_before: u64,
    left_out: u64,
    bad: u64,
}

impl Report {
    pub(super) fn new(bytes: u64) -> Self {
        let bar = if std::io::stderr().is_terminal() {
            let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {msg} {eta}");
            ProgressBar::new(bytes)
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        } else {
            ProgressBar::hidden()
        };
        Self { bar, imported: 0, imported_before: 0, left_out: 0, bad: 0 }
    }

    /// `input`, moving the bar as it is read.
    pub(super) fn counting<R: Read>(&self, input: R) -> impl Read + use<R> {
        self.bar.wrap_read(input)
    }

    pub(super) fn imported(&mut self, rows: usize) {
        self.imported += rows as u64;
        self.bar.set_message(format!("{} records", self.imported));
    }

    pub(super) fn imported_before(&mut self, rows: usize) {
        self.imported_before += rows as u64;
    }

    /// Good rows that are not imported because of bad ones in their batch.
    pub(super) fn left_out(&mut self, rows: usize) {
        self.left_out += rows as u64;
    }

    pub(super) fn bad_row(&mut self, BadRow { line, problem, .. }: &BadRow) {
        self.bad += 1;
        if self.bad <= LISTED {
            self.bar.suspend(|| eprintln!("line {line}: {problem}"));
        }
    }

    /// Prints the summary; says whether every row is in the bucket.
    pub(super) fn finish(self, bucket: &str) -> bool {
        self.bar.finish_and_clear();
        println!("imported {} records into {bucket}", self.imported);
        if self.imported_before > 0 {
            println!("{} records were imported before", self.imported_before);
        }
        if self.bad > 0 {
            println!(
                "{} bad rows; with them, {} good rows of their batches were not imported",
                self.bad, self.left_out
            );
        }
        self.bad == 0
    }
}
