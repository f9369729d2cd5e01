use std::cell::Cell;
use std::io::BufRead;
use std::rc::Rc;

use serde_json::{Map, Value};
use tandem::{Error, Result};

use crate::import::csv_text::CsvText;
use crate::import::row::{BadRow, Row};

/// The records of a CSV file whose first line names the fields.
///
/// A column that the bucket's schema declares is read as its type; any other
/// becomes a number where the text is one as JSON writes it, a boolean for
/// `true` and `false`, and a string otherwise. An empty cell is a missing field.
pub(super) struct CsvRows {
    records: csv::StringRecordsIntoIter<CsvText>,
    columns: Vec<Column>,
    line: Rc<Cell<u64>>,
}

struct Column {
    name: String,
    declared: Option<String>,
}

impl CsvRows {
    /// # Errors
    /// `VALIDATION_ERROR` when the first line cannot be read or names a field
    /// twice.
    pub(super) fn new(input: Box<dyn BufRead>, schema: &Value) -> Result<Self> {
        let bad_header = |problem: String| {
            Error::validation(format!("The CSV header cannot be read: {problem}"))
        };
        let text = CsvText::new(input).map_err(|error| bad_header(error.to_string()))?;
        let line = text.line();
        let mut reader = csv::ReaderBuilder::new().flexible(false).from_reader(text);
        let header = reader.headers().map_err(|error| bad_header(problem_of(&error)))?;
        let mut columns: Vec<Column> = Vec::with_capacity(header.len());
        for name in header {
            if columns.iter().any(|column| column.name == name) {
                return Err(bad_header(format!("it names \"{name}\" twice")));
            }
            let declared = schema[name]["type"].as_str().map(str::to_owned);
            columns.push(Column { name: name.to_owned(), declared });
        }
        Ok(Self { records: reader.into_records(), columns, line })
    }

    fn row(&self, record: &csv::StringRecord, line: u64) -> std::result::Result<Row, BadRow> {
        let mut fields = Map::new();
        for (Column { name, declared }, cell) in self.columns.iter().zip(record) {
            if cell.is_empty() {
                continue;
            }
            let value = typed(declared.as_deref(), cell).ok_or_else(|| {
                let wanted = declared.as_deref().unwrap_or("value");
                BadRow::new(line, format!("{name}: \"{cell}\" is no {wanted}"))
            })?;
            fields.insert(name.clone(), value);
        }
        Ok(Row { line, bytes: record.as_slice().len(), fields })
    }
}

fn typed(declared: Option<&str>, cell: &str) -> Option<Value> {
    let parsed = || serde_json::from_str::<Value>(cell).ok();
    match declared {
        Some("string" | "date") => Some(cell.into()),
        Some("number") => parsed().filter(Value::is_number),
        Some("boolean") => parsed().filter(Value::is_boolean),
        Some("object") => parsed().filter(Value::is_object),
        Some("array") => parsed().filter(Value::is_array),
        _ => Some(
            parsed()
                .filter(|value| value.is_number() || value.is_boolean())
                .unwrap_or_else(|| cell.into()),
        ),
    }
}

/// What is wrong, without the place, which the parser counts differently.
fn problem_of(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} cells, but the header has {expected_len}")
        }
        csv::ErrorKind::Utf8 { .. } => "not UTF-8".to_owned(),
        csv::ErrorKind::Io(error) => error.to_string(),
        _ => error.to_string(),
    }
}

impl Iterator for CsvRows {
    type Item = std::result::Result<Row, BadRow>;

    fn next(&mut self) -> Option<Self::Item> {
        let record = self.records.next()?;
        let line = self.line.get();
        Some(match record {
            Ok(record) => self.row(&record, line),
            Err(error) if error.is_io_error() => Err(BadRow::fatal(line, problem_of(&error))),
            Err(error) => Err(BadRow::new(line, problem_of(&error))),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::import::row::MAX_ROW_BYTES;

    fn read(text: &str, schema: &Value) -> Vec<std::result::Result<(u64, Value), (u64, String)>> {
        CsvRows::new(Box::new(std::io::Cursor::new(text.to_owned())), schema)
            .unwrap()
            .map(|row| match row {
                Ok(row) => Ok((row.line, row.fields.into())),
                Err(bad) => Err((bad.line, bad.problem)),
            })
            .collect()
    }

    #[test]
    fn cells_get_the_declared_type_or_the_one_they_look_like() {
        let schema = json!({ "zip": { "type": "string" }, "n": { "type": "number" } });
        for begin in ["", "\u{feff}"] {
            let text = format!("{begin}zip,n,x,y,z\n01234,5,1.5,true,\"a,b\"\n9,6,007,,c\n");
            assert_eq!(
                read(&text, &schema),
                [
                    Ok((2, json!({ "zip": "01234", "n": 5, "x": 1.5, "y": true, "z": "a,b" }))),
                    Ok((3, json!({ "zip": "9", "n": 6, "x": "007", "z": "c" }))),
                ]
            );
        }
    }

    #[test]
    fn a_bad_row_is_reported_with_the_line_that_it_begins_on() {
        let schema = json!({ "n": { "type": "number" } });
        for end in ["\n", "\r\n"] {
            let lines =
                ["n,m", "x,1", "2", "", "3,\"two", "lines\"", "4,4", "5,5,5", "\"5\"\"\",1"];
            let text = lines.join(end);
            assert_eq!(
                read(&text, &schema),
                [
                    Err((2, "n: \"x\" is no number".to_owned())),
                    Err((3, "1 cells, but the header has 2".to_owned())),
                    Ok((5, json!({ "n": 3, "m": format!("two{end}lines") }))),
                    Ok((7, json!({ "n": 4, "m": 4 }))),
                    Err((8, "3 cells, but the header has 2".to_owned())),
                    Err((9, "n: \"5\"\" is no number".to_owned())),
                ]
            );
        }
    }

    #[test]
    fn no_text_and_a_header_alone_have_no_rows() {
        assert!(read("", &json!({})).is_empty());
        assert!(read("a,b\n", &json!({})).is_empty());
    }

    #[test]
    fn a_header_that_names_a_field_twice_is_refused() {
        let rows = CsvRows::new(Box::new("a,b,a\n1,2,3\n".as_bytes()), &json!({}));
        let error = rows.err().expect("refused");
        assert!(error.message().contains("\"a\" twice"), "{error}");
    }

    #[test]
    fn g10_an_unclosed_quote_is_not_read_into_memory() {
        let text = format!("a\n1\n\"{}", "x\n".repeat(MAX_ROW_BYTES));
        let mut rows =
            CsvRows::new(Box::new(std::io::Cursor::new(text)), &json!({})).expect("a header");
        assert!(rows.next().is_some_and(|row| row.is_ok()));
        let bad = rows.next().and_then(std::result::Result::err).expect("a bad row");
        assert!(bad.fatal && bad.line == 3, "{bad:?}");
    }
}
