use serde_json::{Map, Value};
use tandem_base::{Error, Result};

use crate::key::encode::kind_tag;
use crate::key::{number, tag};
use crate::value::MAX_NESTING;

/// Reads one encoded value and moves `input` behind it.
///
/// # Errors
/// `CORRUPTED` when the bytes are no encoded value; `input` is then unspecified.
pub fn decode(input: &mut &[u8]) -> Result<Value> {
    read(input, 0x00, Reader::value)
}

/// As [`decode`], for a descending part.
///
/// # Errors
/// As [`decode`].
pub fn decode_descending(input: &mut &[u8]) -> Result<Value> {
    read(input, 0xFF, Reader::value)
}

/// Moves `input` behind one encoded value and returns the value's bytes.
/// Allocates nothing.
///
/// # Errors
/// As [`decode`].
pub fn skip<'a>(input: &mut &'a [u8]) -> Result<&'a [u8]> {
    let whole = *input;
    read(input, 0x00, Reader::skip)?;
    Ok(&whole[..whole.len() - input.len()])
}

/// As [`skip`], for a descending part.
///
/// # Errors
/// As [`decode`].
pub fn skip_descending<'a>(input: &mut &'a [u8]) -> Result<&'a [u8]> {
    let whole = *input;
    read(input, 0xFF, Reader::skip)?;
    Ok(&whole[..whole.len() - input.len()])
}

fn read<'a, T>(
    input: &mut &'a [u8],
    mask: u8,
    read: impl FnOnce(&mut Reader<'a>, usize) -> Option<T>,
) -> Result<T> {
    let mut reader = Reader { rest: input, mask };
    let value =
        read(&mut reader, 0).ok_or_else(|| Error::corrupted("An encoded key is damaged"))?;
    *input = reader.rest;
    Ok(value)
}

/// Reads bytes through a mask that undoes the inversion of descending parts.
struct Reader<'a> {
    rest: &'a [u8],
    mask: u8,
}

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(byte ^ self.mask)
    }

    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(bytes.map(|byte| byte ^ self.mask))
    }

    /// Whether another field or element follows.
    fn more(&mut self) -> Option<bool> {
        match self.byte()? {
            tag::MORE => Some(true),
            tag::END => Some(false),
            _ => None,
        }
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        Some(match self.byte()? {
            tag::NULL => Value::Null,
            tag::FALSE => Value::Bool(false),
            tag::TRUE => Value::Bool(true),
            tag::NUMBER => {
                let (float, has_residual) =
                    number::decode_float(u64::from_be_bytes(self.bytes()?))?;
                let residual =
                    if has_residual { Some(u16::from_be_bytes(self.bytes()?)) } else { None };
                Value::Number(number::join(float, residual)?)
            }
            tag::STRING => Value::String(self.text()?),
            tag::OBJECT if depth < MAX_NESTING => {
                let mut fields = Map::new();
                while self.more()? {
                    let kind = self.byte()?;
                    let name = self.text()?;
                    let value = self.value(depth + 1)?;
                    if kind_tag(&value) != kind || fields.insert(name, value).is_some() {
                        return None;
                    }
                }
                Value::Object(fields)
            }
            tag::ARRAY if depth < MAX_NESTING => {
                let mut elements = Vec::new();
                while self.more()? {
                    elements.push(self.value(depth + 1)?);
                }
                Value::Array(elements)
            }
            _ => return None,
        })
    }

    fn text(&mut self) -> Option<String> {
        let mut text = Vec::new();
        self.pieces(|piece, mask, zero_follows| {
            text.extend(piece.iter().map(|byte| byte ^ mask));
            if zero_follows {
                text.push(0);
            }
        })?;
        String::from_utf8(text).ok()
    }

    /// Hands out a string's bytes, still masked, up to each zero byte.
    fn pieces(&mut self, mut each: impl FnMut(&'a [u8], u8, bool)) -> Option<()> {
        loop {
            let end = self.rest.iter().position(|byte| *byte == self.mask)?;
            let piece = &self.rest[..end];
            self.rest = &self.rest[end + 1..];
            match self.byte()? {
                tag::TERMINATOR => {
                    each(piece, self.mask, false);
                    return Some(());
                }
                tag::ESCAPED => each(piece, self.mask, true),
                _ => return None,
            }
        }
    }

    fn skip(&mut self, depth: usize) -> Option<()> {
        match self.byte()? {
            tag::NULL | tag::FALSE | tag::TRUE => {}
            tag::NUMBER => {
                let (_, has_residual) = number::decode_float(u64::from_be_bytes(self.bytes()?))?;
                if has_residual {
                    self.bytes::<2>()?;
                }
            }
            tag::STRING => self.pieces(|_, _, _| {})?,
            tag::OBJECT if depth < MAX_NESTING => {
                while self.more()? {
                    self.byte()?;
                    self.pieces(|_, _, _| {})?;
                    self.skip(depth + 1)?;
                }
            }
            tag::ARRAY if depth < MAX_NESTING => {
                while self.more()? {
                    self.skip(depth + 1)?;
                }
            }
            _ => return None,
        }
        Some(())
    }
}
