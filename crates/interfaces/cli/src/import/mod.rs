//! `tandem import FILE --bucket B`: records from JSON, NDJSON or CSV.
//!
//! Rows are read one by one and committed in batches, each batch all or
//! nothing. A batch is committed under an idempotency key made of its own
//! bytes, so running the same command again after a crash, or after mending
//! some rows, skips what is already there. Memory: one batch.

mod csv_rows;
mod json_rows;
mod report;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use serde_json::{Map, Value, json};
use tandem::{Code, CommitOptions, Error, Result, Store};

use crate::import::csv_rows::CsvRows;
use crate::import::json_rows::JsonRows;
use crate::import::report::Report;
use crate::open;

/// Imports a JSON array, NDJSON or CSV file into a bucket.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    #[command(flatten)]
    source: Source,
    /// The key field of a bucket that does not exist yet. Without it, records
    /// get a generated number as `id`.
    #[arg(long)]
    key: Option<String>,
    /// Fields to index in a bucket that does not exist yet: `a`, `-b`, or `a,b`
    /// for a compound index. May be repeated.
    #[arg(long = "index")]
    indexes: Vec<String>,
    /// The same for unique indexes.
    #[arg(long = "unique")]
    uniques: Vec<String>,
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
    /// Records per batch.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    batch: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Json,
    Ndjson,
    Csv,
}

/// A record with the line that it begins on.
pub(crate) struct Row {
    pub(crate) line: u64,
    pub(crate) fields: Map<String, Value>,
}

/// A row that cannot be read.
pub(crate) struct BadRow {
    pub(crate) line: u64,
    pub(crate) problem: String,
    /// Whether the rest of the file cannot be read either.
    pub(crate) fatal: bool,
}

type Rows = Box<dyn Iterator<Item = std::result::Result<Row, BadRow>>>;

/// Runs the command. The exit code is 1 when any row was not imported.
///
/// # Errors
/// When the file or the store cannot be opened, or the store fails.
pub fn run(arguments: &Arguments) -> Result<std::process::ExitCode> {
    let store = arguments.store.open()?;
    let source = &arguments.source;
    define_if_missing(&store, arguments)?;
    let complete = source.import_into(&store)?;
    store.close();
    Ok(if complete { std::process::ExitCode::SUCCESS } else { std::process::ExitCode::FAILURE })
}

impl Source {
    /// A file whose name tells its format.
    pub(crate) fn new(file: PathBuf, bucket: &str) -> Self {
        Self { file, bucket: bucket.to_owned(), format: None, batch: 1_000 }
    }

    /// Imports the file into its bucket, which exists, and says whether every
    /// row is there now.
    pub(crate) fn import_into(&self, store: &Store) -> Result<bool> {
        let bytes = std::fs::metadata(&self.file).map_err(|error| unreadable(self, &error))?.len();
        let config = store.bucket_config(&self.bucket)?;
        let mut report = Report::new(bytes);
        import(store, self, rows(self, &config, &report)?, &mut report)?;
        Ok(report.finish(&self.bucket))
    }
}

fn import(store: &Store, source: &Source, rows: Rows, report: &mut Report) -> Result<()> {
    let mut batch = Vec::with_capacity(source.batch as usize);
    let mut spoiled = false;
    for row in rows {
        match row {
            Ok(row) => batch.push(row),
            Err(bad) => {
                report.bad_row(bad.line, &bad.problem);
                spoiled = true;
                if bad.fatal {
                    break;
                }
            }
        }
        if batch.len() >= source.batch as usize {
            finish_batch(store, &source.bucket, &mut batch, &mut spoiled, report)?;
        }
    }
    finish_batch(store, &source.bucket, &mut batch, &mut spoiled, report)
}

/// Commits the batch, unless a row of it could not be read.
fn finish_batch(
    store: &Store,
    bucket: &str,
    batch: &mut Vec<Row>,
    spoiled: &mut bool,
    report: &mut Report,
) -> Result<()> {
    let rows = std::mem::take(batch);
    if std::mem::take(spoiled) {
        report.skipped(rows.len());
        return Ok(());
    }
    if rows.is_empty() {
        return Ok(());
    }
    match commit_batch(store, bucket, &rows) {
        Ok(Committed::Now) => report.imported(rows.len()),
        Ok(Committed::Before) => report.already_there(rows.len()),
        Err(Refused::Row { at, error }) => {
            report.bad_row(rows[at].line, &error.to_string());
            report.skipped(rows.len() - 1);
        }
        Err(Refused::Store(error)) => return Err(error),
    }
    Ok(())
}

