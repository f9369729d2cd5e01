//! The conversation at a terminal.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use rustyline::config::Configurer;
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{CompletionType, Editor};

use crate::sql::commands::After;
use crate::sql::completion::Words;
use crate::sql::desk::Desk;

/// Lines that are remembered.
const HISTORY: usize = 2_000;

/// Asks for statements until the person has enough.
pub(super) fn run(mut desk: Desk) -> ExitCode {
    let mut editor: Editor<Words, FileHistory> = match Editor::new() {
        Ok(editor) => editor,
        Err(error) => {
            eprintln!("tandem: {error}");
            return ExitCode::FAILURE;
        }
    };
    editor.set_completion_type(CompletionType::List);
    let _kept = editor.set_max_history_size(HISTORY);
    editor.set_helper(Some(Words::default()));
    let history = history_file();
    if let Some(file) = &history {
        let _first_time = editor.load_history(file);
    }
    desk.is_talkative = true;
    if std::io::stdout().is_terminal() {
        println!("Tandem {}; .help tells the commands.", env!("CARGO_PKG_VERSION"));
    }
    loop {
        if let Some(words) = editor.helper_mut() {
            words.refresh(desk.door.as_mut());
        }
        let prompt = if desk.door.is_in_transaction() { "tandem*> " } else { "tandem> " };
        match editor.readline(prompt) {
            Ok(text) if text.trim().is_empty() => {}
            Ok(text) => {
                let _repeated = editor.add_history_entry(text.as_str());
                if let Some(file) = &history {
                    let _not_kept = editor.append_history(file);
                }
                if carry_out(&mut desk, &text) == After::Quit {
                    return ExitCode::SUCCESS;
                }
            }
            // Leaves what was written, not the shell.
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => return ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("tandem: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
}

fn carry_out(desk: &mut Desk, text: &str) -> After {
    let (after, message) = if text.starts_with('.') {
        match desk.command(text) {
            Ok(after) => (after, None),
            Err(failure) => (After::GoOn, Some(failure.to_string())),
        }
    } else {
        (After::GoOn, desk.run(text, 1).err())
    };
    if let Some(message) = message {
        // What was answered before comes first.
        let _closed = desk.flush();
        eprintln!("{message}");
    }
    after
}

/// `sql_history` in the user's state directory, which is made if it is missing.
#[expect(clippy::disallowed_methods, reason = "the shell has a file of its own")]
fn history_file() -> Option<PathBuf> {
    let directory = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let state = directory("XDG_STATE_HOME")
        .filter(|path| path.is_absolute())
        .or_else(|| directory("HOME").map(|home| home.join(".local/state")))?
        .join("tandem");
    std::fs::create_dir_all(&state).ok()?;
    Some(state.join("sql_history"))
}
