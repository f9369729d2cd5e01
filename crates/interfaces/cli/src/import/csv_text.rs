//! The text of a CSV file, handed on record by record.
//!
//! The parser counts lines, but tells the line on which the record before ended,
//! and holds as much text as a record has, which with an unclosed quote is the
//! rest of the file. So the text is cut into records here first, by the same
//! rule: a quote counts where a cell begins, and until its pair.

use std::cell::Cell;
use std::io::{BufRead, Error, Read, Result};
use std::rc::Rc;

use crate::import::row::{MAX_ROW_BYTES, skip_byte_order_mark};

/// Reads one record, with its line end, at a time; empty lines are left out.
pub(super) struct CsvText {
    input: Box<dyn BufRead>,
    /// Lines read so far.
    lines: u64,
    /// The line that `record` begins on, for whoever parses it.
    begins_on: Rc<Cell<u64>>,
    record: Vec<u8>,
    handed_on: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    CellBegin,
    Unquoted,
    Quoted,
    /// After a quote in a quoted cell: its end, or the first of a pair.
    MaybeEnd,
}

impl CsvText {
    pub(super) fn new(mut input: Box<dyn BufRead>) -> Result<Self> {
        skip_byte_order_mark(&mut input)?;
        let begins_on = Rc::new(Cell::new(1));
        Ok(Self { input, lines: 0, begins_on, record: Vec::new(), handed_on: 0 })
    }

    /// The line that the record handed on last begins on.
    pub(super) fn line(&self) -> Rc<Cell<u64>> {
        self.begins_on.clone()
    }

    /// Reads the next record, or nothing at the end of the file.
    fn next_record(&mut self) -> Result<()> {
        self.record.clear();
        self.handed_on = 0;
        let mut place = Place::CellBegin;
        loop {
            let before = self.record.len();
            let left = (MAX_ROW_BYTES + 1).saturating_sub(before) as u64;
            (&mut self.input).take(left).read_until(b'\n', &mut self.record)?;
            if self.record.len() == before {
                return Ok(());
            }
            self.lines += 1;
            if before == 0 {
                self.begins_on.set(self.lines);
            }
            if self.record.len() > MAX_ROW_BYTES {
                let problem = format!("a row is longer than {MAX_ROW_BYTES} bytes");
                return Err(Error::other(problem));
            }
            let line = &self.record[before..];
            place = line.iter().fold(place, |place, byte| place.after(*byte));
            if matches!(self.record.as_slice(), b"\n" | b"\r\n") {
                self.record.clear();
            } else if place != Place::Quoted {
                return Ok(());
            }
        }
    }
}

impl Place {
    fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::CellBegin, b'"') | (Self::MaybeEnd, b'"') => Self::Quoted,
            (Self::Quoted, b'"') => Self::MaybeEnd,
            (Self::Quoted, _) => Self::Quoted,
            (_, b',' | b'\n' | b'\r') => Self::CellBegin,
            _ => Self::Unquoted,
        }
    }
}

impl Read for CsvText {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if self.handed_on == self.record.len() {
            self.next_record()?;
        }
        let rest = &self.record[self.handed_on..];
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        self.handed_on += length;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(text: &'static str) -> Vec<(u64, String)> {
        let mut text = CsvText::new(Box::new(text.as_bytes())).unwrap();
        let mut buffer = [0; 256];
        std::iter::from_fn(|| match text.read(&mut buffer).unwrap() {
            0 => None,
            length => {
                let record = String::from_utf8_lossy(&buffer[..length]).into_owned();
                Some((text.line().get(), record))
            }
        })
        .collect()
    }

    #[test]
    fn a_record_is_cut_where_its_line_ends_outside_of_quotes() {
        let text = "a,b\n\n1,\"x\n\"\"\ny\"\r\n\r\n5\" wide,2\n\"3\"x\n4";
        let expected = [
            (1, "a,b\n"),
            (3, "1,\"x\n\"\"\ny\"\r\n"),
            (7, "5\" wide,2\n"),
            (8, "\"3\"x\n"),
            (9, "4"),
        ];
        assert_eq!(records(text), expected.map(|(line, text)| (line, text.to_owned())));
        assert_eq!(records(""), []);
        assert_eq!(records("\u{feff}\n\n"), []);
    }

    #[test]
    fn a_long_record_is_handed_on_in_parts() {
        let mut text = CsvText::new(Box::new("abc\ndef\n".as_bytes())).unwrap();
        let mut buffer = [0; 3];
        let lengths: Vec<_> = (0..5).map(|_| text.read(&mut buffer).unwrap()).collect();
        assert_eq!(lengths, [3, 1, 3, 1, 0]);
    }
}