enum Committed {
    Now,
    Before,
}

enum Refused {
    Row { at: usize, error: Error },
    Store(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

/// How often a batch is tried when other clients write to the same store.
const TRIES: u32 = 16;

fn commit_batch(
    store: &Store,
    bucket: &str,
    rows: &[Row],
) -> std::result::Result<Committed, Refused> {
    let name = batch_name(bucket, rows);
    for tries in 1.. {
        if store.committed(&name)?.is_some() {
            return Ok(Committed::Before);
        }
        let tx = store.begin()?;
        let records = tx.bucket(bucket);
        for (at, row) in rows.iter().enumerate() {
            if let Err(error) = records.insert(row.fields.clone()) {
                let blames_row = matches!(
                    error.code(),
                    Code::ValidationError
                        | Code::AlreadyExists
                        | Code::ReferenceViolation
                        | Code::LimitExceeded
                );
                return Err(if blames_row { Refused::Row { at, error } } else { error.into() });
            }
        }
        match tx.commit_with(CommitOptions::new().idempotency_key(name.clone())) {
            Ok(_) => return Ok(Committed::Now),
            Err(error) if error.retryable() && tries < TRIES => {}
            Err(error) => return Err(error.into()),
        }
    }
    unreachable!("the last try returns")
}

/// The same rows for the same bucket have the same name: FNV-1a, 64 bits
/// (Fowler, Noll and Vo), over their text, with their number and first line.
fn batch_name(bucket: &str, rows: &[Row]) -> Vec<u8> {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for row in rows {
        for byte in Value::Object(row.fields.clone()).to_string().bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    let first = rows.first().map_or(0, |row| row.line);
    format!("import:{bucket}:{first}:{}:{hash:016x}", rows.len()).into_bytes()
}

fn define_if_missing(store: &Store, arguments: &Arguments) -> Result<()> {
    let bucket = &arguments.source.bucket;
    if store.bucket_names()?.contains(bucket) {
        return Ok(());
    }
    let key = arguments.key.as_deref().unwrap_or("id");
    let key_field = match arguments.key {
        Some(_) => json!({ "required": true }),
        None => json!({ "type": "number", "generated": "autoincrement" }),
    };
    let index = |fields: &String, unique: bool| {
        let fields: Vec<_> = fields.split(',').map(str::trim).collect();
        json!({ "fields": fields, "unique": unique })
    };
    let indexes: Vec<_> = arguments
        .indexes
        .iter()
        .map(|fields| index(fields, false))
        .chain(arguments.uniques.iter().map(|fields| index(fields, true)))
        .collect();
    let config = json!({ "key": key, "schema": { key: key_field }, "indexes": indexes });
    store.define_bucket(bucket, tandem::BucketConfig::from_json(config)?)
}

fn rows(source: &Source, config: &Value, report: &Report) -> Result<Rows> {
    let file = File::open(&source.file).map_err(|error| unreadable(source, &error))?;
    let input: Box<dyn BufRead> =
        Box::new(BufReader::with_capacity(1 << 16, report.counting(file)));
    Ok(match format(source)? {
        Format::Json | Format::Ndjson => Box::new(JsonRows::new(input)),
        Format::Csv => Box::new(CsvRows::new(input, &config["schema"])?),
    })
}

fn format(source: &Source) -> Result<Format> {
    if let Some(format) = source.format {
        return Ok(format);
    }
    let extension = source.file.extension().and_then(|extension| extension.to_str());
    match extension.map(str::to_ascii_lowercase).as_deref() {
        Some("json") => Ok(Format::Json),
        Some("ndjson" | "jsonl") => Ok(Format::Ndjson),
        Some("csv") => Ok(Format::Csv),
        _ => Err(Error::validation(
            "The file's name does not tell its format; add --format json, ndjson or csv",
        )),
    }
}

fn unreadable(source: &Source, error: &std::io::Error) -> Error {
    Error::validation(format!("Cannot read {}: {error}", source.file.display()))
}
