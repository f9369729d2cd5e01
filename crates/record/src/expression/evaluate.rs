use std::borrow::Cow;

use serde_json::{Map, Value};
use tandem_base::{Error, Result};

use crate::expression::call::call;
use crate::expression::compare::{is_nothing, is_true};
use crate::expression::{Meter, Node, types, wrong};

/// A value, or nothing at all.
pub(super) type Maybe<'v> = Option<Cow<'v, Value>>;

/// The variables that an expression sees, the innermost first.
pub(super) struct Scope<'v> {
    record: &'v Value,
    bound: Option<Bound<'v>>,
}

/// What one operator has bound, the innermost variable last.
#[derive(Clone, Copy)]
struct Bound<'v> {
    values: &'v [Option<&'v Value>],
    outer: &'v Scope<'v>,
}

impl<'v> Scope<'v> {
    pub(super) fn new(record: &'v Value) -> Self {
        Self { record, bound: None }
    }

    fn with(&'v self, values: &'v [Option<&'v Value>]) -> Self {
        Self { record: self.record, bound: Some(Bound { values, outer: self }) }
    }

    fn variable(&self, mut at: usize) -> Option<&'v Value> {
        let mut bound = self.bound?;
        while at >= bound.values.len() {
            at -= bound.values.len();
            bound = bound.outer.bound?;
        }
        bound.values[bound.values.len() - 1 - at]
    }
}

/// What looking at one part of an expression counts as, in bytes made.
const STEP: usize = 16;

