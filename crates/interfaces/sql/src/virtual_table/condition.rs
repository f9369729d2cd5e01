//! From a condition of SQL to one of the record layer.
//!
//! SQLite compares by kind and affinity, the record layer by kind alone; so what
//! a condition becomes depends on the column's affinity and the value's kind. It
//! may let more records pass than SQLite would, never fewer.

use serde_json::{Value as Json, json};

use crate::table::Affinity;
use crate::value::Value;

/// The comparisons that can narrow a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Equal,
    /// One of a list.
    In,
    /// `IS`: as equal, and NULL is NULL.
    Is,
    IsNull,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Like,
    Glob,
}

impl Operator {
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "=?",
            Self::In => " IN ?",
            Self::Is => " IS ?",
            Self::IsNull => " IS NULL",
            Self::Less => "<?",
            Self::LessOrEqual => "<=?",
            Self::Greater => ">?",
            Self::GreaterOrEqual => ">=?",
            Self::Like => " LIKE ?",
            Self::Glob => " GLOB ?",
        }
    }

    fn filter(self) -> &'static str {
        match self {
            Self::Less => "$lt",
            Self::LessOrEqual => "$lte",
            Self::Greater => "$gt",
            _ => "$gte",
        }
    }

    /// Whether it can narrow a read by values of that affinity at all.
    pub(crate) fn applies_to(self, affinity: Affinity) -> bool {
        use Affinity::{Any, Boolean, Date, Integer, Json, Numeric, Real, Text};
        match self {
            Self::IsNull => affinity != Json,
            Self::Equal | Self::In | Self::Is => affinity != Json,
            Self::Less | Self::LessOrEqual | Self::Greater | Self::GreaterOrEqual => {
                matches!(affinity, Integer | Real | Numeric | Text | Date)
            }
            Self::Like | Self::Glob => {
                !matches!(affinity, Integer | Real | Numeric | Date | Boolean | Any | Json)
            }
        }
    }
}

/// What a condition says of a field.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Condition {
    /// No record fulfils it.
    Nothing,
    /// It does not narrow the read.
    Everything,
    /// A filter's condition.
    Filter(Json),
}

/// A condition on a column, given the value on its other side.
pub(crate) fn condition(affinity: Affinity, operator: Operator, value: &Value) -> Condition {
    match operator {
        Operator::IsNull => Condition::Filter(json!({ "$eq": null })),
        Operator::Is if value.is_null() => Condition::Filter(json!({ "$eq": null })),
        Operator::Equal | Operator::Is | Operator::In => one_of(affinity, [value]),
        Operator::Like => like(value),
        Operator::Glob => glob(value),
        range => within(affinity, range, value),
    }
}

/// That a column has one of some values.
pub(crate) fn one_of<'a>(
    affinity: Affinity,
    values: impl IntoIterator<Item = &'a Value>,
) -> Condition {
    let mut all = Vec::new();
    for value in values {
        match equals(affinity, value) {
            Some(equal) => all.extend(equal),
            None => return Condition::Everything,
        }
    }
    match all.as_slice() {
        [] => Condition::Nothing,
        [one] => Condition::Filter(json!({ "$eq": one })),
        _ => Condition::Filter(json!({ "$in": all })),
    }
}

/// The stored values that SQLite finds equal to `value`; `None` if they cannot be
/// listed.
pub(crate) fn equals(affinity: Affinity, value: &Value) -> Option<Vec<Json>> {
    use Affinity::{Any, Boolean, Date, Integer, Numeric, Real, Text};
    match (affinity, value) {
        (Affinity::Json, _) => None,
        (_, Value::Null | Value::Blob(_)) => Some(Vec::new()),
        (Integer | Real | Numeric | Boolean, value) => {
            let Some(number) = as_number(value) else { return Some(Vec::new()) };
            if affinity != Boolean && is_rounded(affinity, &number) {
                return None;
            }
            if affinity == Boolean {
                let flag = if number == json!(1) || number == json!(1.0) {
                    json!(true)
                } else if number == json!(0) || number == json!(0.0) {
                    json!(false)
                } else {
                    return Some(Vec::new());
                };
                return Some(vec![flag]);
            }
            Some(vec![number])
        }
        // An array or an object is shown as its text.
        (Any, Value::Text(text)) if text.starts_with(['[', '{']) => None,
        (Text | Date | Any, Value::Text(text)) => Some(vec![json!(text)]),
        // The text may be of a number in another spelling.
        (Text, Value::Integer(_) | Value::Real(_)) => None,
        (Date, Value::Integer(integer)) => Some(vec![json!(integer), json!(integer.to_string())]),
        (Any, Value::Integer(integer)) => {
            let mut all = vec![json!(integer), json!(integer.to_string())];
            match integer {
                0 => all.push(json!(false)),
                1 => all.push(json!(true)),
                _ => {}
            }
            Some(all)
        }
        (Date | Any, Value::Real(_)) => None,
    }
}

