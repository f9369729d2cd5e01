//! For programs: a line of JSON in, a line of JSON out.
//!
//! ```text
//! {"sql": "SELECT ? AS n", "params": [1]}
//! {"columns":[{"name":"n","type":null}],"rows":[[1]],"changes":0}
//! {"sql": "SELECT"}
//! {"error":{"code":"SQL_ERROR","message":"incomplete input","retryable":false}}
//! ```
//! Each line is flushed before the next is read, and a line that fails changes
//! nothing about the others. One transaction may be open, as in a shell.

use std::io::{BufRead, Write, stdin, stdout};
use std::process::ExitCode;

use serde_json::Value;
use tandem::{Code, Error};

use crate::sql::door::Door;
use crate::sql::failure::{Failure, Result};

/// Answers lines until there are no more, or nobody reads the answers.
pub(super) fn run(mut door: Box<dyn Door>) -> ExitCode {
    let mut out = stdout().lock();
    let mut input = stdin().lock();
    let mut line = Vec::new();
    loop {
        line.clear();
        match input.read_until(b'\n', &mut line) {
            Ok(0) => return ExitCode::SUCCESS,
            Ok(_) if line.trim_ascii().is_empty() => continue,
            Ok(_) => {}
            Err(error) => {
                eprintln!("tandem: {error}");
                return ExitCode::FAILURE;
            }
        }
        let answer = answer(door.as_mut(), &line).unwrap_or_else(|failure| failure.to_json());
        if writeln!(out, "{answer}").and_then(|()| out.flush()).is_err() {
            return ExitCode::FAILURE;
        }
    }
}

fn answer(door: &mut dyn Door, line: &[u8]) -> Result<Value> {
    let request: Value = serde_json::from_slice(line)
        .map_err(|error| Error::new(Code::ParseError, format!("The line is not JSON: {error}")))?;
    let Value::Object(request) = request else {
        return Err(Error::new(Code::ParseError, "The line is not a JSON object").into());
    };
    let Some(sql) = request.get("sql").and_then(Value::as_str) else {
        return Err(Failure::invalid("Missing or invalid \"sql\": expected string"));
    };
    let parameters = request.get("params").unwrap_or(&Value::Null);
    Ok(door.execute(sql, parameters)?.to_json())
}
