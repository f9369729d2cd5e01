use serde_json::{Map, Value};
use tandem_base::{Error, Result};

use crate::expression::operators::{Operator, Shape};
use crate::expression::pattern::{Search, Wanted};
use crate::expression::{Bindings, FieldPath, MAX_EXPRESSION_DEPTH, Node, wrong};

pub(super) fn expression(expression: &Value, bindings: &Bindings) -> Result<Node> {
    Parser { bindings, names: Vec::new() }.any(expression, 0)
}

struct Parser<'a> {
    bindings: &'a Bindings,
    /// Variables bound by the operators around, the innermost last.
    names: Vec<String>,
}

impl Parser<'_> {
    fn any(&mut self, expression: &Value, depth: usize) -> Result<Node> {
        if depth > MAX_EXPRESSION_DEPTH {
            let (max, actual) = (MAX_EXPRESSION_DEPTH as u64, depth as u64);
            return Err(Error::limit("expressionDepth", max, actual));
        }
        match expression {
            Value::String(text) if text.starts_with("$$") => self.variable(&text[2..]),
            Value::String(text) if text.starts_with('$') => {
                Ok(Node::Path { variable: None, path: FieldPath::parse(&text[1..])? })
            }
            Value::Array(elements) => Ok(Node::Array(self.each(elements, depth + 1)?)),
            Value::Object(fields) => match fields.keys().find(|name| name.starts_with('$')) {
                Some(operator) if fields.len() == 1 => {
                    self.operator(operator, &fields[operator], depth)
                }
                Some(operator) => Err(Error::validation(format!(
                    "An object of an expression has nothing beside an operator, \
                     but there is \"{operator}\" among other names"
                ))
                .with("operator", operator.as_str())),
                None => {
                    let mut parts = Vec::with_capacity(fields.len());
                    for (name, value) in fields {
                        if name.contains('.') {
                            return Err(Error::validation(format!(
                                "The field \"{name}\" of an object of an expression has a dot"
                            ))
                            .with("field", name.as_str()));
                        }
                        parts.push((name.clone(), self.any(value, depth + 1)?));
                    }
                    Ok(Node::Object(parts))
                }
            },
            other => Ok(Node::Literal(other.clone())),
        }
    }

    fn each(&mut self, expressions: &[Value], depth: usize) -> Result<Vec<Node>> {
        expressions.iter().map(|expression| self.any(expression, depth)).collect()
    }

    fn variable(&self, text: &str) -> Result<Node> {
        let (name, rest) = match text.split_once('.') {
            Some((name, rest)) => (name, Some(rest)),
            None => (text, None),
        };
        let path = rest.map_or_else(|| Ok(FieldPath::none()), FieldPath::parse)?;
        if let Some(at) = self.names.iter().rev().position(|known| known == name) {
            return Ok(Node::Path { variable: Some(at), path });
        }
        let bound = self.bindings.variables.iter().rev().find(|(known, _)| known == name);
        if let Some((_, value)) = bound {
            return match value {
                None => Ok(Node::Missing),
                Some(value) if rest.is_none() => Ok(Node::Literal(value.clone())),
                Some(value) => Ok(Node::Let {
                    variables: vec![Node::Literal(value.clone())],
                    body: Box::new(Node::Path { variable: Some(0), path }),
                }),
            };
        }
        match (name, self.bindings.now_ms) {
            ("ROOT" | "CURRENT", _) => Ok(Node::Path { variable: None, path }),
            ("REMOVE", _) if rest.is_none() => Ok(Node::Missing),
            ("NOW", Some(now)) if rest.is_none() => Ok(Node::Literal(now.into())),
            ("NOW", None) => {
                Err(Error::validation("The variable \"$$NOW\" exists in aggregations only")
                    .with("variable", "NOW"))
            }
            _ => {
                Err(Error::validation(format!("Unknown variable \"$${name}\""))
                    .with("variable", name))
            }
        }
    }

    /// With names bound, the innermost last.
    fn within<T>(
        &mut self,
        names: impl IntoIterator<Item = String>,
        parse: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let before = self.names.len();
        self.names.extend(names);
        let parsed = parse(self);
        self.names.truncate(before);
        parsed
    }

    fn operator(&mut self, name: &str, operand: &Value, depth: usize) -> Result<Node> {
        let inner = depth + 1;
        match name {
            "$literal" => Ok(Node::Literal(operand.clone())),
            "$and" | "$or" => {
                let operands = match operand {
                    Value::Array(operands) => self.each(operands, inner)?,
                    other => vec![self.any(other, inner)?],
                };
                Ok(if name == "$and" { Node::And(operands) } else { Node::Or(operands) })
            }
            "$cond" => {
                let parts = match operand {
                    Value::Array(parts) if parts.len() == 3 => self.each(parts, inner)?,
                    Value::Object(_) => {
                        self.named(name, operand, &["if", "then", "else"], inner)?
                    }
                    _ => return Err(wrong(name, "if, then and else")),
                };
                let parts: [Node; 3] =
                    parts.try_into().map_err(|_| wrong(name, "if, then and else"))?;
                Ok(Node::Condition(Box::new(parts)))
            }
            "$ifNull" => match operand {
                Value::Array(parts) if parts.len() >= 2 => {
                    Ok(Node::IfNull(self.each(parts, inner)?))
                }
                _ => Err(wrong(name, "array of two or more expressions")),
            },
            "$switch" => self.switch(operand, inner),
            "$let" => self.bind(operand, inner),
            "$map" => {
                let (input, variable, body) = self.over(name, operand, "in", &[])?;
                Ok(Node::Map {
                    input: Box::new(self.any(input, inner)?),
                    body: Box::new(self.within([variable], |parser| parser.any(body, inner))?),
                })
            }
            "$filter" => {
                let (input, variable, body) = self.over(name, operand, "cond", &["limit"])?;
                let limit = operand.get("limit").filter(|limit| !limit.is_null());
                let limit = limit.map(|limit| self.any(limit, inner)).transpose()?;
                Ok(Node::Filter {
                    input: Box::new(self.any(input, inner)?),
                    condition: Box::new(self.within([variable], |parser| parser.any(body, inner))?),
                    limit: limit.map(Box::new),
                })
            }
            "$reduce" => {
                let fields = object(name, operand, &["input", "initialValue", "in"])?;
                let names = ["value".to_owned(), "this".to_owned()];
                let body = required(name, fields, "in")?;
                Ok(Node::Reduce {
                    input: Box::new(self.any(required(name, fields, "input")?, inner)?),
                    initial: Box::new(self.any(required(name, fields, "initialValue")?, inner)?),
                    body: Box::new(self.within(names, |parser| parser.any(body, inner))?),
                })
            }
            "$convert" => {
                let fields = object(name, operand, &["input", "to", "onError", "onNull"])?;
                let optional = |parser: &mut Self, field: &str| {
                    let value = fields.get(field);
                    value.map(|value| parser.any(value, inner).map(Box::new)).transpose()
                };
                Ok(Node::Convert {
                    input: Box::new(self.any(required(name, fields, "input")?, inner)?),
                    to: Box::new(self.any(required(name, fields, "to")?, inner)?),
                    on_error: optional(self, "onError")?,
                    on_null: optional(self, "onNull")?,
                })
            }
            "$regexMatch" | "$regexFind" | "$regexFindAll" => {
                let parts = self.named(name, operand, &["input", "regex", "options?"], inner)?;
                let wanted = match name {
                    "$regexMatch" => Wanted::Whether,
                    "$regexFind" => Wanted::First,
                    _ => Wanted::All,
                };
                Ok(Node::Regex(Box::new(Search::new(wanted, name, parts)?)))
            }
            "$getField" if operand.is_string() => Ok(Node::Call(
                Operator::GetField,
                vec![
                    Node::Literal(operand.clone()),
                    Node::Path { variable: None, path: FieldPath::none() },
                ],
            )),
            "$sortArray" => {
                // What to sort by is a specification, not an expression.
                let fields = object(name, operand, &["input", "sortBy"])?;
                let input = self.any(required(name, fields, "input")?, inner)?;
                let by = Node::Literal(required(name, fields, "sortBy")?.clone());
                Ok(Node::Call(Operator::SortArray, vec![input, by]))
            }
            _ => {
                let Some((operator, shape)) = Operator::named(name) else {
                    return Err(Error::validation(format!("Unknown operator \"{name}\""))
                        .with("operator", name));
                };
                let operands = self.operands(name, operand, shape, inner)?;
                Ok(Node::Call(operator, operands))
            }
        }
    }

    fn operands(
        &mut self,
        name: &str,
        operand: &Value,
        shape: Shape,
        depth: usize,
    ) -> Result<Vec<Node>> {
        match (shape, operand) {
            (Shape::List(least, most), Value::Array(operands)) => {
                if !(least..=most).contains(&operands.len()) {
                    let expected = match (least, most) {
                        (least, usize::MAX) => format!("at least {least} operands"),
                        (least, most) if least == most => format!("{least} operands"),
                        (least, most) => format!("{least} to {most} operands"),
                    };
                    return Err(wrong(name, &expected));
                }
                self.each(operands, depth)
            }
            (Shape::List(least, _), one) if least <= 1 => Ok(vec![self.any(one, depth)?]),
            (Shape::List(least, _), _) => Err(wrong(name, &format!("array of {least} operands"))),
            (Shape::Named(names), operand) => self.named(name, operand, names, depth),
            (Shape::Either(names), operand) => match operand {
                Value::Object(fields)
                    if !fields.is_empty()
                        && fields.keys().all(|field| {
                            names.iter().any(|known| known.trim_end_matches('?') == field)
                        }) =>
                {
                    self.named(name, operand, names, depth)
                }
                Value::Array(operands) if operands.len() == 1 => {
                    Ok(vec![self.any(&operands[0], depth)?, Node::Missing])
                }
                Value::Array(_) => Err(wrong(name, "one operand")),
                one => Ok(vec![self.any(one, depth)?, Node::Missing]),
            },
        }
    }

    fn named(
        &mut self,
        operator: &str,
        operand: &Value,
        names: &[&str],
        depth: usize,
    ) -> Result<Vec<Node>> {
        let known: Vec<&str> = names.iter().map(|name| name.trim_end_matches('?')).collect();
        let fields = object(operator, operand, &known)?;
        let mut parts = Vec::with_capacity(names.len());
        for name in names {
            parts.push(match name.strip_suffix('?') {
                Some(optional) => match fields.get(optional) {
                    Some(value) => self.any(value, depth)?,
                    None => Node::Missing,
                },
                None => self.any(required(operator, fields, name)?, depth)?,
            });
        }
        Ok(parts)
    }

    fn switch(&mut self, operand: &Value, depth: usize) -> Result<Node> {
        let fields = object("$switch", operand, &["branches", "default"])?;
        let Some(Value::Array(listed)) = fields.get("branches") else {
            return Err(wrong("$switch", "array of \"branches\""));
        };
        let mut branches = Vec::with_capacity(listed.len());
        for branch in listed {
            let mut parts = self.named("$switch", branch, &["case", "then"], depth)?.into_iter();
            if let (Some(case), Some(then)) = (parts.next(), parts.next()) {
                branches.push((case, then));
            }
        }
        if branches.is_empty() {
            return Err(wrong("$switch", "at least one branch"));
        }
        let default = fields.get("default").map(|default| self.any(default, depth)).transpose()?;
        Ok(Node::Switch { branches, default: default.map(Box::new) })
    }

    fn bind(&mut self, operand: &Value, depth: usize) -> Result<Node> {
        let fields = object("$let", operand, &["vars", "in"])?;
        let Some(Value::Object(listed)) = fields.get("vars") else {
            return Err(wrong("$let", "object of \"vars\""));
        };
        let mut variables = Vec::with_capacity(listed.len());
        for (name, value) in listed {
            check_name("$let", name)?;
            variables.push(self.any(value, depth)?);
        }
        let names: Vec<String> = listed.keys().cloned().collect();
        let body = required("$let", fields, "in")?;
        let body = self.within(names, |parser| parser.any(body, depth))?;
        Ok(Node::Let { variables, body: Box::new(body) })
    }

    /// The input, the variable's name and the body of an operator that visits
    /// elements.
    fn over<'v>(
        &self,
        operator: &str,
        operand: &'v Value,
        body: &str,
        more: &[&str],
    ) -> Result<(&'v Value, String, &'v Value)> {
        let known = [&["input", "as", body], more].concat();
        let fields = object(operator, operand, &known)?;
        let variable = match fields.get("as") {
            None => "this",
            Some(Value::String(name)) => name,
            Some(_) => return Err(wrong(operator, "a name in \"as\"")),
        };
        check_name(operator, variable)?;
        let input = required(operator, fields, "input")?;
        Ok((input, variable.to_owned(), required(operator, fields, body)?))
    }
}

fn check_name(operator: &str, name: &str) -> Result<()> {
    let mut characters = name.chars();
    let begins_well = characters.next().is_some_and(|c| c.is_lowercase() || !c.is_ascii());
    if begins_well && characters.all(|c| c.is_alphanumeric() || c == '_') {
        return Ok(());
    }
    Err(wrong(operator, &format!("a variable's name, which \"{name}\" is not")))
}

fn object<'v>(
    operator: &str,
    operand: &'v Value,
    known: &[&str],
) -> Result<&'v Map<String, Value>> {
    let Value::Object(fields) = operand else {
        return Err(wrong(operator, &format!("object of {}", known.join(", "))));
    };
    match fields.keys().find(|name| !known.contains(&name.as_str())) {
        None => Ok(fields),
        Some(name) => Err(wrong(operator, &format!("no \"{name}\""))),
    }
}

fn required<'v>(operator: &str, fields: &'v Map<String, Value>, name: &str) -> Result<&'v Value> {
    fields.get(name).ok_or_else(|| wrong(operator, &format!("\"{name}\"")))
}
