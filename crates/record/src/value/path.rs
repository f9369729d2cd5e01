//! Paths into records, as filters, sorts and indexes write them: `a.b.0.c`.
//!
//! A path that meets an array goes into each of its elements, so it can lead
//! to many values, its *candidates*:
//!
//! ```text
//! {"a": [{"b": 1}, {"b": [2, 3]}, {}]}      a.b    -> 1, [2, 3], missing
//!                                           a.1.b  -> [2, 3]
//! ```
//! A number in a path is an array's position as well as a field's name. An
//! array inside an array is not entered, except by a position.

use std::fmt;

use serde_json::{Map, Value};
use tandem_base::{Error, Result};

use crate::value::MAX_NESTING;

/// More positions in one path would let a hostile record with nested arrays be
/// walked in exponentially many ways.
const MAX_POSITIONS: usize = 8;

/// A parsed path. Equal paths have equal text.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Path {
    text: String,
    first: String,
    rest: Vec<Step>,
}

/// What a path says after its first name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Step {
    name: String,
    position: Option<usize>,
}

impl Path {
    /// Parses `a.b.0.c`.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` for an empty name in it; `LIMIT_EXCEEDED` for more
    /// than 100 names, or more than 8 that are numbers.
    pub fn parse(text: &str) -> Result<Self> {
        let mut names = text.split('.');
        if names.clone().any(str::is_empty) {
            return Err(Error::validation(format!("Invalid path \"{text}\"")).with("path", text));
        }
        let first = names.next().unwrap_or_default().to_owned();
        let rest: Vec<_> = names.map(Step::parse).collect();
        if rest.len() >= MAX_NESTING {
            return Err(Error::limit("pathLength", MAX_NESTING as u64, rest.len() as u64 + 1));
        }
        let positions = rest.iter().filter(|step| step.position.is_some()).count();
        if positions > MAX_POSITIONS {
            return Err(Error::limit("pathPositions", MAX_POSITIONS as u64, positions as u64));
        }
        Ok(Self { text: text.to_owned(), first, rest })
    }

    /// The path as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The name of the record's field that it begins in.
    #[must_use]
    pub fn first(&self) -> &str {
        &self.first
    }

    /// Whether it is one name.
    #[must_use]
    pub fn is_single(&self) -> bool {
        self.rest.is_empty()
    }

    /// All its names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.first()).chain(self.rest.iter().map(|step| step.name.as_str()))
    }

    pub(crate) fn rest(&self) -> &[Step] {
        &self.rest
    }

    /// Whether `found` says yes to one of the candidates in `record`; it is
    /// given `None` for a missing one, and no longer asked after its first yes.
    pub fn any<'v>(
        &self,
        record: &'v Map<String, Value>,
        found: &mut dyn FnMut(Option<&'v Value>) -> bool,
    ) -> bool {
        match record.get(&self.first) {
            Some(value) => Step::any(&self.rest, value, found),
            None => found(None),
        }
    }

    /// The one value that sorts and indexes see in `record`: the candidate if
    /// the path crosses no array, otherwise the array of all candidates, with
    /// null for a missing one and the elements in place of an array. `None`
    /// if there is nothing.
    #[must_use]
    pub fn collect(&self, record: &Map<String, Value>) -> Option<Value> {
        Step::collect(&self.rest, record.get(&self.first)?)
    }
}

impl Step {
    fn parse(name: &str) -> Self {
        let canonical = name.len() <= 9
            && name.bytes().all(|byte| byte.is_ascii_digit())
            && (name == "0" || !name.starts_with('0'));
        Self { name: name.to_owned(), position: name.parse().ok().filter(|_| canonical) }
    }

    /// As [`Path::any`], inside the value of the first field.
    pub(crate) fn any<'v>(
        steps: &[Self],
        value: &'v Value,
        found: &mut dyn FnMut(Option<&'v Value>) -> bool,
    ) -> bool {
        let Some((step, after)) = steps.split_first() else { return found(Some(value)) };
        match value {
            Value::Object(fields) => match fields.get(&step.name) {
                Some(value) => Self::any(after, value, found),
                None => found(None),
            },
            Value::Array(elements) => {
                step.positioned(after, elements)
                    .is_some_and(|element| Self::any(after, element, found))
                    || step.entered(elements).any(|element| Self::any(steps, element, found))
            }
            _ => found(None),
        }
    }

