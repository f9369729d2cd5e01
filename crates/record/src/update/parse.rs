use serde_json::{Map, Number, Value};
use tandem_base::{Error, Result};

use crate::filter::{ElementCondition, Filter};
use crate::update::array::{ElementOrder, ElementTest, Push};
use crate::update::operator::Operator;
use crate::update::{Edit, MAX_UPDATE_PATHS, Update, UpdatePath};
use crate::value::arithmetic::whole;
use crate::value::{MAX_NESTING, Path, weight};

const OPERATORS: [&str; 13] = [
    "$set",
    "$unset",
    "$inc",
    "$mul",
    "$min",
    "$max",
    "$rename",
    "$push",
    "$addToSet",
    "$pull",
    "$pullAll",
    "$pop",
    "$currentDate",
];

pub(super) fn update(changes: &Map<String, Value>) -> Result<Update> {
    let mut edits: Vec<Edit> = Vec::new();
    for (operator, paths) in changes {
        if !operator.starts_with('$') {
            return Err(Error::validation(format!(
                "Invalid update: the field \"{operator}\" stands among operators"
            ))
            .with("field", operator.as_str()));
        }
        if !OPERATORS.contains(&operator.as_str()) {
            return Err(Error::validation(format!("Unknown update operator \"{operator}\""))
                .with("operator", operator.as_str()));
        }
        let Value::Object(paths) = paths else {
            return Err(Error::validation(format!(
                "Invalid operand of \"{operator}\": expected object of paths"
            ))
            .with("operator", operator.as_str()));
        };
        for (text, operand) in paths {
            if edits.len() >= MAX_UPDATE_PATHS {
                let max = MAX_UPDATE_PATHS as u64;
                return Err(Error::limit("updatePaths", max, max + 1));
            }
            let path = UpdatePath::parse(text)?;
            let operator = one(operator, text, operand)?;
            if let Operator::Rename(to) = &operator
                && !(path.is_plain() && to.is_plain())
            {
                return Err(invalid("$rename", text, "paths without positional operators"));
            }
            edits.push(Edit { path, operator });
        }
    }
    check_overlaps(&edits)?;
    Ok(Update { edits })
}

/// Every path leads somewhere else. Paths are put in an order in which those
/// that begin alike stand together, but for wildcards, which are compared with
/// everything.
fn check_overlaps(edits: &[Edit]) -> Result<()> {
    let paths: Vec<&UpdatePath> = edits
        .iter()
        .flat_map(|edit| {
            let to = match &edit.operator {
                Operator::Rename(to) => Some(to),
                _ => None,
            };
            std::iter::once(&edit.path).chain(to)
        })
        .collect();
    for (at, path) in paths.iter().enumerate() {
        if let Some(other) = paths[..at].iter().find(|other| other.overlaps(path)) {
            return Err(Error::validation(format!(
                "Invalid update: the paths \"{other}\" and \"{path}\" are in conflict"
            ))
            .with("field", path.as_str()));
        }
    }
    Ok(())
}

fn invalid(operator: &str, field: &str, expected: &str) -> Error {
    Error::validation(format!(
        "Invalid operand of \"{operator}\" for field \"{field}\": expected {expected}"
    ))
    .with("operator", operator)
    .with("field", field)
}

fn one(operator: &str, field: &str, operand: &Value) -> Result<Operator> {
    weight(operand, 1)?;
    let number = || -> Result<Number> {
        operand.as_number().cloned().ok_or_else(|| invalid(operator, field, "number"))
    };
    Ok(match operator {
        "$set" => Operator::Set(operand.clone()),
        "$unset" => Operator::Unset,
        "$inc" => Operator::Increase(number()?),
        "$mul" => Operator::Multiply(number()?),
        "$min" => Operator::Least(operand.clone()),
        "$max" => Operator::Largest(operand.clone()),
        "$rename" => {
            let to = operand.as_str().ok_or_else(|| invalid(operator, field, "path"))?;
            Operator::Rename(UpdatePath::parse(to)?)
        }
        "$push" => Operator::Push(push(field, operand)?),
        "$addToSet" => Operator::AddToSet(added(field, operand)?),
        "$pull" => Operator::Pull(pulled(field, operand)?),
        "$pullAll" => match operand {
            Value::Array(values) => Operator::PullAll(values.clone()),
            _ => return Err(invalid(operator, field, "array")),
        },
        "$pop" => match operand.as_number().and_then(whole) {
            Some(1) => Operator::Pop { first: false },
            Some(-1) => Operator::Pop { first: true },
            _ => return Err(invalid(operator, field, "1 or -1")),
        },
        _ => {
            let is_type = |operand: &Map<String, Value>| {
                operand.len() == 1
                    && matches!(
                        operand.get("$type").and_then(Value::as_str),
                        Some("date" | "timestamp")
                    )
            };
            match operand {
                Value::Bool(true) => Operator::CurrentDate,
                Value::Object(operand) if is_type(operand) => Operator::CurrentDate,
                _ => return Err(invalid(operator, field, "true or {\"$type\": \"date\"}")),
            }
        }
    })
}