pub(super) fn evaluate<'v>(
    node: &'v Node,
    scope: &Scope<'v>,
    meter: &Meter<'_>,
) -> Result<Maybe<'v>> {
    meter.spend(STEP)?;
    Ok(match node {
        Node::Literal(value) => Some(Cow::Borrowed(value)),
        Node::Missing => None,
        Node::Path { variable: None, path } => path.of(scope.record, meter)?,
        Node::Path { variable: Some(at), path } => match scope.variable(*at) {
            Some(value) => path.of(value, meter)?,
            None => None,
        },
        Node::Object(fields) => {
            let mut made = Map::with_capacity(fields.len());
            for (name, node) in fields {
                if let Some(value) = evaluate(node, scope, meter)? {
                    meter.spend(name.len() + size_of::<Value>())?;
                    made.insert(name.clone(), meter.own(value)?);
                }
            }
            Some(Cow::Owned(Value::Object(made)))
        }
        Node::Array(nodes) => {
            meter.room(nodes.len())?;
            let mut made = Vec::with_capacity(nodes.len());
            for node in nodes {
                // An array has no gaps.
                made.push(match evaluate(node, scope, meter)? {
                    Some(value) => meter.own(value)?,
                    None => Value::Null,
                });
            }
            Some(Cow::Owned(Value::Array(made)))
        }
        Node::Call(operator, nodes) => {
            let operands = nodes
                .iter()
                .map(|node| evaluate(node, scope, meter))
                .collect::<Result<Vec<Maybe<'_>>>>()?;
            call(*operator, operands, meter)?
        }
        Node::And(nodes) => {
            for node in nodes {
                if !is_true(evaluate(node, scope, meter)?.as_deref()) {
                    return Ok(owned(false));
                }
            }
            owned(true)
        }
        Node::Or(nodes) => {
            for node in nodes {
                if is_true(evaluate(node, scope, meter)?.as_deref()) {
                    return Ok(owned(true));
                }
            }
            owned(false)
        }
        Node::Condition(parts) => {
            let [condition, then, otherwise] = &**parts;
            let holds = is_true(evaluate(condition, scope, meter)?.as_deref());
            evaluate(if holds { then } else { otherwise }, scope, meter)?
        }
        Node::IfNull(nodes) => {
            let mut found = None;
            for node in nodes {
                found = evaluate(node, scope, meter)?;
                if !is_nothing(found.as_deref()) {
                    break;
                }
            }
            found
        }
        Node::Switch { branches, default } => {
            for (case, then) in branches {
                if is_true(evaluate(case, scope, meter)?.as_deref()) {
                    return evaluate(then, scope, meter);
                }
            }
            match default {
                Some(default) => evaluate(default, scope, meter)?,
                None => {
                    return Err(Error::validation(
                        "\"$switch\" has neither a branch that holds nor a default",
                    )
                    .with("operator", "$switch"));
                }
            }
        }
        Node::Let { variables, body } => {
            let values = variables
                .iter()
                .map(|node| evaluate(node, scope, meter))
                .collect::<Result<Vec<Maybe<'_>>>>()?;
            let values: Vec<Option<&Value>> = values.iter().map(Option::as_deref).collect();
            let found = evaluate(body, &scope.with(&values), meter)?;
            found.map(|value| meter.own(value)).transpose()?.map(Cow::Owned)
        }
        Node::Map { input, body } => {
            let Some(elements) = elements("$map", input, scope, meter)? else {
                return Ok(owned(Value::Null));
            };
            meter.room(elements.len())?;
            let mut made = Vec::with_capacity(elements.len());
            for element in elements.iter() {
                let frame = [Some(element)];
                let value = evaluate(body, &scope.with(&frame), meter)?;
                made.push(value.map(|value| meter.own(value)).transpose()?.unwrap_or_default());
            }
            owned(made)
        }
        Node::Filter { input, condition, limit } => {
            let Some(elements) = elements("$filter", input, scope, meter)? else {
                return Ok(owned(Value::Null));
            };
            let limit = match limit {
                Some(limit) => match evaluate(limit, scope, meter)?.as_deref() {
                    None | Some(Value::Null) => usize::MAX,
                    Some(limit) => types::positive("$filter", limit)?,
                },
                None => usize::MAX,
            };
            let mut made = Vec::new();
            for element in elements.iter() {
                if made.len() >= limit {
                    break;
                }
                let frame = [Some(element)];
                if is_true(evaluate(condition, &scope.with(&frame), meter)?.as_deref()) {
                    made.push(meter.copy(element)?);
                }
            }
            owned(made)
        }
        Node::Reduce { input, initial, body } => {
            let Some(elements) = elements("$reduce", input, scope, meter)? else {
                return Ok(owned(Value::Null));
            };
            let initial = evaluate(initial, scope, meter)?;
            let mut reduced = initial.map(|value| meter.own(value)).transpose()?;
            for element in elements.iter() {
                let frame = [reduced.as_ref(), Some(element)];
                let next = evaluate(body, &scope.with(&frame), meter)?;
                reduced = next.map(|value| meter.own(value)).transpose()?;
            }
            reduced.map(Cow::Owned)
        }
        Node::Convert { input, to, on_error, on_null } => {
            let input = evaluate(input, scope, meter)?;
            if is_nothing(input.as_deref()) {
                return match on_null {
                    Some(on_null) => evaluate(on_null, scope, meter),
                    None => Ok(owned(Value::Null)),
                };
            }
            let to = evaluate(to, scope, meter)?;
            let input = input.as_deref().unwrap_or(&Value::Null);
            let Some(to) = to.as_deref().filter(|to| !to.is_null()) else {
                return Ok(owned(Value::Null));
            };
            let to = types::Target::parse(to)?;
            match (types::convert("$convert", input, to, meter), on_error) {
                (Ok(value), _) => Some(Cow::Owned(value)),
                (Err(error), Some(on_error))
                    if error.code() == tandem_base::Code::ValidationError =>
                {
                    evaluate(on_error, scope, meter)?
                }
                (Err(error), _) => return Err(error),
            }
        }
        Node::Regex(search) => search.evaluate(scope, meter)?.map(Cow::Owned),
    })
}

fn owned<'v>(value: impl Into<Value>) -> Maybe<'v> {
    Some(Cow::Owned(value.into()))
}

/// An array to be visited; `None` for null and missing.
fn elements<'v>(
    operator: &str,
    node: &'v Node,
    scope: &Scope<'v>,
    meter: &Meter<'_>,
) -> Result<Option<Cow<'v, [Value]>>> {
    Ok(match evaluate(node, scope, meter)? {
        None => None,
        Some(Cow::Borrowed(Value::Null)) | Some(Cow::Owned(Value::Null)) => None,
        Some(Cow::Borrowed(Value::Array(elements))) => Some(Cow::Borrowed(elements)),
        Some(Cow::Owned(Value::Array(elements))) => Some(Cow::Owned(elements)),
        Some(_) => return Err(wrong(operator, "array")),
    })
}
