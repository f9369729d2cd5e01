use std::io::{IsTerminal, Read};

use indicatif::{ProgressBar, ProgressStyle};

use crate::import::row::BadRow;

/// Bad rows are listed up to here, counted beyond.
const LISTED: u64 = 100;

/// What a person sees of an import: a progress bar on a terminal, bad rows with
/// their lines, a summary.
pub(super) struct Report {
    bar: ProgressBar,
    listed: u64,
    summary: Summary,
}

/// What became of the rows of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Rows that are in the bucket now.
    pub imported: u64,
    /// Rows that an earlier run of the same import put there.
    pub imported_before: u64,
    /// Good rows that are not imported because of bad ones in their batch.
    pub left_out: u64,
    /// Rows that cannot be imported.
    pub bad: u64,
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
        Self { bar, listed: LISTED, summary: Summary::default() }
    }

    /// One that nobody sees.
    pub(super) fn silent() -> Self {
        Self { bar: ProgressBar::hidden(), listed: 0, summary: Summary::default() }
    }

    pub(super) fn summary(&self) -> Summary {
        self.summary
    }

    /// `input`, moving the bar as it is read.
    pub(super) fn counting<R: Read>(&self, input: R) -> impl Read + use<R> {
        self.bar.wrap_read(input)
    }

    pub(super) fn imported(&mut self, rows: usize) {
        self.summary.imported += rows as u64;
        self.bar.set_message(format!("{} records", self.summary.imported));
    }

    pub(super) fn imported_before(&mut self, rows: usize) {
        self.summary.imported_before += rows as u64;
    }

    /// Good rows that are not imported because of bad ones in their batch.
    pub(super) fn left_out(&mut self, rows: usize) {
        self.summary.left_out += rows as u64;
    }

    pub(super) fn bad_row(&mut self, BadRow { line, problem, .. }: &BadRow) {
        self.summary.bad += 1;
        if self.summary.bad <= self.listed {
            self.bar.suspend(|| eprintln!("line {line}: {problem}"));
        }
    }

    /// Prints the summary; says whether every row is in the bucket.
    pub(super) fn finish(self, bucket: &str) -> bool {
        self.bar.finish_and_clear();
        let Summary { imported, imported_before, left_out, bad } = self.summary;
        println!("imported {imported} records into {bucket}");
        if imported_before > 0 {
            println!("{imported_before} records were imported before");
        }
        if bad > 0 {
            println!(
                "{bad} bad rows; with them, {left_out} good rows of their batches were not imported"
            );
        }
        bad == 0
    }
}
