//! The `tandem` command.

use std::process::ExitCode;

/// Commits allocate and free many small buffers on several threads at once.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tandem_cli::run()
}
