//! Cases as text: a request, what comes before it, and what it answers.
//!
//! ```text
//! store.update CONFLICT: a stale version      type, outcome, what about it
//!   config {…}     settings of the server     limits {…}   of its store
//!   trim           the change log is emptied before the request
//!   door administrators                       the request comes by `POST /rpc`
//!   a TYPE {…}     a request before, on the same socket; b: on another one
//!   b+ TYPE {…}    the same, whose answer is not waited for
//!   repeat CODE    the request is sent again while it answers that
//!   > {…}          the request
//!   = …            its data, or the details of its error
//!   ! text         part of the message; or `retryable`, `not retryable`
//! ```
//!
//! What stands after `=` has to be in the answer; objects may have more
//! fields. `"@any"` is any value, `"@absent"` none. In requests, `"@text n"` is
//! a text of n letters, `"@deep n"` an array n deep, `"@list n"` one of n numbers.

use serde_json::{Value, json};

/// See the [module](self).
#[derive(Clone, Debug, Default)]
pub struct Case {
    pub kind: String,
    pub outcome: String,
    pub title: String,
    pub config: Option<Value>,
    pub limits: Option<Value>,
    pub trim: bool,
    pub administrators: bool,
    pub before: Vec<Before>,
    pub repeat: Option<String>,
    pub request: Value,
    pub answer: Option<Value>,
    pub says: Vec<String>,
}

/// What happens before the request.
#[derive(Clone, Debug)]
pub enum Before {
    Same(String, Value),
    Other(String, Value),
    OtherMeanwhile(String, Value),
}

impl Case {
    /// Whether it stands for its type wherever any valid request does.
    pub fn is_success(&self) -> bool {
        self.outcome == "ok"
    }
}

const FILES: [&str; 7] = [
    include_str!("cases/records.cases"),
    include_str!("cases/reads.cases"),
    include_str!("cases/definitions.cases"),
    include_str!("cases/transactions.cases"),
    include_str!("cases/sql.cases"),
    include_str!("cases/subscriptions.cases"),
    include_str!("cases/statistics.cases"),
];

/// Every case.
pub fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in FILES.iter().flat_map(|file| file.lines()) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match line.strip_prefix("  ") {
            None => cases.push(heading(line)),
            Some(step) => add_step(cases.last_mut().expect("a case"), step),
        }
    }
    cases
}

fn heading(line: &str) -> Case {
    let (head, about) = line.split_once(": ").unwrap_or((line, ""));
    let (kind, outcome) = head.split_once(' ').unwrap_or_else(|| panic!("no outcome: {line}"));
    let title = format!("{kind} {outcome} {about}");
    Case { kind: kind.into(), outcome: outcome.into(), title, ..Case::default() }
}

fn add_step(case: &mut Case, step: &str) {
    let (word, rest) = step.split_once(' ').unwrap_or((step, ""));
    let value = |text: &str| -> Value {
        let parsed = serde_json::from_str(text);
        expand(parsed.unwrap_or_else(|error| panic!("{}: {text}: {error}", case.title)))
    };
    let request = || {
        let (kind, fields) = rest.split_once(' ').expect("a type and its fields");
        (kind.to_owned(), value(fields))
    };
    let before = match word {
        "a" => {
            let (kind, fields) = request();
            Before::Same(kind, fields)
        }
        "b" => {
            let (kind, fields) = request();
            Before::Other(kind, fields)
        }
        "b+" => {
            let (kind, fields) = request();
            Before::OtherMeanwhile(kind, fields)
        }
        "repeat" => return case.repeat = Some(rest.to_owned()),
        "config" => return case.config = Some(value(rest)),
        "limits" => return case.limits = Some(value(rest)),
        "trim" => return case.trim = true,
        "door" => return case.administrators = true,
        ">" => return case.request = value(rest),
        "=" => return case.answer = Some(value(rest)),
        "!" => return case.says.push(rest.to_owned()),
        _ => panic!("{}: unknown step: {step}", case.title),
    };
    case.before.push(before);
}

fn expand(value: Value) -> Value {
    match value {
        Value::String(text) => {
            let Some((what, n)) = text.strip_prefix('@').and_then(|rest| rest.split_once(' '))
            else {
                return Value::String(text);
            };
            let n: usize = n.parse().expect("a number");
            match what {
                "text" => "x".repeat(n).into(),
                "list" => (0..n).collect(),
                "deep" => (0..n).fold(json!(1), |inside, _| json!([inside])),
                _ => panic!("unknown placeholder @{what}"),
            }
        }
        Value::Array(items) => items.into_iter().map(expand).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, v)| (name, expand(v))).collect(),
        other => other,
    }
}

/// What is not in `given` although it should be.
pub fn difference(path: &str, wanted: &Value, given: Option<&Value>) -> Option<String> {
    match (wanted, given) {
        (Value::String(any), Some(_)) if any == "@any" => None,
        (Value::String(absent), None) if absent == "@absent" => None,
        (Value::Object(wanted), Some(Value::Object(given))) => {
            wanted.iter().find_map(|(name, wanted)| {
                difference(&format!("{path}.{name}"), wanted, given.get(name))
            })
        }
        (Value::Array(wanted), Some(Value::Array(items))) if wanted.len() == items.len() => {
            wanted.iter().enumerate().find_map(|(index, wanted)| {
                difference(&format!("{path}[{index}]"), wanted, items.get(index))
            })
        }
        _ if Some(wanted) == given => None,
        _ => Some(format!("{path} is {given:?} instead of {wanted}")),
    }
}
