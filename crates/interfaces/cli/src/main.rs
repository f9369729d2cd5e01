//! The command line of Tandem.

mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A transactional record store.
#[derive(Debug, Parser)]
#[command(name = "tandem", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve a store over WebSocket.
    Serve(serve::Arguments),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Serve(arguments) => serve::run(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tandem: {}", error.message());
            ExitCode::FAILURE
        }
    }
}
