use serde_json::{Number, Value};
use tandem_base::Result;

use crate::update::array::{ElementTest, Push};
use crate::update::{Room, UpdatePath, array, impossible};
use crate::value::arithmetic::{self, Outcome, outcome};
use crate::value::compare;

/// What is done at a place, with its operand.
#[derive(Clone, Debug)]
pub(super) enum Operator {
    Set(Value),
    Unset,
    Increase(Number),
    Multiply(Number),
    Least(Value),
    Largest(Value),
    /// To this path; see [`walk::rename`](super::walk::rename).
    Rename(UpdatePath),
    Push(Push),
    AddToSet(Vec<Value>),
    Pull(ElementTest),
    PullAll(Vec<Value>),
    Pop {
        first: bool,
    },
    CurrentDate,
}

/// What becomes of a place.
pub(super) enum Effect {
    /// It is as it should be.
    Done,
    Put(Value),
    Remove,
}

impl Operator {
    /// Whether a path that leads into a value without fields is no error.
    pub(super) fn passes_over_dead_ends(&self) -> bool {
        matches!(self, Self::Unset | Self::Pull(_) | Self::PullAll(_))
    }

    /// Carries it out on the value that is there, or on nothing.
    pub(super) fn effect(
        &self,
        path: &UpdatePath,
        current: Option<&mut Value>,
        now_ms: u64,
        room: &mut Room,
    ) -> Result<Effect> {
        Ok(match self {
            Self::Set(value) => Effect::Put(room.copy(value)?),
            Self::Unset => Effect::Remove,
            Self::Increase(by) => calculate(path, current, by, "$inc", arithmetic::add)?,
            Self::Multiply(by) => calculate(path, current, by, "$mul", arithmetic::multiply)?,
            Self::Least(value) => match current {
                Some(current) if compare(value, current).is_ge() => Effect::Done,
                _ => Effect::Put(room.copy(value)?),
            },
            Self::Largest(value) => match current {
                Some(current) if compare(value, current).is_le() => Effect::Done,
                _ => Effect::Put(room.copy(value)?),
            },
            Self::CurrentDate => Effect::Put(now_ms.into()),
            // Moved by the walk, which sees both places.
            Self::Rename(_) => Effect::Done,
            Self::Push(push) => match current {
                Some(current) => {
                    push.onto(array_at(path, current, "$push")?, room)?;
                    Effect::Done
                }
                None => {
                    let mut elements = Vec::new();
                    push.onto(&mut elements, room)?;
                    Effect::Put(elements.into())
                }
            },
            Self::AddToSet(values) => match current {
                Some(current) => {
                    array::add_to_set(array_at(path, current, "$addToSet")?, values, room)?;
                    Effect::Done
                }
                None => {
                    let mut elements = Vec::new();
                    array::add_to_set(&mut elements, values, room)?;
                    Effect::Put(elements.into())
                }
            },
            Self::Pull(test) => {
                if let Some(current) = current {
                    let elements = array_at(path, current, "$pull")?;
                    let mut kept = Vec::with_capacity(elements.len());
                    for element in elements.drain(..) {
                        if !test.holds(&element)? {
                            kept.push(element);
                        }
                    }
                    *elements = kept;
                }
                Effect::Done
            }
            Self::PullAll(values) => {
                if let Some(current) = current {
                    array::remove_all(array_at(path, current, "$pullAll")?, values);
                }
                Effect::Done
            }
            Self::Pop { first } => {
                if let Some(current) = current {
                    let elements = array_at(path, current, "$pop")?;
                    if *first && !elements.is_empty() {
                        elements.remove(0);
                    } else {
                        elements.pop();
                    }
                }
                Effect::Done
            }
        })
    }
}

fn array_at<'a>(
    path: &UpdatePath,
    current: &'a mut Value,
    operator: &str,
) -> Result<&'a mut Vec<Value>> {
    match current {
        Value::Array(elements) => Ok(elements),
        _ => Err(impossible(path, &format!("\"{operator}\" needs an array there"))
            .with("operator", operator)),
    }
}

/// `$inc` and `$mul`. Nothing counts as 0 of the operand's type.
fn calculate(
    path: &UpdatePath,
    current: Option<&mut Value>,
    by: &Number,
    operator: &str,
    calculate: fn(Outcome, Outcome) -> Outcome,
) -> Result<Effect> {
    let by = outcome(by);
    let current = match current {
        Some(Value::Number(number)) => outcome(number),
        Some(_) => {
            return Err(impossible(path, &format!("\"{operator}\" needs a number there"))
                .with("operator", operator));
        }
        None => match by {
            Outcome::Double(_) => Outcome::Double(0.0),
            Outcome::Integer(_) | Outcome::Huge(_) => Outcome::Integer(0),
        },
    };
    match calculate(current, by).exact() {
        Some(number) => Ok(Effect::Put(number.into())),
        None => Err(impossible(path, &format!("the result of \"{operator}\" is out of range"))
            .with("operator", operator)),
    }
}
