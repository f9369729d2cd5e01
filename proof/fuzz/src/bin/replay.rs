//! Feeds files to a target: `cargo run -p tandem-proof-fuzz --bin fuzz-replay --
//! <target> <file…>`.

use std::process::ExitCode;

use tandem_proof_fuzz::Target;

#[expect(clippy::disallowed_methods, reason = "the files are named by a person")]
fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(target) = arguments.next().and_then(|name| Target::named(&name)) else {
        eprintln!("usage: fuzz-replay <target> <file…>");
        return ExitCode::FAILURE;
    };
    for path in arguments {
        match std::fs::read(&path) {
            Ok(data) => target.feed(&data),
            Err(error) => {
                eprintln!("{path}: {error}");
                return ExitCode::FAILURE;
            }
        }
        println!("{path}: nothing is broken");
    }
    ExitCode::SUCCESS
}
