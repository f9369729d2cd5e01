use std::io::BufRead;

use serde_json::Value;

use crate::import::{BadRow, Row};

/// The longest text of one record that is read.
const MAX_ROW_BYTES: usize = 16 << 20;

/// The objects of a JSON array or of NDJSON, read one at a time.
///
/// Both are the same to this reader: objects, with whitespace, commas and the
/// brackets of one array between them. Only as much text as one object has is
/// held.
pub(super) struct JsonRows {
    input: Box<dyn BufRead>,
    line: u64,
    in_array: bool,
    ended: bool,
}

impl JsonRows {
    pub(super) fn new(input: Box<dyn BufRead>) -> Self {
        Self { input, line: 1, in_array: false, ended: false }
    }

    /// The next byte that can begin something, and what was wrong before it.
    fn skip_separators(&mut self) -> Result<Option<u8>, String> {
        loop {
            let Some(byte) = self.peek()? else { return Ok(None) };
            match byte {
                b'\n' => self.line += 1,
                b' ' | b'\t' | b'\r' => {}
                b',' if self.in_array => {}
                b'[' if !self.in_array => self.in_array = true,
                b']' if self.in_array => self.in_array = false,
                0xEF | 0xBB | 0xBF if self.line == 1 => {}
                other => return Ok(Some(other)),
            }
            self.input.consume(1);
        }
    }

    fn peek(&mut self) -> Result<Option<u8>, String> {
        let buffer = self.input.fill_buf().map_err(|error| error.to_string())?;
        Ok(buffer.first().copied())
    }

    /// The text of the object that begins here.
    fn object(&mut self) -> Result<Vec<u8>, String> {
        let mut text = Vec::new();
        let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
        loop {
            let buffer = self.input.fill_buf().map_err(|error| error.to_string())?;
            if buffer.is_empty() {
                return Err("the file ends inside a record".to_owned());
            }
            let mut used = buffer.len();
            let mut complete = false;
            for (at, byte) in buffer.iter().enumerate() {
                match byte {
                    b'\n' => self.line += 1,
                    _ if escaped => {
                        escaped = false;
                        continue;
                    }
                    b'\\' if in_string => escaped = true,
                    b'"' => in_string = !in_string,
                    b'{' | b'[' if !in_string => depth += 1,
                    b'}' | b']' if !in_string => {
                        depth = depth.saturating_sub(1);
                        if depth == 0 {
                            used = at + 1;
                            complete = true;
                            break;
                        }
                    }
                    _ => {}
                }
            }
            text.extend_from_slice(&buffer[..used]);
            self.input.consume(used);
            if complete {
                return Ok(text);
            }
            if text.len() > MAX_ROW_BYTES {
                return Err(format!("a record is longer than {MAX_ROW_BYTES} bytes"));
            }
        }
    }

    fn fatal(&mut self, line: u64, problem: String) -> BadRow {
        self.ended = true;
        BadRow { line, problem, fatal: true }
    }
}

impl Iterator for JsonRows {
    type Item = Result<Row, BadRow>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let begin = self.skip_separators();
        let line = self.line;
        match begin {
            Ok(None) if self.in_array => {
                Some(Err(self.fatal(line, "the array is not closed".to_owned())))
            }
            Ok(None) => None,
            Ok(Some(b'{')) => Some(match self.object() {
                Err(problem) => Err(self.fatal(line, problem)),
                Ok(text) => match serde_json::from_slice(&text) {
                    Ok(Value::Object(fields)) => Ok(Row { line, fields }),
                    Ok(_) => Err(self.fatal(line, "expected an object".to_owned())),
                    Err(error) => {
                        let line = line + error.line() as u64 - 1;
                        Err(BadRow { line, problem: format!("not JSON: {error}"), fatal: false })
                    }
                },
            }),
            Ok(Some(other)) => {
                let problem = format!("expected an object, found \"{}\"", char::from(other));
                Some(Err(self.fatal(line, problem)))
            }
            Err(problem) => Some(Err(self.fatal(line, problem))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &'static str) -> Vec<Result<(u64, String), (u64, bool)>> {
        JsonRows::new(Box::new(text.as_bytes()))
            .map(|row| match row {
                Ok(row) => Ok((row.line, Value::Object(row.fields).to_string())),
                Err(bad) => Err((bad.line, bad.fatal)),
            })
            .collect()
    }

    #[test]
    fn arrays_and_lines_give_the_same_rows_with_their_lines() {
        let expected =
            vec![Ok((1, r#"{"a":"}]"}"#.to_owned())), Ok((2, r#"{"b":[{}]}"#.to_owned()))];
        assert_eq!(read("[{\"a\":\"}]\"},\n{\"b\":[{}]}]"), expected);
        assert_eq!(read("{\"a\":\"}]\"}\n{\"b\":[{}]}\n"), expected);
    }

    #[test]
    fn a_bad_row_is_reported_with_its_line_and_the_next_is_read() {
        assert_eq!(
            read("[{\"a\":1},\n{\"a\":},\n{\"a\":3}]"),
            vec![
                Ok((1, r#"{"a":1}"#.to_owned())),
                Err((2, false)),
                Ok((3, r#"{"a":3}"#.to_owned()))
            ]
        );
    }

    #[test]
    fn a_cut_file_and_text_that_is_no_object_end_the_import() {
        assert_eq!(
            read("[{\"a\":1},\n{\"a\":"),
            vec![Ok((1, r#"{"a":1}"#.to_owned())), Err((2, true))]
        );
        assert_eq!(read("[1]"), vec![Err((1, true))]);
        assert_eq!(read("[{\"a\":1}").last(), Some(&Err((1, true))));
    }
}
