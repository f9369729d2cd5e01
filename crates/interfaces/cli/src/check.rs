//! `tandem check`: compares every index entry with its row, both ways.

use std::process::ExitCode;

use tandem::{CheckOptions, CheckProblem, CheckReport, ProblemKind, Result};

use crate::open;

/// Compares every index with its rows, in both directions.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// Only this bucket.
    #[arg(long)]
    bucket: Option<String>,
    /// Mend what disagrees, then compare again.
    #[arg(long)]
    repair: bool,
    /// Print the report as JSON, what was found before a repair.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: open::Directory,
}

/// Runs the command. The exit code is 1 when anything disagrees in the end.
///
/// # Errors
/// `NOT_FOUND` when there is no store; when it cannot be opened or read; when
/// two records hold one unique value, which no repair can decide.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let store = arguments.store.open_existing()?;
    let mut options = CheckOptions::new();
    if let Some(bucket) = &arguments.bucket {
        options = options.bucket(bucket);
    }
    let found = store.check(&options)?;
    let mended = arguments.repair && !found.is_clean();
    if arguments.json && !mended {
        println!("{}", found.to_json());
    } else if !arguments.json {
        print(&found);
    }
    let mut is_clean = found.is_clean();
    if mended {
        let repair = store.check(&options.clone().repair())?;
        is_clean = store.check(&options)?.is_clean();
        if arguments.json {
            println!("{}", repair.to_json());
        } else {
            let outcome =
                if is_clean { "everything agrees now" } else { "not all of it is mended" };
            println!("{} repaired; {outcome}", repair.repaired);
        }
    }
    store.close();
    Ok(if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(report: &CheckReport) {
    println!(
        "compared {} rows and {} index entries of {} buckets at revision {}",
        report.rows, report.entries, report.buckets, report.revision
    );
    for problem in &report.problems {
        println!("{}", line(problem));
    }
    let unlisted = report.missing + report.dangling + report.wrong_counts;
    let unlisted = unlisted.saturating_sub(report.problems.len() as u64);
    if unlisted > 0 {
        println!("and {unlisted} more");
    }
    println!(
        "{} missing, {} dangling, {} wrong counts",
        report.missing, report.dangling, report.wrong_counts
    );
}

fn line(CheckProblem { kind, bucket, index, key }: &CheckProblem) -> String {
    let index = index.as_deref().unwrap_or_default();
    match kind {
        ProblemKind::Missing => format!("missing entry: bucket {bucket}, index {index}, key {key}"),
        ProblemKind::Dangling => {
            format!("dangling entry: bucket {bucket}, index {index}, key {key}")
        }
        ProblemKind::WrongCount => format!("wrong record count: bucket {bucket}"),
    }
}
