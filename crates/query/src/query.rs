use serde_json::{Map, Value};
use tandem_base::{Error, Result};
use tandem_record::filter::Filter;
use tandem_record::row::Row;
use tandem_record::value::Path;

use crate::cursor::Cursor;
use crate::order::SortPart;

/// Bounds of a read; `docs/limits.md` lists them all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueryLimits {
    /// Rows held at once to sort them; beyond it `LIMIT_EXCEEDED` names
    /// `sortRows`.
    pub sort_rows: usize,
    /// Stored bytes of those rows; beyond it `LIMIT_EXCEEDED` names `sortBytes`.
    pub sort_bytes: usize,
    /// Rows answered at once; beyond it `LIMIT_EXCEEDED` names `resultRows`.
    pub result_rows: usize,
    /// Stored bytes of those rows, whichever of their fields are shown, or of
    /// the keys of those groups; beyond it `LIMIT_EXCEEDED` names `resultBytes`.
    pub result_bytes: usize,
    /// Groups of one `groupBy` or `$group`; beyond it `LIMIT_EXCEEDED` names `groups`.
    pub groups: usize,
    /// About the bytes that the stages of a pipeline hold, its result included;
    /// beyond it `LIMIT_EXCEEDED` names `pipelineBytes`.
    pub pipeline_bytes: usize,
    /// What one pipeline may do, in units of about a byte made or an operator
    /// evaluated; beyond it `LIMIT_EXCEEDED` names `pipelineWork`.
    pub pipeline_work: u64,
}

impl Default for QueryLimits {
    fn default() -> Self {
        Self {
            sort_rows: 1_000_000,
            sort_bytes: 256 << 20,
            result_rows: 1_000_000,
            result_bytes: 64 << 20,
            groups: 100_000,
            pipeline_bytes: 64 << 20,
            pipeline_work: 4_000_000_000,
        }
    }
}

/// Where a read goes on.
#[derive(Clone, Debug, PartialEq)]
pub enum After {
    /// After the place that an earlier page has answered as `next_cursor`.
    Cursor(Cursor),
    /// After the record with this key, or what [`Cursor::parse`] makes of it.
    Text(Value),
}

/// A way to reach the rows. It is taken if it leads to all of them; the answer
/// is the same either way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hint {
    /// Look at every row.
    Scan,
    /// Through the index of that name.
    Index(String),
}

/// A read of one bucket.
///
/// Evaluated as: filter → sort → after → offset → limit. Without a sort,
/// records come in natural order: that of insertion, or of keys in an
/// `ordered_set`; between equal sort values, too.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// The bucket's name.
    pub bucket: String,
    /// Which records; `None` = all.
    pub filter: Option<Filter>,
    /// In which order; empty = natural.
    pub sort: Vec<SortPart>,
    /// How many at most; `None` = all.
    pub limit: Option<usize>,
    /// How many to leave out first.
    pub offset: usize,
    /// Which fields to answer; `None` = the whole record. Applied by
    /// [`project`](Query::project), not by the read.
    pub fields: Option<Vec<String>>,
    /// Where to go on.
    pub after: Option<After>,
    /// Which way to prefer to the one that seems cheapest.
    pub hint: Option<Hint>,
    /// Bounds on memory.
    pub limits: QueryLimits,
}

impl Query {
    /// Everything in `bucket`, in natural order.
    #[must_use]
    pub fn new(bucket: impl Into<String>) -> Self {
        Self { bucket: bucket.into(), ..Self::default() }
    }

    /// Only records that match.
    #[must_use]
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = Some(filter);
        self
    }

    /// As [`filter`](Self::filter), from JSON; null is no filter.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` naming what is wrong.
    pub fn filter_json(mut self, filter: &Value) -> Result<Self> {
        self.filter = if filter.is_null() { None } else { Some(Filter::parse(filter)?) };
        Ok(self)
    }

    /// The order, from JSON; see [`parse_sort`].
    ///
    /// # Errors
    /// `VALIDATION_ERROR` naming what is wrong.
    pub fn sort_json(mut self, sort: &Value) -> Result<Self> {
        self.sort = parse_sort(sort)?;
        Ok(self)
    }

    /// At most `limit` records; 0 is no limit.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = (limit > 0).then_some(limit);
        self
    }

    /// Leaves out the first `offset` records.
    #[must_use]
    pub fn offset(mut self, offset: usize) -> Self {
        self.offset = offset;
        self
    }

    /// Goes on after a page, or after the record with a key.
    #[must_use]
    pub fn after(mut self, after: After) -> Self {
        self.after = Some(after);
        self
    }

    /// Prefers a way to reach the rows.
    #[must_use]
    pub fn hint(mut self, hint: Hint) -> Self {
        self.hint = Some(hint);
        self
    }

    /// What is answered of `row`: the listed fields in their order and no
    /// others, or everything.
    ///
    /// # Errors
    /// `CORRUPTED`.
    pub fn project(&self, row: &Row) -> Result<Value> {
        match &self.fields {
            None => row.to_value(),
            Some(fields) => Ok(Value::Object(project(row, fields))),
        }
    }
}

