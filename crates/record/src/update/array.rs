//! What updates do to arrays.

use std::cmp::Ordering;
use std::collections::HashSet;

use serde_json::Value;
use tandem_base::Result;

use crate::filter::{ElementCondition, Filter};
use crate::key;
use crate::update::Room;
use crate::value::{Path, compare, equal};

/// `$push`, with its modifiers.
#[derive(Clone, Debug)]
pub(super) struct Push {
    pub(super) values: Vec<Value>,
    /// Where the values go: from the beginning, or from the end if negative;
    /// `None` = at the end.
    pub(super) position: Option<i64>,
    pub(super) sort: Option<ElementOrder>,
    /// How many elements stay: of the beginning, or of the end if negative.
    pub(super) slice: Option<i64>,
}

impl Push {
    pub(super) fn onto(&self, elements: &mut Vec<Value>, room: &mut Room) -> Result<()> {
        let new = self.values.iter().map(|value| room.copy(value)).collect::<Result<Vec<_>>>()?;
        let at = match self.position {
            None => elements.len(),
            Some(position) => from_either_end(position, elements.len()),
        };
        elements.splice(at..at, new);
        if let Some(order) = &self.sort {
            order.sort(elements);
        }
        match self.slice {
            None => {}
            Some(slice) if slice < 0 => {
                drop(elements.drain(..from_either_end(slice, elements.len())))
            }
            Some(slice) => elements.truncate(usize::try_from(slice).unwrap_or(usize::MAX)),
        }
        Ok(())
    }
}

/// A position of an array of that length; a negative one counts from the end.
fn from_either_end(position: i64, length: usize) -> usize {
    let distance = usize::try_from(position.unsigned_abs()).unwrap_or(usize::MAX);
    if position < 0 { length.saturating_sub(distance) } else { distance.min(length) }
}

/// `$sort` within a `$push`.
#[derive(Clone, Debug)]
pub(super) enum ElementOrder {
    /// By the elements themselves.
    Whole { descending: bool },
    /// By what stands at paths of them, the most significant first.
    Paths(Vec<(Path, bool)>),
}

impl ElementOrder {
    fn sort(&self, elements: &mut [Value]) {
        match self {
            Self::Whole { descending } => {
                elements.sort_by(|a, b| directed(compare(a, b), *descending));
            }
            Self::Paths(paths) => {
                let values = |element: &Value| -> Vec<Value> {
                    let value = |path: &Path| path.collect(element.as_object()?);
                    paths.iter().map(|(path, _)| value(path).unwrap_or_default()).collect()
                };
                elements.sort_by_cached_key(|element| Ranked {
                    values: values(element),
                    descending: paths.iter().map(|(_, descending)| *descending).collect(),
                });
            }
        }
    }
}

struct Ranked {
    values: Vec<Value>,
    descending: Vec<bool>,
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        let pairs = self.values.iter().zip(&other.values).zip(&self.descending);
        pairs
            .map(|((a, b), descending)| directed(compare(a, b), *descending))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ranked {}

fn directed(order: Ordering, descending: bool) -> Ordering {
    if descending { order.reverse() } else { order }
}

/// Appends those values that are not there yet. Equal values have equal bytes
/// as keys.
pub(super) fn add_to_set(
    elements: &mut Vec<Value>,
    values: &[Value],
    room: &mut Room,
) -> Result<()> {
    let mut known: HashSet<Vec<u8>> = elements.iter().map(encoded).collect();
    for value in values {
        if known.insert(encoded(value)) {
            elements.push(room.copy(value)?);
        }
    }
    Ok(())
}

/// Removes every element that equals one of the values.
pub(super) fn remove_all(elements: &mut Vec<Value>, values: &[Value]) {
    let unwanted: HashSet<Vec<u8>> = values.iter().map(encoded).collect();
    elements.retain(|element| !unwanted.contains(&encoded(element)));
}

fn encoded(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    key::encode_ascending(value, &mut bytes);
    bytes
}

/// Which elements a `$pull` removes.
#[derive(Clone, Debug)]
pub(super) enum ElementTest {
    /// Those equal to a value.
    Equal(Value),
    /// Those that satisfy operators.
    Condition(ElementCondition),
    /// The objects that match a filter.
    Filter(Filter),
}

impl ElementTest {
    pub(super) fn holds(&self, element: &Value) -> Result<bool> {
        match self {
            Self::Equal(value) => Ok(equal(value, element)),
            Self::Condition(condition) => Ok(condition.holds(element)),
            Self::Filter(filter) => Ok(filter.matches_value(element)),
        }
    }
}
