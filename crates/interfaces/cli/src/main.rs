//! The `tandem` command.

mod memory;

use std::process::ExitCode;

fn main() -> ExitCode {
    memory::keep_for_reuse();
    tandem_cli::run()
}
