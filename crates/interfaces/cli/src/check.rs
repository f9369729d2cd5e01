//! `tandem check`: compares every index entry with its row, both ways.

use std::process::ExitCode;

use tandem::{CheckOptions, Result};

use crate::open;

/// Compares every index with its rows, in both directions.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// Only this bucket.
    #[arg(long)]
    bucket: Option<String>,
    /// Mend what disagrees.
    #[arg(long)]
    repair: bool,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: open::Directory,
}

/// Runs the command. The exit code is 1 when anything disagreed and was not
/// repaired.
///
/// # Errors
/// When the store cannot be opened or read.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let store = arguments.store.open()?;
    let mut options = CheckOptions::new();
    if let Some(bucket) = &arguments.bucket {
        options = options.bucket(bucket);
    }
    if arguments.repair {
        options = options.repair();
    }
    let report = store.check(&options)?;
    if arguments.json {
        println!("{}", report.to_json());
    } else {
        println!(
            "compared {} rows and {} index entries of {} buckets at revision {}",
            report.rows, report.entries, report.buckets, report.revision
        );
        for problem in &report.problems {
            let index = problem.index.as_deref().unwrap_or("record count");
            println!("{:?}: bucket {}, {index}, key {}", problem.kind, problem.bucket, problem.key);
        }
        println!(
            "{} missing, {} dangling, {} wrong counts, {} repaired",
            report.missing, report.dangling, report.wrong_counts, report.repaired
        );
    }
    store.close();
    Ok(if report.is_clean() || arguments.repair { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
