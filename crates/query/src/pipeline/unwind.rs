//! `$unwind`: one document for each element of an array.

use serde_json::{Map, Value};
use tandem_base::Result;
use tandem_record::value::footprint;

use crate::execute::Step;
use crate::pipeline::parse::wrong;
use crate::pipeline::run::{Next, Run, Sink};

#[derive(Clone, Debug)]
pub(super) struct Unwind {
    path: Vec<String>,
    index: Option<Vec<String>>,
    preserve: bool,
}

impl Unwind {
    pub(super) fn parse(operand: &Value) -> Result<Self> {
        let names = |text: &str| -> Option<Vec<String>> {
            let names: Vec<String> = text.split('.').map(str::to_owned).collect();
            let all = names.iter().all(|name| !name.is_empty() && !name.starts_with('$'));
            (all && names.len() < 100).then_some(names)
        };
        let path = |value: Option<&Value>| {
            value
                .and_then(Value::as_str)
                .and_then(|text| text.strip_prefix('$'))
                .and_then(names)
                .ok_or_else(|| wrong("$unwind", "a path that begins with \"$\""))
        };
        let Value::Object(fields) = operand else {
            return Ok(Self { path: path(Some(operand))?, index: None, preserve: false });
        };
        let known = ["path", "includeArrayIndex", "preserveNullAndEmptyArrays"];
        if let Some(name) = fields.keys().find(|name| !known.contains(&name.as_str())) {
            return Err(wrong("$unwind", &format!("no \"{name}\"")));
        }
        let index = match fields.get("includeArrayIndex") {
            None => None,
            Some(name) => Some(
                name.as_str()
                    .and_then(names)
                    .ok_or_else(|| wrong("$unwind", "a field's name as \"includeArrayIndex\""))?,
            ),
        };
        let preserve = match fields.get("preserveNullAndEmptyArrays") {
            None => false,
            Some(Value::Bool(preserve)) => *preserve,
            Some(_) => {
                return Err(wrong("$unwind", "boolean as \"preserveNullAndEmptyArrays\""));
            }
        };
        Ok(Self { path: path(fields.get("path"))?, index, preserve })
    }

    pub(super) fn sink<'r>(&'r self, run: &'r Run<'_>, next: Next<'r>) -> Next<'r> {
        Box::new(Unwinding { run, unwind: self, next })
    }

    fn with_index(&self, document: &mut Value, index: Value) {
        if let (Some(path), Some(fields)) = (&self.index, document.as_object_mut()) {
            set(fields, path, index);
        }
    }
}

/// Puts a value at a path of names; objects are made on the way, in place of
/// whatever is none.
pub(super) fn set(fields: &mut Map<String, Value>, path: &[String], value: Value) {
    match path {
        [] => {}
        [last] => drop(fields.insert(last.clone(), value)),
        [first, rest @ ..] => {
            let inner = fields.entry(first.as_str()).or_insert_with(|| Value::Object(Map::new()));
            if !inner.is_object() {
                *inner = Value::Object(Map::new());
            }
            if let Value::Object(inner) = inner {
                set(inner, rest, value);
            }
        }
    }
}

/// The object that has the last name of a path.
fn holder<'v>(document: &'v mut Value, path: &[String]) -> Option<&'v mut Map<String, Value>> {
    path[..path.len() - 1]
        .iter()
        .try_fold(document, |value, name| value.as_object_mut()?.get_mut(name))?
        .as_object_mut()
}

struct Unwinding<'r, 'a> {
    run: &'r Run<'a>,
    unwind: &'r Unwind,
    next: Next<'r>,
}

impl Sink for Unwinding<'_, '_> {
    fn push(&mut self, mut document: Value) -> Result<Step> {
        let Unwind { path, preserve, .. } = self.unwind;
        self.run.work.spend(16)?;
        let last = &path[path.len() - 1];
        let found = holder(&mut document, path).and_then(|fields| fields.get_mut(last));
        let elements = match found {
            Some(Value::Array(elements)) => std::mem::take(elements),
            None | Some(Value::Null) if !preserve => return Ok(Step::More),
            _ => {
                self.unwind.with_index(&mut document, Value::Null);
                return self.next.push(document);
            }
        };
        if elements.is_empty() {
            if !preserve {
                return Ok(Step::More);
            }
            holder(&mut document, path).and_then(|fields| fields.shift_remove(last));
            self.unwind.with_index(&mut document, Value::Null);
            return self.next.push(document);
        }
        // The document is copied for each element, without the array.
        let size = footprint(&document) as u64;
        for (index, element) in elements.into_iter().enumerate() {
            self.run.work.spend(16 + size)?;
            let mut one = document.clone();
            if let Some(fields) = holder(&mut one, path) {
                fields.insert(last.clone(), element);
            }
            self.unwind.with_index(&mut one, index.into());
            if self.next.push(one)? == Step::Enough {
                return Ok(Step::Enough);
            }
        }
        Ok(Step::More)
    }

    fn finish(&mut self) -> Result<()> {
        self.next.finish()
    }
}
