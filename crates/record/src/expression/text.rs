//! Operators on text. Positions count bytes of UTF-8 or code points, as the
//! operator's name says.

use serde_json::{Number, Value};
use tandem_base::Result;

use crate::expression::call::Operands;
use crate::expression::operators::Operator as O;
use crate::expression::types;
use crate::value::arithmetic::whole;

pub(super) fn call(given: &Operands<'_, '_>) -> Result<Value> {
    Ok(match given.operator {
        O::Concat => {
            if given.any_nothing(given.all.len()) {
                return Ok(Value::Null);
            }
            let mut made = String::new();
            for at in 0..given.all.len() {
                let part = text(given, at)?;
                given.meter.spend(part.len())?;
                made.push_str(part);
            }
            made.into()
        }
        O::ToLower | O::ToUpper => {
            let text = types::to_text(given, given.or_null(0))?;
            given.meter.spend(text.len())?;
            // MongoDB changes the letters of ASCII; so does this.
            if given.operator == O::ToLower {
                text.to_ascii_lowercase().into()
            } else {
                text.to_ascii_uppercase().into()
            }
        }
        O::StrLenBytes => text(given, 0)?.len().into(),
        O::StrLenCP => {
            let text = text(given, 0)?;
            given.meter.spend(text.len())?;
            text.chars().count().into()
        }
        O::StrCaseCmp => {
            let (a, b) = (
                types::to_text(given, given.or_null(0))?.to_ascii_uppercase(),
                types::to_text(given, given.or_null(1))?.to_ascii_uppercase(),
            );
            given.meter.spend(a.len() + b.len())?;
            Value::from(a.cmp(&b) as i8)
        }
        O::Substr | O::SubstrBytes | O::SubstrCP => substring(given)?,
        O::IndexOfBytes | O::IndexOfCP => index_of(given)?,
        O::Split => {
            if given.any_nothing(2) {
                return Ok(Value::Null);
            }
            let (text, delimiter) = (text(given, 0)?, text(given, 1)?);
            if delimiter.is_empty() {
                return Err(given.wrong("a delimiter that is not empty"));
            }
            given.meter.spend(text.len())?;
            let mut parts = Vec::new();
            for part in text.split(delimiter) {
                given.meter.room(1)?;
                given.meter.spend(part.len())?;
                parts.push(Value::from(part));
            }
            parts.into()
        }
        O::ReplaceOne | O::ReplaceAll => {
            let all: Vec<&Value> = (0..3).map(|at| given.or_null(at)).collect();
            if let Some(other) = all.iter().find(|value| !value.is_null() && !value.is_string()) {
                let found = types::name(Some(other));
                return Err(given.wrong(&format!("strings, not {found}")));
            }
            if given.any_nothing(3) {
                return Ok(Value::Null);
            }
            let (input, find, with) = (text(given, 0)?, text(given, 1)?, text(given, 2)?);
            let most = if given.operator == O::ReplaceOne { 1 } else { usize::MAX };
            let found = input.matches(find).take(most).count();
            given.meter.spend(input.len().saturating_add(found.saturating_mul(with.len())))?;
            input.replacen(find, with, most).into()
        }
        _ => trim(given)?,
    })
}

fn text<'a>(given: &Operands<'a, '_>, at: usize) -> Result<&'a str> {
    given.at(at).and_then(Value::as_str).ok_or_else(|| given.wrong("string"))
}

fn integer(given: &Operands<'_, '_>, at: usize) -> Result<i64> {
    let number = given.at(at).and_then(Value::as_number);
    number.and_then(whole_or_cut).ok_or_else(|| given.wrong("numbers as positions"))
}

fn whole_or_cut(number: &Number) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "a cast of a double saturates")]
    whole(number).or_else(|| number.as_f64().map(|double| double as i64))
}

/// Start and length; a negative length is up to the end.
fn substring(given: &Operands<'_, '_>) -> Result<Value> {
    let text = types::to_text(given, given.or_null(0))?;
    let (start, length) = (integer(given, 1)?, integer(given, 2)?);
    let Ok(start) = usize::try_from(start) else {
        return if given.operator == O::SubstrCP {
            Err(given.wrong("a start that is not negative"))
        } else {
            Ok("".into())
        };
    };
    if given.operator == O::SubstrCP && length < 0 {
        return Err(given.wrong("a length that is not negative"));
    }
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    given.meter.spend(text.len())?;
    if given.operator == O::SubstrCP {
        return Ok(text.chars().skip(start).take(length).collect::<String>().into());
    }
    let start = start.min(text.len());
    let end = start.saturating_add(length).min(text.len());
    match text.get(start..end) {
        Some(part) => Ok(part.into()),
        None => Err(given.wrong("positions that do not cut a character")),
    }
}

/// Text, part, and between which positions to look.
fn index_of(given: &Operands<'_, '_>) -> Result<Value> {
    if given.or_null(0).is_null() {
        return Ok(Value::Null);
    }
    let (text, part) = (text(given, 0)?, text(given, 1)?);
    let bound = |at: usize| -> Result<Option<usize>> {
        if given.all.len() <= at {
            return Ok(None);
        }
        let position = integer(given, at)?;
        let position = usize::try_from(position);
        position.map(Some).map_err(|_| given.wrong("positions that are not negative"))
    };
    let in_characters = given.operator == O::IndexOfCP;
    let to_bytes = |position: usize| {
        if in_characters {
            text.char_indices().nth(position).map_or(text.len(), |(at, _)| at)
        } else {
            position
        }
    };
    given.meter.spend(text.len())?;
    let length = if in_characters { text.chars().count() } else { text.len() };
    let start = bound(2)?.unwrap_or(0);
    let end = to_bytes(bound(3)?.unwrap_or(length)).min(text.len());
    let start_bytes = to_bytes(start);
    let found = (start <= length && start_bytes <= end)
        .then(|| text.get(start_bytes..end).and_then(|window| window.find(part)))
        .flatten()
        .map(|at| at + start_bytes);
    Ok(match found {
        None => (-1).into(),
        Some(at) if in_characters => text[..at].chars().count().into(),
        Some(at) => at.into(),
    })
}

/// What MongoDB cuts off unless told otherwise.
fn is_space(c: char) -> bool {
    matches!(c, '\0' | ' ' | '\t'..='\r' | '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}')
}

fn trim(given: &Operands<'_, '_>) -> Result<Value> {
    let chars = given.all.get(1).is_some_and(Option::is_some);
    if given.or_null(0).is_null() || chars && given.or_null(1).is_null() {
        return Ok(Value::Null);
    }
    let input = text(given, 0)?;
    let chars = if chars { Some(text(given, 1)?) } else { None };
    given.meter.spend(input.len())?;
    let cut = |c: char| chars.map_or_else(|| is_space(c), |chars| chars.contains(c));
    Ok(match given.operator {
        O::LTrim => input.trim_start_matches(cut),
        O::RTrim => input.trim_end_matches(cut),
        _ => input.trim_matches(cut),
    }
    .into())
}
