use std::io::BufRead;

use crate::import::row::{BadRow, MAX_ROW_BYTES, Row, skip_byte_order_mark};

/// The objects of one JSON array, read one at a time; or of a file without an
/// array, one after another.
///
/// In an array, a row is the text between two commas that stand outside of
/// strings, objects and arrays, so a row that is not JSON is one bad row unless
/// it opens something that it does not close. Only the text of one row is held.
pub(super) struct JsonRows {
    input: Box<dyn BufRead>,
    line: u64,
    place: Place,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Begin,
    InArray,
    AfterArray,
    /// The file has no array around its objects.
    Bare,
    End,
}

impl JsonRows {
    pub(super) fn new(input: Box<dyn BufRead>) -> Self {
        Self { input, line: 1, place: Place::Begin }
    }

    fn read_row(&mut self) -> Result<Option<Row>, BadRow> {
        if self.place == Place::Begin {
            skip_byte_order_mark(&mut self.input).map_err(|error| self.unreadable(&error))?;
        }
        let first = self.skip_whitespace()?;
        match (self.place, first) {
            (Place::Begin, Some(b'[')) => {
                self.input.consume(1);
                self.place = Place::InArray;
                self.element()
            }
            (Place::InArray, _) => self.element(),
            (Place::Begin | Place::Bare, Some(_)) => {
                self.place = Place::Bare;
                self.bare_object().map(Some)
            }
            (Place::AfterArray, Some(_)) => {
                Err(BadRow::fatal(self.line, "text after the end of the array"))
            }
            (_, None) | (Place::End, _) => Ok(None),
        }
    }

    /// The row up to the next comma or the array's end.
    fn element(&mut self) -> Result<Option<Row>, BadRow> {
        self.skip_whitespace()?;
        let line = self.line;
        let (text, end) = self.text(|before, byte, _| before && matches!(byte, b',' | b']'))?;
        match end {
            None if text.is_empty() => {
                return Err(BadRow::fatal(self.line, "the array is not closed"));
            }
            None => return Err(BadRow::fatal(line, "the file ends inside this row")),
            Some(end) => {
                self.input.consume(1);
                if end == b']' {
                    self.place = Place::AfterArray;
                    if text.is_empty() {
                        return self.read_row();
                    }
                }
            }
        }
        Row::from_json(&text, line).map(Some)
    }

    /// The row up to its closing brace; of text that is no object, the line.
    fn bare_object(&mut self) -> Result<Row, BadRow> {
        let line = self.line;
        let mut closed = false;
        let (text, end) = self.text(|before, byte, after| {
            let ends = closed || (before && byte == b'\n');
            closed = !before && after && byte == b'}';
            ends
        })?;
        if end.is_none() && !closed && text.starts_with(b"{") {
            return Err(BadRow::fatal(line, "the file ends inside this row"));
        }
        Row::from_json(&text, line)
    }

    /// The text before the first byte that `ends` it, and that byte, which is
    /// not consumed. `ends` is told whether the text stood outside of strings,
    /// objects and arrays before and after the byte.
    fn text(
        &mut self,
        mut ends: impl FnMut(bool, u8, bool) -> bool,
    ) -> Result<(Vec<u8>, Option<u8>), BadRow> {
        let first_line = self.line;
        let mut text = Vec::new();
        let mut nesting = Nesting::default();
        loop {
            let buffer = match self.input.fill_buf() {
                Ok(buffer) => buffer,
                Err(error) => return Err(BadRow::fatal(self.line, error.to_string())),
            };
            if buffer.is_empty() {
                return Ok((text, None));
            }
            let end = buffer.iter().position(|byte| {
                let before = nesting.is_outside();
                nesting.follow(*byte);
                let ends = ends(before, *byte, nesting.is_outside());
                self.line += u64::from(*byte == b'\n' && !ends);
                ends
            });
            let used = end.unwrap_or(buffer.len());
            let end = end.map(|at| buffer[at]);
            text.extend_from_slice(&buffer[..used]);
            self.input.consume(used);
            if end.is_some() {
                return Ok((text, end));
            }
            if text.len() > MAX_ROW_BYTES {
                return Err(BadRow::too_long(first_line));
            }
        }
    }

    /// The next byte that is not whitespace; it is not consumed.
    fn skip_whitespace(&mut self) -> Result<Option<u8>, BadRow> {
        loop {
            let first = match self.input.fill_buf() {
                Ok(buffer) => buffer.first().copied(),
                Err(error) => return Err(self.unreadable(&error)),
            };
            match first {
                Some(b'\n') => self.line += 1,
                Some(b' ' | b'\t' | b'\r') => {}
                other => return Ok(other),
            }
            self.input.consume(1);
        }
    }

