use serde_json::{Map, Value};
use tandem_base::Result;

use crate::expression::Work;
use crate::filter::{Node, Predicate};
use crate::row::Row;
use crate::value::{Path, Step, ValueRef};

/// A record, stored or as JSON.
#[derive(Clone, Copy)]
pub(super) enum Subject<'a> {
    Row(&'a Row),
    Record(&'a Value),
    /// The same, or an element of an array.
    Fields(&'a Map<String, Value>),
}

pub(super) fn matches(node: &Node, subject: Subject<'_>) -> Result<bool> {
    Ok(match node {
        Node::And(nodes) => {
            for node in nodes {
                if !matches(node, subject)? {
                    return Ok(false);
                }
            }
            true
        }
        Node::Or(nodes) => any(nodes, subject)?,
        Node::Nor(nodes) => !any(nodes, subject)?,
        Node::Condition(condition) => {
            holds(&condition.predicate, Source::Path(&condition.path, subject))
        }
        Node::Expression(expression) => {
            let work = Work::unbounded();
            match subject {
                Subject::Record(record) => expression.0.is_true(record, &work)?,
                Subject::Row(row) => expression.0.is_true(&row.to_value()?, &work)?,
                Subject::Fields(fields) => {
                    expression.0.is_true(&Value::Object(fields.clone()), &work)?
                }
            }
        }
    })
}

fn any(nodes: &[Node], subject: Subject<'_>) -> Result<bool> {
    for node in nodes {
        if matches(node, subject)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether an element of an array matches a filter on elements, which has no
/// expressions and so never fails.
pub(super) fn matches_element(node: &Node, element: &Value) -> bool {
    element
        .as_object()
        .is_some_and(|fields| matches(node, Subject::Fields(fields)).unwrap_or(false))
}

/// Where a predicate finds its candidates.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    Path(&'a Path, Subject<'a>),
    /// One element of an array, as it is: `$elemMatch` does not look into an
    /// array inside the array.
    Element(&'a Value),
}

impl Source<'_> {
    /// Whether a stored field is spelled as this text is: then it is equal to it, and
    /// need not be read. Most rows that an index leads to are such.
    fn is_plainly(self, text: &str) -> bool {
        match self {
            Self::Path(path, Subject::Row(row)) if path.is_single() => {
                let stored = row.field_text(path.first()).and_then(|stored| {
                    stored.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""))
                });
                stored == Some(text.as_bytes()) && !text.contains('\\')
            }
            _ => false,
        }
    }

    fn any(self, found: &mut dyn FnMut(Option<ValueRef<'_>>) -> bool) -> bool {
        match self {
            Self::Element(value) => found(Some(value.into())),
            Self::Path(path, Subject::Fields(fields)) => {
                path.any(fields, &mut |value| found(value.map(ValueRef::from)))
            }
            Self::Path(path, Subject::Record(record)) => match record.as_object() {
                Some(fields) => path.any(fields, &mut |value| found(value.map(ValueRef::from))),
                None => found(None),
            },
            Self::Path(path, Subject::Row(row)) if path.is_single() => {
                row.with_field(path.first(), |value| found(value))
            }
            Self::Path(path, Subject::Row(row)) => match row.field(path.first()) {
                Some(value) => {
                    Step::any(path.rest(), &value, &mut |value| found(value.map(ValueRef::from)))
                }
                None => found(None),
            },
        }
    }
}

pub(super) fn holds(predicate: &Predicate, source: Source<'_>) -> bool {
    match predicate {
        Predicate::Not(negated) => !holds(negated, source),
        Predicate::All(all) | Predicate::Every(all) => {
            all.iter().all(|predicate| holds(predicate, source))
        }
        Predicate::Element(all) => source.any(&mut |candidate| {
            any_element(candidate, |element| {
                all.iter().all(|predicate| holds(predicate, Source::Element(element)))
            })
        }),
        Predicate::ElementObject(filter) => source.any(&mut |candidate| {
            any_element(candidate, |element| matches_element(&filter.0, element))
        }),
        Predicate::Equal(Value::String(text)) if source.is_plainly(text) => true,
        _ => {
            let spreads = predicate.spreads() && matches!(source, Source::Path(..));
            source.any(&mut |candidate| {
                predicate.holds_for(candidate)
                    || spreads
                        && any_element(candidate, |element| {
                            predicate.holds_for(Some(element.into()))
                        })
            })
        }
    }
}

fn any_element(candidate: Option<ValueRef<'_>>, test: impl Fn(&Value) -> bool) -> bool {
    match candidate {
        Some(ValueRef::Array(elements)) => elements.iter().any(test),
        _ => false,
    }
}
