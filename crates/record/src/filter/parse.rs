use serde_json::{Map, Value};
use tandem_base::{Error, Result};

use crate::expression::{Bindings, Expression};
use crate::filter::predicate::ElementFilter;
use crate::filter::{
    Condition, MAX_FILTER_CONDITIONS, MAX_FILTER_DEPTH, Node, Predicate, operators,
};
use crate::value::Path;

pub(super) fn filter(filter: &Value, bindings: &Bindings) -> Result<Node> {
    Parser { conditions: 0, bindings, in_element: false }.filter(filter, 0)
}

/// One predicate per operator of an object of operators.
pub(super) fn operators(field: &str, operators: &Map<String, Value>) -> Result<Vec<Predicate>> {
    if let Some(name) = operators.keys().find(|name| !name.starts_with('$')) {
        return Err(Error::validation(format!(
            "Invalid condition for field \"{field}\": \"{name}\" stands among operators"
        ))
        .with("field", field));
    }
    let bindings = &Bindings::default();
    Parser { conditions: 0, bindings, in_element: true }.operators(field, operators, 0)
}

pub(super) fn invalid(operator: &str, field: &str, expected: &str) -> Error {
    Error::validation(format!(
        "Invalid operand of \"{operator}\" for field \"{field}\": expected {expected}"
    ))
    .with("operator", operator)
    .with("field", field)
}

fn unknown(operator: &str) -> Error {
    Error::validation(format!("Unknown operator \"{operator}\"")).with("operator", operator)
}

struct Parser<'a> {
    conditions: usize,
    /// What the variables of expressions stand for.
    bindings: &'a Bindings,
    /// Whether this is about an element of an array, where there is no `$expr`.
    in_element: bool,
}

