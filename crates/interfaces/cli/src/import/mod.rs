//! `tandem import FILE --bucket B`: records from JSON, NDJSON or CSV.
//!
//! Rows are read one by one and committed in batches, each batch all or
//! nothing. A batch is committed under an idempotency key made of its own rows
//! and of its place in the file, so running the same command again after a
//! crash, or after mending some rows, skips what is already there:
//!
//! ```text
//! first run     [rows 1-1000] ✓   [1001-2000, one of them bad] ✗   [2001-3000] ✓
//! row mended
//! second run    [rows 1-1000] =   [1001-2000] ✓                    [2001-3000] =
//! ```
//!
//! So a bad row counts as one of its batch's rows, and rows are mended in their
//! place: a row that is taken out, or another `--batch`, moves every later batch
//! and imports its rows again. A bucket whose key is in the file refuses them as
//! duplicates; one with generated keys cannot tell. What is remembered is kept
//! for as long as idempotency keys are: 24 hours under a running server, and
//! without end under this command.
//!
//! Memory: two batches, one that is read and one that is committed.

mod batch;
mod csv_rows;
mod csv_text;
mod destination;
mod json_rows;
mod ndjson_rows;
mod report;
mod row;

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::Value;
use tandem::{Error, Result, Store};

pub use crate::import::report::Summary;

use crate::import::batch::Batches;
use crate::import::csv_rows::CsvRows;
use crate::import::json_rows::JsonRows;
use crate::import::ndjson_rows::NdjsonRows;
use crate::import::report::Report;
use crate::import::row::{BadRow, Row};
use crate::open;

/// Imports a JSON array, NDJSON or CSV file into a bucket.
///
/// Every batch is imported whole or not at all. Bad rows are reported with their
/// lines; mend them in their place and run the same command again: only what is
/// not there yet is imported.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    definition: destination::Definition,
    #[command(flatten)]
    store: open::Directory,
}

/// What is imported, and where.
#[derive(clap::Args, Debug)]
pub(crate) struct Source {
    /// The file: .json (one array), .ndjson or .jsonl (one object a line), .csv.
    file: PathBuf,
    /// The bucket; it is defined if it does not exist.
    #[arg(long)]
    bucket: String,
    /// The file's format, where its name does not tell.
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Rows per batch.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    batch: u32,
}

/// How the rows of a file are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One array of objects, or objects one after another.
    Json,
    /// One object a line.
    Ndjson,
    /// Comma-separated values below a line that names the fields.
    Csv,
}

type Rows = Box<dyn Iterator<Item = std::result::Result<Row, BadRow>>>;

/// Runs the command. The exit code is 1 when any row was not imported.
///
/// # Errors
/// When the file or the store cannot be opened, the bucket is not as asked for,
/// or the store fails.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    // The file first: a mistyped name must not leave a store or a bucket behind.
    let file = arguments.source.open()?;
    let store = arguments.store.open_or_create()?;
    arguments.definition.provide(&store, &arguments.source.bucket)?;
    let complete = file.import_into(&store)?;
    store.close();
    Ok(if complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Imports a file whose name tells its format into a bucket, which is defined if it
/// does not exist, and says whether every row is there now.
///
/// # Errors
/// As [`run`].
pub(crate) fn into_table(store: &Store, file: &Path, bucket: &str) -> Result<bool> {
    let source = Source::new(file.to_owned(), bucket);
    let file = source.open()?;
    destination::Definition::default().provide(store, bucket)?;
    file.import_into(store)
}

impl Source {
    /// A file whose name tells its format.
    pub(crate) fn new(file: PathBuf, bucket: &str) -> Self {
        Self { file, bucket: bucket.to_owned(), format: None, batch: 1_000 }
    }

    /// Opens the file.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` when the file cannot be opened or has no known format.
    #[expect(clippy::disallowed_methods, reason = "the command line reads the user's file")]
    pub(crate) fn open(&self) -> Result<SourceFile<'_>> {
        let format = self.format()?;
        let unreadable = |problem: String| {
            Error::validation(format!("Cannot read {}: {problem}", self.file.display()))
        };
        let file = File::open(&self.file).map_err(|error| unreadable(error.to_string()))?;
        let metadata = file.metadata().map_err(|error| unreadable(error.to_string()))?;
        if metadata.is_dir() {
            return Err(unreadable("it is a directory".to_owned()));
        }
        Ok(SourceFile { source: self, format, file, bytes: metadata.len() })
    }

    fn format(&self) -> Result<Format> {
        if let Some(format) = self.format {
            return Ok(format);
        }
        let extension = self.file.extension().and_then(|extension| extension.to_str());
        match extension.map(str::to_ascii_lowercase).as_deref() {
            Some("json") => Ok(Format::Json),
            Some("ndjson" | "jsonl") => Ok(Format::Ndjson),
            Some("csv") => Ok(Format::Csv),
            _ => Err(Error::validation(format!(
                "The name of {} does not tell its format; add --format json, ndjson or csv",
                self.file.display()
            ))),
        }
    }
}

/// An opened file.
pub(crate) struct SourceFile<'a> {
    source: &'a Source,
    format: Format,
    file: File,
    bytes: u64,
}

impl SourceFile<'_> {
    /// Imports the file into its bucket, which exists, and says whether every
    /// row is there now.
    ///
    /// # Errors
    /// `BUCKET_NOT_DEFINED`; `VALIDATION_ERROR` for a bad CSV header; when the
    /// store fails, after the summary of what was imported before.
    pub(crate) fn import_into(self, store: &Store) -> Result<bool> {
        let Self { source, format, file, bytes } = self;
        let batches = Batches::new(store, &source.bucket)?;
        let mut report = Report::new(bytes);
        let config = store.bucket_config(&source.bucket)?;
        let rows = rows(format, report.counting(file), &config["schema"])?;
        let outcome = batches.import(rows, source.batch as usize, &mut report);
        let complete = report.finish(&source.bucket);
        outcome.map(|()| complete)
    }
}

/// Imports rows from anywhere into a bucket that exists, in batches of `size`
/// rows, and prints nothing.
///
/// # Errors
/// `BUCKET_NOT_DEFINED`; `VALIDATION_ERROR` for a bad CSV header; when the store
/// fails. The batches before stay imported.
pub fn import_rows(
    store: &Store,
    bucket: &str,
    format: Format,
    input: impl Read + 'static,
    size: usize,
) -> Result<Summary> {
    let batches = Batches::new(store, bucket)?;
    let mut report = Report::silent();
    let config = store.bucket_config(bucket)?;
    let rows = rows(format, input, &config["schema"])?;
    batches.import(rows, size, &mut report)?;
    Ok(report.summary())
}

fn rows(format: Format, input: impl Read + 'static, schema: &Value) -> Result<Rows> {
    let input: Box<dyn BufRead> = Box::new(BufReader::with_capacity(1 << 16, input));
    Ok(match format {
        Format::Json => Box::new(JsonRows::new(input)),
        Format::Ndjson => Box::new(NdjsonRows::new(input)),
        Format::Csv => Box::new(CsvRows::new(input, schema)?),
    })
}
