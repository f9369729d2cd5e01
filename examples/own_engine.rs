//! Runs the conformance suite on a storage engine of one's own.
//!
//! ```sh
//! cargo run -p tandem-examples --example own_engine
//! ```
//!
//! The engine is in `log_storage.rs`; `docs/storage-engines.md` walks through
//! it.

use std::process::ExitCode;

use tandem_testkit::conformance::run;

mod log_factory;
mod log_storage;

fn main() -> ExitCode {
    let outcomes = run(&log_factory::LogFactory);
    for (case, outcome) in &outcomes {
        match outcome {
            Ok(()) => println!("ok      {}", case.name),
            Err(failure) => println!("FAILED  {}\n        {failure}", case.name),
        }
    }
    let failed = outcomes.iter().filter(|(_, outcome)| outcome.is_err()).count();
    println!("{} cases, {failed} failed", outcomes.len());
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
