use serde_json::Value;

use crate::filter::{Bound, Node, Predicate};
use crate::value::Path;

/// A condition that every match of the filter satisfies.
#[derive(Clone, Debug)]
pub struct Conjunct<'a> {
    /// The path that it is about.
    pub path: &'a Path,
    /// What an index could do with it.
    pub constraint: Constraint<'a>,
    /// All that it asks.
    pub predicate: &'a Predicate,
}

/// A condition as an index sees it. Each is about *one* candidate or array
/// element: two ranges on one path may be satisfied by two elements of an
/// array, so they may only be intersected where the path is known to be
/// scalar, or where arrays are looked at apart.
#[derive(Clone, Copy, Debug)]
pub enum Constraint<'a> {
    /// Equal to a value that is not null.
    Equal(&'a Value),
    /// Equal to one of these, in order and distinct; null may be among them.
    In(&'a [Value]),
    /// Within a range; at least one end is there, ends have the values' type.
    Range {
        /// The lower end.
        lower: Option<&'a Bound>,
        /// The upper end.
        upper: Option<&'a Bound>,
    },
    /// A string that starts with this.
    Prefix(&'a str),
    /// Null or missing.
    IsNull,
    /// Nothing that an index could use.
    Other,
}

pub(super) fn conjuncts(node: &Node) -> Vec<Conjunct<'_>> {
    let mut all = Vec::new();
    collect(node, &mut all);
    all
}

/// Whether [`conjuncts`] leaves nothing out.
pub(super) fn is_conjunction(node: &Node) -> bool {
    match node {
        Node::And(nodes) => nodes.iter().all(is_conjunction),
        Node::Condition(_) => true,
        Node::Or(_) | Node::Nor(_) | Node::Expression(_) => false,
    }
}

fn collect<'a>(node: &'a Node, all: &mut Vec<Conjunct<'a>>) {
    match node {
        Node::And(nodes) => nodes.iter().for_each(|node| collect(node, all)),
        Node::Or(nodes) if nodes.len() == 1 => collect(&nodes[0], all),
        Node::Or(_) | Node::Nor(_) | Node::Expression(_) => {}
        Node::Condition(condition) => split(&condition.path, &condition.predicate, all),
    }
}

fn split<'a>(path: &'a Path, predicate: &'a Predicate, all: &mut Vec<Conjunct<'a>>) {
    match predicate {
        Predicate::All(each) | Predicate::Every(each) => {
            each.iter().for_each(|predicate| split(path, predicate, all));
        }
        _ => all.push(Conjunct { path, constraint: constraint(predicate), predicate }),
    }
}

fn constraint(predicate: &Predicate) -> Constraint<'_> {
    match predicate {
        Predicate::Equal(Value::Null) => Constraint::IsNull,
        Predicate::Equal(value) => Constraint::Equal(value),
        Predicate::In(set) => Constraint::In(set.values()),
        Predicate::Range(range) => {
            Constraint::Range { lower: range.lower.as_ref(), upper: range.upper.as_ref() }
        }
        Predicate::StartsWith(prefix) => Constraint::Prefix(prefix),
        Predicate::Regex(regex) if regex.options.is_empty() => {
            match literal_prefix(regex.pattern.source()) {
                "" => Constraint::Other,
                prefix => Constraint::Prefix(prefix),
            }
        }
        Predicate::Not(negated) if matches!(**negated, Predicate::Exists) => Constraint::IsNull,
        _ => Constraint::Other,
    }
}

/// What every text begins with that a pattern without options matches: the
/// plain characters right behind a leading `^`, or nothing.
fn literal_prefix(pattern: &str) -> &str {
    let Some(rest) = pattern.strip_prefix('^').filter(|rest| !rest.contains('|')) else {
        return "";
    };
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '_' | '-' | ':' | '/' | '@');
    let end = rest.find(|c| !is_plain(c)).unwrap_or(rest.len());
    let prefix = &rest[..end];
    if rest[end..].starts_with(['*', '?', '{']) {
        // The last character may not be there at all.
        let last = prefix.chars().next_back().map_or(0, char::len_utf8);
        return &prefix[..end - last];
    }
    prefix
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_of_a_pattern_is_what_every_match_begins_with() {
        for (pattern, prefix) in [
            ("^abc", "abc"),
            ("^abc$", "abc"),
            ("^ab.c", "ab"),
            ("^ab*", "a"),
            ("^ab?c", "a"),
            ("^ab{0,1}", "a"),
            ("^ab+", "ab"),
            ("^é*x", ""),
            ("^a|b", ""),
            ("^(a|b)", ""),
            ("^(?i)ab", ""),
            ("^a(?i)b", "a"),
            ("^a\\.b", "a"),
            ("abc", ""),
            ("^[a]b", ""),
            ("^", ""),
        ] {
            assert_eq!(literal_prefix(pattern), prefix, "{pattern}");
        }
    }
}
