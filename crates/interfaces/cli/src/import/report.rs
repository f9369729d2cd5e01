use std::io::{IsTerminal, Read};

use indicatif::{ProgressBar, ProgressStyle};

/// Bad rows are listed up to here, counted beyond.
const LISTED: u64 = 100;

/// What a person sees of an import: a progress bar on a terminal, bad rows with
/// their lines, a summary.
pub(super) struct Report {
    bar: ProgressBar,
    imported: u64,
    already_there: u64,
    skipped: u64,
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
        Self { bar, imported: 0, already_there: 0, skipped: 0, bad: 0 }
    }

    /// `input`, moving the bar as it is read.
    pub(super) fn counting<R: Read + 'static>(&self, input: R) -> Box<dyn Read> {
        Box::new(self.bar.wrap_read(input))
    }

    pub(super) fn imported(&mut self, rows: usize) {
        self.imported += rows as u64;
        self.bar.set_message(format!("{} records", self.imported));
    }

    pub(super) fn already_there(&mut self, rows: usize) {
        self.already_there += rows as u64;
    }

    pub(super) fn skipped(&mut self, rows: usize) {
        self.skipped += rows as u64;
    }

    pub(super) fn bad_row(&mut self, line: u64, problem: &str) {
        self.bad += 1;
        if self.bad <= LISTED {
            self.bar.suspend(|| eprintln!("line {line}: {problem}"));
        }
    }

    /// Prints the summary; says whether every row is in the bucket.
    pub(super) fn finish(self, bucket: &str) -> bool {
        self.bar.finish_and_clear();
        println!("imported {} records into {bucket}", self.imported);
        if self.already_there > 0 {
            println!("{} records were imported before", self.already_there);
        }
        if self.bad > 0 {
            println!(
                "{} bad rows; with them, {} rows of the same batches were not imported",
                self.bad, self.skipped
            );
        }
        self.bad == 0
    }
}