/// A value as numeric affinity makes it, if that is a number.
pub(crate) fn as_number(value: &Value) -> Option<Json> {
    match value {
        Value::Integer(integer) => Some(json!(integer)),
        Value::Real(real) => real.is_finite().then(|| json!(real)),
        Value::Text(text) => {
            let text = text.trim_matches([' ', '\t', '\n', '\x0b', '\x0c', '\r']);
            let number = |text: &str| {
                text.starts_with(['+', '-', '.']) || text.starts_with(|c: char| c.is_ascii_digit())
            };
            if !number(text) || text.contains(['i', 'I', 'n', 'N', '_']) {
                return None;
            }
            text.parse::<i64>().map(|integer| json!(integer)).ok().or_else(|| {
                text.parse::<f64>().ok().filter(|real| real.is_finite()).map(|real| json!(real))
            })
        }
        _ => None,
    }
}

/// Whether SQLite may find a number equal that is stored otherwise: as a float a
/// whole number beyond 2^53 is shown rounded, which is how one of a REAL column and
/// one beyond 64 bits with a sign are shown.
fn is_rounded(affinity: Affinity, number: &Json) -> bool {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    (affinity == Affinity::Real || !number.is_i64())
        && number.as_f64().is_some_and(|real| real.abs() >= EXACT)
}

/// Whether it is a text that has nothing of a number.
fn is_no_number(value: &Value) -> bool {
    matches!(value, Value::Text(text) if !text.contains(|c: char| c.is_ascii_digit()))
}

fn within(affinity: Affinity, operator: Operator, value: &Value) -> Condition {
    use Affinity::{Date, Integer, Numeric, Real, Text};
    let upwards = matches!(operator, Operator::Greater | Operator::GreaterOrEqual);
    let range = |bound: Json| Condition::Filter(json!({ operator.filter(): bound }));
    match (affinity, value) {
        (_, Value::Null) => Condition::Nothing,
        (Integer | Real | Numeric, Value::Integer(_) | Value::Real(_) | Value::Text(_)) => {
            match as_number(value) {
                Some(number) if is_rounded(affinity, &number) => Condition::Everything,
                Some(number) => range(number),
                // Every number is less than any text that is none; an infinity, in
                // digits too, is left to SQLite.
                None if upwards && is_no_number(value) => Condition::Nothing,
                None => Condition::Everything,
            }
        }
        (Text, Value::Text(text)) => range(json!(text)),
        (Date, Value::Text(text)) if upwards => range(json!(text)),
        _ => Condition::Everything,
    }
}

/// `LIKE` takes no notice of the case of ASCII letters: what begins with the prefix
/// in any case lies between the prefix in capitals and in small letters.
fn like(pattern: &Value) -> Condition {
    let Value::Text(pattern) = pattern else { return Condition::Everything };
    // To SQLite a pattern ends at a NUL.
    let prefix: String = pattern.chars().take_while(|c| !matches!(c, '%' | '_' | '\0')).collect();
    if prefix.is_empty() {
        return Condition::Everything;
    }
    let upper = prefix.to_ascii_uppercase();
    let lower = prefix.to_ascii_lowercase();
    if upper == lower {
        return Condition::Filter(json!({ "$startsWith": prefix }));
    }
    match after_prefix(&lower) {
        Some(after) => Condition::Filter(json!({ "$gte": upper, "$lt": after })),
        None => Condition::Filter(json!({ "$gte": upper })),
    }
}

/// The least text that is greater than all that begin with `prefix`.
fn after_prefix(prefix: &str) -> Option<String> {
    let mut characters: Vec<char> = prefix.chars().collect();
    while let Some(last) = characters.pop() {
        if let Some(next) = (last..=char::MAX).nth(1) {
            characters.push(next);
            return Some(characters.into_iter().collect());
        }
    }
    None
}

fn glob(pattern: &Value) -> Condition {
    let Value::Text(pattern) = pattern else { return Condition::Everything };
    let prefix: String =
        pattern.chars().take_while(|c| !matches!(c, '*' | '?' | '[' | '\0')).collect();
    if prefix.is_empty() {
        return Condition::Everything;
    }
    Condition::Filter(json!({ "$startsWith": prefix }))
}
