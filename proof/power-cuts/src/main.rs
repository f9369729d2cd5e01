//! The long runs. `power-cuts help` says how.

#[cfg(target_os = "linux")]
mod command;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    command::run(std::env::args().skip(1).collect())
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("The recorder is made for Linux.");
}
