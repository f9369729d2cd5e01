//! Filters as JSON, in one spelling each.

use serde_json::{Map, Value, json};

use crate::filter::{Node, Predicate};

pub(super) fn node(shown: &Node) -> Value {
    match shown {
        Node::And(nodes) => and(nodes),
        Node::Or(nodes) => json!({ "$or": nodes.iter().map(node).collect::<Vec<_>>() }),
        Node::Nor(nodes) => json!({ "$nor": nodes.iter().map(node).collect::<Vec<_>>() }),
        Node::Expression(expression) => json!({ "$expr": expression.1 }),
        Node::Condition(condition) => {
            json!({ condition.path.as_str(): operators(&condition.predicate) })
        }
    }
}

/// Conditions whose names do not collide go into one object.
fn and(nodes: &[Node]) -> Value {
    let mut merged = Map::new();
    for part in nodes {
        let Value::Object(part) = node(part) else { continue };
        for (name, operand) in part {
            let free = match (merged.get_mut(&name), &operand) {
                (None, _) => {
                    merged.insert(name, operand);
                    continue;
                }
                (Some(Value::Object(operators)), Value::Object(more))
                    if !more.keys().any(|name| operators.contains_key(name)) =>
                {
                    operators.extend(more.clone());
                    true
                }
                _ => false,
            };
            if !free {
                return json!({ "$and": nodes.iter().map(node).collect::<Vec<_>>() });
            }
        }
    }
    Value::Object(merged)
}

/// The object of operators that means the predicate.
pub(super) fn operators(predicate: &Predicate) -> Value {
    match predicate {
        Predicate::Equal(value) => json!({ "$eq": value }),
        Predicate::In(set) => json!({ "$in": set.values() }),
        Predicate::Range(range) => match (&range.lower, &range.upper) {
            (Some(lower), Some(upper)) => json!({ "$between": [lower.value, upper.value] }),
            (Some(lower), None) if lower.inclusive => json!({ "$gte": lower.value }),
            (Some(lower), None) => json!({ "$gt": lower.value }),
            (None, Some(upper)) if upper.inclusive => json!({ "$lte": upper.value }),
            (None, Some(upper)) => json!({ "$lt": upper.value }),
            (None, None) => json!({}),
        },
        Predicate::Contains(part) => json!({ "$contains": part.text() }),
        Predicate::StartsWith(prefix) => json!({ "$startsWith": prefix }),
        Predicate::EndsWith(suffix) => json!({ "$endsWith": suffix }),
        Predicate::Regex(regex) if regex.options.is_empty() => {
            json!({ "$regex": regex.pattern.source() })
        }
        Predicate::Regex(regex) => {
            json!({ "$regex": regex.pattern.source(), "$options": regex.options })
        }
        Predicate::Exists => json!({ "$exists": true }),
        Predicate::Size(size) => json!({ "$size": size }),
        Predicate::Type(types) => {
            json!({ "$type": types.iter().map(|type_name| type_name.as_str()).collect::<Vec<_>>() })
        }
        Predicate::Modulo { divisor, remainder } => json!({ "$mod": [divisor, remainder] }),
        Predicate::All(all) => {
            let each = all.iter().map(|predicate| match predicate {
                Predicate::Equal(value) => value.clone(),
                other => operators(other),
            });
            json!({ "$all": each.collect::<Vec<_>>() })
        }
        Predicate::Every(all) => every(all),
        Predicate::Element(all) => json!({ "$elemMatch": every(all) }),
        Predicate::ElementObject(filter) => json!({ "$elemMatch": node(&filter.0) }),
        Predicate::Not(negated) => match &**negated {
            Predicate::Equal(value) => json!({ "$ne": value }),
            Predicate::In(set) => json!({ "$nin": set.values() }),
            Predicate::Exists => json!({ "$exists": false }),
            other => json!({ "$not": operators(other) }),
        },
    }
}

/// Operators of one object: parsed from one, so they do not collide, except
/// where two spellings mean the same (`$ne` and `$neq`).
fn every(all: &[Predicate]) -> Value {
    let mut merged = Map::new();
    for predicate in all {
        if let Value::Object(operators) = operators(predicate) {
            for (name, operand) in operators {
                let name = if merged.contains_key(&name) { "$neq".to_owned() } else { name };
                merged.insert(name, operand);
            }
        }
    }
    Value::Object(merged)
}
