//! What `docs/protocol.md` says of each request: its fields and its errors.

use std::collections::BTreeSet;

use tandem::Code;

const TEXT: &str = include_str!("../../../../../docs/protocol.md");

/// One row of the tables of requests.
#[derive(Clone, Debug)]
pub struct Documented {
    pub kind: String,
    pub section: String,
    pub fields: Vec<Field>,
    pub errors: BTreeSet<String>,
}

/// A field of a request.
#[derive(Clone, Debug)]
pub struct Field {
    pub name: String,
    pub optional: bool,
}

/// Every request.
pub fn requests() -> Vec<Documented> {
    let mut requests = Vec::new();
    let mut section = String::new();
    let mut columns: Option<Vec<String>> = None;
    for line in TEXT.lines() {
        if let Some(title) = line.strip_prefix('#') {
            section = title.trim_start_matches('#').trim().to_owned();
        }
        let Some(inner) = line.strip_prefix('|') else {
            columns = None;
            continue;
        };
        let cells: Vec<String> =
            inner.trim_end_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
        match &columns {
            None => columns = Some(cells),
            Some(names) if names[0] == "type" && !line.starts_with("|-") => {
                let column = |wanted: &str| {
                    let at = names.iter().position(|name| name == wanted);
                    at.and_then(|at| cells.get(at)).map(String::as_str).unwrap_or_default()
                };
                for kind in cells[0].split('`').skip(1).step_by(2) {
                    requests.push(Documented {
                        kind: kind.to_owned(),
                        section: section.clone(),
                        fields: fields(column("fields")),
                        errors: errors(column("errors")),
                    });
                }
            }
            Some(_) => {}
        }
    }
    assert!(requests.len() > 40, "the tables of requests are read: {}", requests.len());
    requests
}

/// The codes named in a cell.
fn errors(cell: &str) -> BTreeSet<String> {
    let words = cell.split(|c: char| !(c.is_ascii_uppercase() || c == '_'));
    let known = |word: &&str| Code::ALL.iter().any(|code| code.as_str() == *word);
    words.filter(known).map(str::to_owned).collect()
}

/// The fields named in a cell: `bucket, n ≥ 1, filter?`, with explanations in
/// backticks, in brackets, and after a colon.
fn fields(cell: &str) -> Vec<Field> {
    let mut plain = String::new();
    for (index, part) in cell.split('`').enumerate() {
        if index % 2 == 0 {
            plain.push_str(part);
        }
    }
    while let (Some(open), Some(close)) = (plain.find('('), plain.find(')')) {
        plain.replace_range(open..=close, "");
    }
    let plain = plain.split([':', ';']).next().unwrap_or_default().replace(" or ", ",");
    plain
        .split(',')
        .filter(|part| !part.trim_start().starts_with("no "))
        .filter_map(|part| part.split_whitespace().next())
        .map(|word| Field {
            name: word.trim_end_matches('?').trim_end_matches("[]").to_owned(),
            optional: word.ends_with('?'),
        })
        .collect()
}
