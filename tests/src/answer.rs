//! What a step answered, and how scripts write it.

use serde_json::Value;

/// Records with keys from here on only fill the bucket; answers leave them out.
pub const FILLERS_FROM: i64 = 1000;

/// A step's answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// It succeeded; there is nothing to show.
    Done,
    /// Nothing was found.
    Nothing,
    /// How many.
    Number(u64),
    /// One record.
    Record(Value),
    /// Several records.
    Records(Vec<Value>),
    /// The commits that a subscription brought, in the order of arrival.
    Commits(Vec<Vec<ChangeSeen>>),
    /// It failed.
    Failed {
        /// The stable code.
        code: String,
        /// For people.
        message: String,
    },
}

/// One change as a subscriber sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct ChangeSeen {
    /// `insert`, `update` or `delete`.
    pub kind: String,
    /// The record's key.
    pub key: Value,
    /// The record after the change.
    pub after: Option<Value>,
}

impl ChangeSeen {
    /// Reads a change as it stands on the wire: `{type, key, after?}`.
    #[must_use]
    pub fn from_json(change: &Value) -> Self {
        Self {
            kind: change["type"].as_str().unwrap_or_default().to_owned(),
            key: change["key"].clone(),
            after: change.get("after").cloned(),
        }
    }
}

impl Answer {
    /// A failure.
    #[must_use]
    pub fn failed(code: &str, message: impl Into<String>) -> Self {
        Self::Failed { code: code.to_owned(), message: message.into() }
    }

    /// The answer as scripts write it, without blanks.
    #[must_use]
    pub fn render(&self, show: &[String]) -> String {
        match self {
            Self::Done => "ok".to_owned(),
            Self::Nothing => "none".to_owned(),
            Self::Number(number) => number.to_string(),
            Self::Record(record) => shown(record, show),
            Self::Records(records) => render_records(records, show),
            Self::Commits(commits) if commits.is_empty() => "nothing".to_owned(),
            Self::Commits(commits) => {
                commits.iter().map(|changes| render_commit(changes, show)).collect()
            }
            Self::Failed { code, .. } => code.clone(),
        }
    }

    /// Whether the answer is the expected one: `ok` stands for every success,
    /// and a count meets the records that it would count.
    #[must_use]
    pub fn meets(&self, expected: &str, show: &[String]) -> bool {
        match self {
            Self::Failed { code, .. } => code == expected,
            _ if expected == "ok" => true,
            Self::Number(number) if expected.starts_with('{') => {
                expected.matches(':').count() as u64 == *number
            }
            _ => self.render(show) == expected,
        }
    }
}

fn render_records(records: &[Value], show: &[String]) -> String {
    let is_shown = |record: &&Value| record["id"].as_i64().is_none_or(|id| id < FILLERS_FROM);
    let mut records: Vec<_> = records.iter().filter(is_shown).collect();
    records.sort_by_key(|record| {
        let key = &record["id"];
        (key.as_i64(), key.to_string())
    });
    let entries: Vec<_> = records
        .iter()
        .map(|record| format!("{}:{}", plain(&record["id"]), shown(record, show)))
        .collect();
    format!("{{{}}}", entries.join(","))
}

fn render_commit(changes: &[ChangeSeen], show: &[String]) -> String {
    let entries: Vec<_> = changes
        .iter()
        .map(|change| {
            let after = change.after.as_ref().map(|record| format!(":{}", shown(record, show)));
            format!("{}{}{}", change.kind, plain(&change.key), after.unwrap_or_default())
        })
        .collect();
    format!("[{}]", entries.join(","))
}

fn shown(record: &Value, show: &[String]) -> String {
    let fields: Vec<_> = show.iter().map(|field| plain(&record[field])).collect();
    fields.join("/")
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.split_whitespace().collect(),
        Value::Null => "none".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn show(fields: &[&str]) -> Vec<String> {
        fields.iter().map(|field| (*field).to_owned()).collect()
    }

    #[test]
    fn records_are_written_in_key_order_with_the_shown_fields() {
        let records =
            vec![json!({"id": 10, "value": 1, "_version": 2}), json!({"id": 2, "_version": 1})];
        let answer = Answer::Records(records);
        assert_eq!(answer.render(&show(&["value", "_version"])), "{2:none/1,10:1/2}");
    }

    #[test]
    fn fillers_are_left_out() {
        let records = vec![json!({"id": 1000}), json!({"id": 1, "value": 10})];
        assert_eq!(Answer::Records(records).render(&show(&["value"])), "{1:10}");
    }

    #[test]
    fn ok_stands_for_success_and_never_for_a_failure() {
        let show = show(&["value"]);
        assert!(Answer::Number(3).meets("ok", &show));
        assert!(!Answer::failed("CONFLICT", "").meets("ok", &show));
        assert!(Answer::failed("CONFLICT", "").meets("CONFLICT", &show));
        assert!(!Answer::Done.meets("CONFLICT", &show));
    }

    #[test]
    fn a_count_meets_as_many_records() {
        let show = show(&["value"]);
        assert!(Answer::Number(2).meets("{1:10,2:20}", &show));
        assert!(Answer::Number(0).meets("{}", &show));
        assert!(!Answer::Number(1).meets("{}", &show));
    }
}
