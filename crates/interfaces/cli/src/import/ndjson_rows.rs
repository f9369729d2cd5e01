use std::io::{BufRead, Read};

use crate::import::row::{BadRow, MAX_ROW_BYTES, Row, skip_byte_order_mark};

/// The objects of a file with one on each line. Empty lines are skipped; a bad
/// line says nothing about the next.
pub(super) struct NdjsonRows {
    input: Box<dyn BufRead>,
    line: u64,
    text: Vec<u8>,
}

impl NdjsonRows {
    pub(super) fn new(input: Box<dyn BufRead>) -> Self {
        Self { input, line: 0, text: Vec::new() }
    }

    /// Reads the next line; false at the end.
    fn read_line(&mut self) -> std::io::Result<bool> {
        if self.line == 0 {
            skip_byte_order_mark(&mut self.input)?;
        }
        self.line += 1;
        self.text.clear();
        let mut limited = (&mut self.input).take(MAX_ROW_BYTES as u64 + 1);
        Ok(limited.read_until(b'\n', &mut self.text)? > 0)
    }
}

impl Iterator for NdjsonRows {
    type Item = Result<Row, BadRow>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.read_line() {
                Ok(false) => return None,
                Err(error) => return Some(Err(BadRow::fatal(self.line, error.to_string()))),
                Ok(true) if self.text.len() > MAX_ROW_BYTES => {
                    return Some(Err(BadRow::too_long(self.line)));
                }
                Ok(true) if self.text.trim_ascii().is_empty() => {}
                Ok(true) => return Some(Row::from_json(&self.text, self.line)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: impl Into<Vec<u8>>) -> Vec<Result<(u64, usize), (u64, bool)>> {
        NdjsonRows::new(Box::new(std::io::Cursor::new(text.into())))
            .map(|row| match row {
                Ok(row) => Ok((row.line, row.fields.len())),
                Err(bad) => Err((bad.line, bad.fatal)),
            })
            .collect()
    }

    #[test]
    fn a_bad_line_says_nothing_about_the_next() {
        assert_eq!(
            read("{\"a\":1}\n{\"a\":\"x}\n\n7\n{\"a\":1,\"b\":2}"),
            [Ok((1, 1)), Err((2, false)), Err((4, false)), Ok((5, 2))]
        );
    }

    #[test]
    fn byte_order_mark_and_carriage_returns_are_no_part_of_a_row() {
        assert_eq!(read("\u{feff}{}\r\n\r\n{\"a\":1}\r\n"), [Ok((1, 0)), Ok((3, 1))]);
        assert_eq!(read("{}\n\u{feff}{}\n"), [Ok((1, 0)), Err((2, false))]);
    }

    #[test]
    fn g10_a_line_without_end_is_not_read_into_memory() {
        assert_eq!(read(vec![b' '; MAX_ROW_BYTES + 1])[0], Err((1, true)));
    }
}