    fn unreadable(&self, error: &std::io::Error) -> BadRow {
        BadRow::fatal(self.line, error.to_string())
    }
}

/// Where in JSON text a byte stands.
#[derive(Default)]
struct Nesting {
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Nesting {
    fn is_outside(&self) -> bool {
        self.depth == 0 && !self.in_string
    }

    fn follow(&mut self, byte: u8) {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' if self.in_string => self.escaped = true,
            b'"' => self.in_string = !self.in_string,
            b'{' | b'[' if !self.in_string => self.depth += 1,
            b'}' | b']' if !self.in_string => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
    }
}

impl Iterator for JsonRows {
    type Item = Result<Row, BadRow>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.read_row();
        if row.as_ref().is_err_and(|bad| bad.fatal) {
            self.place = Place::End;
        }
        row.transpose()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn read(text: &'static str) -> Vec<Result<(u64, String), (u64, bool)>> {
        JsonRows::new(Box::new(text.as_bytes()))
            .map(|row| match row {
                Ok(row) => Ok((row.line, Value::Object(row.fields).to_string())),
                Err(bad) => Err((bad.line, bad.fatal)),
            })
            .collect()
    }

    fn row(line: u64, text: &str) -> Result<(u64, String), (u64, bool)> {
        Ok((line, text.to_owned()))
    }

    #[test]
    fn arrays_and_bare_objects_give_the_same_rows_with_their_lines() {
        let expected = [row(1, r#"{"a":"}],\"{"}"#), row(2, r#"{"b":[{}]}"#)];
        assert_eq!(read("[{\"a\":\"}],\\\"{\"},\n{\"b\":[{}]}]"), expected);
        assert_eq!(read("{\"a\":\"}],\\\"{\"}\n{\"b\":[{}]}\n"), expected);
        let pretty = read("\u{feff}[\r\n  {\r\n    \"a\": 1\r\n  },\r\n  {\r\n  }\r\n]\r\n");
        assert_eq!(pretty, [row(2, r#"{"a":1}"#), row(5, "{}")]);
        assert_eq!(read("{\n\"a\": {}\n} {}"), [row(1, r#"{"a":{}}"#), row(3, "{}")]);
    }

    #[test]
    fn no_text_and_an_empty_array_have_no_rows() {
        for text in ["", " \n", "\u{feff}", "[]", "[ \n]\n"] {
            assert_eq!(read(text), [], "{text:?}");
        }
    }

    #[test]
    fn a_bad_row_is_one_bad_row_and_the_next_is_read() {
        for bad in
            ["{\"a\":}", "7", "\"a, b\"", "[{}]", "{]", "{}}", "{} {}", "{\"a\":\"\u{1}\"}", ""]
        {
            let text = format!("[{{\"a\":1}},\n{bad},\n{{\"a\":3}}]").leak();
            // The line of an empty row is that of the comma that ends it.
            assert_eq!(
                read(text),
                [row(1, r#"{"a":1}"#), Err((2, false)), row(3, r#"{"a":3}"#)],
                "{bad}"
            );
        }
        assert_eq!(
            read("{\"a\":1}\nnone\n{\"a\":3}"),
            [row(1, r#"{"a":1}"#), Err((2, false)), row(3, r#"{"a":3}"#)]
        );
    }

    #[test]
    fn the_problem_is_reported_on_its_own_line() {
        assert_eq!(read("[\n{\n\"a\": 1,\n\"b\": oh\n}]"), [Err((4, false))]);
    }

    #[test]
    fn a_cut_file_ends_the_import() {
        assert_eq!(read("[{\"a\":1},\n{\"a\":"), [row(1, r#"{"a":1}"#), Err((2, true))]);
        assert_eq!(read("{\"a\":1}\n{\"a\":"), [row(1, r#"{"a":1}"#), Err((2, true))]);
        assert_eq!(read("[{\"a\":1},\n"), [row(1, r#"{"a":1}"#), Err((2, true))]);
        assert_eq!(read("[{\"a\":1}"), [Err((1, true))]);
        assert_eq!(read("["), [Err((1, true))]);
        assert_eq!(read("[{}]\n[{}]"), [row(1, "{}"), Err((2, true))]);
    }

    #[test]
    fn g10_a_row_without_end_is_not_read_into_memory() {
        let text = format!("[{{\"a\":\"{}", "x".repeat(2 * MAX_ROW_BYTES));
        let bad = JsonRows::new(Box::new(std::io::Cursor::new(text))).next();
        assert!(bad.is_some_and(|bad| bad.is_err_and(|bad| bad.fatal)));
    }
}
