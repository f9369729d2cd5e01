//! Statements and commands one after the other, until one fails.

use std::io::BufRead;
use std::process::ExitCode;

use crate::sql::commands::After;
use crate::sql::desk::Desk;

/// Carries out what `input` says. The exit code is 1 if something fails; what
/// comes after that is not carried out.
pub(super) fn run(desk: Desk, input: impl BufRead) -> ExitCode {
    ended(Script::new(desk).read(input))
}

/// The same for texts, each of which is whole.
pub(super) fn run_texts(desk: Desk, texts: &[&String]) -> ExitCode {
    let mut script = Script::new(desk);
    ended(texts.iter().try_for_each(|text| script.read(text.as_bytes())))
}

fn ended(outcome: Result<(), Stop>) -> ExitCode {
    match outcome {
        Ok(()) | Err(Stop::Quit) => ExitCode::SUCCESS,
        Err(Stop::Failed(message)) => {
            eprintln!("tandem: {message}");
            ExitCode::FAILURE
        }
    }
}

enum Stop {
    Quit,
    Failed(String),
}

struct Script {
    desk: Desk,
    /// What has been read of a statement that is not over.
    text: String,
    /// The line that it begins on.
    first: u64,
}

impl Script {
    fn new(desk: Desk) -> Self {
        Self { desk, text: String::new(), first: 1 }
    }

    fn read(&mut self, mut input: impl BufRead) -> Result<(), Stop> {
        let mut line = String::new();
        for number in 1.. {
            line.clear();
            match input.read_line(&mut line) {
                Ok(0) => break,
                Ok(_) => self.line(&line, number)?,
                Err(error) => return Err(Stop::Failed(format!("line {number}: {error}"))),
            }
        }
        // The last statement needs no semicolon.
        self.run()
    }

    fn line(&mut self, line: &str, number: u64) -> Result<(), Stop> {
        if self.text.trim().is_empty() {
            self.text.clear();
            self.first = number;
            if line.starts_with('.') {
                return match self.desk.command(line) {
                    Ok(After::GoOn) => Ok(()),
                    Ok(After::Quit) => Err(Stop::Quit),
                    Err(failure) => Err(Stop::Failed(format!("line {number}: {failure}"))),
                };
            }
        }
        self.text.push_str(line);
        // Looked at only where it may be over: a statement may have many lines.
        if line.trim_end().ends_with(';') && tandem_sql::is_complete(&self.text) {
            self.run()?;
        }
        Ok(())
    }

    fn run(&mut self) -> Result<(), Stop> {
        let text = std::mem::take(&mut self.text);
        self.desk.run(&text, self.first).map_err(Stop::Failed)
    }
}
