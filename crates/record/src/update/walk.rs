//! From the record to the places that a path names.
//!
//! A place that is not there is made, if the operator makes one: objects for
//! names, nulls up to a position of an array. A path cannot lead through a
//! value that is neither object nor array.

use serde_json::{Map, Value};
use tandem_base::Result;

use crate::update::operator::Effect;
use crate::update::{Edit, MAX_PADDING, Room, Segment, UpdatePath, impossible};

/// One edit on its way through one record.
pub(super) struct Walk<'a> {
    pub(super) edit: &'a Edit,
    /// Which element `$` stands for.
    pub(super) matched: Option<usize>,
    pub(super) now_ms: u64,
}

impl Walk<'_> {
    pub(super) fn record(&self, fields: &mut Map<String, Value>, room: &mut Room) -> Result<()> {
        self.fields(fields, self.edit.path.segments(), room)
    }

    fn fields(
        &self,
        fields: &mut Map<String, Value>,
        segments: &[Segment],
        room: &mut Room,
    ) -> Result<()> {
        let Some((Segment::Name { name, .. }, rest)) = segments.split_first() else {
            return Err(self.no_array());
        };
        if rest.is_empty() {
            match self.effect(fields.get_mut(name), room)? {
                Effect::Done => {}
                Effect::Put(value) => {
                    room.take(name.len() + 4)?;
                    fields.insert(name.clone(), value);
                }
                Effect::Remove => drop(fields.shift_remove(name)),
            }
            return Ok(());
        }
        if let Some(value) = fields.get_mut(name) {
            return self.value(value, rest, room);
        }
        if let Some(value) = self.made(rest, room)? {
            room.take(name.len() + 4)?;
            fields.insert(name.clone(), value);
        }
        Ok(())
    }

    fn value(&self, value: &mut Value, segments: &[Segment], room: &mut Room) -> Result<()> {
        match (value, &segments[0]) {
            (Value::Object(fields), Segment::Name { .. }) => self.fields(fields, segments, room),
            (Value::Array(elements), Segment::Name { position: Some(position), .. }) => {
                self.element(elements, *position, &segments[1..], room)
            }
            (Value::Array(elements), Segment::Matched) => {
                let position = self.matched.ok_or_else(|| self.no_array())?;
                self.element(elements, position, &segments[1..], room)
            }
            (Value::Array(elements), Segment::Every) => {
                for position in 0..elements.len() {
                    self.element(elements, position, &segments[1..], room)?;
                }
                Ok(())
            }
            (_, Segment::Every | Segment::Matched) => Err(self.no_array()),
            (_, Segment::Name { .. }) if self.edit.operator.passes_over_dead_ends() => Ok(()),
            (_, Segment::Name { name, .. }) => Err(impossible(
                &self.edit.path,
                &format!("\"{name}\" cannot stand in what is there"),
            )),
        }
    }

    fn element(
        &self,
        elements: &mut Vec<Value>,
        position: usize,
        rest: &[Segment],
        room: &mut Room,
    ) -> Result<()> {
        let new = match elements.get_mut(position) {
            Some(element) if rest.is_empty() => match self.effect(Some(element), room)? {
                Effect::Done => return Ok(()),
                Effect::Put(value) => value,
                // The others keep their places.
                Effect::Remove => Value::Null,
            },
            Some(element) => return self.value(element, rest, room),
            None if rest.is_empty() => match self.effect(None, room)? {
                Effect::Done | Effect::Remove => return Ok(()),
                Effect::Put(value) => value,
            },
            None => match self.made(rest, room)? {
                Some(value) => value,
                None => return Ok(()),
            },
        };
        if position < elements.len() {
            elements[position] = new;
            return Ok(());
        }
        let padding = position - elements.len();
        if padding > MAX_PADDING {
            return Err(impossible(&self.edit.path, "the position is too far beyond the end"));
        }
        // More than their text, because of what they take in memory.
        room.take(16 * padding)?;
        elements.resize(position, Value::Null);
        elements.push(new);
        Ok(())
    }

    /// The object to be put where nothing is, if the operator makes a place.
    fn made(&self, rest: &[Segment], room: &mut Room) -> Result<Option<Value>> {
        if rest.iter().any(|segment| !matches!(segment, Segment::Name { .. })) {
            return Err(self.no_array());
        }
        let mut inner = Map::new();
        self.fields(&mut inner, rest, room)?;
        Ok((!inner.is_empty()).then_some(Value::Object(inner)))
    }

    fn effect(&self, current: Option<&mut Value>, room: &mut Room) -> Result<Effect> {
        self.edit.operator.effect(&self.edit.path, current, self.now_ms, room)
    }

    fn no_array(&self) -> tandem_base::Error {
        impossible(&self.edit.path, "there is no array for its positional operator")
    }
}

/// Moves a field to another path. Neither may lead through an array.
pub(super) fn rename(
    fields: &mut Map<String, Value>,
    from: &UpdatePath,
    to: &UpdatePath,
    room: &mut Room,
) -> Result<()> {
    let Some((holder, name)) = holder(fields, from, None)? else { return Ok(()) };
    let Some(value) = holder.shift_remove(name) else { return Ok(()) };
    if let Some((holder, name)) = self::holder(fields, to, Some(room))? {
        holder.insert(name.to_owned(), value);
    }
    Ok(())
}

/// The object that has the last name of a path; with `room`, it is made where
/// nothing is.
fn holder<'f, 'p>(
    mut fields: &'f mut Map<String, Value>,
    path: &'p UpdatePath,
    mut room: Option<&mut Room>,
) -> Result<Option<(&'f mut Map<String, Value>, &'p str)>> {
    let mut names = path.segments().iter().filter_map(|segment| match segment {
        Segment::Name { name, .. } => Some(name.as_str()),
        Segment::Every | Segment::Matched => None,
    });
    let Some(mut name) = names.next() else { return Ok(None) };
    for next in names {
        if !fields.contains_key(name) {
            let Some(room) = room.as_deref_mut() else { return Ok(None) };
            room.take(name.len() + 6)?;
            fields.insert(name.to_owned(), Value::Object(Map::new()));
        }
        fields = match fields.get_mut(name) {
            Some(Value::Object(inner)) => inner,
            Some(Value::Array(_)) => {
                return Err(impossible(path, "\"$rename\" cannot go through an array"));
            }
            _ if room.is_none() => return Ok(None),
            _ => {
                return Err(impossible(path, &format!("\"{next}\" cannot stand in what is there")));
            }
        };
        name = next;
    }
    Ok(Some((fields, name)))
}