/// The modifiers of an operand, if it has any; without `$each` they are none.
fn modifiers<'a>(
    operator: &str,
    field: &str,
    operand: &'a Value,
) -> Result<Option<&'a Map<String, Value>>> {
    match operand {
        Value::Object(modifiers) if modifiers.keys().any(|name| name.starts_with('$')) => {
            if modifiers.contains_key("$each") {
                Ok(Some(modifiers))
            } else {
                Err(invalid(operator, field, "\"$each\" among the modifiers"))
            }
        }
        _ => Ok(None),
    }
}

fn each(operator: &str, field: &str, values: &Value) -> Result<Vec<Value>> {
    values.as_array().cloned().ok_or_else(|| invalid(operator, field, "array in \"$each\""))
}

fn push(field: &str, operand: &Value) -> Result<Push> {
    let mut push = Push { values: Vec::new(), position: None, sort: None, slice: None };
    let Some(modifiers) = modifiers("$push", field, operand)? else {
        push.values.push(operand.clone());
        return Ok(push);
    };
    for (name, modifier) in modifiers {
        let integer = || {
            let integer = modifier.as_number().and_then(whole);
            integer.ok_or_else(|| invalid("$push", field, &format!("integer in \"{name}\"")))
        };
        match name.as_str() {
            "$each" => push.values = each("$push", field, modifier)?,
            "$position" => push.position = Some(integer()?),
            "$slice" => push.slice = Some(integer()?),
            "$sort" => push.sort = Some(element_order(field, modifier)?),
            _ => {
                let expected = format!("a known modifier, not \"{name}\"");
                return Err(invalid("$push", field, &expected));
            }
        }
    }
    Ok(push)
}

fn element_order(field: &str, order: &Value) -> Result<ElementOrder> {
    let wrong = || invalid("$push", field, "1, -1 or an object of paths in \"$sort\"");
    let descending = |direction: &Value| match direction.as_number().and_then(whole) {
        Some(1) => Ok(false),
        Some(-1) => Ok(true),
        _ => Err(wrong()),
    };
    match order {
        Value::Object(paths) if !paths.is_empty() && paths.len() <= MAX_NESTING => {
            let paths = paths
                .iter()
                .map(|(path, direction)| Ok((Path::parse(path)?, descending(direction)?)));
            Ok(ElementOrder::Paths(paths.collect::<Result<_>>()?))
        }
        Value::Object(_) => Err(wrong()),
        direction => Ok(ElementOrder::Whole { descending: descending(direction)? }),
    }
}

fn added(field: &str, operand: &Value) -> Result<Vec<Value>> {
    let Some(modifiers) = modifiers("$addToSet", field, operand)? else {
        return Ok(vec![operand.clone()]);
    };
    if modifiers.len() > 1 {
        return Err(invalid("$addToSet", field, "nothing beside \"$each\""));
    }
    each("$addToSet", field, &modifiers["$each"])
}

fn pulled(field: &str, operand: &Value) -> Result<ElementTest> {
    let Value::Object(conditions) = operand else {
        return Ok(ElementTest::Equal(operand.clone()));
    };
    let is_filter =
        |name: &String| !name.starts_with('$') || matches!(name.as_str(), "$and" | "$or" | "$nor");
    if conditions.keys().all(is_filter) {
        Filter::parse(operand).map(ElementTest::Filter)
    } else {
        ElementCondition::parse(field, conditions).map(ElementTest::Condition)
    }
}
