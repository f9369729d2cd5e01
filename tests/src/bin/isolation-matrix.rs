//! Writes `docs/isolation.md` from a run of every script.

use std::process::ExitCode;

fn main() -> ExitCode {
    let path = tandem_tests::matrix::document_path();
    let written = tandem_tests::matrix::document().and_then(|text| {
        #[expect(clippy::disallowed_methods, reason = "a tool that writes a document")]
        std::fs::write(&path, text).map_err(|error| error.to_string())
    });
    match written {
        Ok(()) => {
            println!("wrote {}", path.display());
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}
