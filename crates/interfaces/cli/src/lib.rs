//! The command line of Tandem, as a library: the `tandem` command is a thin
//! shell around [`run`].

mod check;
mod demo;
mod import;
mod message;
mod open;
mod serve;
mod sql;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use import::{Format, Summary, import_rows};

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
    /// Import records from a JSON, NDJSON or CSV file.
    Import(import::Arguments),
    /// Compare every index with its records, both ways.
    Check(check::Arguments),
    /// Speak SQL with a store or a server.
    Sql(sql::Arguments),
    /// Put a real data set through the store.
    Demo(demo::Arguments),
}

/// Does what the process's arguments say.
#[must_use]
pub fn run() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Serve(arguments) => serve::run(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Import(arguments) => import::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Sql(arguments) => sql::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("tandem: {}", message::of(&error));
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn every_command_can_be_parsed() {
        super::Arguments::command().debug_assert();
    }
}