impl Parser<'_> {
    fn filter(&mut self, filter: &Value, depth: usize) -> Result<Node> {
        let Value::Object(entries) = filter else {
            return Err(Error::validation("Invalid filter: expected object"));
        };
        self.entries(entries, depth)
    }

    fn entries(&mut self, entries: &Map<String, Value>, depth: usize) -> Result<Node> {
        check_depth(depth)?;
        let mut nodes = Vec::with_capacity(entries.len());
        for (name, operand) in entries {
            match name.as_str() {
                "$and" => nodes.push(Node::And(self.list(name, operand, depth)?)),
                "$or" => nodes.push(Node::Or(self.list(name, operand, depth)?)),
                "$nor" => nodes.push(Node::Nor(self.list(name, operand, depth)?)),
                "$expr" if !self.in_element => {
                    self.count()?;
                    let expression = Expression::parse(operand, self.bindings)?;
                    nodes.push(Node::Expression(Box::new((expression, operand.clone()))));
                }
                _ if name.starts_with('$') => return Err(unknown(name)),
                _ => self.field(name, operand, depth, &mut nodes)?,
            }
        }
        Ok(match nodes.len() {
            1 => nodes.swap_remove(0),
            _ => Node::And(nodes),
        })
    }

    fn list(&mut self, operator: &str, operand: &Value, depth: usize) -> Result<Vec<Node>> {
        let Value::Array(filters) = operand else {
            return Err(Error::validation(format!(
                "Invalid operand of \"{operator}\": expected array of filters"
            ))
            .with("operator", operator));
        };
        filters
            .iter()
            .map(|filter| {
                self.count()?;
                self.filter(filter, depth + 1)
            })
            .collect()
    }

    fn field(
        &mut self,
        name: &str,
        operand: &Value,
        depth: usize,
        nodes: &mut Vec<Node>,
    ) -> Result<()> {
        let path = Path::parse(name)?;
        match operator_object(name, operand)? {
            Some(operators) => {
                for predicate in self.operators(name, operators, depth)? {
                    nodes.push(condition(path.clone(), predicate));
                }
            }
            None => {
                self.count()?;
                nodes.push(condition(path, Predicate::Equal(operand.clone())));
            }
        }
        Ok(())
    }

    /// One predicate per operator.
    fn operators(
        &mut self,
        field: &str,
        operators: &Map<String, Value>,
        depth: usize,
    ) -> Result<Vec<Predicate>> {
        check_depth(depth)?;
        let mut predicates = Vec::with_capacity(operators.len());
        for (operator, operand) in operators {
            self.count()?;
            predicates.push(match operator.as_str() {
                "$not" => self.negated(field, operand, depth)?,
                "$elemMatch" => self.element(field, operand, depth)?,
                "$all" => self.all(field, operand, depth)?,
                "$options" if operators.contains_key("$regex") => continue,
                "$options" => return Err(invalid("$options", field, "a \"$regex\" beside it")),
                "$regex" => operators::regex(field, operand, operators.get("$options"))?,
                _ => operators::simple(operator, field, operand)
                    .ok_or_else(|| unknown(operator).with("field", field))??,
            });
        }
        Ok(predicates)
    }

    fn negated(&mut self, field: &str, operand: &Value, depth: usize) -> Result<Predicate> {
        let Some(operators) = operator_object(field, operand)? else {
            return Err(invalid("$not", field, "object of operators"));
        };
        let mut predicates = self.operators(field, operators, depth + 1)?;
        let negated = match predicates.len() {
            1 => predicates.swap_remove(0),
            _ => Predicate::Every(predicates),
        };
        Ok(Predicate::Not(Box::new(negated)))
    }

    fn element(&mut self, field: &str, operand: &Value, depth: usize) -> Result<Predicate> {
        let Value::Object(entries) = operand else {
            return Err(invalid("$elemMatch", field, "object"));
        };
        let is_filter = |name: &String| {
            !name.starts_with('$') || matches!(name.as_str(), "$and" | "$or" | "$nor")
        };
        if entries.keys().all(is_filter) {
            let outer = std::mem::replace(&mut self.in_element, true);
            let node = self.entries(entries, depth + 1);
            self.in_element = outer;
            let node = node?;
            return Ok(Predicate::ElementObject(ElementFilter(Box::new(node))));
        }
        match entries.keys().find(|name| is_filter(name)) {
            None => Ok(Predicate::Element(self.operators(field, entries, depth + 1)?)),
            Some(name) => Err(invalid(
                "$elemMatch",
                field,
                &format!("operators or a filter, not both (\"{name}\")"),
            )),
        }
    }

    fn all(&mut self, field: &str, operand: &Value, depth: usize) -> Result<Predicate> {
        let values = operators::list("$all", field, operand)?;
        if values.is_empty() {
            // As MongoDB has it: nothing matches an empty `$all`.
            return Ok(operators::none_of());
        }
        let mut all = Vec::with_capacity(values.len());
        for value in values {
            all.push(match value {
                Value::Object(entries) if entries.contains_key("$elemMatch") => {
                    if entries.len() > 1 {
                        return Err(invalid("$all", field, "nothing beside an \"$elemMatch\""));
                    }
                    self.count()?;
                    self.element(field, &entries["$elemMatch"], depth + 1)?
                }
                Value::Object(entries) if entries.keys().any(|name| name.starts_with('$')) => {
                    return Err(invalid("$all", field, "values or \"$elemMatch\" objects"));
                }
                _ => Predicate::Equal(value.clone()),
            });
        }
        Ok(Predicate::All(all))
    }

    fn count(&mut self) -> Result<()> {
        self.conditions += 1;
        if self.conditions > MAX_FILTER_CONDITIONS {
            let (max, actual) = (MAX_FILTER_CONDITIONS as u64, self.conditions as u64);
            return Err(Error::limit("filterConditions", max, actual));
        }
        Ok(())
    }
}

fn condition(path: Path, predicate: Predicate) -> Node {
    Node::Condition(Box::new(Condition { path, predicate }))
}

fn check_depth(depth: usize) -> Result<()> {
    if depth >= MAX_FILTER_DEPTH {
        return Err(Error::limit("filterDepth", MAX_FILTER_DEPTH as u64, depth as u64 + 1));
    }
    Ok(())
}

/// The operand as an object of operators; `None` for a value to compare with.
/// One that mixes both is most likely a mistake.
fn operator_object<'a>(field: &str, operand: &'a Value) -> Result<Option<&'a Map<String, Value>>> {
    let Value::Object(entries) = operand else { return Ok(None) };
    let operators = entries.keys().filter(|name| name.starts_with('$')).count();
    if operators == 0 {
        return Ok(None);
    }
    match entries.keys().find(|name| !name.starts_with('$')) {
        None => Ok(Some(entries)),
        Some(name) => Err(Error::validation(format!(
            "Invalid condition for field \"{field}\": \"{name}\" stands among operators"
        ))
        .with("field", field)),
    }
}
