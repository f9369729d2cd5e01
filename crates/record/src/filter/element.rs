//! Conditions on single elements of arrays, for updates: which elements a
//! `$pull` is about, and which one a filter has matched.

use serde_json::{Map, Value};
use tandem_base::Result;

use crate::filter::evaluate::{Source, Subject, holds, matches, matches_element};
use crate::filter::{Filter, Node, Predicate, parse};
use crate::value::Path;

/// Operators that one value has to satisfy.
#[derive(Clone, Debug)]
pub(crate) struct ElementCondition {
    predicates: Vec<Predicate>,
}

impl ElementCondition {
    /// Parses `{"$gt": 3, "$lt": 7}`, for a field that messages name.
    pub(crate) fn parse(field: &str, operators: &Map<String, Value>) -> Result<Self> {
        Ok(Self { predicates: parse::operators(field, operators)? })
    }

    pub(crate) fn holds(&self, element: &Value) -> bool {
        self.predicates.iter().all(|predicate| holds(predicate, Source::Element(element)))
    }
}

impl Filter {
    /// The position of the element of the array at `array` by which the
    /// record matches; `None` if no condition of the filter is about one. With
    /// several, the first one in the filter tells.
    pub(crate) fn matched_element(
        &self,
        record: &Map<String, Value>,
        array: &str,
    ) -> Option<usize> {
        let mut names = array.split('.');
        let mut value = record.get(names.next()?)?;
        for name in names {
            value = match value {
                Value::Object(fields) => fields.get(name)?,
                Value::Array(elements) => elements.get(name.parse::<usize>().ok()?)?,
                _ => return None,
            };
        }
        matched(&self.node, record, array, value.as_array()?)
    }
}

fn matched(
    node: &Node,
    record: &Map<String, Value>,
    array: &str,
    elements: &[Value],
) -> Option<usize> {
    match node {
        Node::And(nodes) => nodes.iter().find_map(|node| matched(node, record, array, elements)),
        Node::Or(nodes) => nodes
            .iter()
            .filter(|node| matches(node, Subject::Fields(record)).unwrap_or(false))
            .find_map(|node| matched(node, record, array, elements)),
        Node::Nor(_) | Node::Expression(_) => None,
        Node::Condition(condition) => {
            let rest = condition.path.as_str().strip_prefix(array)?;
            if rest.is_empty() {
                return satisfying(&condition.predicate, elements);
            }
            let rest = Path::parse(rest.strip_prefix('.')?).ok()?;
            if matches!(condition.predicate, Predicate::Not(_)) {
                return None;
            }
            elements.iter().position(|element| {
                element.as_object().is_some_and(|element| {
                    holds(&condition.predicate, Source::Path(&rest, Subject::Fields(element)))
                })
            })
        }
    }
}

/// The first element by which an array satisfies a predicate.
fn satisfying(predicate: &Predicate, elements: &[Value]) -> Option<usize> {
    match predicate {
        Predicate::All(all) | Predicate::Every(all) => {
            all.iter().find_map(|predicate| satisfying(predicate, elements))
        }
        Predicate::Element(all) => elements.iter().position(|element| {
            all.iter().all(|predicate| holds(predicate, Source::Element(element)))
        }),
        Predicate::ElementObject(filter) => {
            elements.iter().position(|element| matches_element(&filter.0, element))
        }
        _ if predicate.spreads() => {
            elements.iter().position(|element| predicate.holds_for(Some(element.into())))
        }
        _ => None,
    }
}
