use serde_json::{Map, Value};

use crate::filter::{Node, Predicate};
use crate::row::Row;
use crate::value::{Path, Step, ValueRef};

/// A record, stored or as JSON.
#[derive(Clone, Copy)]
pub(super) enum Subject<'a> {
    Row(&'a Row),
    Fields(&'a Map<String, Value>),
}

pub(super) fn matches(node: &Node, subject: Subject<'_>) -> bool {
    match node {
        Node::And(nodes) => nodes.iter().all(|node| matches(node, subject)),
        Node::Or(nodes) => nodes.iter().any(|node| matches(node, subject)),
        Node::Nor(nodes) => !nodes.iter().any(|node| matches(node, subject)),
        Node::Condition(condition) => {
            holds(&condition.predicate, Source::Path(&condition.path, subject))
        }
    }
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
    fn any(self, found: &mut dyn FnMut(Option<ValueRef<'_>>) -> bool) -> bool {
        match self {
            Self::Element(value) => found(Some(value.into())),
            Self::Path(path, Subject::Fields(fields)) => {
                path.any(fields, &mut |value| found(value.map(ValueRef::from)))
            }
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
            any_element(candidate, |element| {
                element
                    .as_object()
                    .is_some_and(|fields| matches(&filter.0, Subject::Fields(fields)))
            })
        }),
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
