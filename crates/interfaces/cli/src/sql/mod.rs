//! `tandem sql`: SQL for a person at a terminal, for scripts, and for programs.
//!
//! ```text
//!   terminal ─ shell ─┐                               ┌─ local: a store, opened here
//!   stdin, -c ─ script┼─ desk: one statement ── door ─┤
//!   --json ── lines ──┘  or command, its answer       └─ remote: a server, by its client
//! ```
//! The two doors answer alike, so nothing else knows which of them it is.

mod answer;
mod commands;
mod completion;
mod desk;
mod door;
mod failure;
mod json_lines;
mod mode;
mod script;
mod shell;
mod table;

use std::io::{IsTerminal, stdin};
use std::path::PathBuf;
use std::process::ExitCode;

use tandem::{Result, Store};

use crate::open;
use crate::sql::desk::Desk;
use crate::sql::door::{Door, Local, Remote};
use crate::sql::failure::Failure;
use crate::sql::mode::Mode;

/// Speaks SQL with a store or a server.
///
/// On a terminal it asks for statements; `.help` tells its commands. Otherwise it
/// carries out what comes on standard input, until something fails.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// The statements to carry out, instead of those of standard input.
    #[arg(value_name = "SQL")]
    sql: Vec<String>,
    /// The same.
    #[arg(short, long, value_name = "SQL")]
    command: Vec<String>,
    /// The store's directory; a store is made if there is none.
    #[arg(long, value_name = "DIR", default_value = "tandem-data",
        conflicts_with_all = ["memory", "url"])]
    data: PathBuf,
    /// A store in memory that ends with the command.
    #[arg(long, conflicts_with = "url")]
    memory: bool,
    /// A server.
    #[arg(long, value_name = "ws://HOST:PORT/")]
    url: Option<String>,
    /// How rows are shown.
    #[arg(long, value_enum, default_value_t = Mode::Table)]
    mode: Mode,
    /// For programs: each line of standard input is {"sql": …, "params": …}, each
    /// line of standard output its answer.
    #[arg(long, conflicts_with_all = ["sql", "command", "mode"])]
    json: bool,
}

/// Runs the command. The exit code is 1 when a statement of a script has failed.
///
/// # Errors
/// `STORE_LOCKED` when a server or another command has the store open; otherwise
/// as [`Store::open`].
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let door: Box<dyn Door> = match &arguments.url {
        Some(url) => match Remote::connect(url) {
            Ok(remote) => Box::new(remote),
            Err(failure) => return Ok(refused(&failure)),
        },
        None => Box::new(Local::new(store(arguments)?)?),
    };
    let statements: Vec<&String> = arguments.command.iter().chain(&arguments.sql).collect();
    if arguments.json {
        return Ok(json_lines::run(door));
    }
    let desk = Desk::new(door, arguments.mode);
    Ok(if !statements.is_empty() {
        script::run_texts(desk, &statements)
    } else if stdin().is_terminal() {
        shell::run(desk)
    } else {
        script::run(desk, stdin().lock())
    })
}

fn store(arguments: &Arguments) -> Result<Store> {
    if arguments.memory { Store::memory() } else { open::for_a_person(&arguments.data) }
}

fn refused(failure: &Failure) -> ExitCode {
    eprintln!("tandem: {failure}");
    ExitCode::FAILURE
}