/// The listed fields of a row, as a record. `a.b` answers `{"a": {"b": …}}`;
/// what is missing is left out.
#[must_use]
pub fn project(row: &Row, fields: &[String]) -> Map<String, Value> {
    let mut out = Map::new();
    for field in fields {
        if let Some(value) = row.field(field) {
            out.insert(field.clone(), value);
        } else if field.contains('.')
            && let Ok(path) = Path::parse(field)
            && let Some(value) = row.collect(&path)
        {
            let names: Vec<&str> = path.names().collect();
            insert_at(&mut out, &names, value);
        }
    }
    out
}

fn insert_at(record: &mut Map<String, Value>, names: &[&str], value: Value) {
    match names {
        [] => {}
        [last] => {
            record.insert((*last).to_owned(), value);
        }
        [first, rest @ ..] => {
            let inner = record.entry(*first).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(inner) = inner {
                insert_at(inner, rest, value);
            }
        }
    }
}

/// Reads a sort: `{"age": "desc", "name": 1}` (most significant first), or
/// `["-age", "name"]`, or `"-age"`. Null is no sort.
///
/// # Errors
/// `VALIDATION_ERROR` for any other form; `LIMIT_EXCEEDED` for more than
/// [`MAX_SORT_PARTS`] parts.
pub fn parse_sort(sort: &Value) -> Result<Vec<SortPart>> {
    let parts: Vec<SortPart> = match sort {
        Value::Null => Vec::new(),
        Value::String(field) => vec![signed_part(field)?],
        Value::Array(fields) => {
            let parts = fields.iter().map(|field| match field {
                Value::String(field) => signed_part(field),
                _ => Err(Error::validation("Invalid \"sort\": expected field names")),
            });
            parts.collect::<Result<_>>()?
        }
        Value::Object(fields) => {
            let parts = fields.iter().map(|(field, direction)| {
                Ok(SortPart {
                    path: Path::parse(field)?,
                    descending: descending(field, direction)?,
                })
            });
            parts.collect::<Result<_>>()?
        }
        _ => return Err(Error::validation("Invalid \"sort\": expected object or array")),
    };
    if parts.len() > MAX_SORT_PARTS {
        return Err(Error::limit("sortParts", MAX_SORT_PARTS as u64, parts.len() as u64));
    }
    Ok(parts)
}

/// How many parts a sort may have.
pub const MAX_SORT_PARTS: usize = 32;

fn signed_part(field: &str) -> Result<SortPart> {
    let (name, descending) = match field.strip_prefix('-') {
        Some(name) => (name, true),
        None => (field, false),
    };
    Ok(SortPart { path: Path::parse(name)?, descending })
}

fn descending(field: &str, direction: &Value) -> Result<bool> {
    match direction {
        Value::String(text) if text == "asc" => Ok(false),
        Value::String(text) if text == "desc" => Ok(true),
        Value::Number(number) if number.as_f64() == Some(1.0) => Ok(false),
        Value::Number(number) if number.as_f64() == Some(-1.0) => Ok(true),
        _ => Err(Error::validation(format!(
            "Invalid \"sort\": direction of \"{field}\" must be one of: asc, desc, 1, -1"
        ))
        .with("field", field)),
    }
}

/// What a paged read answers.
#[derive(Clone, Debug)]
pub struct QueryPage {
    /// The records, in order.
    pub rows: Vec<Row>,
    /// Whether more come after them.
    pub has_more: bool,
    /// Where to go on; `None` for an empty page.
    pub next_cursor: Option<Cursor>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tandem_record::{Metadata, Position};

    use super::*;

    #[test]
    fn a_sort_is_read_in_all_its_forms_and_no_other() {
        let shown = |sort: Value| -> Vec<(String, bool)> {
            let parts = parse_sort(&sort).unwrap();
            parts.iter().map(|part| (part.path.to_string(), part.descending)).collect()
        };
        let expected = vec![("b.c".to_owned(), true), ("a".to_owned(), false)];
        assert_eq!(shown(json!({"b.c": "desc", "a": "asc"})), expected);
        assert_eq!(shown(json!({"b.c": -1, "a": 1})), expected);
        assert_eq!(shown(json!(["-b.c", "a"])), expected);
        assert_eq!(shown(json!("-b.c")), expected[..1]);
        assert_eq!(shown(json!(null)), []);
        for bad in [json!({"a": "up"}), json!({"a": 2}), json!([1]), json!(7), json!({"": 1})] {
            assert_eq!(parse_sort(&bad).unwrap_err().code().as_str(), "VALIDATION_ERROR", "{bad}");
        }
        let many: Map<String, Value> = (0..33).map(|n| (format!("f{n}"), json!(1))).collect();
        let error = parse_sort(&Value::Object(many)).unwrap_err();
        assert_eq!(error.code().as_str(), "LIMIT_EXCEEDED");
    }

    #[test]
    fn a_projection_has_exactly_the_listed_fields() {
        let record = json!({"id": 1, "a": {"b": 2, "c": 3}, "n": null, "l": [{"x": 1}, {"x": 2}]});
        let position = Position { revision: 1, ordinal: 0 };
        let metadata = Metadata { version: 4, created_at: 5, updated_at: 6, position };
        let row = Row::encode(record.as_object().unwrap(), metadata).unwrap();
        let fields = ["n", "a.b", "_version", "missing", "l.x"].map(str::to_owned);
        assert_eq!(
            Value::Object(project(&row, &fields)),
            json!({"n": null, "a": {"b": 2}, "_version": 4, "l": {"x": [1, 2]}})
        );
    }
}
