use std::io::BufRead;

use serde_json::{Map, Value};
use tandem::{Error, Result};

use crate::import::{BadRow, Row};

/// The records of a CSV file whose first line names the fields.
///
/// A column that the bucket's schema declares is read as its type; any other
/// becomes a number where the text is one as JSON writes it, a boolean for
/// `true` and `false`, and a string otherwise. An empty cell is a missing field.
pub(super) struct CsvRows {
    records: csv::StringRecordsIntoIter<Box<dyn BufRead>>,
    columns: Vec<(String, Option<String>)>,
}

impl CsvRows {
    pub(super) fn new(input: Box<dyn BufRead>, schema: &Value) -> Result<Self> {
        let mut reader = csv::ReaderBuilder::new().flexible(false).from_reader(input);
        let header = reader.headers().map_err(|error| {
            Error::validation(format!("The CSV header cannot be read: {error}"))
        })?;
        let columns = header
            .iter()
            .map(|name| {
                let declared = schema[name]["type"].as_str().map(str::to_owned);
                (name.trim_start_matches('\u{feff}').to_owned(), declared)
            })
            .collect();
        Ok(Self { records: reader.into_records(), columns })
    }

    fn row(&self, record: &csv::StringRecord, line: u64) -> std::result::Result<Row, BadRow> {
        let mut fields = Map::new();
        for ((name, declared), cell) in self.columns.iter().zip(record) {
            if cell.is_empty() {
                continue;
            }
            let value = typed(declared.as_deref(), cell).ok_or_else(|| {
                let wanted = declared.as_deref().unwrap_or("value");
                let problem = format!("{name}: \"{cell}\" is not a {wanted}");
                BadRow { line, problem, fatal: false }
            })?;
            fields.insert(name.clone(), value);
        }
        Ok(Row { line, fields })
    }
}

fn typed(declared: Option<&str>, cell: &str) -> Option<Value> {
    let parsed = || serde_json::from_str::<Value>(cell.trim()).ok();
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

impl Iterator for CsvRows {
    type Item = std::result::Result<Row, BadRow>;

    fn next(&mut self) -> Option<Self::Item> {
        let record = self.records.next()?;
        Some(match record {
            Ok(record) => {
                let line = record.position().map_or(0, csv::Position::line);
                self.row(&record, line)
            }
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                let fatal = error.is_io_error();
                Err(BadRow { line, problem: error.to_string(), fatal })
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &'static str, schema: &Value) -> Vec<std::result::Result<(u64, Value), u64>> {
        CsvRows::new(Box::new(text.as_bytes()), schema)
            .unwrap()
            .map(|row| row.map(|row| (row.line, row.fields.into())).map_err(|bad| bad.line))
            .collect()
    }

    #[test]
    fn cells_get_the_declared_type_or_the_one_they_look_like() {
        let schema = json!({ "zip": { "type": "string" }, "n": { "type": "number" } });
        assert_eq!(
            read("zip,n,x,y,z\n01234,5,1.5,true,\"a,b\"\n9,6,007,,c\n", &schema),
            vec![
                Ok((2, json!({ "zip": "01234", "n": 5, "x": 1.5, "y": true, "z": "a,b" }))),
                Ok((3, json!({ "zip": "9", "n": 6, "x": "007", "z": "c" }))),
            ]
        );
    }

    #[test]
    fn a_wrong_cell_and_a_short_line_are_reported_with_their_line() {
        let schema = json!({ "n": { "type": "number" } });
        let rows = read("n,m\nx,1\n2\n3,4\n", &schema);
        assert_eq!(rows, vec![Err(2), Err(3), Ok((4, json!({ "n": 3, "m": 4 })))]);
    }
}
