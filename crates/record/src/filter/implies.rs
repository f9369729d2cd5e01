//! Whether one filter's matches are all among another's, by their form.
//!
//! Conditions are compared one with one. Two conditions of the first filter
//! are never combined: on an array, each may hold by another element.

use crate::filter::{Bound, Node, Predicate, Range, display};
use crate::value::{ValueRef, compare, equal};

pub(super) fn implies(node: &Node, other: &Node) -> bool {
    match (node, other) {
        (_, Node::And(others)) => others.iter().all(|other| implies(node, other)),
        (Node::Or(nodes), _) => nodes.iter().all(|node| implies(node, other)) || same(node, other),
        (Node::And(nodes), _) => {
            nodes.iter().any(|node| implies(node, other))
                || matches!(other, Node::Or(others)
                    if others.iter().any(|other| implies(node, other)))
        }
        (_, Node::Or(others)) => others.iter().any(|other| implies(node, other)),
        (Node::Condition(condition), Node::Condition(other)) => {
            condition.path == other.path
                && predicate_implies(&condition.predicate, &other.predicate)
        }
        _ => same(node, other),
    }
}

fn same(node: &Node, other: &Node) -> bool {
    equal(&display::node(node), &display::node(other))
}

fn predicate_implies(predicate: &Predicate, other: &Predicate) -> bool {
    match (predicate, other) {
        (_, Predicate::All(others) | Predicate::Every(others)) => {
            others.iter().all(|other| predicate_implies(predicate, other))
        }
        (Predicate::All(all) | Predicate::Every(all), _) => {
            all.iter().any(|predicate| predicate_implies(predicate, other))
        }
        (Predicate::Not(negated), Predicate::Not(other)) => predicate_implies(other, negated),
        (Predicate::Equal(value), _) => value_implies(value, other),
        (Predicate::In(set), _) => set.values().iter().all(|value| value_implies(value, other)),
        (Predicate::Range(range), Predicate::Range(other)) => range_implies(range, other),
        (Predicate::StartsWith(prefix), Predicate::StartsWith(other)) => prefix.starts_with(other),
        (Predicate::EndsWith(suffix), Predicate::EndsWith(other)) => suffix.ends_with(other),
        (Predicate::Range(range), Predicate::Exists) => {
            let is_null =
                |bound: &Option<Bound>| bound.as_ref().is_none_or(|bound| bound.value.is_null());
            !(is_null(&range.lower) && is_null(&range.upper))
        }
        (
            Predicate::StartsWith(_)
            | Predicate::EndsWith(_)
            | Predicate::Contains(_)
            | Predicate::Regex(_)
            | Predicate::Modulo { .. }
            | Predicate::Size(_)
            | Predicate::Element(_)
            | Predicate::ElementObject(_)
            | Predicate::Exists,
            Predicate::Exists,
        ) => true,
        _ => equal(&display::operators(predicate), &display::operators(other)),
    }
}

/// Whether whatever equals `value` satisfies `other`. Null stands for what is
/// missing too.
fn value_implies(value: &serde_json::Value, other: &Predicate) -> bool {
    let is_plain = other.spreads() || matches!(other, Predicate::Exists);
    is_plain
        && other.holds_for(Some(ValueRef::from(value)))
        && (!value.is_null() || other.holds_for(None))
}

fn range_implies(range: &Range, other: &Range) -> bool {
    let kind = |bound: &Bound| ValueRef::from(&bound.value).kind();
    let covered =
        |inner: &Option<Bound>, outer: &Option<Bound>, is_lower: bool| match (inner, outer) {
            (_, None) => true,
            // The other end says that the values have the bound's type; this end
            // is then the end of the type, which no bound but itself covers.
            (None, Some(_)) => false,
            (Some(inner), Some(outer)) => {
                let order = compare(&inner.value, &outer.value);
                let order = if is_lower { order } else { order.reverse() };
                kind(inner) == kind(outer)
                    && (order.is_gt() || order.is_eq() && (outer.inclusive || !inner.inclusive))
            }
        };
    covered(&range.lower, &other.lower, true) && covered(&range.upper, &other.upper, false)
}