    fn positioned<'v>(&self, after: &[Self], elements: &'v [Value]) -> Option<&'v Value> {
        let element = elements.get(self.position?)?;
        (after.is_empty() || element.is_object() || element.is_array()).then_some(element)
    }

    /// The elements of an array that a path goes into: the objects, or, where
    /// the step is a position in the array, those with a field of that name.
    fn entered<'s, 'v>(
        &'s self,
        elements: &'v [Value],
    ) -> impl Iterator<Item = &'v Value> + use<'s, 'v> {
        let is_position = self.position.is_some_and(|position| position < elements.len());
        elements.iter().filter(move |element| match element {
            Value::Object(fields) => !is_position || fields.contains_key(&self.name),
            _ => false,
        })
    }

    /// As [`Path::collect`], inside the value of the first field.
    pub(crate) fn collect(steps: &[Self], value: &Value) -> Option<Value> {
        let (mut steps, mut value) = (steps, value);
        while let Some((step, after)) = steps.split_first() {
            value = match value {
                Value::Object(fields) => fields.get(&step.name)?,
                Value::Array(elements) => {
                    if step.entered(elements).next().is_some() {
                        return Self::collect_all(steps, value);
                    }
                    step.positioned(after, elements)?
                }
                _ => return None,
            };
            steps = after;
        }
        Some(value.clone())
    }

    fn collect_all(steps: &[Self], value: &Value) -> Option<Value> {
        let mut all = Vec::new();
        Self::any(steps, value, &mut |candidate| {
            match candidate {
                None => all.push(Value::Null),
                Some(Value::Array(elements)) => all.extend_from_slice(elements),
                Some(value) => all.push(value.clone()),
            }
            false
        });
        Some(Value::Array(all))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Path({})", self.text)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn candidates(path: &str, record: &Value) -> Vec<Option<Value>> {
        let mut all = Vec::new();
        Path::parse(path).unwrap().any(record.as_object().unwrap(), &mut |candidate| {
            all.push(candidate.cloned());
            false
        });
        all
    }

    fn collect(path: &str, record: &Value) -> Option<Value> {
        Path::parse(path).unwrap().collect(record.as_object().unwrap())
    }

    #[test]
    fn a_path_leads_through_objects_arrays_and_positions() {
        let record = json!({"a": [{"b": 1}, {"b": [2, 3]}, {}, 4], "o": {"p": {"q": 5}}, "s": 6,
                            "m": [[7, 8], [9]], "n": {"0": "zero"}});
        for (path, expected) in [
            ("s", vec![Some(json!(6))]),
            ("missing", vec![None]),
            ("s.x", vec![None]),
            ("o.p.q", vec![Some(json!(5))]),
            ("o.x.q", vec![None]),
            ("a.b", vec![Some(json!(1)), Some(json!([2, 3])), None]),
            ("a.1.b", vec![Some(json!([2, 3]))]),
            ("a.3", vec![Some(json!(4))]),
            ("a.9", vec![None, None, None]),
            ("m.0", vec![Some(json!([7, 8]))]),
            ("m.0.1", vec![Some(json!(8))]),
            ("m.b", vec![]),
            ("n.0", vec![Some(json!("zero"))]),
        ] {
            assert_eq!(candidates(path, &record), expected, "{path}");
        }
    }

    #[test]
    fn what_is_collected_is_the_value_or_the_array_of_what_arrays_lead_to() {
        for (path, record, expected) in [
            ("a", json!({"a": 1}), Some(json!(1))),
            ("a", json!({"a": null}), Some(json!(null))),
            ("a", json!({}), None),
            ("a.b", json!({"a": 1}), None),
            ("a.b", json!({"a": {"b": [1]}}), Some(json!([1]))),
            ("a.b", json!({"a": [{"b": 1}, {"b": 2}]}), Some(json!([1, 2]))),
            ("a.b", json!({"a": [{"b": 1}, {}]}), Some(json!([1, null]))),
            ("a.b", json!({"a": [{"b": [1, 2]}, {"b": 3}]}), Some(json!([1, 2, 3]))),
            ("a.b", json!({"a": []}), None),
            ("a.b", json!({"a": [1, 2]}), None),
            ("a.0", json!({"a": [10, 20]}), Some(json!(10))),
            ("a.5", json!({"a": [10, 20]}), None),
            ("a.0", json!({"a": [{"0": 7}]}), Some(json!([{"0": 7}, 7]))),
        ] {
            assert_eq!(collect(path, &record), expected, "{path} in {record}");
        }
    }

    #[test]
    fn g10_paths_that_are_malformed_or_too_long_are_refused() {
        for bad in ["", ".", "a.", ".a", "a..b"] {
            assert_eq!(Path::parse(bad).unwrap_err().code().as_str(), "VALIDATION_ERROR");
        }
        for long in [["a"; 101].join("."), ["0"; 10].join(".")] {
            assert_eq!(Path::parse(&long).unwrap_err().code().as_str(), "LIMIT_EXCEEDED");
        }
        assert!(Path::parse(&["a"; 100].join(".")).is_ok());
    }
}
